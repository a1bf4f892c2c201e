package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == guardArg {
		os.Exit(guardProcess())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	// A reader that closed its end of stdout is told by EPIPE, not by a signal:
	// run ends quietly on it. Commands of watch --exec do not inherit this.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	os.Exit(run(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr))
}

// run is the program: it does what args say and returns the exit status. ctx
// ends when the process is asked to stop.
func run(ctx context.Context, args, env []string, stdin io.Reader, stdout, stderr io.Writer) int {
	c := newCommand(env, stdin, stdout, stderr)
	verb, err := c.execute(ctx, args)
	return c.finish(verb, err)
}
