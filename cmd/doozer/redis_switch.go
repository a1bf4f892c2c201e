package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/client/failover"
)

// masterJSON is the outcome of switch and promote.
type masterJSON struct {
	Group string `json:"group"`
	Node  string `json:"node"`
	Addr  string `json:"addr"`
	Epoch int64  `json:"epoch"`
	Prev  string `json:"prev,omitempty"`
	// TookMs is how long the agents took, by their clocks; AskedMs how long this
	// command waited for it.
	TookMs  *int64 `json:"took_ms,omitempty"`
	AskedMs int64  `json:"asked_ms"`
}

func (c *command) addRedisSwitch(parent *cobra.Command) {
	var f redisFlags
	var to string
	cmd := c.add(parent, verb{
		use:   "switch [--to NODE]",
		short: "Hand the master over to another node",
		long: `Switch asks the agents to make another node the master, the best one or that of
--to, and waits until it is. Nothing is lost: the master takes no writes from the
moment on at which the other one has all of them. It works while the group is
paused. Without a master that could hand over it is refused; see promote.

A command that is not done within --timeout is taken back, if nobody has begun it.`,
		examples: []string{"doozer redis switch", "doozer redis switch --group cache --to b", "doozer redis switch -o json | jq .took_ms"},
		args:     args(),
		exit:     exitRedis,
		writes:   true,
		run: func(ctx context.Context, _ *cobra.Command, _ []string) error {
			return c.redisAsk(ctx, &f, failover.Cmd{Verb: failover.VerbSwitch, To: to})
		},
	})
	f.add(cmd)
	cmd.Flags().StringVar(&to, "to", "", "the `node` that is to be the master")
}

func (c *command) addRedisPromote(parent *cobra.Command) {
	var f redisFlags
	var accept bool
	cmd := c.add(parent, verb{
		use:   "promote NODE --accept-loss",
		short: "Make a node the master though writes are lost by it",
		long: `Promote makes NODE the master of a group that has none, because its agents choose
nobody: what is left has too old a history, lags too far behind, or may lack writes
that were confirmed to be on replicas. What others alone had is lost to the group
then, which --accept-loss says is known; their agents save it to files before they
follow: see history. A master that lives hands over by switch.`,
		examples: []string{"doozer redis promote --accept-loss b", "doozer redis promote b --group cache --accept-loss"},
		args:     args("NODE"),
		exit:     exitRedis,
		writes:   true,
		run: func(ctx context.Context, _ *cobra.Command, given []string) error {
			if !accept {
				return usagef("--accept-loss is missing: writes may be lost by it")
			}
			return c.redisAsk(ctx, &f, failover.Cmd{Verb: failover.VerbPromote, To: given[0], AcceptLoss: true})
		},
	})
	f.add(cmd)
	cmd.Flags().BoolVar(&accept, "accept-loss", false, "say that writes may be lost by it")
}

// redisAsk gives the agents a command and reports what became of it.
func (c *command) redisAsk(ctx context.Context, f *redisFlags, cmd failover.Cmd) error {
	if cmd.To != "" {
		if err := failover.CheckNode(cmd.To); err != nil {
			return asUsage(err)
		}
	}
	return c.withFollower(ctx, f, func(ctx context.Context, db *client.Client, group *failover.Follower) error {
		before, asked := group.View(), time.Now()
		if before.Epoch == 0 {
			return fmt.Errorf("%w: the first master has not been chosen", failover.ErrRefused)
		}
		v, err := failover.Ask(ctx, db, group, cmd)
		if err != nil && ctx.Err() != nil {
			return c.unknownAsk(ctx, db, cmd, before)
		}
		if err != nil {
			return err
		}
		j := masterJSON{
			Group: v.Group, Node: v.Register.Node, Addr: v.Register.Addr, Epoch: v.Epoch, Prev: before.Register.Node,
			AskedMs: time.Since(asked).Milliseconds(),
		}
		if j.Prev == "" {
			j.Prev = before.Register.Prev
		}
		took := ""
		if h := len(v.History) - 1; h >= 0 && v.History[h].Epoch > before.Epoch && v.History[h].Ended >= v.History[h].Began {
			ms := v.History[h].Ended - v.History[h].Began
			j.TookMs, took = &ms, fmt.Sprintf(" It took %d ms.", ms)
		}
		return c.print(fmt.Sprintf("%s is the master, at %s, epoch %d.%s", plain(j.Node), plain(j.Addr), j.Epoch, took), j)
	})
}

// unknownAsk says what is known of a command that was not done in time: that the
// agents may do it yet. It has a time of its own.
func (c *command) unknownAsk(ctx context.Context, db *client.Client, cmd failover.Cmd, before failover.View) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askedTimeout)
	defer cancel()
	seen := "the store does not tell how far it is"
	p := failover.Paths(before.Group)
	register, err := db.Get(ctx, p.Register())
	if errors.Is(err, client.ErrNotExist) {
		err = nil
	}
	if err == nil {
		_, err = db.Get(ctx, p.Cmd())
	}
	switch {
	case register.Rev != before.Epoch:
		seen = fmt.Sprintf("it was begun, at epoch %d", register.Rev)
	case errors.Is(err, client.ErrNotExist):
		seen = "no agent had begun it when it was taken back"
	case err == nil:
		seen = "it still waits for an agent"
	}
	return fmt.Errorf("%w: %s was not done within --timeout, and %s; see 'doozer redis status'", client.ErrUnknownOutcome, cmd.Verb, seen)
}
