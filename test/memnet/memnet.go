package memnet

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"

	"google.golang.org/grpc/test/bufconn"
)

// Net connects who listens and who dials. None of its addresses is given twice.
// The zero Net is an empty one.
type Net struct {
	// Else dials addresses that are not of this network; nil is for real.
	Else func(ctx context.Context, addr string) (net.Conn, error)

	mu     sync.Mutex
	last   int
	listen map[string]*listener
}

// Host begins every address: as long as that of loopback, for tables.
const Host = "127.9.9."

// Free returns an address where nobody listens.
func (n *Net) Free() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.last++
	const ports = 50000
	return fmt.Sprintf("%s%d:%d", Host, 1+n.last/ports, 10000+n.last%ports)
}

// Listen listens at an address of its own.
func (n *Net) Listen() net.Listener { return n.ListenAt(n.Free()) }

// ListenAt listens at addr, where nobody does.
func (n *Net) ListenAt(addr string) net.Listener {
	l := &listener{Listener: bufconn.Listen(256 << 10), n: n, addr: address(addr)}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listen == nil {
		n.listen = make(map[string]*listener)
	}
	n.listen[addr] = l
	return l
}

// Dial fails as the kernel does where nobody listens.
func (n *Net) Dial(ctx context.Context, addr string) (net.Conn, error) {
	if !strings.HasPrefix(addr, Host) {
		if n.Else != nil {
			return n.Else(ctx, addr)
		}
		return new(net.Dialer).DialContext(ctx, "tcp", addr)
	}
	n.mu.Lock()
	l := n.listen[addr]
	n.mu.Unlock()
	if l != nil {
		if c, err := l.DialContext(ctx); err == nil || ctx.Err() != nil {
			return c, err
		}
	}
	return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: address(addr), Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
}

// listener is closed when nobody can dial it any more, and then has closed no
// connection.
type listener struct {
	*bufconn.Listener
	n    *Net
	addr address
	once sync.Once
}

func (l *listener) Addr() net.Addr { return l.addr }

func (l *listener) Close() error {
	err := net.ErrClosed
	l.once.Do(func() {
		l.n.mu.Lock()
		if l.n.listen[string(l.addr)] == l {
			delete(l.n.listen, string(l.addr))
		}
		l.n.mu.Unlock()
		err = l.Listener.Close()
	})
	return err
}

type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }
