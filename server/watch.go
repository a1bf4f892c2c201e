package server

import (
	"context"
	"errors"
	"time"

	doozerpb "github.com/doozer-store/doozer/proto"
	"github.com/doozer-store/doozer/store"
	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
)

// watcher is one watch, of a Watch call or of a watchSet. One goroutine at a time
// has it.
//
// It has two sources for the changes after cursor: its queue in the hub and,
// when that has overflowed, the store's window. It goes from one to the other
// without gap by letting the queue fill again before it reads the end of the
// window, and without doubles by dropping what is not after cursor.
type watcher struct {
	s    *Server
	glob *store.Glob
	sub  *subscription
	ctx  context.Context
	// tell sends one message; it waits for the caller's flow control.
	tell func(kind doozerpb.WatchResponse_Kind, rev int64, events []*sharedEvent) error

	noResync bool
	// cursor: every change up to it was delivered or is not wanted.
	cursor int64
	spare  []*sharedEvent // what take is given
}

// Watch implements doozerpb.DoozerServer. Its messages are encoded by tellAlone
// from bytes that watches share, not by the codec from generated messages.
func (s *Server) Watch(req *doozerpb.WatchRequest, stream grpc.ServerStreamingServer[doozerpb.WatchResponse]) error {
	return s.stream(stream.Context(), verbWatch, func() *doozerpb.Error {
		return s.watch(req, stream.Context(), func(m *encoded) error { return stream.SendMsg(m) })
	})
}

// watch returns why the watch ended; nil when its caller ended it.
func (s *Server) watch(req *doozerpb.WatchRequest, ctx context.Context, send func(*encoded) error) *doozerpb.Error {
	w := &watcher{s: s, ctx: ctx, tell: s.tellAlone(send)}
	if e := w.check(req); e != nil {
		return e
	}
	if !req.Local {
		if e := s.readIndex(ctx); e != nil {
			return e
		}
	}
	if w.sub = s.machine.hub.subscribe(w.glob); w.sub == nil {
		return overloaded("the node has its %d watchers", s.limits.Watchers)
	}
	defer w.sub.close()
	return w.result(w.run(req))
}

// check takes over what req asks for, or says why that can't be.
func (w *watcher) check(req *doozerpb.WatchRequest) *doozerpb.Error {
	glob, err := store.CompileGlob(req.GetGlob())
	if err != nil {
		return asStoreError(err)
	}
	if req.Snapshot && req.From != 0 || req.From < 0 {
		return fail(doozerpb.Code_BAD_REQUEST, "from and snapshot exclude each other, and from is not below 0")
	}
	w.glob, w.noResync = glob, req.NoResync
	return nil
}

// errTooLate ends a watch that does not want a RESYNC.
var errTooLate = errors.New("server: the watch fell out of the window")

// result returns what to tell the caller of an error of run.
func (w *watcher) result(err error) *doozerpb.Error {
	var told *toldError
	switch {
	case errors.As(err, &told):
		return told.e
	case errors.Is(err, errTooLate):
		e := fail(doozerpb.Code_TOO_LATE, "changes after rev %d are not all in the window", w.cursor)
		e.Rev = w.s.machine.Oldest()
		return e
	default:
		return nil // the stream is broken, or its caller went: nobody hears
	}
}

// toldError is an Error of the wire as an error.
type toldError struct{ e *doozerpb.Error }

// Error implements error.
func (t *toldError) Error() string { return t.e.Message }

// run delivers until something ends the watch. A wake-up means only that there
// may be something: deliver finds out. PROGRESS is sent by the clock and not
// after each delivery, as EVENTS messages move the caller's mark by themselves.
func (w *watcher) run(req *doozerpb.WatchRequest) error {
	if err := w.start(req); err != nil {
		return err
	}
	tick := time.NewTicker(w.s.limits.progress(req.ProgressMs))
	defer tick.Stop()
	for {
		if err := w.deliver(); err != nil {
			return err
		}
		select {
		case <-w.sub.wake:
		case <-tick.C:
			// Whatever is up to hub.rev was queued before: it goes first.
			if err := w.deliver(); err != nil {
				return err
			}
			if err := w.mark(doozerpb.WatchResponse_PROGRESS, w.cursor); err != nil {
				return err
			}
		case <-w.ctx.Done():
			return w.ctx.Err()
		case <-w.s.stopping:
			return &toldError{stopping()}
		case <-w.s.machine.quarantined:
			return &toldError{quarantined(w.s.machine.Quarantined())}
		}
	}
}

// progress returns how often a watch that asks for ms gets a PROGRESS.
func (l *Limits) progress(ms uint32) time.Duration {
	if ms == 0 {
		return l.WatchProgress
	}
	return max(time.Duration(ms)*time.Millisecond, l.MinWatchProgress)
}

// start sends the first message and, if asked to, the snapshot. The
// subscription exists: changes after any rev read here will be queued.
func (w *watcher) start(req *doozerpb.WatchRequest) error {
	if req.Snapshot {
		return w.snapshot(doozerpb.WatchResponse_PROGRESS)
	}
	var oldest int64
	w.s.machine.View(func(st *store.Store) { w.cursor, oldest = st.Rev(), st.Oldest() })
	if req.From == 0 {
		return w.mark(doozerpb.WatchResponse_PROGRESS, w.cursor)
	}
	behind := req.From-1 < w.cursor
	w.cursor = req.From - 1
	if err := w.mark(doozerpb.WatchResponse_PROGRESS, w.cursor); err != nil {
		return err
	}
	switch {
	case w.cursor < oldest:
		return w.resync()
	case behind:
		return w.catchUp()
	}
	return nil
}

// deliver sends what the queue holds and moves cursor to what that covers.
func (w *watcher) deliver() error {
	// Loaded first: what was published up to here is in the queue by now.
	covered := w.s.machine.hub.rev.Load()
	all, events, lagging := w.take()
	if lagging {
		return w.catchUp()
	}
	for len(events) > 0 {
		n := wholeRevs(events, w.s.limits.MessageBytes)
		if err := w.sendEvents(doozerpb.WatchResponse_EVENTS, events[n-1].Rev, events[:n]); err != nil {
			return err
		}
		w.cursor = events[n-1].Rev
		events = events[n:]
	}
	w.cursor = max(w.cursor, covered)
	w.giveBack(all)
	return nil
}

// take empties the queue. events are those of all that are after cursor: what
// catchUp or a snapshot has delivered may be in the queue too, since it was let
// fill before they read the end. giveBack has to be called with all.
func (w *watcher) take() (all, events []*sharedEvent, lagging bool) {
	all, lagging = w.sub.take(w.spare)
	w.spare = nil
	events = all
	for len(events) > 0 && events[0].Rev <= w.cursor {
		events = events[1:]
	}
	return all, events, lagging
}

func (w *watcher) giveBack(all []*sharedEvent) {
	clear(all)
	w.spare = all[:0]
}

// wholeRevs returns how many of events, which are some, make about bytes and end
// with a rev.
func wholeRevs(events []*sharedEvent, bytes int) int {
	size := 0
	for i, e := range events {
		if size >= bytes && e.Rev != events[i-1].Rev {
			return i
		}
		size += e.size
	}
	return len(events)
}

// catchUp delivers from the store's window what the queue has lost, or
// resyncs when the window has lost it too. It lets the queue fill again only
// when little is left to read: a queue that fills while much is read overflows
// once more, and the hub has done the work for nothing. A watch that is slower
// than the writers stays here, and costs the hub nothing.
func (w *watcher) catchUp() error {
	resumed := false
	for {
		if !resumed && w.s.machine.Rev()-w.cursor <= int64(w.s.limits.PageEntries) {
			w.sub.resume()
			resumed = true
		}
		// Read after resume: what it does not include will be queued.
		end := w.s.machine.Rev()
		if resumed && w.cursor >= end {
			w.sub.signal()
			return nil
		}
		err := w.window(end)
		if errors.Is(err, errTooLate) {
			return w.resync()
		}
		if err != nil {
			return err
		}
	}
}

// window delivers changes after cursor up to end at most, from the store:
// those of one hold of its lock. It returns errTooLate when they are gone.
func (w *watcher) window(end int64) error {
	span := store.Span{From: w.cursor + 1, To: end, Visits: w.s.limits.Visits}
	var events []*sharedEvent
	size := 0
	var e *store.Error
	w.s.machine.View(func(st *store.Store) {
		_, e = st.Events(w.glob, &span, func(ev *store.Event) bool {
			if size >= w.s.limits.MessageBytes && ev.Rev != events[len(events)-1].Rev {
				return false
			}
			shared := newSharedEvent(ev)
			events = append(events, shared)
			size += shared.size
			return true
		})
	})
	if e != nil && e.Code == store.TooLate {
		return errTooLate
	}
	if e != nil {
		return &toldError{storeError(e)}
	}
	if len(events) > 0 {
		if err := w.sendEvents(doozerpb.WatchResponse_EVENTS, events[len(events)-1].Rev, events); err != nil {
			return err
		}
	}
	w.cursor = max(w.cursor, span.From-1)
	return w.alive()
}

// alive returns why the watch must end between two messages of a long run.
func (w *watcher) alive() error {
	select {
	case <-w.s.stopping:
		return &toldError{stopping()}
	case <-w.s.machine.quarantined:
		return &toldError{quarantined(w.s.machine.Quarantined())}
	default:
		return w.ctx.Err()
	}
}

// resync starts over with a snapshot, unless the caller would rather be told.
func (w *watcher) resync() error {
	if w.noResync {
		return errTooLate
	}
	return w.snapshot(doozerpb.WatchResponse_RESYNC)
}

// snapshot sends a message of kind first and the files of one rev, the
// present one, in chunks between which the store goes on. If that rev falls
// out of the window meanwhile, it does so again, with a RESYNC first.
func (w *watcher) snapshot(first doozerpb.WatchResponse_Kind) error {
	for {
		if first == doozerpb.WatchResponse_RESYNC {
			w.s.metrics.resyncs.Add(1)
		}
		w.sub.resume()
		rev := w.s.machine.Rev()
		if err := w.mark(first, rev); err != nil {
			return err
		}
		err := w.files(rev)
		if err == nil {
			w.cursor = rev
			w.sub.signal()
			return w.mark(doozerpb.WatchResponse_SNAPSHOT_END, rev)
		}
		if !errors.Is(err, errTooLate) || w.noResync {
			w.cursor = rev
			return err
		}
		first = doozerpb.WatchResponse_RESYNC
	}
}

// files sends the files at rev.
func (w *watcher) files(rev int64) error {
	if rev == 0 {
		return nil // to the store 0 is the latest; at the first rev of all there is no file
	}
	scan := store.Scan{Rev: rev, Visits: w.s.limits.Visits}
	for more := true; more; {
		var events []*sharedEvent
		var e *store.Error
		events, more, e = w.chunk(&scan)
		if e != nil && e.Code == store.TooLate {
			return errTooLate
		}
		if e != nil {
			return &toldError{storeError(e)}
		}
		if len(events) > 0 {
			if err := w.sendEvents(doozerpb.WatchResponse_SNAPSHOT, rev, events); err != nil {
				return err
			}
		}
		if err := w.alive(); err != nil {
			return err
		}
	}
	return nil
}

// chunk reads on, as many files as go into a message and are found in one hold
// of the lock.
func (w *watcher) chunk(scan *store.Scan) (events []*sharedEvent, more bool, e *store.Error) {
	size := 0
	w.s.machine.View(func(st *store.Store) {
		more, e = st.Find(w.glob, scan, func(ev *store.Event) bool {
			if size >= w.s.limits.MessageBytes || len(events) >= w.s.limits.PageEntries {
				return false
			}
			shared := newSharedEvent(ev)
			events = append(events, shared)
			size += shared.size
			return true
		})
	})
	return events, more, e
}

// mark sends a message without events.
func (w *watcher) mark(kind doozerpb.WatchResponse_Kind, rev int64) error {
	return w.sendEvents(kind, rev, nil)
}

// sendEvents sends one message. What comes meanwhile is in the queue, or makes it
// lag.
func (w *watcher) sendEvents(kind doozerpb.WatchResponse_Kind, rev int64, events []*sharedEvent) error {
	if kind == doozerpb.WatchResponse_EVENTS {
		w.s.metrics.watchEvents.Add(uint64(len(events)))
	}
	return w.tell(kind, rev, events)
}

// tellAlone sends messages of the only watch of a call, made of the events' shared
// bytes: the header is this watch's, the rest is referred to and not copied,
// however many watches send it.
func (s *Server) tellAlone(send func(*encoded) error) func(doozerpb.WatchResponse_Kind, int64, []*sharedEvent) error {
	return func(kind doozerpb.WatchResponse_Kind, rev int64, events []*sharedEvent) error {
		head := s.appendHeader(make([]byte, 0, 96), fieldWatchHeader)
		head = appendUint(head, fieldWatchKind, uint64(kind))
		head = appendUint(head, fieldWatchRev, uint64(rev))
		parts := make(mem.BufferSlice, 1, 1+len(events))
		parts[0] = mem.SliceBuffer(head)
		for _, e := range events {
			parts = append(parts, e.buffer())
		}
		return send(&encoded{parts: parts})
	}
}
