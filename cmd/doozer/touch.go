package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/doozer-store/doozer/client"
)

// Touch is two calls, a read and a compare-and-set, and repeats both when another
// wrote in between. It has no single write to do it with, because a write carries
// the whole value.
func (c *command) addTouch(root *cobra.Command) {
	var write writeFlags
	cmd := c.add(root, verb{
		use:   "touch PATH",
		short: "Give a file a new rev, or make an empty one",
		long: `Touch writes a file's own value again, so that it has a new rev and time and
everybody who watches it is told; a file that is not there is made, empty. It
prints the rev of the change. It never undoes the write of another: the value
goes back only if it is still the present one, else touch reads again.`,
		examples: []string{
			"doozer touch /app/reload",
		},
		args:     args("PATH"),
		exit:     exitWrite,
		complete: true,
		writes:   true,
		run: func(ctx context.Context, _ *cobra.Command, args []string) error {
			c.subject = args[0]
			return c.withClient(ctx, func(ctx context.Context, db *client.Client) error {
				rev, err := touch(ctx, db, args[0], write.message)
				if err != nil {
					return err
				}
				return c.printRev(rev)
			})
		},
	})
	write.addMessage(cmd)
}

// touch writes path's own value, or an empty one where there is none, by
// compare-and-set, at most touchTries times.
func touch(ctx context.Context, db *client.Client, path, message string) (rev int64, err error) {
	for range touchTries {
		f, getErr := db.Get(ctx, path)
		write := writeFlags{rev: revFlag(f.Rev), message: message}
		switch {
		case errors.Is(getErr, client.ErrNotExist):
			write = writeFlags{missing: true, message: message}
		case getErr != nil:
			return 0, getErr
		}
		opts, err := write.options()
		if err != nil {
			return 0, err
		}
		if rev, err = db.Set(ctx, path, f.Value, opts...); !errors.Is(err, client.ErrRevMismatch) {
			return rev, err
		}
	}
	return 0, errTouch
}
