package main

import (
	"context"
	"errors"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/client/election"
	"github.com/doozer-store/doozer/client/session"
)

// electFlags are the flags of elect.
type electFlags struct {
	turnFlags
	value   string
	observe bool
}

// leaderJSON is who leads; without a term nobody does.
type leaderJSON struct {
	Name  string `json:"name"`
	Term  int64  `json:"term"`
	Value string `json:"value"`
	Since string `json:"since"`
}

// Elect is lock with a value that says who leads.
func (c *command) addElect(root *cobra.Command) {
	var flags electFlags
	cmd := c.add(root, verb{
		use:   "elect NAME [--value V] -- COMMAND [ARG]...",
		short: "Run a command while being the leader, or see who leads",
		long: `Elect waits until it leads the election NAME, makes the value known, runs the
command, and resigns when the command has ended. Leadership that is lost ends the
command and elect; who wants to stand again starts it again.

With --observe it prints who leads, and again whenever that changes, until it is
interrupted: the term and the value; 0 and no value for nobody.

` + turnHelp,
		examples: []string{
			"doozer elect scheduler --value \"$(hostname):8080\" -- ./scheduler",
			"doozer elect --observe scheduler",
			"doozer elect --observe scheduler -o json | head -1 | jq -r .value",
		},
		args: electArgs(&flags),
		exit: exitTurn,
		run: func(ctx context.Context, cmd *cobra.Command, args []string) error {
			c.subject = args[0]
			if flags.observe {
				return lockError(c.observe(ctx))
			}
			flags.waitGiven(cmd)
			return lockError(c.elect(ctx, &flags, args[1:]))
		},
	})
	flags.add(cmd)
	cmd.Flags().StringVar(&flags.value, "value", "", "what observers are to know of this leader: its address, say")
	cmd.Flags().BoolVar(&flags.observe, "observe", false, "print who leads, now and whenever it changes")
}

// electArgs wants a name and a command, or a name to observe.
func electArgs(flags *electFlags) cobra.PositionalArgs {
	return func(cmd *cobra.Command, given []string) error {
		if err := nameAndCommand(cmd, given, flags.observe); err != nil {
			return err
		}
		switch {
		case flags.observe && len(given) > 1:
			return usagef("--observe takes no command")
		case flags.observe && flags.value != "":
			return usagef("--observe and --value contradict each other")
		case cmd.Flags().Changed("wait") && flags.wait == 0:
			return usagef("--wait has to be more than 0: a candidate stands in line")
		}
		return flags.check(cmd)
	}
}

// leading makes a leadership a turn.
type leading struct{ *election.Leadership }

func (l leading) Token() int64                      { return l.Term() }
func (l leading) Release(ctx context.Context) error { return l.Resign(ctx) }

func (c *command) elect(ctx context.Context, flags *electFlags, argv []string) error {
	r := &runner{c: c, argv: argv, ttl: flags.ttl, wait: flags.wait, who: whoOf(argv)}
	r.acquire = func(ctx context.Context, s *session.Session) (turn, error) {
		l, err := election.Campaign(ctx, s, c.subject, flags.value)
		if err != nil {
			return nil, err
		}
		return leading{l}, nil
	}
	return r.run(ctx)
}

// observe prints leaders until ctx ends, which is no error once it has begun.
func (c *command) observe(ctx context.Context) error {
	began := false
	err := c.withUnbounded(ctx, func(ctx context.Context, db *client.Client) error {
		for l, err := range election.Observe(ctx, db, c.subject) {
			if err == nil {
				began = true
				err = c.leader(l)
			}
			if err != nil && began && ctx.Err() != nil {
				return nil
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if began && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// leader prints who leads, at once.
func (c *command) leader(l election.Leader) error {
	text := strconv.FormatInt(l.Term, 10)
	if l.Value != "" {
		text += " " + plain(l.Value)
	}
	if err := c.print(text, leaderJSON{Name: c.subject, Term: l.Term, Value: l.Value, Since: stampJSON(l.Since)}); err != nil {
		return err
	}
	return c.stdout.Flush()
}
