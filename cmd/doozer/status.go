package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/doozer-store/doozer/client"
)

// Status opens the client without waiting for a node: that none answers is a result
// here, not a failure to begin. Every node is asked over a connection of its own,
// so that the table says of each what is true of it. The table is printed whatever
// the exit status.
func (c *command) addStatus(root *cobra.Command) {
	c.add(root, verb{
		use:   "status",
		short: "Show how the nodes are",
		long: `Status asks every node itself and prints a row for each: its role (* marks the
leader), its rev and how many revs it lags behind the leader, the age of what it
knows (the time since it heard from a leader), the size of its database and of
its log. It needs no majority: it tells whether there is one.`,
		examples: []string{
			"doozer status",
			"doozer status -o json | jq .ok",
			"watch doozer status",
		},
		args: args(),
		exit: `  0   a majority of the voters is reachable and has a leader
  2   not so, or any error
  64  usage`,
		run: func(ctx context.Context, _ *cobra.Command, _ []string) error {
			return c.withClient(ctx, c.status, client.WithoutWait())
		},
	})
}

func (c *command) status(ctx context.Context, db *client.Client) error {
	nodes, err := db.Status(ctx)
	if err != nil {
		return err
	}
	h := newHealth(nodes)
	if c.format == formatJSON {
		err = printJSON(c.stdout, h.json())
	} else {
		err = h.print(c.stdout)
	}
	switch {
	case err != nil:
		return err
	case !h.majority:
		return errNoMajority
	case h.leader == 0:
		return errNoLeader
	}
	return nil
}
