package client

import (
	"context"
	"errors"
	"sync"
	"time"

	"google.golang.org/grpc"

	doozerpb "github.com/doozer-store/doozer/proto"
)

// Watches of one node share one stream, which carries what several of them are
// told alike once. A watch that asks for a snapshot, or whose consumer does not
// keep up, has a stream of its own, which is not read faster than it is consumed.

// errSlow ends a watch on a shared stream whose consumer does not keep up.
var errSlow = errors.New("its consumer is slow")

// watchMux is the stream of one connection. One goroutine sends, another receives;
// both end with the stream, and the client waits for them.
type watchMux struct {
	conn   *grpc.ClientConn
	cancel context.CancelFunc

	mu    sync.Mutex
	wake  chan struct{} // has a token when there is something to send
	open  map[uint64]*watchStream
	last  uint64
	opens []*doozerpb.WatchesRequest_Open
	ends  []uint64
	heard time.Time // when something was received, or expected after a time without watches
	dead  error
}

// watchMuxes are those of a client.
type watchMuxes struct {
	mu sync.Mutex
	by map[*grpc.ClientConn]*watchMux
}

// refusalError is a refusal of one watch on a shared stream.
type refusalError struct{ e *doozerpb.Error }

func (r *refusalError) Error() string { return r.e.GetMessage() }

// openShared opens a watch on the stream of its connection, which is made if there
// is none. end ends it.
func (c *Client) openShared(s *watchStream, req *doozerpb.WatchRequest) (end func(), err error) {
	x, err := c.mux(s.conn)
	if err != nil {
		return nil, err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.dead != nil { // just now
		s.pushLast(watchMsg{err: x.dead})
		return func() {}, nil
	}
	if len(x.open) == 0 {
		x.heard = time.Now()
	}
	x.last++
	id := x.last
	x.open[id] = s
	x.opens = append(x.opens, &doozerpb.WatchesRequest_Open{Id: id, Watch: req})
	x.signal()
	return func() { x.close(id) }, nil
}

// mux returns the stream of conn.
func (c *Client) mux(conn *grpc.ClientConn) (*watchMux, error) {
	c.muxes.mu.Lock()
	defer c.muxes.mu.Unlock()
	if x := c.muxes.by[conn]; x != nil {
		return x, nil
	}
	ctx, cancel := context.WithCancel(c.router.ctx)
	x := &watchMux{conn: conn, cancel: cancel, wake: make(chan struct{}, 1), open: map[uint64]*watchStream{}}
	if !c.router.spawn(func() { x.run(ctx, c) }) {
		cancel()
		return nil, ErrClosed
	}
	if c.muxes.by == nil {
		c.muxes.by = map[*grpc.ClientConn]*watchMux{}
	}
	c.muxes.by[conn] = x
	return x, nil
}

// dropMux forgets a stream that has ended.
func (c *Client) dropMux(x *watchMux) {
	c.muxes.mu.Lock()
	defer c.muxes.mu.Unlock()
	if c.muxes.by[x.conn] == x {
		delete(c.muxes.by, x.conn)
	}
}

// run opens the stream and receives until it breaks, which ends all its watches.
func (x *watchMux) run(ctx context.Context, c *Client) {
	x.end(c, x.receive(ctx, c))
}

func (x *watchMux) receive(ctx context.Context, c *Client) error {
	stream, err := doozerpb.NewDoozerClient(x.conn).Watches(ctx)
	if err != nil {
		return err
	}
	c.router.spawn(func() { x.send(ctx, c, stream) })
	for {
		m, err := stream.Recv()
		if err != nil {
			return err
		}
		if err := c.router.checkCluster(m.GetHeader()); err != nil {
			return err
		}
		x.take(m)
	}
}

// send sends what gathers, and ends the stream when it has been silent for too long.
func (x *watchMux) send(ctx context.Context, c *Client, stream grpc.BidiStreamingClient[doozerpb.WatchesRequest, doozerpb.WatchesResponse]) {
	silence := time.NewTimer(watchSilence)
	defer silence.Stop()
	for {
		select {
		case <-x.wake:
		case <-silence.C:
			left := x.patience()
			if left <= 0 {
				x.end(c, errSilent)
				return
			}
			silence.Reset(left)
			continue
		case <-ctx.Done():
			return
		}
		x.mu.Lock()
		m := &doozerpb.WatchesRequest{Open: x.opens, Close: x.ends}
		x.opens, x.ends = nil, nil
		x.mu.Unlock()
		if len(m.Open)+len(m.Close) > 0 && stream.Send(m) != nil {
			return // Recv says why
		}
	}
}

func (x *watchMux) signal() {
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

// patience is how long the node may still be silent.
func (x *watchMux) patience() time.Duration {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.open) == 0 {
		return watchSilence // it has nothing to say
	}
	return watchSilence - time.Since(x.heard)
}

// take takes in a message.
func (x *watchMux) take(m *doozerpb.WatchesResponse) {
	now := time.Now()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.heard = now
	for _, t := range m.GetTold() {
		x.told(m.GetHeader(), t)
	}
}

// told gives the watches what they are told. x.mu is held.
func (x *watchMux) told(h *doozerpb.Header, t *doozerpb.WatchesResponse_Told) {
	var m watchMsg
	for _, e := range t.GetEvents() {
		m.size += len(e.GetValue()) + len(e.GetPath()) + 128
	}
	if t.GetError() != nil {
		m.err = &refusalError{t.GetError()}
	} else {
		m.res = &doozerpb.WatchResponse{Header: h, Kind: t.GetKind(), Rev: t.GetRev(), Events: t.GetEvents()}
	}
	for _, id := range t.GetIds() {
		switch s := x.open[id]; {
		case s == nil: // it was closed
		case m.err != nil:
			delete(x.open, id)
			s.pushLast(m)
		case !s.push(m):
			x.drop(id)
			s.pushLast(watchMsg{err: errSlow})
		}
	}
}

// close ends one watch.
func (x *watchMux) close(id uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.drop(id)
}

// drop is close with x.mu held.
func (x *watchMux) drop(id uint64) {
	if x.open[id] == nil {
		return
	}
	delete(x.open, id)
	x.ends = append(x.ends, id)
	x.signal()
}

// end ends the stream and all its watches with err, once. The next ones are opened
// on another.
func (x *watchMux) end(c *Client, err error) {
	x.cancel()
	c.dropMux(x)
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.dead != nil {
		return
	}
	x.dead = err
	for _, s := range x.open {
		s.pushLast(watchMsg{err: err})
	}
	x.open = nil
}

// push queues a message, unless too much is queued already.
func (s *watchStream) push(m watchMsg) bool {
	s.mu.Lock()
	if s.bytes+m.size > watchQueueBytes && s.bytes > 0 || len(s.queue) >= watchQueue {
		s.mu.Unlock()
		return false
	}
	s.queue = append(s.queue, m)
	s.bytes += m.size
	s.mu.Unlock()
	s.wake()
	return true
}

// pushLast queues why nothing more comes.
func (s *watchStream) pushLast(m watchMsg) {
	s.mu.Lock()
	s.queue = append(s.queue, m)
	s.mu.Unlock()
	s.wake()
}

func (s *watchStream) wake() {
	select {
	case s.signal <- struct{}{}:
	default:
	}
}

// take returns the next message that is queued.
func (s *watchStream) take() (m watchMsg, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		return m, false
	}
	m = s.queue[0]
	s.queue[0] = watchMsg{}
	if s.queue = s.queue[1:]; len(s.queue) == 0 {
		s.queue = nil
	}
	s.bytes -= m.size
	return m, true
}
