package server

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	doozerpb "github.com/doozer-store/doozer/proto"
)

// long is a wait that only an answer ends.
const long = uint32(5 * time.Minute / time.Millisecond)

func awaitReq(tag uint64, m *doozerpb.AwaitRequest) *doozerpb.Request {
	return &doozerpb.Request{Tag: tag, TimeoutMs: long, Op: &doozerpb.Request_Await{Await: m}}
}

func exists(path string) *doozerpb.Condition {
	return &doozerpb.Condition{Path: path, If: &doozerpb.If{Kind: doozerpb.If_UNCHANGED, Rev: math.MaxInt64}}
}

// waiting returns when n awaiters and watchers wait at the node.
func waiting(t testing.TB, n *node, want int) {
	t.Helper()
	for deadline := time.Now().Add(patience); n.machine.hub.len() != want; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d wait, want %d", n.machine.hub.len(), want)
		}
	}
}

// A line of three: the second is told of its turn, and the third only of that
// when it is its own.
func TestAwaitLine(t *testing.T) {
	n := start(t, Limits{})
	d := openDo(t, n)
	first, second := n.set(t, "/l/c", ""), n.set(t, "/l/b", "")
	third := n.set(t, "/l/a", "")
	d.send(
		awaitReq(2, &doozerpb.AwaitRequest{Glob: "/l/*", Before: second, Conditions: []*doozerpb.Condition{exists("/l/b")}, WaitMs: long}),
		awaitReq(3, &doozerpb.AwaitRequest{Glob: "/l/*", Before: third, Conditions: []*doozerpb.Condition{exists("/l/a")}, WaitMs: long}),
		awaitReq(4, &doozerpb.AwaitRequest{Glob: "/l/*", Before: first, WaitMs: long}),
	)
	if r := d.recv(1)[0]; r.Tag != 4 || r.GetAwait() == nil || r.GetAwait().Waited || r.GetAwait().Newest != nil {
		t.Fatalf("with nobody ahead: %v", r)
	}
	waiting(t, n, 2)
	n.set(t, "/l/new", "later ones do not count")
	rev := n.del(t, "/l/c")
	if r := d.recv(1)[0]; r.Tag != 2 || r.GetAwait().GetRev() < rev || !r.GetAwait().Waited || r.GetAwait().Newest != nil {
		t.Fatalf("the second got %v", r)
	}
	if r := d.do(getReq(9, "/l/b"))[0]; r.Tag != 9 {
		t.Fatalf("the third got %v", r)
	}
	n.del(t, "/l/b")
	if r := d.recv(1)[0]; r.Tag != 3 || r.GetAwait() == nil {
		t.Fatalf("the third got %v", r)
	}
	waiting(t, n, 0)
}

// What else ends a wait.
func TestAwaitEnds(t *testing.T) {
	n := start(t, Limits{})
	d := openDo(t, n)
	n.set(t, "/l/a", "")
	n.set(t, "/l/b", "")
	own, session := n.set(t, "/l/c", ""), n.set(t, "/s", "")
	ask := func(known string, wait uint32) {
		t.Helper()
		d.send(awaitReq(1, &doozerpb.AwaitRequest{Glob: "/l/*", Before: own, Known: known, WaitMs: wait,
			Conditions: []*doozerpb.Condition{exists("/l/c"), exists("/s")}}))
	}
	answer := func() *doozerpb.Response {
		t.Helper()
		return d.recv(1)[0]
	}
	for _, wait := range []uint32{0, 1} {
		ask("", wait)
		if r := answer().GetAwait(); r.GetNewest().GetPath() != "/l/b" || r.Older != 2 || r.Rev < session || r.Waited != (wait > 0) {
			t.Errorf("when the time is over: %v", r)
		}
	}
	ask("/l/a", long)
	if r := answer().GetAwait(); r.GetNewest().GetPath() != "/l/b" || r.Waited {
		t.Errorf("another is the newest: %v", r)
	}
	ask("/l/b", long)
	waiting(t, n, 1)
	n.del(t, "/l/b")
	if r := answer().GetAwait(); r.GetNewest().GetPath() != "/l/a" || !r.Waited {
		t.Errorf("the newest went: %v", r)
	}
	// One that is written anew is no longer older.
	ask("", long)
	waiting(t, n, 1)
	n.set(t, "/l/a", "")
	if r := answer().GetAwait(); r == nil || r.Newest != nil {
		t.Errorf("the last was written anew: %v", r)
	}
	own = n.set(t, "/l/c", "")
	ask("", long)
	waiting(t, n, 1)
	n.set(t, "/s", "a beat")
	n.del(t, "/s")
	if e := answer().GetError(); e.GetCode() != doozerpb.Code_REV_MISMATCH || e.GetIndex() != 1 || e.GetPath() != "/s" {
		t.Errorf("a condition failed: %v", e)
	}
	n.set(t, "/s", "")
	ask("", long)
	waiting(t, n, 1)
	n.machine.SetQuarantine("x")
	if e := answer().GetError(); e.GetCode() != doozerpb.Code_QUARANTINED {
		t.Errorf("quarantine: %v", e)
	}
}

// A rev that the node does not have yet is waited for, and a node that stops says
// so to those who wait. One whose caller goes waits no more.
func TestAwaitNode(t *testing.T) {
	n := start(t, Limits{Watchers: 2})
	d := openDo(t, n)
	rev := n.set(t, "/l/a", "")
	d.send(awaitReq(1, &doozerpb.AwaitRequest{Glob: "/x/*", Before: rev + 1, WaitMs: long}))
	n.set(t, "/y", "")
	if r := d.recv(1)[0].GetAwait(); r == nil || r.Rev < rev+1 || r.Newest != nil {
		t.Errorf("a rev that came: %v", r)
	}
	ctx, cancel := context.WithCancel(background(t))
	gone := make(chan error, 1)
	go func() {
		_, err := n.client.Await(ctx, &doozerpb.AwaitRequest{Glob: "/l/*", Before: rev + 1, WaitMs: long})
		gone <- err
	}()
	waiting(t, n, 1)
	cancel()
	<-gone
	waiting(t, n, 0)
	for tag := range uint64(2) {
		d.send(awaitReq(tag, &doozerpb.AwaitRequest{Glob: "/l/*", Before: rev + 1, WaitMs: long}))
	}
	waiting(t, n, 2)
	if r := d.do(awaitReq(7, &doozerpb.AwaitRequest{Glob: "/l/*", Before: rev + 1, WaitMs: long}))[0]; r.Tag != 7 || r.GetError().GetCode() != doozerpb.Code_OVERLOADED {
		t.Errorf("one too many: %v", r)
	}
	go n.Stop(background(t))
	for _, r := range d.recv(2) {
		if r.GetError().GetCode() != doozerpb.Code_STOPPING {
			t.Errorf("stopping: %v", r)
		}
	}
	if err := d.stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
}

// Awaiters against a dumb twin, who reads the whole tree after every write: every
// one is answered at a rev at which the twin says so, and none is left waiting
// for what is so.
func TestAwaitTwin(t *testing.T) {
	n := start(t, Limits{Visits: 3})
	d := openDo(t, n)
	rng := rand.New(rand.NewPCG(5, 6))
	type ask struct {
		before int64
		known  string
	}
	paths := make([]string, 8)
	for i := range paths {
		paths[i] = fmt.Sprintf("/l/%d", i)
	}
	history := []map[string]int64{{}} // by rev: the revs of the files
	present := func() map[string]int64 { return history[len(history)-1] }
	newest := func(files map[string]int64, before int64) (path string) {
		for p, rev := range files {
			if rev < before && (path == "" || rev > files[path]) {
				path = p
			}
		}
		return path
	}
	out := map[uint64]ask{}
	due := func(files map[string]int64, a ask) bool {
		at := newest(files, a.before)
		return at == "" || a.known != "" && at != a.known
	}
	for tag := uint64(1); tag < 1500; tag++ {
		p := paths[rng.IntN(len(paths))]
		next := map[string]int64{}
		for k, v := range present() {
			next[k] = v
		}
		if _, ok := next[p]; ok && rng.IntN(3) > 0 {
			n.del(t, p)
			delete(next, p)
		} else {
			next[p] = n.set(t, p, "")
		}
		history = append(history, next)
		if rng.IntN(2) == 0 {
			a := ask{before: max(1, n.machine.Rev()-rng.Int64N(6))}
			if rng.IntN(2) == 0 {
				a.known = newest(present(), a.before)
			}
			out[tag] = a
			d.send(awaitReq(tag, &doozerpb.AwaitRequest{Glob: "/l/*", Before: a.before, Known: a.known, WaitMs: long}))
		}
		left := 0
		for _, a := range out {
			if !due(present(), a) {
				left++
			}
		}
		for _, r := range d.recv(len(out) - left) {
			a, ok := out[r.Tag]
			got := r.GetAwait()
			if !ok || got == nil || got.Rev < a.before || got.Rev >= int64(len(history)) {
				t.Fatalf("%+v was answered %v", a, r)
			}
			if at := newest(history[got.Rev], a.before); at != got.GetNewest().GetPath() || !due(history[got.Rev], a) {
				t.Fatalf("%+v was answered %v, and at that rev it is %q", a, r, at)
			}
			delete(out, r.Tag)
		}
	}
}

// A wait outlives the state that a snapshot replaces: what it waits for may have
// come by the changes that nobody saw.
func TestAwaitAcrossInstall(t *testing.T) {
	source, n := start(t, Limits{}), start(t, Limits{})
	var rev int64
	for _, of := range []*node{source, n} {
		rev = of.set(t, "/l/a", "")
	}
	d := openDo(t, n)
	d.send(awaitReq(1, &doozerpb.AwaitRequest{Glob: "/l/*", Before: rev + 1, WaitMs: long}))
	d.do(getReq(2, "/l/a"))
	n.set(t, "/x", "")
	waiting(t, n, 1)
	source.set(t, "/x", "")
	gone := source.del(t, "/l/a")
	n.install(t, source)
	if r := d.recv(1)[0].GetAwait(); r == nil || r.Rev < gone || r.Newest != nil {
		t.Errorf("got %v", r)
	}
}
