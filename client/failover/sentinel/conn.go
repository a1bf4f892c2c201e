package sentinel

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"
)

// conn is one client. Its fields belong to the goroutine of serve but for those
// that mu guards.
type conn struct {
	s    *Server
	nc   net.Conn
	r    *bufio.Reader
	id   int64
	name string
	// told is what the client may know when it comes: what a subscriber is told
	// begins there. The pusher owns it from its start on.
	told told
	life context.Context
	stop context.CancelFunc
	wg   sync.WaitGroup // the pusher

	greeted bool // it has sent a command
	authed  bool
	pushing bool // the pusher has been started
	closing bool // the answers that are left are the last

	mu sync.Mutex // guards the following, and writes to nc
	// out are the answers that were not sent so far.
	out      reply
	channels map[string]bool
	patterns map[string]bool
}

func newConn(s *Server, nc net.Conn, id int64) *conn {
	c := &conn{
		s: s, nc: nc, r: bufio.NewReaderSize(nc, maxLine), id: id, authed: s.cfg.Password == "",
		told: know(s.cfg.Source.View()), channels: make(map[string]bool), patterns: make(map[string]bool),
	}
	c.life, c.stop = context.WithCancel(s.life)
	return c
}

// serve answers until the connection ends, and returns when nothing of it is
// left.
func (c *conn) serve() {
	defer c.wg.Wait()
	defer c.nc.Close()
	defer c.stop()
	for !c.closing {
		args, err := c.next()
		if err == nil && len(args) > 0 && http(args[0]) {
			err = fmt.Errorf("%w: this is not HTTP", errProtocol)
		}
		if err != nil {
			c.complain(err)
			return
		}
		if len(args) == 0 {
			continue
		}
		if !c.execute(args) {
			return
		}
	}
}

// next reads a command. A client that is known has as long as it likes until the
// first byte of it.
func (c *conn) next() ([]string, error) {
	if c.r.Buffered() == 0 {
		var limit time.Time
		if !c.greeted || !c.authed {
			limit = time.Now().Add(helloLimit)
		}
		c.nc.SetReadDeadline(limit)
		if _, err := c.r.Peek(1); err != nil {
			return nil, err
		}
	}
	c.greeted = true
	c.nc.SetReadDeadline(time.Now().Add(commandLimit))
	return readCommand(c.r)
}

// http tells a browser that was tricked into coming here.
func http(word string) bool {
	return strings.EqualFold(word, "post") || strings.EqualFold(word, "host:")
}

// complain answers what can't be understood. What the client is still sending is
// read for a while: to close on it would take the answer back.
func (c *conn) complain(err error) {
	if !errors.Is(err, errProtocol) {
		return
	}
	c.s.cfg.Logger.Info("sentinel port: not understood", "client", c.nc.RemoteAddr(), "reason", err)
	c.mu.Lock()
	// In the words of Redis, which begin with a capital.
	c.out.fail("ERR P%s", strings.TrimPrefix(err.Error(), "p"))
	err = c.flush()
	c.mu.Unlock()
	if half, ok := c.nc.(interface{ CloseWrite() error }); ok && err == nil && half.CloseWrite() == nil {
		c.nc.SetReadDeadline(time.Now().Add(lingerLimit))
		io.CopyN(io.Discard, c.nc, maxLinger)
	}
}

// execute does a command and answers it. It is false when the connection has
// ended.
func (c *conn) execute(args []string) bool {
	args[0] = strings.ToLower(args[0])
	if c.waits(args) && !c.hold() {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dispatch(args)
	if c.r.Buffered() > 0 && len(c.out.buf) < flushAt && !c.closing {
		return true
	}
	return c.flush() == nil
}

// hold waits until there is a master, while one is being elected. It is false
// when the connection has ended.
func (c *conn) hold() bool {
	src, deadline := c.s.cfg.Source, time.Now().Add(c.s.cfg.Hold)
	for {
		changed := src.Changed()
		v := src.View()
		left := time.Until(deadline)
		if !v.Fresh || !changing(v) || left <= 0 {
			return true
		}
		c.mu.Lock()
		err := c.flush()
		c.mu.Unlock()
		if err != nil {
			return false
		}
		timer := time.NewTimer(left)
		select {
		case <-changed:
		case <-timer.C:
		case <-c.life.Done():
		}
		timer.Stop()
		if c.life.Err() != nil {
			return false
		}
	}
}

// flush sends the answers; mu is held. An error ends the connection.
func (c *conn) flush() error {
	if len(c.out.buf) == 0 {
		return nil
	}
	c.nc.SetWriteDeadline(time.Now().Add(writeLimit))
	_, err := c.nc.Write(c.out.buf)
	c.out.buf = c.out.buf[:0]
	if cap(c.out.buf) > flushAt {
		c.out.buf = nil
	}
	if err != nil {
		c.nc.Close()
	}
	return err
}
