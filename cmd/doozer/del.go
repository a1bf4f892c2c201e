package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/doozer-store/doozer/client"
)

// Del never succeeds for a file that is not there (status 3): a script that does
// not care says so with || test $? = 3.
func (c *command) addDel(root *cobra.Command) {
	var write writeFlags
	cmd := c.add(root, verb{
		use:   "del PATH",
		short: "Delete a file",
		long: `Del deletes one file and prints the rev of the change. What the file was stays
in the history for a while: doozer log PATH, doozer get PATH --rev R.`,
		examples: []string{
			"doozer del /motd",
			"doozer del /lock/backup --if-rev 120",
		},
		args:     args("PATH"),
		exit:     exitDel,
		complete: true,
		writes:   true,
		run: func(ctx context.Context, _ *cobra.Command, args []string) error {
			c.subject = args[0]
			opts, err := write.options()
			if err != nil {
				return err
			}
			return c.withClient(ctx, func(ctx context.Context, db *client.Client) error {
				rev, err := db.Del(ctx, args[0], opts...)
				if err != nil {
					return err
				}
				return c.printRev(rev)
			})
		},
	})
	write.addRev(cmd)
	write.addMessage(cmd)
}
