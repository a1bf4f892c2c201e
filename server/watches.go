package server

import (
	"context"
	"errors"
	"io"
	"runtime"
	"sync"
	"time"

	doozerpb "github.com/doozer-store/doozer/proto"
	"google.golang.org/grpc"
)

// watchSet serves one Watches call: many watches on one stream. Its handler's
// goroutine is the sender. It has the watches that are live, which is almost all
// of them, and sends what their queues hold: what several have in common goes once,
// with their ids. A second goroutine receives. A watch that begins with more than
// a mark, or catches up, has a goroutine of its own until it is live; what it
// tells goes through outbox.
type watchSet struct {
	s      *Server
	stream grpc.ServerStream
	ctx    context.Context // ends with the handler
	wg     sync.WaitGroup  // goroutines of watches
	// byHand: there are no goroutines, and nobody waits (see Stepper).
	byHand bool

	// wake has a token when the sender should look.
	wake chan struct{}

	mu   sync.Mutex
	open map[uint64]*setWatch
	// ready are live watches that were woken.
	ready []*setWatch
	// outbox is what other goroutines have told; room is closed when it was taken.
	outbox []told
	bytes  int
	room   chan struct{}
	// every is the shortest time between PROGRESS that a watch has asked for.
	every time.Duration
	// ended: no request comes any more, because of err.
	ended bool
	err   *doozerpb.Error
	// closed: the handler returns, no goroutine may begin.
	closed bool
}

// setWatch is one watch of a watchSet.
type setWatch struct {
	watcher
	set    *watchSet
	id     uint64
	req    *doozerpb.WatchRequest
	cancel context.CancelFunc // of watcher.ctx

	// Guarded by watchSet.mu.
	live, queued, gone bool

	// The sender's.
	every time.Duration // between PROGRESS
	due   time.Time
	taken []*sharedEvent
}

// told is what watches are told.
type told struct {
	ids    []uint64
	kind   doozerpb.WatchResponse_Kind
	rev    int64
	events []*sharedEvent
	err    *doozerpb.Error
}

// outboxBytes is at what size of outbox those who catch up wait, markBytes about
// what a message without events is.
const (
	outboxBytes = 1 << 20
	markBytes   = 64
)

// Watches implements doozerpb.DoozerServer.
func (s *Server) Watches(stream grpc.BidiStreamingServer[doozerpb.WatchesRequest, doozerpb.WatchesResponse]) error {
	return s.stream(stream.Context(), verbWatch, func() *doozerpb.Error {
		ctx, cancel := context.WithCancel(stream.Context())
		t := newWatchSet(s, stream, ctx)
		defer t.close(cancel)
		s.wg.Go(func() { t.receive(stream) }) // ends when this handler does, if not before
		return t.send()
	})
}

func newWatchSet(s *Server, stream grpc.ServerStream, ctx context.Context) *watchSet {
	return &watchSet{
		s: s, stream: stream, ctx: ctx, wake: make(chan struct{}, 1),
		open: map[uint64]*setWatch{}, room: make(chan struct{}), every: s.limits.WatchProgress,
	}
}

// receive opens and closes watches until the caller has no more.
func (t *watchSet) receive(stream grpc.BidiStreamingServer[doozerpb.WatchesRequest, doozerpb.WatchesResponse]) {
	for {
		m, err := stream.Recv()
		if err != nil {
			t.mu.Lock()
			t.ended = true
			if !errors.Is(err, io.EOF) {
				t.err = fail(doozerpb.Code_BAD_REQUEST, "the stream can't be read: %v", err)
			}
			t.mu.Unlock()
			t.signal()
			return
		}
		for _, id := range m.Close {
			t.end(id, nil)
		}
		t.begin(m.Open)
	}
}

// begin opens watches. Those that ask a majority share one question.
func (t *watchSet) begin(list []*doozerpb.WatchesRequest_Open) {
	var local, global []*setWatch
	for _, o := range list {
		switch m := t.accept(o); {
		case m == nil:
		case m.req.Local:
			local = append(local, m)
		default:
			global = append(global, m)
		}
	}
	if len(local) > 0 {
		t.spawn(func() { t.start(local) })
	}
	if len(global) > 0 {
		t.spawn(func() {
			if e := t.s.readIndex(t.ctx); e != nil {
				for _, m := range global {
					t.end(m.id, e)
				}
				return
			}
			t.start(global)
		})
	}
}

// accept makes a watch that is open, to be started, or tells why not.
func (t *watchSet) accept(o *doozerpb.WatchesRequest_Open) *setWatch {
	m := &setWatch{set: t, id: o.Id, req: o.Watch}
	if m.req == nil {
		m.req = &doozerpb.WatchRequest{}
	}
	m.every = t.s.limits.progress(m.req.ProgressMs)
	m.due = t.s.now().Add(m.every)
	m.s, m.tell = t.s, m.say
	m.ctx, m.cancel = context.WithCancel(t.ctx)
	e := m.check(m.req)
	if e == nil {
		e = t.add(m)
	}
	if e != nil {
		m.cancel()
		t.put(told{ids: []uint64{o.Id}, err: e}, markBytes)
		return nil
	}
	return m
}

// add makes m one of the open watches, or says why not.
func (t *watchSet) add(m *setWatch) *doozerpb.Error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.closed:
		return stopping() // which nobody hears
	case m.id == 0 || t.open[m.id] != nil:
		return fail(doozerpb.Code_BAD_REQUEST, "watch %d is open already, or is 0", m.id)
	case len(t.open) >= t.s.limits.Watchers:
		return overloaded("the node has its %d watchers", t.s.limits.Watchers)
	}
	t.open[m.id] = m
	t.every = min(t.every, m.every)
	return nil
}

// spawn runs fn on a goroutine that close waits for, unless the watches that it is
// for are closed by now.
func (t *watchSet) spawn(fn func()) {
	if t.byHand {
		fn()
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.wg.Go(fn)
	}
}

// start lets watches begin: those that only need a mark here, the others each on a
// goroutine of its own.
func (t *watchSet) start(list []*setWatch) {
	for _, m := range list {
		sub := t.s.machine.hub.subscribeWith(m.glob, m.woken)
		if sub == nil {
			t.end(m.id, overloaded("the node has its %d watchers", t.s.limits.Watchers))
			continue
		}
		t.mu.Lock()
		m.sub = sub
		gone := m.gone
		t.mu.Unlock()
		if gone {
			sub.close()
			continue
		}
		if m.req.Snapshot || m.req.From > 0 {
			t.spawn(func() { m.goLive(m.watcher.start(m.req)) })
		} else {
			m.goLive(m.watcher.start(m.req))
		}
	}
}

// say is the tell of a watch that is not live.
func (m *setWatch) say(kind doozerpb.WatchResponse_Kind, rev int64, events []*sharedEvent) error {
	size := markBytes
	for _, e := range events {
		size += e.size
	}
	t := m.set
	for {
		t.mu.Lock()
		if t.bytes < outboxBytes || t.byHand {
			break
		}
		room := t.room
		t.mu.Unlock()
		select {
		case <-room:
		case <-m.ctx.Done():
			return m.ctx.Err()
		}
	}
	t.queue(told{ids: []uint64{m.id}, kind: kind, rev: rev, events: events}, size)
	t.mu.Unlock()
	return nil
}

// put gives the sender something to send, room or not.
func (t *watchSet) put(x told, size int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.queue(x, size)
}

// queue is put with t.mu held.
func (t *watchSet) queue(x told, size int) {
	t.outbox = append(t.outbox, x)
	t.bytes += size
	t.signal()
}

// goLive gives m to the sender, or ends it if err says so.
func (m *setWatch) goLive(err error) {
	if err != nil {
		m.set.end(m.id, m.result(err))
		return
	}
	t := m.set
	t.mu.Lock()
	if !m.gone {
		m.live = true
		m.enqueue()
	}
	t.mu.Unlock()
	t.signal()
}

// enqueue puts m among the ready, once. watchSet.mu is held.
func (m *setWatch) enqueue() {
	if !m.queued {
		m.queued = true
		m.set.ready = append(m.set.ready, m)
	}
}

// woken is called by the hub when there is something to take.
func (m *setWatch) woken() {
	t := m.set
	t.mu.Lock()
	if m.live {
		m.enqueue()
	}
	t.mu.Unlock()
	t.signal()
}

// end closes a watch, and tells why if there is a reason.
func (t *watchSet) end(id uint64, e *doozerpb.Error) {
	t.mu.Lock()
	m := t.open[id]
	if m == nil {
		t.mu.Unlock()
		return
	}
	delete(t.open, id)
	m.gone, m.live = true, false
	sub := m.sub
	t.mu.Unlock()
	m.cancel()
	if sub != nil {
		sub.close()
	}
	if e != nil {
		t.put(told{ids: []uint64{id}, err: e}, markBytes)
	}
}

func (t *watchSet) signal() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// send delivers until something ends the stream.
func (t *watchSet) send() *doozerpb.Error {
	every := t.s.limits.WatchProgress
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		var now time.Time
		select {
		case <-t.wake:
			// Where there is no processor left, what is on its way goes into the
			// same message.
			runtime.Gosched()
		case now = <-tick.C:
		case <-t.ctx.Done():
			return nil
		case <-t.s.stopping:
			return stopping()
		case <-t.s.machine.quarantined:
			return quarantined(t.s.machine.Quarantined())
		}
		if err := t.deliver(now); err != nil {
			return nil // the stream is broken: nobody hears
		}
		t.mu.Lock()
		over, e := t.ended && len(t.open) == 0 || t.err != nil, t.err
		if t.every < every {
			every = t.every
			tick.Reset(every)
		}
		t.mu.Unlock()
		if over {
			return e
		}
	}
}

// deliver sends what there is. now is set when it is time to look whose PROGRESS
// is due.
func (t *watchSet) deliver(now time.Time) error {
	// What is being published should go to all of its watches together.
	t.s.machine.hub.settle()
	// Loaded first: what was published up to here is in the queues by now.
	covered := t.s.machine.hub.rev.Load()
	out, ready := t.takeWork(now)
	b := setMessage{t: t}
	for i := range out {
		if err := b.add(&out[i]); err != nil {
			return err
		}
	}
	ready, list := group(ready, covered)
	for _, x := range list {
		t.s.metrics.watchEvents.Add(uint64(len(x.events) * len(x.ids)))
		for len(x.events) > 0 {
			part := *x
			n := wholeRevs(x.events, t.s.limits.MessageBytes)
			part.events, part.rev = x.events[:n], x.events[n-1].Rev
			if err := b.add(&part); err != nil {
				return err
			}
			x.events = x.events[n:]
		}
	}
	for _, x := range dueProgress(ready, now) {
		if err := b.add(x); err != nil {
			return err
		}
	}
	err := b.flush()
	for _, m := range ready {
		m.giveBack(m.taken)
		m.taken = nil
	}
	return err
}

// takeWork takes what others have told, and the live watches that were woken, or
// at a tick also those whose PROGRESS is due.
func (t *watchSet) takeWork(now time.Time) ([]told, []*setWatch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	out, ready := t.outbox, t.ready
	t.outbox, t.ready = nil, nil
	if t.bytes > 0 {
		t.bytes = 0
		close(t.room)
		t.room = make(chan struct{})
	}
	if !now.IsZero() {
		for _, m := range t.open {
			if m.live && !m.queued && m.isDue(now) {
				m.queued = true
				ready = append(ready, m)
			}
		}
	}
	n := 0
	for _, m := range ready {
		m.queued = false
		if m.live {
			ready[n] = m
			n++
		}
	}
	return out, ready[:n]
}

// sameEvents is what watches have in common that are told the same: one glob, and
// the first of as many events.
type sameEvents struct {
	glob  string
	first *sharedEvent
	n     int
}

// group takes what the queues of live watches hold, and puts those together that
// hold the same. A watch that lags leaves the live ones, and is not the sender's
// from then on: those that stay are returned.
func group(ready []*setWatch, covered int64) (live []*setWatch, list []*told) {
	live = ready[:0]
	var by map[sameEvents]*told
	for _, m := range ready {
		all, events, lagging := m.take()
		if lagging {
			m.leave()
			continue
		}
		live = append(live, m)
		m.taken = all
		if len(events) > 0 {
			m.cursor = events[len(events)-1].Rev
			k := sameEvents{m.glob.String(), events[0], len(events)}
			x := by[k]
			if x == nil {
				if by == nil {
					by = make(map[sameEvents]*told)
				}
				x = &told{kind: doozerpb.WatchResponse_EVENTS, events: events}
				by[k] = x
				list = append(list, x)
			}
			x.ids = append(x.ids, m.id)
		}
		m.cursor = max(m.cursor, covered)
	}
	return live, list
}

// leave lets m catch up on a goroutine of its own.
func (m *setWatch) leave() {
	t := m.set
	t.mu.Lock()
	m.live = false
	gone := m.gone
	t.mu.Unlock()
	if !gone {
		t.spawn(func() { m.goLive(m.catchUp()) })
	}
}

// dueProgress is the PROGRESS of those whose time has come.
func dueProgress(live []*setWatch, now time.Time) []*told {
	if now.IsZero() {
		return nil
	}
	var list []*told
	by := map[int64]*told{}
	for _, m := range live {
		if !m.isDue(now) {
			continue
		}
		m.due = now.Add(m.every)
		x := by[m.cursor]
		if x == nil {
			x = &told{kind: doozerpb.WatchResponse_PROGRESS, rev: m.cursor}
			by[m.cursor] = x
			list = append(list, x)
		}
		x.ids = append(x.ids, m.id)
	}
	return list
}

// isDue tells whether PROGRESS is to be sent at now, rather than at the next tick.
func (m *setWatch) isDue(now time.Time) bool { return m.due.Sub(now) < m.every/2 }

// close ends all watches and waits for their goroutines.
func (t *watchSet) close(cancel context.CancelFunc) {
	cancel()
	t.mu.Lock()
	t.closed = true
	ids := make([]uint64, 0, len(t.open))
	for id := range t.open {
		ids = append(ids, id)
	}
	t.mu.Unlock()
	for _, id := range ids {
		t.end(id, nil)
	}
	t.wg.Wait()
}
