package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/doozer-store/doozer/client"
)

// Ls holds the whole directory before it prints, so that a failure prints nothing.
// PATH may end in a slash, as completion leaves it; nowhere else is that allowed.
func (c *command) addLs(root *cobra.Command) {
	var read readFlags
	var long bool
	cmd := c.add(root, verb{
		use:   "ls [PATH]",
		short: "List a directory",
		long: `Ls prints the names in a directory, in byte order, as they are at one rev; without
PATH those in /. Names of directories end in a slash. With -o json it prints one
object a line, as stat does.`,
		examples: []string{
			"doozer ls",
			"doozer ls -l /app",
			"doozer ls /app --rev 120",
		},
		args:     args("[PATH]"),
		exit:     exitRead,
		complete: true,
		run: func(ctx context.Context, _ *cobra.Command, args []string) error {
			dir := "/"
			if len(args) > 0 {
				dir = listed(args[0])
			}
			c.subject = dir
			return c.withClient(ctx, func(ctx context.Context, db *client.Client) error {
				return c.ls(ctx, db, dir, long, &read)
			})
		},
	})
	cmd.Flags().BoolVarP(&long, "long", "l", false, "print rev, length (of a directory: entries), time and name")
	read.add(cmd)
}

func (c *command) ls(ctx context.Context, db *client.Client, dir string, long bool, read *readFlags) error {
	var from answered
	entries, err := db.List(ctx, dir, read.options(&from)...)
	if err != nil {
		return err
	}
	c.reportAge(&from)
	t := newLongTable(c)
	for _, e := range entries {
		switch {
		case c.format == formatJSON:
			err = printJSON(c.stdout, newInfoJSON(e))
		case long:
			err = t.add(longRow(e.Rev, e.Len, stamp(e.Time), nameOf(e))...)
		default:
			_, err = c.stdout.WriteString(nameOf(e) + "\n")
		}
		if err != nil {
			return err
		}
	}
	return t.flush()
}

// newLongTable is for ls -l and find -l: rev, length, time, name.
func newLongTable(c *command) *table {
	return newTable(c.stdout, false, column{right: true}, column{right: true}, column{}, column{})
}

func longRow(rev, length int64, time, name string) []string {
	revText := "-"
	if rev != 0 {
		revText = strconv.FormatInt(rev, 10)
	}
	return []string{revText, strconv.FormatInt(length, 10), time, name}
}

// nameOf is the last name of an entry's path, with a slash if it is a
// directory.
func nameOf(e client.Info) string {
	name := e.Path[strings.LastIndexByte(e.Path, '/')+1:]
	if e.IsDir {
		name += "/"
	}
	return name
}

// listed is the path of a directory that may be written with a slash at its
// end.
func listed(dir string) string {
	if dir == "/" {
		return dir
	}
	return strings.TrimSuffix(dir, "/")
}
