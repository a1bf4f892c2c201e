package server

import (
	"context"
	"math"

	doozerpb "github.com/doozer-store/doozer/proto"
	"github.com/doozer-store/doozer/store"
	"google.golang.org/grpc"
)

// This file has the reads that are answered by streams. Neither holds the
// state's lock while it sends: a caller that is slow to take what it is sent
// delays nobody, and holds one message at a time.

// List implements doozerpb.DoozerServer: all pages of one rev. The store goes
// on between two; if the rev falls out of the window meanwhile the stream ends
// with TOO_LATE, and what was sent until then is right, but not all.
func (s *Server) List(req *doozerpb.ListRequest, stream grpc.ServerStreamingServer[doozerpb.ListResponse]) error {
	ctx := stream.Context()
	return s.stream(ctx, verbList, func() *doozerpb.Error {
		l, e := s.newLister(req)
		if e != nil {
			return e
		}
		if e := s.prepare(ctx, req.Rev, req.Local); e != nil {
			return e
		}
		// Between two holds of the lock, not only between two messages: a list
		// of next to nothing in a large tree sends none for long.
		alive := func() *doozerpb.Error {
			if ctx.Err() != nil {
				return fail(doozerpb.Code_DEADLINE, "the caller's time ended before the list did")
			}
			return s.refuse()
		}
		for ended := false; !ended; {
			var m *doozerpb.ListResponse
			if m, ended, e = s.page(l, alive); e != nil {
				return e
			}
			// Only the last message says that there is more, beyond the limit
			// that the caller gave.
			m.More = m.More && ended
			m.Header = s.header()
			if stream.Send(m) != nil {
				return nil
			}
		}
		return nil
	})
}

// Log implements doozerpb.DoozerServer: the changes from one rev to another,
// the end being no later than the rev at which the call began. At least one
// message is sent, for its oldest.
func (s *Server) Log(req *doozerpb.LogRequest, stream grpc.ServerStreamingServer[doozerpb.LogResponse]) error {
	ctx := stream.Context()
	return s.stream(ctx, verbLog, func() *doozerpb.Error {
		return s.logChanges(ctx, req, stream.Send)
	})
}

// logChanges is Log for any way to send. It returns nil when send fails: then
// nobody hears. TOO_LATE is for a from below the window, and for a window that
// has overtaken a log on its way.
func (s *Server) logChanges(ctx context.Context, req *doozerpb.LogRequest, send func(*doozerpb.LogResponse) error) *doozerpb.Error {
	glob, err := store.CompileGlob(req.Glob)
	if err != nil {
		return asStoreError(err)
	}
	if req.From < 0 || req.To < 0 || req.To != 0 && req.To < req.From {
		return fail(doozerpb.Code_BAD_REQUEST, "from and to are not below 0, and to is not below from")
	}
	if e := s.prepare(ctx, 0, req.Local); e != nil {
		return e
	}
	c := &changes{glob: glob, span: store.Span{From: req.From, To: req.To, Visits: s.limits.Visits}}
	s.machine.View(func(st *store.Store) {
		c.oldest = st.Oldest()
		if c.span.From == 0 {
			c.span.From = c.oldest + 1
		}
		if c.span.To == 0 || c.span.To > st.Rev() {
			c.span.To = st.Rev()
		}
	})
	if req.Limit > 0 {
		if e := s.skipToNewest(c, int(req.Limit)); e != nil {
			return e
		}
	}
	for first, more := true, true; more; {
		if e := s.refuse(); e != nil {
			return e
		}
		var events []*store.Event
		var e *doozerpb.Error
		if events, more, e = s.changes(c); e != nil {
			return e
		}
		if len(events) == 0 && !first {
			continue
		}
		first = false
		m := &doozerpb.LogResponse{Header: s.header(), Oldest: c.oldest, Events: make([]*doozerpb.Event, len(events))}
		for i, ev := range events {
			m.Events[i] = eventOf(ev, !req.NoValues)
		}
		if send(m) != nil {
			return nil
		}
	}
	return nil
}

// changes is a Log request under way: the changes of span, without the first
// skip that match.
type changes struct {
	glob   *store.Glob
	span   store.Span // what is still to be read
	oldest int64      // when the call began: what every message tells
	skip   int        // matches still to be left out
}

// changes reads on, for one hold of the lock. more is false at the end of
// c.span. A message ends between two revs, so that a caller who begins again
// after the last rev it was sent misses nothing.
func (s *Server) changes(c *changes) (events []*store.Event, more bool, e *doozerpb.Error) {
	size := 0
	var err *store.Error
	s.machine.View(func(st *store.Store) {
		more, err = st.Events(c.glob, &c.span, func(ev *store.Event) bool {
			if c.skip > 0 {
				c.skip--
				return true
			}
			if size >= s.limits.MessageBytes && ev.Rev != events[len(events)-1].Rev {
				return false
			}
			events = append(events, ev)
			size += eventSize(ev)
			return true
		})
	})
	return events, more, storeError(err)
}

// skipToNewest makes c leave out all but its newest limit changes, which takes
// counting them: the window has no index by path, and collecting them from its
// end would hold as many events as the caller likes to ask for.
func (s *Server) skipToNewest(c *changes, limit int) *doozerpb.Error {
	all := 0
	for span, more := c.span, true; more; {
		var err *store.Error
		s.machine.View(func(st *store.Store) {
			more, err = st.Events(c.glob, &span, func(*store.Event) bool { all++; return true })
		})
		if err != nil {
			return storeError(err)
		}
	}
	c.skip = max(0, all-min(limit, math.MaxInt32))
	return nil
}
