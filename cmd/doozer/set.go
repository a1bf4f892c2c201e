package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/doozer-store/doozer/client"
)

// Set takes the value from stdin when there is no argument, but never from a
// terminal: a person who forgot it would wait for a prompt that does not come. A
// write with unknown outcome is status 2 and says so; nothing else leaves the
// outcome open.
func (c *command) addSet(root *cobra.Command) {
	var write writeFlags
	cmd := c.add(root, verb{
		use:   "set PATH [VALUE]",
		short: "Write a file",
		long: `Set writes the whole value of a file and prints the rev of the change. Without
VALUE it reads the value from stdin, byte for byte, up to its end.

A value that begins with '-' goes after '--': doozer set /a -- -5`,
		examples: []string{
			"doozer set /motd 'back at noon'",
			"doozer set /app/config -m 'raise the limit' <config.json",
			"doozer set /app/config --if-rev 120 <config.json",
		},
		args:     args("PATH", "[VALUE]"),
		exit:     exitWrite,
		complete: true,
		writes:   true,
		run: func(ctx context.Context, _ *cobra.Command, args []string) error {
			return c.set(ctx, args, &write)
		},
	})
	write.addRev(cmd)
	write.addMissing(cmd)
	write.addMessage(cmd)
}

// set is what set and add do.
func (c *command) set(ctx context.Context, args []string, write *writeFlags) error {
	c.subject = args[0]
	opts, err := write.options()
	if err != nil {
		return err
	}
	value, err := c.value(args)
	if err != nil {
		return err
	}
	return c.withClient(ctx, func(ctx context.Context, db *client.Client) error {
		rev, err := db.Set(ctx, args[0], value, opts...)
		if err != nil {
			return err
		}
		return c.printRev(rev)
	})
}

// value is the argument after the path or, without one, all of stdin.
func (c *command) value(args []string) ([]byte, error) {
	if len(args) > 1 {
		return []byte(args[1]), nil
	}
	if isTerminal(c.stdin) {
		return nil, usagef("VALUE is missing and stdin is a terminal: give VALUE, or send it in: doozer set %s <file", args[0])
	}
	return readAll(c.stdin)
}
