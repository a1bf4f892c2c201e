package main

import (
	"context"

	"github.com/spf13/cobra"
)

// Add is set under one condition. It has a name of its own because it is what
// scripts build on: of many who add a path one succeeds, and who asks twice is
// told of the first time by status 1. A retry of the client's own is not a second
// time: the store knows it by its id.
func (c *command) addAdd(root *cobra.Command) {
	write := writeFlags{missing: true}
	cmd := c.add(root, verb{
		use:   "add PATH [VALUE]",
		short: "Write a file that is not there yet",
		long: `Add is set --if-missing: it writes a file only if there is none, and prints the
rev of the change. Of many who add the same path exactly one succeeds.`,
		examples: []string{
			"doozer add /jobs/nightly/owner \"$(hostname)\" && run-nightly",
		},
		args:     args("PATH", "[VALUE]"),
		exit:     exitWrite,
		complete: true,
		writes:   true,
		run: func(ctx context.Context, _ *cobra.Command, args []string) error {
			return c.set(ctx, args, &write)
		},
	})
	write.addMessage(cmd)
}
