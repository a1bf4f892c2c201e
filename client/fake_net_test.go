package client

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"

	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"
)

// Tests of the client run in a bubble of testing/synctest, on a network in
// memory: no time passes while anything can move, so that no deadline, probe or
// election depends on how fast the machine is, and what a test says of times
// holds to the millisecond.

// fakeNet connects the fake nodes and their clients. Its addresses are of hosts
// that do not exist, and none is given twice.
type fakeNet struct {
	mu     sync.Mutex
	last   int
	listen map[string]*bufconn.Listener
}

// network is that of all tests, which share no address.
var network = fakeNet{listen: make(map[string]*bufconn.Listener)}

const fakeDomain = ".fake:8046"

// free returns an address where nobody listens.
func (n *fakeNet) free() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.last++
	return fmt.Sprintf("n%d%s", n.last, fakeDomain)
}

// open begins to listen.
func (n *fakeNet) open(addr string) *fakeListener {
	lis := bufconn.Listen(256 << 10)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.listen[addr] = lis
	return &fakeListener{Listener: lis, addr: addr}
}

// close ends lis; who dials it then is refused.
func (n *fakeNet) close(addr string, lis net.Listener) error {
	n.mu.Lock()
	if n.listen[addr] == lis {
		delete(n.listen, addr)
	}
	n.mu.Unlock()
	return lis.Close()
}

// dial fails as the kernel does where nobody listens. Addresses that are not of
// this network are dialled for real.
func (n *fakeNet) dial(ctx context.Context, addr string) (net.Conn, error) {
	if !strings.HasSuffix(addr, fakeDomain) {
		return new(net.Dialer).DialContext(ctx, "tcp", addr)
	}
	n.mu.Lock()
	lis := n.listen[addr]
	n.mu.Unlock()
	if lis != nil {
		if conn, err := lis.DialContext(ctx); err == nil || ctx.Err() != nil {
			return conn, err
		}
	}
	return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: fakeAddr(addr), Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
}

// onFakeNet makes a client dial there.
func onFakeNet() Option { return WithDialOptions(grpc.WithContextDialer(network.dial)) }

type fakeAddr string

func (a fakeAddr) Network() string { return "tcp" }
func (a fakeAddr) String() string  { return string(a) }

// fakeListener can freeze: its connections then neither read nor write, as
// those of a stopped process.
type fakeListener struct {
	net.Listener
	addr   string
	mu     sync.Mutex
	frozen chan struct{} // non-nil while frozen; closed by thaw
}

func (l *fakeListener) Addr() net.Addr { return fakeAddr(l.addr) }
func (l *fakeListener) Close() error   { return network.close(l.addr, l.Listener) }

func (l *fakeListener) freeze() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.frozen = make(chan struct{})
}

func (l *fakeListener) thaw() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.frozen != nil {
		close(l.frozen)
		l.frozen = nil
	}
}

func (l *fakeListener) wait() {
	l.mu.Lock()
	frozen := l.frozen
	l.mu.Unlock()
	if frozen != nil {
		<-frozen
	}
}

func (l *fakeListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &fakeConn{Conn: conn, l: l}, nil
}

type fakeConn struct {
	net.Conn
	l *fakeListener
}

func (c *fakeConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.l.wait()
	return n, err
}

func (c *fakeConn) Write(b []byte) (int, error) {
	c.l.wait()
	return c.Conn.Write(b)
}
