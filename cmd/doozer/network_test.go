package main

import (
	"context"
	"io"

	"google.golang.org/grpc"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/test/memnet"
)

// network is that of all tests of verbs, which share no address. They run in a
// bubble of testing/synctest: no --timeout passes while anything can move, and what
// a verb does when it is over does not depend on how fast the machine is.
var network memnet.Net

// onNetwork makes a client dial there, and wait for a status as long as for
// anything else: a node that runs answers.
func onNetwork() []client.Option {
	return []client.Option{
		client.WithDialOptions(grpc.WithContextDialer(network.Dial)), client.WithStatusTimeout(patience),
	}
}

// runOn is run, with a client of the network.
func runOn(ctx context.Context, args, env []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return runWith(ctx, onNetwork(), args, env, stdin, stdout, stderr)
}

// runWith is run, with further options of the client.
func runWith(ctx context.Context, opts []client.Option, args, env []string, stdin io.Reader, stdout, stderr io.Writer) int {
	c := newCommand(env, stdin, stdout, stderr)
	c.options = opts
	verb, err := c.execute(ctx, args)
	return c.finish(verb, err)
}
