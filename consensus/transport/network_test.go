package transport

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"google.golang.org/grpc/test/bufconn"
)

// Tests of transports run in a bubble of testing/synctest, on a network in
// memory: no time passes while anything can move, and no handshake, ping or
// probe is late because a machine is slow. TestThreeNodes and TestKill use TCP.

// memNet connects transports. None of its addresses is given twice.
type memNet struct {
	mu    sync.Mutex
	last  int
	hosts map[string]*memListener
}

// network is that of all tests, which share no address.
var network = memNet{hosts: map[string]*memListener{}}

const memDomain = ".mem:8056"

// memListener is closed when nobody can dial it any more, and then has closed
// no connection.
type memListener struct {
	*bufconn.Listener
	n    *memNet
	addr string
	once sync.Once
}

func (l *memListener) Addr() net.Addr { return memAddr(l.addr) }

func (l *memListener) Close() error {
	err := net.ErrClosed
	l.once.Do(func() {
		l.n.mu.Lock()
		if l.n.hosts[l.addr] == l {
			delete(l.n.hosts, l.addr)
		}
		l.n.mu.Unlock()
		err = l.Listener.Close()
	})
	return err
}

// free returns an address where nobody listens.
func (n *memNet) free() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.last++
	return fmt.Sprintf("n%d%s", n.last, memDomain)
}

// listen listens at addr, or at an address of its own.
func (n *memNet) listen(addr string) net.Listener {
	if addr == "" {
		addr = n.free()
	}
	l := &memListener{Listener: bufconn.Listen(256 << 10), n: n, addr: addr}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hosts[addr] = l
	return l
}

// dial fails as the kernel does where nobody listens. Addresses that are not of
// this network are dialled for real.
func (n *memNet) dial(ctx context.Context, addr string) (net.Conn, error) {
	if !strings.HasSuffix(addr, memDomain) {
		return new(Limits).dialTCP(ctx, addr)
	}
	n.mu.Lock()
	l := n.hosts[addr]
	n.mu.Unlock()
	if l != nil {
		if c, err := l.DialContext(ctx); err == nil || ctx.Err() != nil {
			return c, err
		}
	}
	return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: memAddr(addr), Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
}

type memAddr string

func (a memAddr) Network() string { return "tcp" }
func (a memAddr) String() string  { return string(a) }

// relisten listens again at an address of loopback.Listen.
func relisten(t testing.TB, addr string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return l
}
