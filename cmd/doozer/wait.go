package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/doozer-store/doozer/client"
)

// recordHelp explains what watch and wait print.
const recordHelp = `A change is printed as

    PATH REV set|del LEN
    VALUE

where LEN is the number of bytes in VALUE (0 after del), so that a value may
hold newlines. With -o json a change is one object on one line.`

// Wait is watch for one change, with two differences: it has no resync (a --from
// below the window is an error, as the first change cannot be known), and a
// --timeout that passes is status 2, as there is no change to print.
func (c *command) addWait(root *cobra.Command) {
	var from revFlag
	cmd := c.add(root, verb{
		use:   "wait GLOB",
		short: "Print the next change of a file that matches a glob",
		long: `Wait waits for a change of a file that matches a glob, prints it and ends. With
--from R it is the first change with rev R or later, which may already have
happened: go on from the rev after the last one you have seen and no change is
missed. Wait has no end by itself; --timeout gives it one.

` + recordHelp + "\n\n" + globHelp,
		examples: []string{
			"doozer wait /app/config",
			"doozer wait '/jobs/*/done' --from 121 --timeout 1m",
		},
		args: args("GLOB"),
		exit: exitPlain,
		run: func(ctx context.Context, _ *cobra.Command, args []string) error {
			c.subject = args[0]
			return c.withUnbounded(ctx, func(ctx context.Context, db *client.Client) error {
				ev, err := db.Wait(ctx, args[0], int64(from))
				if err != nil {
					return c.waitError(ctx, err)
				}
				return printEvent(c.stdout, c.format, ev)
			})
		},
	})
	cmd.Flags().Var(&from, "from", "the first change with this rev or a later one")
}

// waitError says of a deadline what it means here.
func (c *command) waitError(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) && !errors.Is(err, client.ErrUnreachable) {
		return errNoChange
	}
	return err
}
