package proxy

import (
	"net"
	"sync"
	"time"
)

// conn is one forwarded connection. It ends as a whole: when either side
// closes, the other is closed once it has been sent what was read before.
type conn struct {
	link *Link
	near *net.TCPConn // the side that dialled the link
	done chan struct{}

	mu    sync.Mutex
	far   *net.TCPConn // the target's side; nil until dialled; guarded by mu
	ended bool         // guarded by mu
}

// run forwards until the connection has ended.
func (c *conn) run() {
	defer c.reset()
	if !c.link.gates[Forward].pass(c.done) {
		return
	}
	nc, err := net.DialTimeout("tcp", c.link.target, dialLimit)
	if err != nil {
		// The refusal travels back over the same wire.
		c.link.gates[Back].pass(c.done)
		return
	}
	if !c.setFar(nc.(*net.TCPConn)) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { c.pump(Forward, c.near, c.far, nil) })
	both.Go(func() { c.pump(Back, c.far, c.near, c.link.opts.LoseReply) })
	both.Wait()
}

func (c *conn) setFar(far *net.TCPConn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		far.Close()
		return false
	}
	c.far = far
	return true
}

// reset closes both sides so that the peers get an RST and lose what is
// buffered.
func (c *conn) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	c.ended = true
	close(c.done)
	for _, s := range []*net.TCPConn{c.near, c.far} {
		if s != nil {
			s.SetLinger(0)
			s.Close()
		}
	}
}

// chunk is what one read brought, and when it may go on.
type chunk struct {
	data []byte
	due  time.Time
}

// pump moves bytes in one direction until src ends or the connection does, and
// then ends the connection.
func (c *conn) pump(d Direction, src, dst *net.TCPConn, lose func([]byte) bool) {
	defer c.reset()
	queue := make(chan chunk, queueLen)
	var reader sync.WaitGroup
	reader.Go(func() {
		defer close(queue)
		c.read(d, src, queue)
	})
	defer reader.Wait()
	defer c.reset()

	var f *frames
	if lose != nil {
		f = &frames{lose: lose}
	}
	for k := range queue {
		if !c.wait(k.due) || !c.link.gates[d].pass(c.done) {
			return
		}
		data, lost := k.data, false
		if f != nil {
			data, lost = f.feed(k.data)
		}
		if _, err := dst.Write(data); err != nil || lost {
			return
		}
	}
	// src has ended; a cut wire hides that too.
	c.link.gates[d].pass(c.done)
}

func (c *conn) read(d Direction, src *net.TCPConn, queue chan<- chunk) {
	for {
		buf := make([]byte, chunkSize)
		n, err := src.Read(buf)
		if n > 0 {
			k := chunk{data: buf[:n]}
			if by := c.link.delay[d].Load(); by > 0 {
				k.due = time.Now().Add(time.Duration(by))
			}
			select {
			case queue <- k:
			case <-c.done:
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// wait waits for due; false when the connection ends first.
func (c *conn) wait(due time.Time) bool {
	if due.IsZero() {
		return true
	}
	t := time.NewTimer(time.Until(due))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-c.done:
		return false
	}
}
