package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/client/failover"
)

// histJSON is one failover.
type histJSON struct {
	Group string `json:"group"`
	failover.Hist
	TookMs int64 `json:"took_ms"`
}

func (c *command) addRedisHistory(parent *cobra.Command) {
	var f redisFlags
	cmd := c.add(parent, verb{
		use:   "history",
		short: "Show the failovers of a group, and what they lost",
		long: `History shows the failovers and switches of a group that are remembered, oldest
first. LOST is what other nodes alone had: it is known when they have come back, and
saved to files on their hosts, which -o json names. '+' after TOOK: an operator
accepted a loss.`,
		examples: []string{"doozer redis history", "doozer redis history -o json | jq 'select(.lost)'"},
		args:     args(),
		exit:     "  0   done, also if there are none\n  2   any error\n  3   no such group\n  64  usage",
		run: func(ctx context.Context, _ *cobra.Command, _ []string) error {
			return c.withFollower(ctx, &f, c.redisHistory)
		},
	})
	f.add(cmd)
}

func (c *command) redisHistory(_ context.Context, _ *client.Client, group *failover.Follower) error {
	v := group.View()
	t := newTable(c.stdout, true, column{name: "EPOCH", right: true}, column{name: "BEGAN"}, column{name: "FROM"}, column{name: "TO"},
		column{name: "TOOK", right: true}, column{name: "LOST"}, column{name: "WHY"})
	for _, h := range v.History {
		took := max(h.Ended-h.Began, 0)
		var err error
		if c.format == formatJSON {
			err = printJSON(c.stdout, histJSON{Group: v.Group, Hist: h, TookMs: took})
		} else {
			text := strconv.FormatInt(took, 10) + "ms"
			if h.AcceptedLoss {
				text += "+"
			}
			err = t.add(strconv.FormatInt(h.Epoch, 10), stamp(time.UnixMilli(h.Began)), orDash(plain(h.From)), plain(h.To), text, lostText(h), orDash(plain(h.Why)))
		}
		if err != nil {
			return err
		}
	}
	if c.format == formatJSON || len(t.rows) < 2 {
		return nil
	}
	return t.flush()
}

// lostText is what was lost, in a few words.
func lostText(h failover.Hist) string {
	text := ""
	for _, node := range slices.Sorted(maps.Keys(h.Lost)) {
		l := h.Lost[node]
		if text != "" {
			text += ", "
		}
		if l.Commands < 0 {
			text += fmt.Sprintf("%s: %s, not saved", plain(node), size(l.Bytes))
			continue
		}
		text += fmt.Sprintf("%s: %d commands", plain(node), l.Commands)
	}
	return orDash(text)
}
