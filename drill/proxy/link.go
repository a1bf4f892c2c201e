package proxy

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	chunkSize = 32 << 10
	queueLen  = 64
	maxConns  = 4096
	dialLimit = 5 * time.Second
)

// Direction says which way bytes go through a link.
type Direction int

const (
	// Forward is from the side that dialled to the target.
	Forward Direction = iota
	// Back is from the target to the side that dialled.
	Back
	// Both is the two together.
	Both
)

// Options of a link. The zero value forwards everything.
type Options struct {
	// Addr is where to listen; empty: at a free loopback port.
	Addr string
	// LoseReply is asked about every HTTP/2 DATA frame that the target sends,
	// with the frame's payload. When it says true the frame is dropped and its
	// connection reset. Calls for different connections run concurrently.
	LoseReply func(payload []byte) bool
}

// Link forwards connections to one target. Its methods may be called from any
// goroutine.
type Link struct {
	target  string
	addr    string
	opts    Options
	gates   [2]*gate
	delay   [2]atomic.Int64 // nanoseconds, per direction
	running sync.WaitGroup

	mu     sync.Mutex
	conns  map[*conn]struct{} // guarded by mu
	closed bool               // guarded by mu
	ln     net.Listener       // nil while connections are refused; guarded by mu
	gone   bool               // the target does not listen; guarded by mu
	cut    bool               // guarded by mu
}

// New listens and forwards what connects to target.
func New(target string, o Options) (*Link, error) {
	l := &Link{
		target: target,
		addr:   o.Addr,
		opts:   o,
		gates:  [2]*gate{newGate(), newGate()},
		conns:  map[*conn]struct{}{},
	}
	if l.addr == "" {
		l.addr = "127.0.0.1:0"
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.listen(); err != nil {
		return nil, err
	}
	l.addr = l.ln.Addr().String()
	return l, nil
}

// listen begins to accept connections. mu is held.
func (l *Link) listen() error {
	ln, err := net.Listen("tcp", l.addr)
	if err != nil {
		return fmt.Errorf("proxy to %s: %w", l.target, err)
	}
	l.ln = ln
	l.running.Add(1)
	go l.accept(ln)
	return nil
}

// Addr is where the link listens, host:port.
func (l *Link) Addr() string { return l.addr }

// Gone tells that nobody listens at the target: from now on connections are
// refused here too, as they would be there, unless the wire is cut.
func (l *Link) Gone() error { return l.change(func() { l.gone = true }) }

// There takes Gone back. An error says that the link's address is taken.
func (l *Link) There() error { return l.change(func() { l.gone = false }) }

// change changes what decides whether connections are refused, and makes it so.
func (l *Link) change(fn func()) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	fn()
	refuse := l.gone && !l.cut
	switch {
	case l.closed:
	case refuse && l.ln != nil:
		l.ln.Close()
		l.ln = nil
	case !refuse && l.ln == nil:
		return l.listen()
	}
	return nil
}

// Cut stops bytes in the given direction. Connections stay open, and what they
// carry waits. The error is that of There.
func (l *Link) Cut(d Direction) error {
	for _, g := range l.gatesOf(d) {
		g.shut()
	}
	return l.change(func() { l.cut = true })
}

// Heal lets bytes through again in both directions and removes the delay.
func (l *Link) Heal() {
	l.Delay(Both, 0)
	for _, g := range l.gates {
		g.open()
	}
	l.change(func() { l.cut = false }) // which listens nowhere anew
}

// Delay makes every chunk read from now on in the given direction wait for at
// least by. It does not limit the rate.
func (l *Link) Delay(d Direction, by time.Duration) {
	for i := range l.delay {
		if d == Both || int(d) == i {
			l.delay[i].Store(int64(by))
		}
	}
}

// Reset resets every open connection; new ones are forwarded as before.
func (l *Link) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		c.reset()
	}
}

// Close ends the link and everything it runs. It may be called again.
func (l *Link) Close() {
	l.mu.Lock()
	l.closed = true
	if l.ln != nil {
		l.ln.Close()
	}
	for c := range l.conns {
		c.reset()
	}
	l.mu.Unlock()
	l.running.Wait()
}

func (l *Link) gatesOf(d Direction) []*gate {
	if d == Both {
		return l.gates[:]
	}
	return l.gates[d : d+1]
}

func (l *Link) accept(ln net.Listener) {
	defer l.running.Done()
	for {
		nc, err := ln.Accept()
		if err != nil {
			return
		}
		c := &conn{link: l, near: nc.(*net.TCPConn), done: make(chan struct{})}
		if !l.add(c) {
			c.reset()
			continue
		}
		go func() {
			defer l.running.Done()
			c.run()
			l.remove(c)
		}()
	}
}

// add takes c into the link's books, and into running.
func (l *Link) add(c *conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || len(l.conns) >= maxConns {
		return false
	}
	l.conns[c] = struct{}{}
	l.running.Add(1)
	return true
}

func (l *Link) remove(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
}

// gate is a door that goroutines wait at while it is shut.
type gate struct {
	mu sync.Mutex
	ch chan struct{} // closed while the gate is open; guarded by mu
}

func newGate() *gate {
	g := &gate{ch: make(chan struct{})}
	close(g.ch)
	return g
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.ch:
		g.ch = make(chan struct{})
	default:
	}
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.ch:
	default:
		close(g.ch)
	}
}

// pass waits until the gate is open; false when done closes first.
func (g *gate) pass(done <-chan struct{}) bool {
	g.mu.Lock()
	ch := g.ch
	g.mu.Unlock()
	select {
	case <-done:
		return false
	default:
	}
	select {
	case <-ch:
		return true
	case <-done:
		return false
	}
}
