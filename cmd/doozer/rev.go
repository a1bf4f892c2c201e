package main

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/doozer-store/doozer/client"
)

// Rev is linearizable, as get is: the rev that it prints is at least that of every
// write acknowledged before, whoever made it.
func (c *command) addRev(root *cobra.Command) {
	var read readFlags
	cmd := c.add(root, verb{
		use:   "rev",
		short: "Print the store's rev",
		long: `Rev prints the rev of the last change of the store: everything that was
acknowledged before the call is in it.`,
		examples: []string{
			"doozer watch '/app/**' --from $(($(doozer rev) + 1))",
		},
		args: args(),
		exit: exitPlain,
		run: func(ctx context.Context, _ *cobra.Command, _ []string) error {
			return c.withClient(ctx, func(ctx context.Context, db *client.Client) error {
				var from answered
				rev, err := db.Rev(ctx, read.options(&from)...)
				if err != nil {
					return err
				}
				local := c.reportAge(&from)
				return c.print(strconv.FormatInt(rev, 10), revJSON{Rev: rev, Local: local})
			})
		},
	})
	read.addLocal(cmd)
}
