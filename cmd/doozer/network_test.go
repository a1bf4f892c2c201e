package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"

	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"

	"github.com/doozer-store/doozer/client"
)

// Tests of verbs run in a bubble of testing/synctest, with fake nodes on a
// network in memory: no --timeout passes while anything can move, and what a
// verb does when it is over does not depend on how fast the machine is.

// memNet connects fake nodes and clients. None of its addresses is given twice.
type memNet struct {
	mu    sync.Mutex
	last  int
	nodes map[string]*bufconn.Listener
}

// network is that of all tests, which share no address.
var network = memNet{last: 10000, nodes: map[string]*bufconn.Listener{}}

// memHost begins every address: as long as that of loopback, for tables.
const memHost = "127.9.9.9:"

// listen listens at an address of its own, for good.
func (n *memNet) listen() (*bufconn.Listener, string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.last++
	addr := fmt.Sprint(memHost, n.last)
	n.nodes[addr] = bufconn.Listen(256 << 10)
	return n.nodes[addr], addr
}

// dial fails as the kernel does where nobody listens. Addresses that are not of
// this network are dialled for real.
func (n *memNet) dial(ctx context.Context, addr string) (net.Conn, error) {
	if !strings.HasPrefix(addr, memHost) {
		return new(net.Dialer).DialContext(ctx, "tcp", addr)
	}
	n.mu.Lock()
	l := n.nodes[addr]
	n.mu.Unlock()
	if l != nil {
		if c, err := l.DialContext(ctx); err == nil || ctx.Err() != nil {
			return c, err
		}
	}
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
}

// onNetwork makes a client dial there, and wait for a status as long as for
// anything else: a node that runs answers.
func onNetwork() []client.Option {
	return []client.Option{
		client.WithDialOptions(grpc.WithContextDialer(network.dial)), client.WithStatusTimeout(patience),
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
