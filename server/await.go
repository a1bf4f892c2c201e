package server

import (
	"context"
	"time"

	doozerpb "github.com/doozer-store/doozer/proto"
	"github.com/doozer-store/doozer/store"
)

// awaiter serves one Await, on a goroutine of its own. It decides by what the
// state is and never by what has changed: a wake-up says only that it should look
// again, so that none can be missed by being early, late or for several changes.
//
// It has itself woken by changes of the conditions' paths and of one file, the
// newest of those that are older: while that is there, and as it was, the answer
// is the same whatever becomes of the others.
type awaiter struct {
	s     *Server
	req   *doozerpb.AwaitRequest
	glob  *store.Glob
	conds []store.Condition

	sub    *subscription // nil before the first wait
	newest *store.Event  // as found by the last scan; nil: there is none
	older  uint64        // files that the last scan found
	rev    int64         // at which that was so, and the conditions held
}

// await returns an answer, or why there is none; nobody hears it when ctx has
// ended before its deadline.
func (s *Server) await(ctx context.Context, req *doozerpb.AwaitRequest) (*doozerpb.AwaitResponse, *doozerpb.Error) {
	a := &awaiter{s: s, req: req}
	if e := a.check(); e != nil {
		return nil, e
	}
	// A state that is older than before could lack files.
	if e := s.waitRev(ctx, req.Before); e != nil {
		return nil, e
	}
	defer a.end()
	end := time.NewTimer(time.Duration(req.WaitMs) * time.Millisecond)
	defer end.Stop()
	if e := a.scan(); e != nil || a.answers() || req.WaitMs == 0 {
		return a.answer(false), e
	}
	for {
		if e := a.subscribe(); e != nil {
			return nil, e
		}
		// Looked at behind the subscription: what changes from here on wakes.
		changed, e := a.changed()
		if changed && e == nil {
			if e = a.scan(); e == nil && !a.answers() {
				continue // the file to wait for is another
			}
		}
		if e != nil || a.answers() {
			return a.answer(true), e
		}
		select {
		case <-a.sub.wake:
		case <-end.C:
			return a.answer(true), nil
		case <-ctx.Done():
			return a.answer(true), nil
		case <-s.stopping:
			return nil, stopping()
		case <-s.machine.quarantined:
			return nil, quarantined(s.machine.Quarantined())
		}
	}
}

// check makes the request into glob and conds.
func (a *awaiter) check() *doozerpb.Error {
	glob, err := store.CompileGlob(a.req.Glob)
	if err != nil {
		return asStoreError(err)
	}
	if a.req.Before <= 0 {
		return fail(doozerpb.Code_BAD_REQUEST, "before is a rev, above 0")
	}
	if a.req.Known != "" {
		if err := store.CheckPath(a.req.Known); err != nil {
			return asStoreError(err)
		}
	}
	a.glob = glob
	if len(a.req.Conditions) == 0 {
		return nil
	}
	var cmd store.Command
	cmd.Kind = store.Write
	txn(&cmd, &doozerpb.TxnRequest{Conditions: a.req.Conditions})
	a.conds = cmd.Conds
	return asStoreError(cmd.Validate(store.Options{MaxValue: a.s.limits.MaxValue, MaxCommand: a.s.limits.MaxCommand}))
}

// scan finds the newest of the older files, and checks the conditions at the rev
// that it reads. If that leaves the window before the end, it begins again.
func (a *awaiter) scan() *doozerpb.Error {
	for {
		sc := store.Scan{Visits: a.s.limits.Visits}
		a.newest, a.older = nil, 0
		var e *store.Error
		for more := true; more && e == nil; {
			a.s.machine.View(func(st *store.Store) {
				if sc.Rev == 0 {
					a.rev = st.Rev()
					e = st.Holds(a.conds)
				}
				if e == nil {
					more, e = st.Find(a.glob, &sc, a.take)
				}
			})
		}
		if e == nil || e.Code != store.TooLate {
			return storeError(e)
		}
	}
}

func (a *awaiter) take(e *store.Event) bool {
	if e.Rev >= a.req.Before {
		return true
	}
	a.older++
	if a.newest == nil || e.Rev >= a.newest.Rev {
		a.newest = e
	}
	return true
}

// changed tells whether what the last scan found may be otherwise. If it is not,
// it was so up to the present rev.
func (a *awaiter) changed() (changed bool, err *doozerpb.Error) {
	var e *store.Error
	a.s.machine.View(func(st *store.Store) {
		if e = st.Holds(a.conds); e != nil {
			return
		}
		f, gone := st.Get(a.newest.Path(), 0)
		if changed = gone != nil || f.Rev != a.newest.Rev; !changed {
			a.rev = st.Rev()
		}
	})
	return changed, storeError(e)
}

// answers tells whether there is what the caller waits for.
func (a *awaiter) answers() bool {
	return a.newest == nil || a.req.Known != "" && a.newest.Path() != a.req.Known
}

func (a *awaiter) answer(waited bool) *doozerpb.AwaitResponse {
	r := &doozerpb.AwaitResponse{Rev: a.rev, Waited: waited, Older: a.older}
	if a.newest != nil {
		r.Newest = fileOf(a.newest, false)
	}
	return r
}

// subscribe sees to it that changes of the conditions' paths and of newest wake.
func (a *awaiter) subscribe() *doozerpb.Error {
	newest, err := store.CompileGlob(a.newest.Path())
	if err != nil {
		return asStoreError(err)
	}
	if a.sub != nil {
		a.sub.swap(newest)
		return nil
	}
	globs := []*store.Glob{newest}
	for i := range a.conds {
		g, err := store.CompileGlob(a.conds[i].Path)
		if err != nil {
			return asStoreError(err)
		}
		globs = append(globs, g)
	}
	if a.sub = a.s.machine.hub.notify(globs...); a.sub == nil {
		return overloaded("the node has its %d watchers", a.s.limits.Watchers)
	}
	return nil
}

func (a *awaiter) end() {
	if a.sub != nil {
		a.sub.close()
	}
}

// await serves r beside the stream. Its goroutine ends with the stream, if not
// before.
func (in *intake) await(r *request) {
	if r.bad != nil {
		in.answer(r, answer{err: r.bad})
		return
	}
	d, req := in.d, r.msg.(*doozerpb.AwaitRequest)
	ctx, cancel := context.WithTimeout(d.ctx, d.s.limits.timeout(r.timeout))
	a := answer{tag: r.tag, verb: r.verb, size: r.size, start: in.now}
	d.s.wg.Go(func() {
		defer cancel()
		m, e := d.s.await(ctx, req)
		if a.err = e; e == nil {
			a.msg = m
		}
		d.deliver(a)
	})
}
