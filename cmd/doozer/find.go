package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/doozer-store/doozer/client"
)

// globHelp explains globs, for the verbs that take one.
const globHelp = `A glob is a path in which ? stands for one character of a name, * for any run
of characters within a name and ** for any run, slashes too. Quote it, or the
shell will try to expand it.`

// findFlags are the flags of find.
type findFlags struct {
	readFlags
	long   bool
	values bool
}

// Find reads page by page, all pages at the rev of the first, and prints as it
// reads: what it holds is one page and one block of a table. If the rev leaves the
// window meanwhile it fails after some output. Values are fetched only if they are
// printed; lengths come without them.
func (c *command) addFind(root *cobra.Command) {
	var flags findFlags
	cmd := c.add(root, verb{
		use:   "find GLOB",
		short: "List the files that match a glob",
		long: `Find prints the paths of the files that match a glob, one a line in byte order,
all as they are at one rev. It succeeds when there are none. With --values it
prints each file as watch prints a change; with -o json one object a line.

` + globHelp,
		examples: []string{
			"doozer find '/app/**'",
			"doozer find -l '/**/owner'",
			"doozer find '/app/*' --values -o json",
		},
		args: args("GLOB"),
		exit: exitPlain,
		run: func(ctx context.Context, _ *cobra.Command, args []string) error {
			c.subject = args[0]
			if flags.long && flags.values {
				return usagef("--long and --values contradict each other")
			}
			return c.withClient(ctx, func(ctx context.Context, db *client.Client) error {
				return c.find(ctx, db, args[0], &flags)
			})
		},
	})
	cmd.Flags().BoolVarP(&flags.long, "long", "l", false, "print rev, length, time and path")
	cmd.Flags().BoolVar(&flags.values, "values", false, "print the values too")
	flags.add(cmd)
}

// find prints files as their pages come. What was printed before an error stays:
// the status tells that it is not all.
func (c *command) find(ctx context.Context, db *client.Client, glob string, flags *findFlags) error {
	var from answered
	opts := flags.options(&from)
	if !flags.values {
		opts = append(opts, client.NoValues())
	}
	t := newLongTable(c)
	for f, err := range db.Walk(ctx, glob, opts...) {
		if err != nil {
			t.flush()
			return err
		}
		if err := c.found(t, f, flags); err != nil {
			return err
		}
	}
	c.reportAge(&from)
	return t.flush()
}

// found prints one file of find.
func (c *command) found(t *table, f client.File, flags *findFlags) error {
	switch {
	case c.format == formatJSON && flags.values:
		return printJSON(c.stdout, getJSON{fileJSON: newFileJSON(f), valueJSON: newValueJSON(f.Value)})
	case c.format == formatJSON && flags.long:
		return printJSON(c.stdout, newInfoJSON(client.Info{
			Path: f.Path, Rev: f.Rev, Len: f.Len, Time: f.Time, Author: f.Author, Message: f.Message,
		}))
	case c.format == formatJSON:
		return printJSON(c.stdout, newFileJSON(f))
	case flags.values:
		return printEvent(c.stdout, formatText, client.Event{File: f})
	case flags.long:
		return t.add(longRow(f.Rev, f.Len, stamp(f.Time), f.Path)...)
	}
	_, err := c.stdout.WriteString(f.Path + "\n")
	return err
}
