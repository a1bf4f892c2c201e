package sim

import (
	"bytes"

	doozerpb "github.com/doozer-store/doozer/proto"
	"github.com/doozer-store/doozer/store"
)

// checkRead: a linearizable read sees everything acknowledged before it began,
// a local one a state that its node had; both see what was committed.
func (k *call) checkRead(h *doozerpb.Header, r *doozerpb.Response) {
	w, t := k.c.w, k.c.w.truth
	lo, hi := k.lo, t.rev()
	switch k.kind {
	case callLocal:
		lo, hi = k.nodeRev, h.GetRev()
		if hi > t.rev() {
			w.fail("%s: node %d says it is at rev %d, nobody is beyond %d", k.name, h.GetNode(), hi, t.rev())
			return
		}
	case callRev:
		rev := r.GetRev().GetRev()
		if rev < lo || rev > hi {
			w.fail("%s: the rev is %d, rev %d was known before", k.name, rev, lo)
		}
		t.ack(rev)
		return
	case callList:
		k.checkList(h, r)
		return
	}
	file := r.GetGet().GetFile()
	if k.kind == callStat {
		file = r.GetStat().GetFile()
	}
	if e := r.GetError(); e != nil && e.Code != doozerpb.Code_NOENT {
		w.fail("%s: unexpected %v", k.name, e)
		return
	}
	was := t.holds(k.path, lo, hi, func(e *store.Event) bool {
		if e == nil || file == nil {
			return e == nil && file == nil
		}
		return e.Rev == file.Rev && e.Message() == file.Message && e.Time == file.Time && e.Author() == file.Author &&
			file.Len == int64(len(e.Value())) && (k.kind == callStat || bytes.Equal(e.Value(), file.Value))
	})
	if !was {
		w.fail("%s (kind %d): node %d reads %s as %v, which it was at no rev from %d to %d", k.name, k.kind, h.GetNode(), k.path, file, lo, hi)
		return
	}
	if file != nil {
		k.c.known[k.path] = file.Rev
		if k.kind != callLocal {
			t.ack(file.Rev)
		}
	}
}

// checkList: a list at a rev has the files that were there, each as it was or,
// where that has been forgotten, as it was before. TOO_LATE is for what the
// window no longer holds.
func (k *call) checkList(h *doozerpb.Header, r *doozerpb.Response) {
	w, t := k.c.w, k.c.w.truth
	if e := r.GetError(); e != nil {
		if e.Code != doozerpb.Code_TOO_LATE || k.rev >= t.past.oldest || e.Rev > t.past.oldest || e.Rev <= k.rev {
			w.fail("%s: %v of rev %d; the oldest is %d", k.name, e, k.rev, t.past.oldest)
		}
		return
	}
	m := r.GetList()
	rev := m.GetRev()
	if k.rev != 0 && rev != k.rev {
		w.fail("%s: a list of rev %d where %d was asked for", k.name, rev, k.rev)
		return
	}
	if k.rev == 0 && rev != 0 && rev < k.nodeRev || rev > t.rev() {
		w.fail("%s: a list of rev %d from a node that was at %d", k.name, rev, k.nodeRev)
		return
	}
	files, last := 0, ""
	for _, f := range m.GetFiles() {
		shown := t.version(f.Path, rev) != nil && k.glob.Match(f.Path) && f.Path > last &&
			t.past.shows(f.Path, rev, k.nodeRev, h.GetRev(), func(e *store.Event) bool {
				return e.Rev == f.Rev && e.Message() == f.Message && e.Time == f.Time && bytes.Equal(e.Value(), f.Value)
			})
		if !shown {
			w.fail("%s: node %d, at rev %d, lists %v at rev %d, which has %v", k.name, h.GetNode(), h.GetRev(), f, rev, t.version(f.Path, rev))
			return
		}
		files, last = files+1, f.Path
	}
	for path := range t.files {
		if k.glob.Match(path) && t.version(path, rev) != nil && (path <= last || !m.More) {
			files--
		}
	}
	if files != 0 {
		w.fail("%s: node %d leaves out %d files of rev %d", k.name, h.GetNode(), -files, rev)
	}
}
