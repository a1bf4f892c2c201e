package main

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/doozer-store/doozer/client"
)

// logJSON is a change in the history, without its value.
type logJSON struct {
	Rev     int64  `json:"rev"`
	Time    string `json:"time"`
	Author  string `json:"author"`
	Kind    string `json:"kind"`
	Path    string `json:"path"`
	Len     int64  `json:"len"`
	Message string `json:"message"`
}

// logFlags are the flags of log.
type logFlags struct {
	from, to revFlag
	limit    countFlag
	local    bool
}

// options translates the flags for the client; from is told who answers a local
// read. Values are never asked for.
func (f *logFlags) options(from *answered) []client.LogOption {
	opts := []client.LogOption{client.NoValues()}
	if f.from != 0 {
		opts = append(opts, client.From(int64(f.from)))
	}
	if f.to != 0 {
		opts = append(opts, client.To(int64(f.to)))
	}
	if f.limit != 0 {
		opts = append(opts, client.Last(int(f.limit)))
	}
	if f.local {
		opts = append(opts, client.Local(), client.Served(from.note))
	}
	return opts
}

// Log prints changes as they come, without their values, which are not fetched. The
// window may move on while it reads: it then fails after some output, and never
// leaves a change out in the middle.
func (c *command) addLog(root *cobra.Command) {
	var flags logFlags
	cmd := c.add(root, verb{
		use:   "log GLOB",
		short: "Print the history of the files that match a glob",
		long: `Log prints the changes of the files that match a glob, oldest first: rev, time,
author, kind, path, length and message. It goes back as far as the store keeps
its history; a value is there to be read with doozer get PATH --rev REV.

` + globHelp,
		examples: []string{
			"doozer log /app/config",
			"doozer log '/**' --limit 20",
			"doozer log '/app/**' --from 100 --to 120 -o json",
		},
		args: args("GLOB"),
		exit: exitPlain,
		run: func(ctx context.Context, _ *cobra.Command, args []string) error {
			c.subject = args[0]
			if flags.to != 0 && flags.from > flags.to {
				return usagef("--from %d is after --to %d", flags.from, flags.to)
			}
			return c.withClient(ctx, func(ctx context.Context, db *client.Client) error {
				return c.log(ctx, db, args[0], &flags)
			})
		},
	})
	cmd.Flags().Var(&flags.from, "from", "first rev")
	cmd.Flags().Var(&flags.to, "to", "last rev")
	cmd.Flags().VarP(&flags.limit, "limit", "n", "only the newest n changes")
	cmd.Flags().BoolVar(&flags.local, "local", false,
		"take one node's own state without asking a majority: it may be old")
}

func (c *command) log(ctx context.Context, db *client.Client, glob string, flags *logFlags) error {
	var from answered
	t := newTable(c.stdout, false,
		column{right: true}, column{}, column{}, column{}, column{}, column{right: true}, column{})
	for ev, err := range db.Log(ctx, glob, flags.options(&from)...) {
		if err != nil {
			t.flush()
			return err
		}
		if err := c.logged(t, ev); err != nil {
			return err
		}
	}
	c.reportAge(&from)
	return t.flush()
}

// logged prints one change of the history.
func (c *command) logged(t *table, ev client.Event) error {
	if c.format == formatJSON {
		return printJSON(c.stdout, logJSON{
			Rev: ev.Rev, Time: stampJSON(ev.Time), Author: ev.Author, Kind: kindOf(ev),
			Path: ev.Path, Len: ev.Len, Message: ev.Message,
		})
	}
	return t.add(strconv.FormatInt(ev.Rev, 10), stamp(ev.Time), orDash(plain(ev.Author)), kindOf(ev),
		ev.Path, strconv.FormatInt(ev.Len, 10), plain(ev.Message))
}
