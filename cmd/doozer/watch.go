package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/doozer-store/doozer/client"
)

// watchFlags are the flags of watch.
type watchFlags struct {
	from     revFlag
	snapshot bool
	local    bool
	exec     bool
	execStop bool
}

// options translates the flags for the client, which refuses those that exclude
// each other; watchArgs does so first, as a usage error.
func (f *watchFlags) options() (opts []client.WatchOption) {
	if f.from != 0 {
		opts = append(opts, client.From(int64(f.from)))
	}
	if f.snapshot {
		opts = append(opts, client.Snapshot())
	}
	if f.local {
		opts = append(opts, client.Local())
	}
	return opts
}

// Watch flushes after every change: who reads it acts on it. It has no end but an
// interrupt, --timeout, or a reader that is gone, all of which are status 0; only a
// watch that never began, or a change that could not be delivered, is an error.
func (c *command) addWatch(root *cobra.Command) {
	var flags watchFlags
	cmd := c.add(root, verb{
		use:   "watch GLOB [-- COMMAND [ARG]...]",
		short: "Print, or act on, every change of the files that match a glob",
		long: `Watch prints every change of the files that match a glob, in order, each once,
until it is interrupted. It goes on from node to node when they fail and misses
nothing. With --snapshot the files as they are come first, as changes; with
--from R all changes from rev R on. If it falls further behind than the store's
history reaches, the changes that are lost are made up for by those that lead
to the present state.

` + recordHelp + `

With --exec the command after -- is run for every change instead, one after the
other, without a shell: the value is its stdin; DOOZER_PATH, DOOZER_REV and
DOOZER_KIND (set or del) are in its environment. When it fails that is reported
and the watch goes on, unless --exec-stop is given.

` + globHelp,
		examples: []string{
			"doozer watch '/app/**'",
			"doozer watch /app/config --snapshot --exec -- sh -c 'cat >app.conf && service app reload'",
			"doozer watch '/**' -o json | jq -r .path",
		},
		args: watchArgs(&flags),
		exit: `  0   interrupted, or --timeout is over
  2   any error; with --exec-stop: the command failed
  64  usage`,
		run: func(ctx context.Context, cmd *cobra.Command, args []string) error {
			c.subject = args[0]
			each := c.watched
			if flags.exec {
				child, err := newChild(c, args[1:])
				if err != nil {
					return err
				}
				each = child.each(flags.execStop, func(err error) { c.complain(cmd, err.Error()) })
			}
			err := c.withUnbounded(ctx, func(ctx context.Context, db *client.Client) error {
				return watch(ctx, db, args[0], flags.options(), each)
			})
			if ctx.Err() != nil {
				return nil
			}
			return err
		},
	})
	cmd.Flags().Var(&flags.from, "from", "all changes with this rev or a later one")
	cmd.Flags().BoolVar(&flags.snapshot, "snapshot", false, "the files as they are first")
	cmd.Flags().BoolVar(&flags.local, "local", false, "start at one node's own state without asking a majority")
	cmd.Flags().BoolVar(&flags.exec, "exec", false, "run the command after -- for every change")
	cmd.Flags().BoolVar(&flags.execStop, "exec-stop", false, "as --exec, and end when the command fails")
}

// watchArgs wants a glob and, with --exec, a command after "--".
func watchArgs(flags *watchFlags) cobra.PositionalArgs {
	return func(cmd *cobra.Command, given []string) error {
		flags.exec = flags.exec || flags.execStop
		before, after := given, []string(nil)
		if dash := cmd.ArgsLenAtDash(); dash >= 0 {
			before, after = given[:dash], given[dash:]
		}
		if err := args("GLOB")(cmd, before); err != nil {
			if flags.exec && after == nil && len(before) > 1 {
				return usagef("the command of --exec goes after '--'")
			}
			return err
		}
		switch {
		case flags.from != 0 && flags.snapshot:
			return usagef("--from and --snapshot contradict each other")
		case flags.exec && len(after) == 0:
			return usagef("--exec needs a command after '--'")
		case !flags.exec && len(after) > 0:
			return usagef("a command after '--' needs --exec")
		}
		return nil
	}
}

// watch calls each for every change until ctx ends. That is how a watch is
// meant to end, unless it never began.
func watch(ctx context.Context, db *client.Client, glob string, opts []client.WatchOption, each func(context.Context, client.Event) error) error {
	began := false
	opts = append(opts, client.Progress(func(int64) { began = true }))
	for ev, err := range db.Watch(ctx, glob, opts...) {
		if err == nil {
			began = true
			err = each(ctx, ev)
		}
		if err == nil {
			continue
		}
		if began && ctx.Err() != nil {
			return nil
		}
		return err
	}
	return nil
}

// watched prints one change at once.
func (c *command) watched(_ context.Context, ev client.Event) error {
	if err := printEvent(c.stdout, c.format, ev); err != nil {
		return err
	}
	return c.stdout.Flush()
}
