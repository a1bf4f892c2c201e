package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/doozer-store/doozer/client"
)

const defaultURI = "127.0.0.1:8046"

// command is one invocation of the program. Its goroutine is run's.
type command struct {
	env    []string // as os.Environ
	stdin  io.Reader
	out    io.Writer     // what stdout writes to; commands of watch --exec have it
	stdout *bufio.Writer // flushed by finish, by watch after each change
	stderr io.Writer

	drills drills // the engine of firedrill
	// options are further ones of every client.
	options []client.Option

	// Global flags.
	uri     string
	format  formatFlag
	timeout timeoutFlag

	// The path or glob the verb is about, for the error line.
	subject string
	// writes: the verb changes files.
	writes bool
	// started says that the command line was understood: what goes wrong from
	// then on is not a usage error unless it says so.
	started bool
}

// newCommand takes the defaults from the environment, which flags then override:
// DOOZER_URI is the only variable that counts.
func newCommand(env []string, stdin io.Reader, stdout, stderr io.Writer) *command {
	stdout, stderr = streams(stdout, stderr)
	c := &command{
		env: env, stdin: stdin, out: stdout, stdout: bufio.NewWriter(stdout), stderr: stderr,
		uri: defaultURI, format: formatText, timeout: timeoutFlag{d: defaultTimeout},
		drills: drillEngine{},
	}
	if uri := c.getenv("DOOZER_URI"); uri != "" {
		c.uri = uri
	}
	return c
}

// getenv is the last value of name in the environment, empty when it has none.
func (c *command) getenv(name string) (value string) {
	for _, kv := range c.env {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			value = v
		}
	}
	return value
}

// execute parses args and runs the verb they name.
func (c *command) execute(ctx context.Context, args []string) (verb *cobra.Command, err error) {
	root := c.root()
	root.SetArgs(append([]string{}, args...))
	root.SetIn(c.stdin)
	root.SetOut(c.stdout)
	root.SetErr(c.stderr)
	verb, err = root.ExecuteContextC(ctx)
	if err != nil && !c.started {
		err = asUsage(err)
	}
	return verb, err
}

// finish writes out what the verb has printed, reports its error and returns
// the exit status. It is the only place that does, so that every verb fails in
// the same words. A reader that has gone away (EPIPE) is no error: it has seen
// what it wanted.
func (c *command) finish(verb *cobra.Command, err error) int {
	if flushErr := c.stdout.Flush(); err == nil {
		err = flushErr
	}
	if err == nil || errors.Is(err, syscall.EPIPE) {
		return statusDone
	}
	text, status := c.describe(err)
	if text == "" {
		return status
	}
	c.complain(verb, text)
	if status == statusUsage {
		fmt.Fprintf(c.stderr, "see '%s --help'\n", verb.CommandPath())
	}
	return status
}

// complain writes one error line: program, verb, path, what is wrong.
func (c *command) complain(verb *cobra.Command, text string) {
	prefix := "doozer"
	if verb.HasParent() {
		prefix += ": " + verb.Name()
	}
	if c.subject != "" {
		prefix += " " + plain(c.subject)
	}
	fmt.Fprintf(c.stderr, "%s: %s\n", prefix, plain(text))
}

// verb is what tells the verbs apart on the command line.
type verb struct {
	use      string // "get PATH"
	short    string
	long     string
	examples []string
	args     cobra.PositionalArgs
	exit     string // what the statuses mean, from exit
	writes   bool   // it changes files: errors say what became of them
	complete bool   // the first argument is a path: offer those that exist
	run      func(ctx context.Context, cmd *cobra.Command, args []string) error
}

// add makes v a verb of the program.
func (c *command) add(root *cobra.Command, v verb) *cobra.Command {
	cmd := &cobra.Command{
		Use: v.use, Short: v.short, Long: v.long, Args: v.args,
		Example:               "  " + strings.Join(v.examples, "\n  "),
		Annotations:           map[string]string{"exit": v.exit},
		DisableFlagsInUseLine: false,
		RunE: func(cmd *cobra.Command, args []string) error {
			c.started, c.writes = true, v.writes
			return v.run(cmd.Context(), cmd, args)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	if v.complete {
		cmd.ValidArgsFunction = c.completePath
	}
	root.AddCommand(cmd)
	return cmd
}

// withClient runs fn with a client of the store, under the time that --timeout
// gives a call.
func (c *command) withClient(ctx context.Context, fn func(ctx context.Context, db *client.Client) error, opts ...client.Option) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout.d)
	defer cancel()
	return c.withUnbounded(ctx, fn, opts...)
}

// withUnbounded is withClient for verbs that wait for what others do: only a
// --timeout that was given bounds them.
func (c *command) withUnbounded(ctx context.Context, fn func(ctx context.Context, db *client.Client) error, opts ...client.Option) error {
	if c.timeout.given {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout.d)
		defer cancel()
	}
	// What is asked of one node is asked of a node that the user named.
	opts = append(append(opts, client.WithTimeout(c.timeout.d), client.WithTargetFirst()), c.options...)
	db, err := client.Open(ctx, c.uri, opts...)
	if err != nil {
		return err
	}
	defer db.Close()
	return fn(ctx, db)
}

// print writes the outcome of a verb that is one line: text as it is, or obj.
func (c *command) print(text string, obj any) error {
	if c.format == formatJSON {
		return printJSON(c.stdout, obj)
	}
	_, err := fmt.Fprintln(c.stdout, text)
	return err
}
