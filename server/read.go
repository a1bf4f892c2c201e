package server

import (
	"context"
	"errors"
	"math"
	"time"

	doozerpb "github.com/doozer-store/doozer/proto"
	"github.com/doozer-store/doozer/store"
)

// A read at a given rev R needs no majority: what the tree was at R never
// changes, on no node. It waits only until this node has R. Every other read
// that is not local asks a majority first.

// readIndex returns when this node's state includes everything that was
// acknowledged before the call.
func (s *Server) readIndex(ctx context.Context) *doozerpb.Error {
	done := make(chan error, 1)
	s.consensus.ReadIndex(time.Now().Add(s.timeLeft(ctx)), func(err error) { done <- err })
	select {
	case err := <-done:
		if err == nil {
			return s.quarantine()
		}
		return consensusError(err, s.age())
	case <-ctx.Done():
		return fail(doozerpb.Code_NO_QUORUM, "no majority answered before the deadline: last heard from a leader %v ago", s.age())
	}
}

// quarantine is refuse for what was taken already.
func (s *Server) quarantine() *doozerpb.Error {
	if reason := s.machine.Quarantined(); reason != "" {
		return quarantined(reason)
	}
	return nil
}

// prepare returns when a unary read of rev may be done.
func (s *Server) prepare(ctx context.Context, rev int64, local bool) *doozerpb.Error {
	switch {
	case rev < 0:
		return badRev()
	case rev > 0:
		return s.waitRev(ctx, rev)
	case local:
		return nil
	default:
		return s.readIndex(ctx)
	}
}

func badRev() *doozerpb.Error { return fail(doozerpb.Code_BAD_REQUEST, "a rev is not below 0") }

// waitRev returns when the store has reached rev.
func (s *Server) waitRev(ctx context.Context, rev int64) *doozerpb.Error {
	if s.machine.Rev() >= rev {
		return nil
	}
	done := make(chan error, 1)
	cancel := s.machine.waitRev(rev, s.timeLeft(ctx), func(err error) { done <- err })
	defer cancel()
	select {
	case err := <-done:
		if err == nil {
			return s.quarantine()
		}
		return s.revWaitError(err, rev)
	case <-ctx.Done():
		return s.revWaitError(errRevWait, rev)
	case <-s.stopping:
		return stopping()
	case <-s.machine.quarantined:
		return quarantined(s.machine.Quarantined())
	}
}

// revWaitError returns why a read of rev was not done, which for lack of time is
// DEADLINE and not NO_QUORUM: a rev that nobody has written yet says nothing
// about the cluster.
func (s *Server) revWaitError(err error, rev int64) *doozerpb.Error {
	if errors.Is(err, errRevWaitFull) {
		return overloaded("%d requests wait for a rev in the future", s.limits.RevWaiters)
	}
	return fail(doozerpb.Code_DEADLINE, "rev %d does not exist yet: the node is at %d", rev, s.machine.Rev())
}

// get and stat read one thing; the state's lock is held. What they return
// is immutable, or a copy, and may be used without it.

func get(st *store.Store, path string, rev int64) (*store.Event, *doozerpb.Error) {
	e, err := st.Get(path, rev)
	return e, storeError(err)
}

func stat(st *store.Store, path string, rev int64) (*doozerpb.File, *doozerpb.Error) {
	info, err := st.Stat(path, rev)
	if err != nil {
		return nil, storeError(err)
	}
	return fileOfInfo(info, nil), nil
}

// lister is a List request that has been looked at: of one rev, page by page.
type lister struct {
	req  *doozerpb.ListRequest
	glob *store.Glob // nil: req.Dir is listed
	scan store.Scan  // where the next page begins
	left int         // entries that may still be listed
}

// newLister returns why req can't be done: what is wrong with it whatever the
// tree holds, before anybody is asked for a majority.
func (s *Server) newLister(req *doozerpb.ListRequest) (*lister, *doozerpb.Error) {
	l := &lister{req: req, left: int(req.Limit)}
	l.scan = store.Scan{Rev: req.Rev, After: req.After, Visits: s.limits.Visits}
	if req.Limit == 0 {
		l.left = math.MaxInt
	}
	if req.Rev < 0 {
		return nil, badRev()
	}
	if (req.Dir == "") == (req.Glob == "") {
		return nil, fail(doozerpb.Code_BAD_REQUEST, "give a dir or a glob to list, and not both")
	}
	if req.Glob == "" {
		return l, asStoreError(store.CheckPath(req.Dir))
	}
	g, err := store.CompileGlob(req.Glob)
	if err != nil {
		return nil, asStoreError(err)
	}
	l.glob = g
	return l, nil
}

// page reads the next page, as many entries as limits allow, holding the lock
// as often as it takes and asking alive each time whether to go on. ended is
// false when there is more that the request asks for; the message's more tells
// whether there is anything more at all.
func (s *Server) page(l *lister, alive func() *doozerpb.Error) (m *doozerpb.ListResponse, ended bool, e *doozerpb.Error) {
	m = new(doozerpb.ListResponse)
	size := 0
	room := min(l.left, s.limits.PageEntries)
	// The entry that is one too many is not taken, but tells that there is
	// one; the scan stays before it.
	take := func(path string, make func() *doozerpb.File) bool {
		if len(m.Files) >= room || size >= s.limits.MessageBytes {
			m.More = true
			return false
		}
		f := make()
		m.Files = append(m.Files, f)
		size += len(path) + len(f.Value) + len(f.Author) + len(f.Message) + 48
		return true
	}
	for more := true; more && !m.More; {
		if e := alive(); e != nil {
			return nil, true, e
		}
		var err *store.Error
		s.machine.View(func(st *store.Store) { more, err = l.read(st, take) })
		if err != nil {
			return nil, true, storeError(err)
		}
	}
	m.Rev = l.scan.Rev
	l.left -= len(m.Files)
	return m, !m.More || l.left == 0, nil
}

// read reads on, for one hold of the lock, until take refuses.
func (l *lister) read(st *store.Store, take func(path string, make func() *doozerpb.File) bool) (more bool, err *store.Error) {
	if l.glob != nil {
		return st.Find(l.glob, &l.scan, func(ev *store.Event) bool {
			return take(ev.Path(), func() *doozerpb.File { return fileOf(ev, l.req.Values) })
		})
	}
	return st.List(l.req.Dir, &l.scan, func(info store.Info, ev *store.Event) bool {
		return take(info.Path, func() *doozerpb.File {
			if !l.req.Values {
				ev = nil
			}
			return fileOfInfo(info, ev)
		})
	})
}
