package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/doozer-store/doozer/client"
)

// infoJSON is a file or a directory. Of a directory only Path, Dir, Len (its
// entries) and Hash tell something.
type infoJSON struct {
	Path    string     `json:"path"`
	Dir     bool       `json:"dir"`
	Rev     int64      `json:"rev"`
	Len     int64      `json:"len"`
	Time    string     `json:"time"`
	Author  string     `json:"author"`
	Message string     `json:"message"`
	Hash    string     `json:"hash,omitempty"`
	Local   *localJSON `json:"local,omitempty"`
}

// newInfoJSON formats what ls and find print too, one object a line.
func newInfoJSON(i client.Info) infoJSON {
	j := infoJSON{
		Path: i.Path, Dir: i.IsDir, Rev: i.Rev, Len: i.Len, Time: stampJSON(i.Time),
		Author: i.Author, Message: i.Message,
	}
	if i.Hash != 0 {
		j.Hash = hashText(i.Hash)
	}
	return j
}

// hashText is a tree's hash as it is compared between nodes.
func hashText(h uint64) string { return fmt.Sprintf("%016x", h) }

// Stat never fetches a value. A directory has no rev of its own: what tells whether
// anything under it has changed is its hash, which only the present state has.
func (c *command) addStat(root *cobra.Command) {
	var read readFlags
	cmd := c.add(root, verb{
		use:   "stat PATH",
		short: "Describe a file or a directory",
		long: `Stat tells all about a file but its value: rev, length, and when, by whom and
why it was changed last. Of a directory it tells the number of its entries and
the hash of all that is under it, which is the same on every node.`,
		examples: []string{
			"doozer stat /app/config",
			"doozer stat / -o json | jq -r .hash",
		},
		args:     args("PATH"),
		exit:     exitRead,
		complete: true,
		run: func(ctx context.Context, _ *cobra.Command, args []string) error {
			c.subject = args[0]
			return c.withClient(ctx, func(ctx context.Context, db *client.Client) error {
				return c.stat(ctx, db, args[0], &read)
			})
		},
	})
	read.add(cmd)
}

// stat prints a file or a directory: a row for each thing that it has.
func (c *command) stat(ctx context.Context, db *client.Client, path string, read *readFlags) error {
	var from answered
	info, err := db.Stat(ctx, path, read.options(&from)...)
	if err != nil {
		return err
	}
	local := c.reportAge(&from)
	if c.format == formatJSON {
		j := newInfoJSON(info)
		j.Local = local
		return printJSON(c.stdout, j)
	}
	t := newTable(c.stdout, false, column{}, column{})
	if info.IsDir {
		t.add("path:", info.Path)
		t.add("kind:", "directory")
		t.add("entries:", strconv.FormatInt(info.Len, 10))
		if info.Hash != 0 {
			t.add("hash:", hashText(info.Hash))
		}
		return t.flush()
	}
	t.add("path:", info.Path)
	t.add("kind:", "file")
	t.add("rev:", strconv.FormatInt(info.Rev, 10))
	t.add("length:", strconv.FormatInt(info.Len, 10))
	t.add("time:", stamp(info.Time))
	t.add("author:", orDash(plain(info.Author)))
	t.add("message:", orDash(plain(info.Message)))
	return t.flush()
}
