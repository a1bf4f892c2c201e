package server

import (
	"sync"
	"sync/atomic"

	"github.com/doozer-store/doozer/store"
	"google.golang.org/grpc/mem"
)

// hub hands applied changes to the watches whose glob matches them. publish
// and jump are called by the applier; the rest is safe for concurrent use. A
// watch that does not keep up costs the hub nothing but a bounded queue.
type hub struct {
	limits  *Limits
	metrics *Metrics

	// rev: every change up to it is in the queues it belongs in, or those
	// queues' watches are lagging.
	rev atomic.Int64
	// queued is the bytes in all queues, an event counted in each.
	queued atomic.Int64

	mu    sync.Mutex // before any subscription's
	index store.Index[*subscription]
	subs  map[*subscription]struct{}
	// touched are the subscriptions with fresh events: publish's scratch.
	touched []*subscription
}

// sharedEvent is an event in queues, with its bytes once somebody sends it.
type sharedEvent struct {
	*store.Event
	size int // of wire
	once sync.Once
	wire mem.Buffer
}

func newSharedEvent(e *store.Event) *sharedEvent {
	return &sharedEvent{Event: e, size: eventSize(e)}
}

// buffer returns the event as a field of a WatchResponse. The bytes are
// shared by all messages it is in.
func (e *sharedEvent) buffer() mem.Buffer {
	e.once.Do(func() { e.wire = mem.SliceBuffer(watchEventBytes(e.Event)) })
	return e.wire
}

// subscription is one watch's place in the hub.
type subscription struct {
	hub   *hub
	globs []*store.Glob // guarded by hub.mu
	// wake has a token when there is something to take; woken, if it is set, is
	// called instead, with hub.mu held perhaps.
	wake  chan struct{}
	woken func()

	// fresh are the events of the publish under way; guarded by hub.mu.
	fresh      []*sharedEvent
	freshBytes int

	mu sync.Mutex
	// queue holds whole revs, in order. Empty while lagging.
	queue []*sharedEvent
	bytes int // in queue
	// lagging: events were dropped since resume; the watch must read the
	// store's window.
	lagging bool
}

func newHub(l *Limits, m *Metrics) *hub {
	return &hub{limits: l, metrics: m, subs: map[*subscription]struct{}{}}
}

// subscribe adds a watch of glob. It gets every change whose publish begins
// after the call. It returns nil when there are too many.
func (h *hub) subscribe(glob *store.Glob) *subscription {
	s := &subscription{hub: h, wake: make(chan struct{}, 1)}
	if !h.add(s, glob) {
		return nil
	}
	return s
}

// subscribeWith is subscribe for one who is told by a call that there is something
// to take.
func (h *hub) subscribeWith(glob *store.Glob, woken func()) *subscription {
	s := &subscription{hub: h, woken: woken}
	if !h.add(s, glob) {
		return nil
	}
	return s
}

// notify adds one who wants to be woken by changes of the paths, and to be given
// none: it is lagging for ever. It returns nil when there are too many.
func (h *hub) notify(paths ...*store.Glob) *subscription {
	s := &subscription{hub: h, wake: make(chan struct{}, 1), lagging: true}
	if !h.add(s, paths...) {
		return nil
	}
	return s
}

func (h *hub) add(s *subscription, globs ...*store.Glob) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.subs) >= h.limits.Watchers {
		return false
	}
	h.subs[s] = struct{}{}
	s.globs = globs
	for _, g := range globs {
		h.index.Add(g, s)
	}
	return true
}

// swap makes g the first of the watch's globs.
func (s *subscription) swap(g *store.Glob) {
	h := s.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	h.index.Remove(s.globs[0], s)
	s.globs[0] = g
	for _, g := range s.globs { // it may have been one of the others too
		h.index.Add(g, s)
	}
}

// close takes the watch out of the hub: nothing is queued afterwards.
func (s *subscription) close() {
	h := s.hub
	h.mu.Lock()
	delete(h.subs, s)
	for _, g := range s.globs {
		h.index.Remove(g, s)
	}
	h.mu.Unlock()
	s.mu.Lock()
	s.drop()
	s.mu.Unlock()
}

func (h *hub) len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.subs)
}

// settle returns when a publish that is under way is over.
func (h *hub) settle() {
	h.mu.Lock()
	defer h.mu.Unlock()
}

// publish queues events, which are whole revs in order and follow all that
// were published before. It waits for nobody: its cost is that of finding and
// queueing the matches.
func (h *hub) publish(events []*store.Event) {
	if len(events) == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.subs) > 0 {
		h.match(events)
		for i, s := range h.touched {
			s.flush()
			h.touched[i] = nil
		}
		h.touched = h.touched[:0]
	}
	h.rev.Store(events[len(events)-1].Rev)
}

// match puts events into the fresh lists of the subscriptions they match.
func (h *hub) match(events []*store.Event) {
	var e *store.Event
	var shared *sharedEvent // e, once somebody watches it
	add := func(s *subscription) {
		if shared == nil {
			shared = newSharedEvent(e)
		}
		if len(s.fresh) == 0 {
			h.touched = append(h.touched, s)
		}
		s.fresh = append(s.fresh, shared)
		s.freshBytes += shared.size
	}
	for _, e = range events {
		shared = nil
		h.index.Match(e.Path(), add)
	}
}

// flush moves the fresh events to the queue, all or none, so that a rev is
// never split, and wakes the watch.
func (s *subscription) flush() {
	l := s.hub.limits
	s.mu.Lock()
	switch {
	case s.lagging:
	case len(s.queue)+len(s.fresh) > l.WatchEvents,
		s.bytes+s.freshBytes > l.WatchBytes,
		s.hub.queued.Load()+int64(s.freshBytes) > l.HubBytes:
		s.lag()
	default:
		s.queue = append(s.queue, s.fresh...)
		s.bytes += s.freshBytes
		s.hub.queued.Add(int64(s.freshBytes))
	}
	s.mu.Unlock()
	clear(s.fresh)
	s.fresh, s.freshBytes = s.fresh[:0], 0
	s.signal()
}

// lag drops the queue for the window. s.mu is held.
func (s *subscription) lag() {
	s.drop()
	s.lagging = true
	s.hub.metrics.watchLags.Add(1)
}

// drop empties the queue. s.mu is held.
func (s *subscription) drop() {
	s.hub.queued.Add(-int64(s.bytes))
	s.queue, s.bytes = nil, 0
}

func (s *subscription) signal() {
	if s.woken != nil {
		s.woken()
		return
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// take empties the queue into a slice and gives the queue spare, an emptied
// slice, to go on with. lagging: there are events that are not in it.
func (s *subscription) take(spare []*sharedEvent) (events []*sharedEvent, lagging bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lagging {
		return nil, true
	}
	events = s.queue
	s.hub.queued.Add(-int64(s.bytes))
	s.queue, s.bytes = spare[:0], 0
	return events, false
}

// resume makes the queue empty and lets it fill again: it will hold every
// change whose publish begins after the call.
func (s *subscription) resume() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop()
	s.lagging = false
}

// jump says that the store is another, at rev, and that the changes between
// were not published: every watch must read the new window.
func (h *hub) jump(rev int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.subs {
		s.mu.Lock()
		if !s.lagging {
			s.lag()
		}
		s.mu.Unlock()
		s.signal()
	}
	h.rev.Store(rev)
}
