package redisdial

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"syscall"

	"github.com/doozer-store/doozer/client/failover"
)

// errDropped is what the user of a dropped connection gets: for go-redis an end
// like any other, after which it dials.
var errDropped = fmt.Errorf("the group has another master: %w", io.EOF)

// reign is what makes a master this one and no other: a node that is elected again
// begins another one.
type reign struct {
	node, addr, runID, replID string
	start                     int64
}

func reignOf(v failover.View) reign {
	r := v.Register
	return reign{r.Node, r.Addr, r.RunID, r.ReplID, r.StartOffset}
}

// ended tells whether a master of reign r is none in v. That nothing is known is
// no end.
func ended(v failover.View, r reign) bool {
	return v.Epoch != 0 && (!v.Register.Writable() || reignOf(v) != r)
}

// conn is a connection to one master.
type conn struct {
	net.Conn
	d       *Dialer
	reign   reign
	dropped atomic.Bool
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	return n, c.reason(err)
}

func (c *conn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	return n, c.reason(err)
}

func (c *conn) reason(err error) error {
	if err != nil && c.dropped.Load() {
		return errDropped
	}
	return err
}

func (c *conn) Close() error {
	c.d.forget(c)
	return c.Conn.Close()
}

// drop ends the connection at once: TLS has no say, for it would tell the other
// side, who may not take it.
func (c *conn) drop() {
	c.dropped.Store(true)
	c.d.forget(c)
	nc := c.Conn
	if wrapped, ok := nc.(interface{ NetConn() net.Conn }); ok {
		nc = wrapped.NetConn()
	}
	nc.Close()
}

// NetConn is for who looks into a connection of TLS.
func (c *conn) NetConn() net.Conn { return c.Conn }

// rawConn is a conn whose socket can be looked at, as go-redis does before it uses
// a connection of its pool.
type rawConn struct {
	*conn
	syscall.Conn
}

// adopt makes nc one of d's. It closes nc and returns nil if its master is none
// any more.
func (d *Dialer) adopt(nc net.Conn, r reign) net.Conn {
	c := &conn{Conn: nc, d: d, reign: r}
	d.mu.Lock()
	defer d.mu.Unlock()
	// The goroutine that follows looks at the register after this: no change is
	// missed between.
	if ended(d.src.View(), r) {
		nc.Close()
		return nil
	}
	d.conns[c] = true
	if d.end == nil {
		ctx, end := context.WithCancel(context.Background())
		d.end = end
		go d.follow(ctx)
	}
	if raw, ok := nc.(syscall.Conn); ok {
		return rawConn{c, raw}
	}
	return c
}

// forget is told that a connection is closed.
func (d *Dialer) forget(c *conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.conns, c)
	if len(d.conns) == 0 && d.end != nil {
		d.end()
		d.end = nil
	}
}

// follow drops connections to masters that are none any more, until there are no
// connections.
func (d *Dialer) follow(ctx context.Context) {
	for {
		changed := d.src.Changed()
		v := d.src.View()
		var old []*conn
		d.mu.Lock()
		for c := range d.conns {
			if ended(v, c.reign) {
				old = append(old, c)
			}
		}
		d.mu.Unlock()
		for _, c := range old {
			c.drop()
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}
