package client

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"time"

	"google.golang.org/grpc"

	doozerpb "github.com/doozer-store/doozer/proto"
)

// Watch yields the changes of the files that match glob, for as long as it is
// consumed and ctx lives: in order of rev, none twice, none left out, whatever
// becomes of the nodes. Without From and Snapshot it starts after the present
// rev. An error is the last thing it yields; the loss of nodes is none, Watch
// waits for them.
//
// If the watch falls out of the window (or the store was restored from a
// backup), it resyncs: it yields what changed in between, sorted by rev. With
// Snapshot that is exact: a DEL, with the rev of the resync, for every file
// that is gone, a SET for every file that is new or has another rev. Without,
// the client does not know which files there were: it yields SETs for the
// files that changed since (all of them, after a restore), and what was
// deleted meanwhile stays unknown. Of several changes of one file only the last is seen. A resync holds the
// changed files in memory until they are yielded.
func (c *Client) Watch(ctx context.Context, glob string, opts ...WatchOption) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		w := c.Watcher(glob, opts...)
		defer w.Close()
		for {
			ev, err := w.Next(ctx)
			if !yield(ev, err) || err != nil {
				return
			}
		}
	}
}

// Wait returns the first change with rev >= from of a file that matches glob;
// with from 0, the next one. A from below the window is ErrTooLate.
func (c *Client) Wait(ctx context.Context, glob string, from int64) (Event, error) {
	w := c.Watcher(glob, From(from), NoResync())
	defer w.Close()
	w.op = "wait"
	return w.Next(ctx)
}

// Watcher is a watch whose events are asked for one by one. It belongs to one
// goroutine at a time; only Close may be called beside Next.
//
// Its stream is shared with other watches of the client (watchmux.go), or its own;
// then one goroutine reads that, one message ahead of Next. All other state belongs
// to the caller of Next.
type Watcher struct {
	c    *Client
	op   string
	glob string
	cfg  watchConfig
	view view

	life context.Context
	stop context.CancelFunc

	stream *watchStream // nil between streams
	avoid  *node        // where it did not go well last
	tries  int          // since something was received
	alone  bool         // the next streams are its own
	err    error        // final
	// silence runs while somebody waits.
	silence *time.Timer

	mu     sync.Mutex
	closed bool
	wg     sync.WaitGroup
}

// watchStream is one Watch RPC, or a part of a shared stream.
type watchStream struct {
	n      *node
	conn   *grpc.ClientConn
	cancel func()
	// msgs is unbuffered: what the consumer does not ask for stays on the
	// wire, but for one message. Nil on a shared stream.
	msgs  chan watchMsg
	begun bool // something was received

	// Of a shared stream: what it has told. signal has a token when there is
	// something.
	signal chan struct{}
	mu     sync.Mutex
	queue  []watchMsg
	bytes  int
}

// patience is how long a watch itself waits for a message; 0: it is told when there
// has been silence for too long.
func (s *watchStream) patience() time.Duration {
	switch {
	case !s.begun:
		return watchStart
	case s.msgs != nil:
		return watchSilence
	default:
		return 0
	}
}

type watchMsg struct {
	res  *doozerpb.WatchResponse
	err  error
	size int // of the events, about
}

// Watcher makes a watch as Watch does. It contacts a node with the first Next
// or Start. It has to be closed.
func (c *Client) Watcher(glob string, opts ...WatchOption) *Watcher {
	w := &Watcher{c: c, op: "watch", glob: glob}
	for _, o := range opts {
		o.watch(&w.cfg)
	}
	w.view = newView(w.cfg)
	w.life, w.stop = context.WithCancel(c.router.ctx)
	w.err = checkGlob(glob)
	if w.cfg.snapshot && w.cfg.from != 0 {
		w.err = fmt.Errorf("%w: Snapshot excludes From", ErrBadRequest)
	}
	return w
}

// Start returns when the watch has begun: every change that is made after it
// returned will be delivered. Next does the same, but waits for an event too.
func (w *Watcher) Start(ctx context.Context) error {
	for !w.view.placed() {
		if err := w.advance(ctx); err != nil {
			return w.wrap(err)
		}
	}
	return nil
}

// Next returns the next event. An error of ctx leaves the watcher usable;
// every other is final.
func (w *Watcher) Next(ctx context.Context) (Event, error) {
	for {
		for !w.view.empty() {
			ev, mark, isMark := w.view.pop()
			if !isMark {
				return ev, nil
			}
			if w.cfg.progress != nil {
				w.cfg.progress(mark)
			}
		}
		if err := w.advance(ctx); err != nil {
			return Event{}, w.wrap(err)
		}
	}
}

// Close ends the watch and returns when nothing of it is left. It may be
// called more than once.
func (w *Watcher) Close() error {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.stop()
	w.wg.Wait()
	return nil
}

// wrap names verb and glob: every error that leaves the Watcher goes through it,
// once.
func (w *Watcher) wrap(err error) error { return &OpError{Op: w.op, Path: w.glob, Err: err} }

// advance receives one message, or moves on to another node. Silence counts
// only while somebody waits here: a consumer that takes its time does not make
// the node suspect.
func (w *Watcher) advance(ctx context.Context) error {
	if w.err != nil {
		return w.err
	}
	if w.life.Err() != nil {
		return ErrClosed
	}
	if w.stream == nil {
		if err := w.connect(ctx); err != nil {
			return err
		}
	}
	if m, ok := w.stream.take(); ok {
		return w.given(m)
	}
	var silence <-chan time.Time // nil: all watches of the stream are told at once
	if limit := w.stream.patience(); limit > 0 {
		if w.silence == nil {
			w.silence = time.NewTimer(limit)
		} else {
			w.silence.Reset(limit)
		}
		defer w.silence.Stop()
		silence = w.silence.C
	}
	select {
	case m := <-w.stream.msgs:
		return w.given(m)
	case <-w.stream.signal:
		return nil // there is something to take, or was
	case <-silence:
		return w.broken(errSilent)
	case <-ctx.Done():
		if !w.view.placed() {
			return w.c.late(ctx.Err(), w.stream.n)
		}
		return ctx.Err()
	case <-w.life.Done():
		return ErrClosed
	}
}

// given takes in a message, or why there is none.
func (w *Watcher) given(m watchMsg) error {
	if m.err == nil {
		m.err = w.receive(m)
	}
	if m.err != nil {
		return w.broken(m.err)
	}
	return nil
}

// receive takes in one message. With the first one of a stream the node has
// proved itself: what went before is forgotten.
func (w *Watcher) receive(m watchMsg) error {
	if w.stream.msgs != nil { // else the shared stream has looked
		if err := w.c.router.checkCluster(m.res.GetHeader()); err != nil {
			return err
		}
	}
	first := !w.stream.begun
	w.stream.begun, w.tries, w.avoid = true, 0, nil
	return w.view.take(m.res, first)
}

// broken leaves the stream. It returns an error if that is final. Else the
// next advance connects again; what the view has queued is not affected.
func (w *Watcher) broken(err error) error {
	s := w.stream
	w.drop()
	if w.life.Err() != nil {
		return ErrClosed
	}
	if err == errSlow {
		w.alone, w.tries = true, 0
		w.view.abort(viewChanges)
		return nil
	}
	e := refusalIn(err)
	v := decideWatch(e, err, w.cfg.noResync)
	if !v.again {
		w.err = watchError(e, err)
		return w.err
	}
	w.view.abort(v.resync)
	w.avoid = s.n
	w.c.cfg.log.Info("a watch leaves a node", "glob", w.glob, "addr", s.n.addr, "reason", err)
	if e == nil && v.resync == viewChanges {
		w.c.router.unfit(s.n, s.conn, err)
	}
	return nil
}

// drop ends the stream, whose goroutine ends by itself.
func (w *Watcher) drop() {
	w.stream.cancel()
	w.stream = nil
}

// connect starts a stream to the next node, after a pause if the ones before
// came to nothing.
func (w *Watcher) connect(ctx context.Context) error {
	if w.tries > 0 {
		pause := min(backoff(w.tries)<<min(w.tries/2, 4), watchPauseMax)
		if err := await(ctx, w.life.Done(), time.Now().Add(pause)); err == nil {
			return ErrClosed
		} else if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	w.tries++
	n := w.c.router.usual(w.avoid)
	conn, err := w.c.router.nodes.conn(n)
	if err != nil {
		return err
	}
	req := w.view.request(w.glob, w.cfg)
	if !w.alone && !req.Snapshot {
		s := &watchStream{n: n, conn: conn, signal: make(chan struct{}, 1)}
		end, err := w.c.openShared(s, req)
		if err != nil {
			return err
		}
		stop := context.AfterFunc(w.life, end)
		s.cancel = func() { stop(); end() }
		w.stream = s
		return nil
	}
	life, cancel := context.WithCancel(w.life)
	s := &watchStream{n: n, conn: conn, cancel: cancel, msgs: make(chan watchMsg)}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || !w.spawn(func() { s.read(life, req) }) {
		cancel()
		return ErrClosed
	}
	w.stream = s
	return nil
}

// spawn runs fn on a goroutine that both Close and the client's end wait for.
func (w *Watcher) spawn(fn func()) bool {
	w.wg.Add(1)
	ok := w.c.router.spawn(func() {
		defer w.wg.Done()
		fn()
	})
	if !ok {
		w.wg.Done()
	}
	return ok
}

// read hands over the messages of the stream until it or life ends.
func (s *watchStream) read(life context.Context, req *doozerpb.WatchRequest) {
	defer s.cancel()
	stream, err := doozerpb.NewDoozerClient(s.conn).Watch(life, req)
	for {
		m := watchMsg{err: err}
		if err == nil {
			m.res, m.err = stream.Recv()
		}
		select {
		case s.msgs <- m:
		case <-life.Done():
			return
		}
		if m.err != nil {
			return
		}
	}
}
