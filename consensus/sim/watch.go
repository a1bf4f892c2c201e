package sim

import (
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	doozerpb "github.com/doozer-store/doozer/proto"
	"github.com/doozer-store/doozer/server"
	"github.com/doozer-store/doozer/store"
)

// watch follows the changes that a glob matches, on one node after another. It
// compares what it is told with the truth, change by change.
type watch struct {
	w    *world
	id   int
	glob *store.Glob

	n    *node // nil between two streams
	life int
	ws   *server.WatchStepper
	// req is what the present stream was asked; unshare ends the watch if it
	// shares a stream with others: then ws is nil.
	req     *doozerpb.WatchRequest
	unshare func()
	// dead: the present stream has ended; epoch counts streams.
	dead  bool
	epoch int
	last  int64 // when what was sent last arrives
	// live: what is being told comes from the queue, which misses nothing.
	live bool
	// stalledUntil: the reader does not read, and the node has to wait.
	stalledUntil int64

	// cursor: everything up to it was delivered. resume is where the next
	// stream goes on; it may lie before cursor, or after it.
	cursor int64
	// begun: the first message has come. snapshot: files of one are coming, of
	// rev cursor; files are those so far.
	begun, snapshot bool
	files           map[string]int64
	lastFile        string
	floor           int64 // the least rev at which the stream may begin
}

func newWatch(w *world, id int) *watch {
	v := &watch{w: w, id: id, glob: w.drawGlob(), cursor: -1}
	if len(w.watches) > 0 && w.chance(0.3) {
		v.glob = w.watches[0].glob // a node may tell them the same
	}
	w.every(func() time.Duration { return w.between(20*time.Millisecond, time.Second) }, func() bool {
		if v.n == nil {
			v.connect()
		}
		return true
	})
	w.every(func() time.Duration { return w.between(time.Second, 8*time.Second) }, func() bool {
		switch {
		case w.faults.healed:
		case v.unshare != nil && w.chance(0.3):
			v.n.set.broke()
		case v.n != nil && w.chance(0.5):
			v.broke()
		case v.unshare != nil && w.chance(0.5):
			v.n.set.stalled = w.now + int64(w.between(0, 6*time.Second))
		case w.chance(0.3):
			v.stalledUntil = w.now + int64(w.between(0, 6*time.Second))
		}
		return true
	})
	w.every(func() time.Duration { return 500 * time.Millisecond }, func() bool {
		if v.n != nil && v.ws != nil && !v.n.paused() && w.now >= v.stalledUntil {
			v.n.run(func() { v.tell(v.ws.Progress) })
		}
		if v.unshare != nil && !v.n.paused() && w.now >= v.n.set.stalled {
			n := v.n
			n.run(func() { n.set.deliver(n.time()) })
		}
		return true
	})
	return v
}

// due tells whether the node has something to deliver, and may.
func (v *watch) due() bool { return v.ws != nil && v.ws.Waiting() && v.w.now >= v.stalledUntil }

// connect begins a stream on a node that serves.
func (v *watch) connect() {
	n := v.w.nodes[v.w.rng.IntN(len(v.w.nodes))]
	if !n.up || !n.serving {
		return
	}
	shared := v.w.chance(0.5)
	req := &doozerpb.WatchRequest{Glob: v.glob.String(), Local: v.w.chance(0.3), ProgressMs: 500}
	switch {
	case v.cursor < 0 || v.w.chance(0.1):
		req.Snapshot = true
	case v.w.chance(0.3):
		// From before, or after, what it has.
		req.From = max(1, v.cursor+1+int64(v.w.uniform(-100, 100)))
	default:
		req.From = v.cursor + 1
	}
	v.n, v.life, v.dead, v.begun, v.snapshot = n, n.life, false, false, false
	v.epoch++
	v.live, v.req = false, req
	v.floor = v.w.truth.acked
	epoch := v.epoch
	n.watches = append(n.watches, v)
	start := func() {
		if v.dead || v.epoch != epoch {
			return
		}
		if req.Local {
			v.floor = n.machine.Rev()
		}
		if shared {
			v.unshare = n.share(v, req)
			return
		}
		ws, e := n.server.Watch(req, func(m []byte) { v.told(epoch, req, m) })
		if e != nil {
			v.ended(e)
			return
		}
		v.ws = ws
		v.tell(ws.Deliver)
	}
	n.exec(v.w.between(0, 2*time.Millisecond), func() {
		if req.Local {
			start()
			return
		}
		asked{n.step, n}.ReadIndex(n.time().Add(3*time.Second), func(err error) {
			if err != nil {
				v.w.after(0, v.broke)
				return
			}
			n.exec(0, start)
		})
	})
}

// deliver is a step of the node's.
func (v *watch) deliver() { v.tell(v.ws.Deliver) }

// tell lets the node send what there is.
func (v *watch) tell(send func() *doozerpb.Error) {
	v.live = !v.ws.Lagging()
	v.ended(send())
}

// ended handles why a stream ends, if it does.
func (v *watch) ended(e *doozerpb.Error) {
	if e == nil {
		return
	}
	if e.Code != doozerpb.Code_OVERLOADED {
		v.w.fail("watch %d on node %d ends with %v", v.id, v.n.id, e)
	}
	v.broke()
}

// broke ends the stream; what is on its way is lost.
func (v *watch) broke() {
	if v.n == nil {
		return
	}
	if n := v.n; n.up && n.life == v.life {
		if v.ws != nil {
			v.ws.Close()
		}
		if v.unshare != nil {
			v.unshare()
		}
		if i := slices.Index(n.watches, v); i >= 0 {
			n.watches = append(n.watches[:i:i], n.watches[i+1:]...)
		}
	}
	v.n, v.ws, v.unshare, v.dead = nil, nil, nil, true
	v.epoch++
}

// toldShared takes a message of a shared stream on its way. Whether it came from
// the queue is not known.
func (v *watch) toldShared(h *doozerpb.Header, t *doozerpb.WatchesResponse_Told) {
	if t.Error != nil {
		v.ended(t.Error)
		return
	}
	one, err := proto.Marshal(&doozerpb.WatchResponse{Header: h, Kind: t.Kind, Rev: t.Rev, Events: t.Events})
	if err != nil {
		v.w.fail("watch %d: %v", v.id, err)
		return
	}
	v.live = false
	v.told(v.epoch, v.req, one)
}

// told takes a message on its way.
func (v *watch) told(epoch int, req *doozerpb.WatchRequest, message []byte) {
	v.w.mixBytes(message)
	live := v.live
	v.last = max(v.last+1, v.w.now+int64(v.w.between(50*time.Microsecond, 2*time.Millisecond)))
	v.w.queue.push(v.last, func() {
		if v.epoch != epoch {
			return
		}
		m := &doozerpb.WatchResponse{}
		if err := proto.Unmarshal(message, m); err != nil {
			v.w.fail("watch %d is told what can't be decoded: %v", v.id, err)
			return
		}
		for _, m := range v.spoil(m, live) {
			if why := v.take(req, m, live); why != "" {
				v.w.fail("watch %d of %s, told %v of rev %d with %d events by node %d: %s", v.id, v.glob, m.Kind, m.Rev, len(m.Events), m.Header.GetNode(), why)
				return
			}
		}
	})
}

// take compares a message with the truth and returns what is wrong with it.
func (v *watch) take(req *doozerpb.WatchRequest, m *doozerpb.WatchResponse, live bool) string {
	if m.Rev > v.w.truth.rev() && m.Kind != doozerpb.WatchResponse_PROGRESS {
		return fmt.Sprintf("nobody is beyond rev %d", v.w.truth.rev())
	}
	if !v.begun {
		return v.takeFirst(req, m)
	}
	if v.snapshot && m.Kind != doozerpb.WatchResponse_SNAPSHOT && m.Kind != doozerpb.WatchResponse_SNAPSHOT_END && m.Kind != doozerpb.WatchResponse_RESYNC {
		return "in the middle of a snapshot"
	}
	switch m.Kind {
	case doozerpb.WatchResponse_EVENTS:
		return v.takeEvents(m, live)
	case doozerpb.WatchResponse_PROGRESS:
		if m.Rev < v.cursor {
			return fmt.Sprintf("the mark goes back from %d", v.cursor)
		}
		return v.reach(m.Rev)
	case doozerpb.WatchResponse_RESYNC:
		v.w.result.Resyncs++
		if m.Rev < v.cursor {
			return fmt.Sprintf("back from rev %d", v.cursor)
		}
		v.beginSnapshot(m.Rev)
		return ""
	case doozerpb.WatchResponse_SNAPSHOT:
		return v.takeFiles(m)
	case doozerpb.WatchResponse_SNAPSHOT_END:
		return v.endSnapshot(m)
	}
	return "unknown kind"
}

// takeFirst: the first message says where the stream begins.
func (v *watch) takeFirst(req *doozerpb.WatchRequest, m *doozerpb.WatchResponse) string {
	if m.Kind != doozerpb.WatchResponse_PROGRESS {
		return "as the first message"
	}
	v.begun = true
	if req.Snapshot {
		if m.Rev < v.floor {
			return fmt.Sprintf("rev %d was known before the watch began", v.floor)
		}
		v.beginSnapshot(m.Rev)
		return ""
	}
	if m.Rev != req.From-1 {
		return fmt.Sprintf("changes from %d on were asked for", req.From)
	}
	v.cursor = m.Rev
	return ""
}

// takeEvents: the changes between cursor and the message's rev, all of them.
// Only where they were read from the window may rewrites be missing, which the
// node had forgotten when it sent the message.
func (v *watch) takeEvents(m *doozerpb.WatchResponse, live bool) string {
	if m.Rev <= v.cursor {
		return fmt.Sprintf("not after %d", v.cursor)
	}
	t := v.w.truth
	got := m.Events
	for rev := v.cursor + 1; rev <= m.Rev; rev++ {
		for _, want := range t.changes[rev] {
			if !v.glob.Match(want.Path()) {
				continue
			}
			if len(got) == 0 || !sameEvent(got[0], want) {
				if !live && t.past.goneBy(want, m.Header.GetRev()) {
					v.w.result.LeftOut++
					continue
				}
				return fmt.Sprintf("the change of %s at rev %d is missing", want.Path(), rev)
			}
			got = got[1:]
			v.w.result.WatchEvents++
		}
	}
	if len(got) > 0 {
		return fmt.Sprintf("the change of %s at rev %d does not belong there", got[0].Path, got[0].Rev)
	}
	v.cursor = m.Rev
	return ""
}

// reach moves the cursor over revs of which there is nothing to tell. A rewrite
// that was left out is not among them: the one that took its place was told.
func (v *watch) reach(rev int64) string {
	if rev > v.w.truth.rev() && rev > v.cursor {
		return fmt.Sprintf("nobody is beyond rev %d", v.w.truth.rev())
	}
	for r := v.cursor + 1; r <= rev; r++ {
		for _, e := range v.w.truth.changes[r] {
			if v.glob.Match(e.Path()) {
				return fmt.Sprintf("the change of %s at rev %d is missing", e.Path(), r)
			}
		}
	}
	v.cursor = max(v.cursor, rev)
	return ""
}

func (v *watch) beginSnapshot(rev int64) {
	v.cursor, v.snapshot, v.files, v.lastFile = rev, true, map[string]int64{}, ""
}

func (v *watch) takeFiles(m *doozerpb.WatchResponse) string {
	if !v.snapshot || m.Rev != v.cursor {
		return "without its beginning"
	}
	for _, f := range m.Events {
		e := v.w.truth.version(f.Path, m.Rev)
		if e == nil || !sameEvent(f, e) || !v.glob.Match(f.Path) || f.Path <= v.lastFile {
			return fmt.Sprintf("%s is not so at rev %d", f.Path, m.Rev)
		}
		v.files[f.Path], v.lastFile = f.Rev, f.Path
	}
	return ""
}

func (v *watch) endSnapshot(m *doozerpb.WatchResponse) string {
	if !v.snapshot || m.Rev != v.cursor {
		return "without its beginning"
	}
	v.snapshot = false
	for path := range v.w.truth.files {
		if v.glob.Match(path) && v.w.truth.version(path, m.Rev) != nil && v.files[path] == 0 {
			return fmt.Sprintf("%s is missing at rev %d", path, m.Rev)
		}
	}
	return ""
}

func sameEvent(got *doozerpb.Event, want *store.Event) bool {
	return got.Path == want.Path() && got.Rev == want.Rev && got.Message == want.Message() && got.Author == want.Author() &&
		got.Time == want.Time && string(got.Value) == string(want.Value()) && (got.Kind == doozerpb.Event_DEL) == want.Del()
}

// spoil is where Wrong changes what a watch is told.
func (v *watch) spoil(m *doozerpb.WatchResponse, live bool) []*doozerpb.WatchResponse {
	wrong := &v.w.cfg.Wrong
	n := len(m.Events)
	events := m.Kind == doozerpb.WatchResponse_EVENTS
	switch {
	case wrong.DropEvent && events && v.w.chance(0.02):
		m.Events = slices.Delete(m.Events, n-1, n)
	case wrong.RepeatEvent && events && v.w.chance(0.02):
		m.Events = append(m.Events, m.Events[n-1])
	case wrong.SplitRev && events && n > 1 && m.Events[n-1].Rev == m.Events[n-2].Rev:
		first := proto.Clone(m).(*doozerpb.WatchResponse)
		first.Events, m.Events = first.Events[:n-1], m.Events[n-1:]
		return []*doozerpb.WatchResponse{first, m}
	case wrong.DropBeat && events && live:
		m.Events = slices.DeleteFunc(m.Events, func(e *doozerpb.Event) bool {
			return slices.ContainsFunc(v.w.truth.changes[e.Rev], func(c *store.Event) bool { return v.w.truth.past.forgotten[c] != 0 })
		})
	case wrong.EarlyMark && m.Kind == doozerpb.WatchResponse_PROGRESS && v.begun:
		m.Rev++
	}
	return []*doozerpb.WatchResponse{m}
}
