package client

import (
	"net"
	"sync"

	"google.golang.org/grpc"

	"github.com/doozer-store/doozer/test/memnet"
)

// network is that of all tests, which share no address and run in a bubble of
// testing/synctest.
var network memnet.Net

// onFakeNet makes a client dial there.
func onFakeNet() Option { return WithDialOptions(grpc.WithContextDialer(network.Dial)) }

// fakeListener can freeze: its connections then neither read nor write, as
// those of a stopped process.
type fakeListener struct {
	net.Listener
	mu     sync.Mutex
	frozen chan struct{} // non-nil while frozen; closed by thaw
}

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
