package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/doozer-store/doozer/client"
)

// txnFlags are the flags of txn.
type txnFlags struct {
	json    bool
	message string
}

// Txn reads all of its input before it opens the client: a misspelt transaction is
// status 64 whether or not the store is there, and nothing is half sent.
func (c *command) addTxn(root *cobra.Command) {
	var flags txnFlags
	cmd := c.add(root, verb{
		use:   "txn [FILE]",
		short: "Change several files at once, or none",
		long: `Txn reads a transaction from FILE, or from stdin without FILE or with "-". If
all its conditions hold, all its changes are made at one rev, which is printed;
else nothing is changed. At most 128 conditions and 128 changes. A line is one of

    if PATH missing      there is no such file
    if PATH rev R        the file exists and has not changed since rev R
    set PATH VALUE       VALUE is the rest of the line, byte for byte
    set64 PATH BASE64    for values with newlines in them
    del PATH

or empty, or begins with '#'. A path with spaces is written in quotes. All
conditions are checked before anything is changed; they may name files that are
not changed.

With --json the input is one object:

    {"if": [{"path": "/a", "missing": true}, {"path": "/b", "rev": 12}],
     "do": [{"set": "/a", "value": "x"}, {"set": "/c", "value_base64": "AAE="},
            {"del": "/b"}],
     "message": "why"}`,
		examples: []string{
			"printf 'if /a rev 12\\nset /b new\\ndel /a\\n' | doozer txn",
			"doozer txn move.txt -m 'move a to b'",
		},
		args: args("[FILE]"),
		exit: `  0   done
  1   a condition failed, nothing was changed
  2   any other error; it says so when the outcome is unknown
  3   a file to delete does not exist, nothing was changed
  64  usage, or the transaction is misspelt`,
		writes: true,
		run: func(ctx context.Context, _ *cobra.Command, args []string) error {
			t, err := c.readTxn(args, &flags)
			if err != nil {
				return err
			}
			return c.withClient(ctx, func(ctx context.Context, db *client.Client) error {
				rev, err := db.Txn(ctx, t)
				if err != nil {
					return err
				}
				return c.printRev(rev)
			})
		},
	})
	cmd.ValidArgsFunction = nil
	cmd.Flags().BoolVar(&flags.json, "json", false, "the input is JSON")
	addMessage(cmd, &flags.message)
}

// readTxn reads the transaction. What is wrong in it is a usage error.
func (c *command) readTxn(args []string, flags *txnFlags) (client.Txn, error) {
	input, err := c.txnInput(args)
	if err != nil {
		return client.Txn{}, err
	}
	parse := parseScript
	if flags.json {
		parse = parseJSON
	}
	t, err := parse(input)
	if err != nil {
		return t, asUsage(err)
	}
	if len(t.Do) == 0 && len(t.If) == 0 {
		return t, usagef("the transaction is empty")
	}
	if flags.message != "" {
		t.Message = flags.message
	}
	return t, nil
}

// txnInput reads all of the file, or of stdin. A terminal is read too, unlike
// set's: a transaction may well be typed, and the person is told how to end it.
func (c *command) txnInput(args []string) ([]byte, error) {
	var in io.Reader = c.stdin
	if len(args) > 0 && args[0] != "-" {
		f, err := os.Open(args[0])
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	if isTerminal(in) {
		fmt.Fprintln(c.stderr, "reading the transaction from the terminal; end it with Ctrl-D")
	}
	return readAll(in)
}
