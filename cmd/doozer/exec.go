package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"syscall"

	"github.com/doozer-store/doozer/client"
)

// child is the command that watch --exec runs for every change.
type child struct {
	c    *command
	path string
	argv []string
}

// newChild finds the program, so that a misspelt one is an error before the
// first change.
func newChild(c *command, argv []string) (*child, error) {
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return nil, err
	}
	return &child{c: c, path: path, argv: argv}, nil
}

// each is what watch does for a change: it runs the command. A command that
// fails ends the watch if stop is set, else it is only reported.
func (ch *child) each(stop bool, report func(error)) func(context.Context, client.Event) error {
	return func(ctx context.Context, ev client.Event) error {
		err := ch.run(ctx, ev)
		if err == nil || stop || ctx.Err() != nil {
			return err
		}
		report(err)
		return nil
	}
}

// run runs the command for one change and waits until it has ended. When ctx
// ends the command is sent SIGTERM and, childGrace later, SIGKILL.
//
// The value goes by stdin, not by environment or arguments: it may hold any byte
// and be a MiB long. The rest is short and safe, and goes by environment.
func (ch *child) run(ctx context.Context, ev client.Event) error {
	cmd := exec.CommandContext(ctx, ch.path)
	cmd.Args = ch.argv
	cmd.Env = append(append([]string{}, ch.c.env...),
		"DOOZER_PATH="+ev.Path,
		"DOOZER_REV="+strconv.FormatInt(ev.Rev, 10),
		"DOOZER_KIND="+kindOf(ev),
	)
	cmd.Stdin = bytes.NewReader(ev.Value)
	cmd.Stdout = ch.c.out
	cmd.Stderr = ch.c.stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = childGrace
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s, run for %s at rev %d: %w", ch.argv[0], ev.Path, ev.Rev, err)
	}
	return nil
}
