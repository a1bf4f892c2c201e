package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/doozer-store/doozer/client"
)

// Nop is the cheapest proof that the store can write: it takes a write's whole way,
// through a majority's disks, and leaves no trace in the tree.
func (c *command) addNop(root *cobra.Command) {
	c.add(root, verb{
		use:   "nop",
		short: "Go through the log and change nothing",
		long: `Nop takes the way of a write through a majority of the nodes, changes nothing
and uses no rev. When it succeeds the store can write. It prints nothing.`,
		examples: []string{
			"doozer --timeout 2s nop || page-somebody",
		},
		args: args(),
		exit: exitPlain,
		run: func(ctx context.Context, _ *cobra.Command, _ []string) error {
			return c.withClient(ctx, func(ctx context.Context, db *client.Client) error {
				return db.Nop(ctx)
			})
		},
	})
}
