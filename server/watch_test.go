package server

import (
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doozer-store/doozer/consensus"
	doozerpb "github.com/doozer-store/doozer/proto"
	"github.com/doozer-store/doozer/store"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// recording is a watch in a test: what was received, checked against the
// rules of a watch as it comes, and the tree it adds up to.
type recording struct {
	t    testing.TB
	n    *node
	glob *store.Glob
	what string

	start    int64 // rev of the first message
	sent     int64 // highest rev of an EVENTS message
	mark     int64 // everything up to it was delivered
	snapshot bool  // SNAPSHOT messages may come
	resyncs  int
	messages int
	events   []*doozerpb.Event // since the last snapshot
	tree     map[string]string
}

func newRecording(t testing.TB, n *node, req *doozerpb.WatchRequest) *recording {
	t.Helper()
	g, err := store.CompileGlob(req.Glob)
	if err != nil {
		t.Fatal(err)
	}
	return &recording{t: t, n: n, glob: g, what: fmt.Sprint(req), tree: map[string]string{}, snapshot: req.Snapshot}
}

func (r *recording) bad(format string, args ...any) {
	r.t.Helper()
	r.t.Errorf("watch %s, message %d: %s", r.what, r.messages, fmt.Sprintf(format, args...))
}

// take checks m against everything before it.
func (r *recording) take(m *doozerpb.WatchResponse) {
	r.t.Helper()
	r.messages++
	if m.Header.GetNode() != 1 {
		r.bad("header %v", m.Header)
	}
	if r.messages == 1 {
		if m.Kind != doozerpb.WatchResponse_PROGRESS {
			r.bad("the first is %v", m)
		}
		r.start, r.mark, r.sent = m.Rev, m.Rev, m.Rev
		return
	}
	for _, e := range m.Events {
		if !r.glob.Match(e.Path) {
			r.bad("%s does not match", e.Path)
		}
	}
	switch m.Kind {
	case doozerpb.WatchResponse_RESYNC:
		r.resyncs++
		r.snapshot = true
		clear(r.tree)
		r.events = nil
		if m.Rev < r.sent || m.Rev < r.mark {
			r.bad("resync at %d, after %d", m.Rev, r.sent)
		}
		r.mark, r.sent = m.Rev, m.Rev
	case doozerpb.WatchResponse_SNAPSHOT:
		if !r.snapshot {
			r.bad("a snapshot out of place")
		}
		for _, e := range m.Events {
			if e.Rev > m.Rev || m.Rev != r.mark {
				r.bad("snapshot at %d has rev %d, begun at %d", m.Rev, e.Rev, r.mark)
			}
			r.tree[e.Path] = string(e.Value)
		}
	case doozerpb.WatchResponse_SNAPSHOT_END:
		r.snapshot = false
		r.start, r.mark, r.sent = m.Rev, m.Rev, m.Rev
	case doozerpb.WatchResponse_PROGRESS:
		if m.Rev < r.mark {
			r.bad("progress goes back from %d to %d", r.mark, m.Rev)
		}
		r.mark = max(r.mark, m.Rev)
	case doozerpb.WatchResponse_EVENTS:
		r.takeEvents(m)
	}
}

func (r *recording) takeEvents(m *doozerpb.WatchResponse) {
	r.t.Helper()
	if len(m.Events) == 0 || m.Rev != m.Events[len(m.Events)-1].Rev || r.snapshot {
		r.bad("EVENTS out of place: %v", m)
	}
	last := r.sent // a rev is never split: this message begins after it
	for _, e := range m.Events {
		switch {
		case e.Rev <= r.sent || e.Rev < last:
			r.bad("rev %d after %d", e.Rev, max(r.sent, last))
		case e.Rev <= r.mark:
			r.bad("rev %d after progress %d", e.Rev, r.mark)
		}
		last = e.Rev
		if e.Kind == doozerpb.Event_DEL {
			delete(r.tree, e.Path)
		} else {
			r.tree[e.Path] = string(e.Value)
		}
		r.events = append(r.events, e)
	}
	r.sent = m.Rev
}

// until takes what next returns until everything up to rev was delivered.
func (r *recording) until(rev int64, next func() *doozerpb.WatchResponse) {
	r.t.Helper()
	for r.messages == 0 || r.snapshot || max(r.mark, r.sent) < rev {
		m := next()
		if m == nil {
			r.t.Fatalf("watch %s ended at %d, before %d", r.what, max(r.mark, r.sent), rev)
		}
		r.take(m)
	}
	r.reliable()
}

// reliable compares the events with the store's, from the start of the watch
// or its last snapshot.
func (r *recording) reliable() {
	r.t.Helper()
	var want []string
	r.n.machine.View(func(st *store.Store) {
		_, err := st.Events(r.glob, &store.Span{From: r.start + 1, To: max(r.mark, r.sent)}, func(e *store.Event) bool {
			want = append(want, key(eventOf(e, true)))
			return true
		})
		if err != nil && err.Code != store.TooLate && r.start < max(r.mark, r.sent) {
			r.bad("%v", err)
		}
		if err != nil {
			want = nil
		}
	})
	if want == nil {
		return
	}
	var got []string
	for _, e := range r.events {
		got = append(got, key(e))
	}
	if !slices.Equal(got, want) {
		r.bad("%d events, the store has %d after %d", len(got), len(want), r.start)
	}
}

func key(e *doozerpb.Event) string {
	return fmt.Sprint(e.Rev, e.Kind, e.Path, len(e.Value), e.Time, e.Author)
}

// sameTree compares the tree with the store's at rev, which was delivered.
func (r *recording) sameTree(rev int64) {
	r.t.Helper()
	want := map[string]string{}
	r.n.machine.View(func(st *store.Store) {
		if _, err := st.Find(r.glob, &store.Scan{Rev: rev}, func(e *store.Event) bool {
			want[e.Path()] = string(e.Value())
			return true
		}); err != nil {
			r.bad("%v", err)
		}
	})
	if !maps.Equal(r.tree, want) {
		r.bad("the tree has %d files, the store %d at %d", len(r.tree), len(want), rev)
	}
}

// direct runs a watch without a network: each message waits until the test
// takes it, so that a test says how slow a watcher is.
type direct struct {
	msgs chan *doozerpb.WatchResponse
	end  chan *doozerpb.Error // what the watch ended with
}

func runDirect(t testing.TB, n *node, req *doozerpb.WatchRequest) *direct {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	d := &direct{msgs: make(chan *doozerpb.WatchResponse), end: make(chan *doozerpb.Error, 1)}
	var done sync.WaitGroup
	done.Go(func() {
		d.end <- n.watch(req, ctx, func(m *encoded) error {
			out := &doozerpb.WatchResponse{}
			if err := proto.Unmarshal(m.parts.Materialize(), out); err != nil {
				t.Error(err)
			}
			select {
			case d.msgs <- out:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		close(d.msgs)
	})
	t.Cleanup(func() {
		cancel()
		done.Wait()
	})
	return d
}

func (d *direct) next() *doozerpb.WatchResponse { return <-d.msgs }

// scribble makes n random changes of a small tree: sets, deletes and
// transactions, and returns the rev of the last.
func (n *node) scribble(t testing.TB, rng *rand.Rand, count int) int64 {
	t.Helper()
	rev := n.machine.Rev()
	for range count {
		cmd := store.Command{Kind: store.Write, Author: "s"}
		for i := range 1 + rng.IntN(3)*rng.IntN(2) {
			cmd.Ops = append(cmd.Ops, store.Op{
				Path:  fmt.Sprintf("/%c/%d", 'a'+rune(i), rng.IntN(8)),
				Value: []byte(strings.Repeat("v", rng.IntN(40))),
				Del:   rng.IntN(4) == 0,
			})
		}
		if r := n.apply(t, cmd); r.Err == nil {
			rev = r.Rev
		}
	}
	return rev
}

// tiny are limits at which every queue overflows all the time.
func tiny() Limits {
	return Limits{WatchEvents: 4, WatchBytes: 400, PageEntries: 5, Visits: 3, MessageBytes: 150, MinWatchProgress: time.Millisecond}
}

// Watchers of all kinds over gRPC, while writers write.
func TestWatchRules(t *testing.T) {
	for name, limits := range map[string]Limits{"wide": {MinWatchProgress: time.Millisecond}, "tiny": tiny()} {
		t.Run(name, func(t *testing.T) {
			n := start(t, limits)
			rng := rand.New(rand.NewPCG(1, 2))
			n.scribble(t, rng, 100)
			var watches sync.WaitGroup
			const last = int64(1000)
			var heard atomic.Int64 // by the first watch
			for i, req := range []*doozerpb.WatchRequest{
				{Glob: "/**"}, {Glob: "/a/*"}, {Glob: "/b/3"}, {Glob: "/none"},
				{Glob: "/**", From: 1}, {Glob: "/a/*", From: 50}, {Glob: "/**", From: 300},
				{Glob: "/**", Snapshot: true}, {Glob: "/a/*", Snapshot: true}, {Glob: "/c/?", Snapshot: true, Local: true},
			} {
				req.ProgressMs = 1
				st, err := n.client.Watch(background(t), req)
				if err != nil {
					t.Fatal(err)
				}
				rec := newRecording(t, n, req)
				watches.Go(func() {
					if i == 0 {
						defer heard.Store(math.MaxInt64)
					}
					for rec.messages == 0 || rec.snapshot || max(rec.mark, rec.sent) < last {
						m, err := st.Recv()
						if err != nil {
							rec.bad("%v", err)
							return
						}
						rec.take(m)
						if i == 0 {
							heard.Store(max(rec.mark, rec.sent))
						}
					}
					rec.reliable()
					if req.Snapshot || req.From == 1 {
						rec.sameTree(max(rec.mark, rec.sent))
					}
				})
			}
			for n.machine.Rev() < last {
				rev := n.scribble(t, rng, 10)
				// A watch that keeps up is given events by the queue; one that
				// does not, from the window.
				for name == "wide" && heard.Load() < rev {
					time.Sleep(time.Millisecond)
				}
			}
			watches.Wait()
		})
	}
}

// A watch can begin at every rev of the window, and after its end.
func TestWatchResumable(t *testing.T) {
	n := start(t, tiny())
	rng := rand.New(rand.NewPCG(3, 4))
	rev := n.scribble(t, rng, 60)
	for from := int64(1); from <= rev+100; from += 7 {
		req := &doozerpb.WatchRequest{Glob: "/**", From: from}
		d, rec := runDirect(t, n, req), newRecording(t, n, req)
		if from <= rev {
			rec.until(rev, d.next)
		} else {
			rec.take(d.next())
		}
		if rec.start != from-1 {
			t.Errorf("from %d starts after %d", from, rec.start)
		}
	}
}

func TestWatchFuture(t *testing.T) {
	n := start(t, Limits{})
	n.set(t, "/a", "1")
	req := &doozerpb.WatchRequest{Glob: "/*", From: 4}
	d, rec := runDirect(t, n, req), newRecording(t, n, req)
	rec.take(d.next())
	for i := range 5 {
		n.set(t, "/a", fmt.Sprint(i))
	}
	rec.until(6, d.next)
	if len(rec.events) != 3 || rec.events[0].Rev != 4 {
		t.Errorf("got %v", rec.events)
	}
}

// A watcher that takes nothing for long, then everything, misses nothing.
func TestWatchSlow(t *testing.T) {
	n := start(t, tiny())
	rng := rand.New(rand.NewPCG(5, 6))
	req := &doozerpb.WatchRequest{Glob: "/**"}
	d, rec := runDirect(t, n, req), newRecording(t, n, req)
	rec.take(d.next())
	var rev int64
	for range 20 {
		rev = n.scribble(t, rng, 1+rng.IntN(60))
		for range rng.IntN(4) {
			if max(rec.mark, rec.sent) < rev-3 {
				rec.take(d.next())
			}
		}
	}
	rev = n.set(t, "/a/end", "")
	rec.until(rev, d.next)
	if n.machine.hub.metrics.watchLags.Load() == 0 {
		t.Error("no queue has overflowed: this has tested nothing")
	}
}

// A watcher that falls out of the window starts over with a snapshot, again
// and again if it must, and ends with the right tree.
func TestWatchResync(t *testing.T) {
	for _, snapshot := range []bool{false, true} {
		n := start(t, tiny())
		n.configure(t, store.Config{History: 10})
		rng := rand.New(rand.NewPCG(7, 8))
		n.scribble(t, rng, 50)
		req := &doozerpb.WatchRequest{Glob: "/**", Snapshot: snapshot}
		d, rec := runDirect(t, n, req), newRecording(t, n, req)
		rec.take(d.next())
		for range 30 {
			n.scribble(t, rng, 30) // more than the window holds
			rec.take(d.next())
		}
		rev := n.set(t, "/a/end", "")
		rec.until(rev, d.next)
		if rec.resyncs == 0 || n.metrics.resyncs.Load() == 0 {
			t.Fatal("no resync: this has tested nothing")
		}
		rec.sameTree(rev)
	}
}

// A watch from below the window resyncs at once, or says TOO_LATE if it
// does not want to.
func TestWatchBelowTheWindow(t *testing.T) {
	n := start(t, Limits{})
	n.configure(t, store.Config{History: 5})
	for i := range 20 {
		n.set(t, "/a", fmt.Sprint(i))
	}
	req := &doozerpb.WatchRequest{Glob: "/**", From: 15}
	d, rec := runDirect(t, n, req), newRecording(t, n, req)
	rec.until(20, d.next)
	if rec.resyncs != 1 {
		t.Errorf("%d resyncs", rec.resyncs)
	}
	rec.sameTree(20)

	req = &doozerpb.WatchRequest{Glob: "/**", From: 16} // the first in the window
	d, rec = runDirect(t, n, req), newRecording(t, n, req)
	rec.until(20, d.next)
	if rec.resyncs != 0 || len(rec.events) != 5 {
		t.Errorf("%d resyncs, %d events", rec.resyncs, len(rec.events))
	}

	d = runDirect(t, n, &doozerpb.WatchRequest{Glob: "/**", From: 15, NoResync: true})
	d.next()
	if m := d.next(); m != nil {
		t.Fatalf("got %v", m)
	}
	if e := <-d.end; e.GetCode() != doozerpb.Code_TOO_LATE || e.Rev != 15 {
		t.Errorf("ended with %v", e)
	}
}

// A watcher that takes nothing holds a bounded queue, and writes go on.
func TestWatchStalled(t *testing.T) {
	for name, limits := range map[string]Limits{
		"by bytes":  {WatchBytes: 64 << 10, WatchEvents: 1 << 20},
		"by events": {WatchEvents: 50},
		"in all":    {HubBytes: 100 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			n := start(t, limits)
			var all []*direct
			for range 10 {
				d := runDirect(t, n, &doozerpb.WatchRequest{Glob: "/**"})
				d.next()
				all = append(all, d)
			}
			var most int64
			value := strings.Repeat("v", 1000)
			var rev int64
			for range 500 {
				rev = n.set(t, "/a", value)
				most = max(most, n.machine.hub.queued.Load())
			}
			bound := int64(10 * 64 << 10)
			if name == "in all" {
				bound = 100 << 10
			}
			if most == 0 || most > bound {
				t.Errorf("the queues held up to %d bytes, bound %d", most, bound)
			}
			for _, d := range all {
				for m := d.next(); m.Rev < rev; m = d.next() {
				}
			}
			// What the window delivered may be in a queue once more, until its
			// watch looks.
			wait(t, "the queues to be taken", func() bool { return n.machine.hub.queued.Load() == 0 })
		})
	}
}

// Clients that do not read cost a bounded amount of memory, whatever passes
// by, and hold up nobody.
func TestStalledClientsMemory(t *testing.T) {
	n := start(t, Limits{WatchBytes: 64 << 10, MessageBytes: 64 << 10, Window: 64 << 10})
	n.configure(t, store.Config{History: 10})
	value := strings.Repeat("v", 10_000)
	n.set(t, "/a", value)
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC() // the second empties the pools
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	const stalled = 20
	for range stalled {
		conn := n.dial(grpc.WithInitialWindowSize(64<<10), grpc.WithInitialConnWindowSize(64<<10))
		st, err := doozerpb.NewDoozerClient(conn).Watch(background(t), &doozerpb.WatchRequest{Glob: "/**"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := st.Recv(); err != nil {
			t.Fatal(err)
		}
	}
	before := heap()
	for range 2000 {
		n.set(t, "/a", value)
	}
	// What the store keeps for its next checkpoint is not the watchers'.
	if err := n.machine.Checkpoint(Meta{Index: 3000, Term: 1})(); err != nil {
		t.Fatal(err)
	}
	// A queue, a message on its way, what grpc holds of it and the client's
	// window, of 64 KiB each: 5 MiB, and as much again for what holds them; 400 MB
	// have passed by.
	wait(t, "the heap to be within 12 MiB of what it was", func() bool { return heap() <= before+12<<20 })
	if q := n.machine.hub.queued.Load(); q > stalled*64<<10 {
		t.Errorf("%d bytes are queued", q)
	}
}

func TestWatchRefused(t *testing.T) {
	n := start(t, Limits{Watchers: 1})
	ctx := background(t)
	ends := func(req *doozerpb.WatchRequest) doozerpb.Code {
		st, err := n.client.Watch(ctx, req)
		if err == nil {
			_, err = st.Recv()
		}
		code, _ := codeOf(err)
		return code
	}
	d := runDirect(t, n, &doozerpb.WatchRequest{Glob: "/**"})
	d.next()
	for want, req := range map[doozerpb.Code]*doozerpb.WatchRequest{
		doozerpb.Code_OVERLOADED:  {Glob: "/**"},
		doozerpb.Code_BAD_GLOB:    {Glob: "nope"},
		doozerpb.Code_BAD_REQUEST: {Glob: "/**", From: 3, Snapshot: true},
	} {
		if got := ends(req); got != want {
			t.Errorf("%v ended with %v", req, got)
		}
	}
	n.c.set(func(f *fakeConsensus) { f.fail = consensus.ErrDeadline })
	if got := ends(&doozerpb.WatchRequest{Glob: "/**"}); got != doozerpb.Code_NO_QUORUM {
		t.Errorf("without a majority: %v", got)
	}
	if got := ends(&doozerpb.WatchRequest{Glob: "/**", Local: true}); got != doozerpb.Code_OVERLOADED {
		t.Errorf("local: %v", got)
	}
}

func TestWatchEndsWhenTheNodeStops(t *testing.T) {
	n := start(t, Limits{})
	d := runDirect(t, n, &doozerpb.WatchRequest{Glob: "/**"})
	d.next()
	if n.machine.hub.len() != 1 {
		t.Errorf("%d watches", n.machine.hub.len())
	}
	go n.Stop(background(t))
	if e := <-d.end; e.GetCode() != doozerpb.Code_STOPPING {
		t.Errorf("ended with %v", e)
	}
	if n.machine.hub.len() != 0 {
		t.Errorf("%d watches are left", n.machine.hub.len())
	}
}

// An event is marshalled once, however many watch it.
func TestWatchersShareBytes(t *testing.T) {
	n := start(t, Limits{})
	var subs []*subscription
	for range 3 {
		g, _ := store.CompileGlob("/**")
		s := n.machine.hub.subscribe(g)
		defer s.close()
		subs = append(subs, s)
	}
	n.set(t, "/a", "v")
	var first []byte
	for _, s := range subs {
		events, lagging := s.take(nil)
		if lagging || len(events) != 1 {
			t.Fatalf("%d events, lagging %v", len(events), lagging)
		}
		b := events[0].buffer().ReadOnlyData()
		if first == nil {
			first = b
		}
		if &b[0] != &first[0] {
			t.Error("the bytes are not shared")
		}
	}
}

// The checks of recording find what they are for.
func TestRecordingCanaries(t *testing.T) {
	n := start(t, Limits{})
	for range 3 {
		n.set(t, "/a", "v")
	}
	header := &doozerpb.Header{Node: 1}
	ev := func(path string, rev int64) *doozerpb.Event {
		return &doozerpb.Event{Path: path, Value: []byte("v"), Rev: rev, Author: "t", Time: rev}
	}
	msg := func(kind doozerpb.WatchResponse_Kind, rev int64, events ...*doozerpb.Event) *doozerpb.WatchResponse {
		return &doozerpb.WatchResponse{Header: header, Kind: kind, Rev: rev, Events: events}
	}
	const events, progress = doozerpb.WatchResponse_EVENTS, doozerpb.WatchResponse_PROGRESS
	first := msg(progress, 0)
	good := []*doozerpb.WatchResponse{first, msg(events, 2, ev("/a", 1), ev("/a", 2)), msg(events, 3, ev("/a", 3))}
	for name, c := range map[string]struct {
		msgs []*doozerpb.WatchResponse
		fine bool
	}{
		"right":         {good, true},
		"skipped":       {[]*doozerpb.WatchResponse{first, good[1], msg(progress, 3)}, false},
		"twice":         {[]*doozerpb.WatchResponse{first, good[1], good[1], good[2]}, false},
		"out of order":  {[]*doozerpb.WatchResponse{first, msg(events, 1, ev("/a", 2), ev("/a", 1)), good[2]}, false},
		"split":         {append(slices.Clone(good), msg(events, 3, ev("/a", 3))), false},
		"unmatched":     {append(slices.Clone(good), msg(events, 4, ev("/b", 4))), false},
		"progress lies": {[]*doozerpb.WatchResponse{first, msg(progress, 3), good[1], good[2]}, false},
	} {
		probe := &probeTB{TB: t}
		r := newRecording(probe, n, &doozerpb.WatchRequest{Glob: "/a"})
		for _, m := range c.msgs {
			r.take(m)
		}
		r.reliable()
		if probe.failed == c.fine {
			t.Errorf("%s: found wrong: %v", name, probe.failed)
		}
	}
}

// probeTB notes failures instead of failing.
type probeTB struct {
	testing.TB
	failed bool
}

func (p *probeTB) Errorf(string, ...any) { p.failed = true }
