package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/doozer-store/doozer/client"
)

// getJSON is a file with its value.
type getJSON struct {
	fileJSON
	valueJSON
	Local *localJSON `json:"local,omitempty"`
}

// fileJSON is a file without its value.
type fileJSON struct {
	Path    string `json:"path"`
	Rev     int64  `json:"rev"`
	Time    string `json:"time"`
	Author  string `json:"author"`
	Message string `json:"message"`
}

// newFileJSON formats a file; its value goes beside it, in a valueJSON.
func newFileJSON(f client.File) fileJSON {
	return fileJSON{Path: f.Path, Rev: f.Rev, Time: stampJSON(f.Time), Author: f.Author, Message: f.Message}
}

// Get writes the value and nothing else to stdout, so that what set read from a
// file is what get writes to one, and an empty value differs from a missing file by
// the status alone.
func (c *command) addGet(root *cobra.Command) {
	var read readFlags
	cmd := c.add(root, verb{
		use:   "get PATH",
		short: "Print a file's value",
		long: `Get prints the value of a file, byte for byte, with nothing added. With -o json
it prints an object with path, rev, time, author, message and the value: as
"value" if it is valid UTF-8, else as "value_base64".

A get sees every write that was acknowledged before it, unless --local is given:
then one node answers from what it has, and stderr tells how old that may be.`,
		examples: []string{
			"doozer get /app/config",
			"doozer get /app/config --rev 120",
			"doozer get /app/config -o json | jq .rev",
		},
		args:     args("PATH"),
		exit:     exitRead,
		complete: true,
		run: func(ctx context.Context, _ *cobra.Command, args []string) error {
			c.subject = args[0]
			return c.withClient(ctx, func(ctx context.Context, db *client.Client) error {
				return c.get(ctx, db, args[0], &read)
			})
		},
	})
	read.add(cmd)
}

// get prints a file. The age of a local read is told before the value is
// written: whoever reads both streams has it first.
func (c *command) get(ctx context.Context, db *client.Client, path string, read *readFlags) error {
	var from answered
	f, err := db.Get(ctx, path, read.options(&from)...)
	if err != nil {
		return err
	}
	local := c.reportAge(&from)
	if c.format == formatJSON {
		return printJSON(c.stdout, getJSON{newFileJSON(f), newValueJSON(f.Value), local})
	}
	_, err = c.stdout.Write(f.Value)
	return err
}
