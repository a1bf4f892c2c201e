package sim

import (
	"fmt"
	"slices"
	"testing"
	"testing/cryptotest"
	"time"
)

// scenario is a run without faults but those of a test.
func scenario(t *testing.T, seed uint64, nodes int) *world {
	t.Helper()
	w := newWorld(Config{Seed: seed, Nodes: nodes, For: time.Minute, Random: func(seed uint64) { cryptotest.SetGlobalRandom(t, seed) }})
	w.set.faultKind, w.set.opEvery, w.set.clients = nil, 100*time.Millisecond, nodes
	w.begin()
	w.pass(t, 5*time.Second)
	return w
}

// pass lets time pass and returns how many entries were committed in it.
func (w *world) pass(t *testing.T, d time.Duration) int {
	t.Helper()
	before := w.result.Entries
	w.runUntil(w.now+int64(d), nil)
	if w.violation != nil {
		t.Fatalf("seed %d: %v", w.cfg.Seed, w.violation)
	}
	return w.result.Entries - before
}

func (w *world) leader() *node {
	var leader *node
	var highest uint64
	for _, n := range w.nodes {
		if term, ok := n.step.Leads(); ok && term > highest {
			leader, highest = n, term
		}
	}
	return leader
}

// TestStalledDiskOfTheLeader: the others go on without it.
func TestStalledDiskOfTheLeader(t *testing.T) {
	for seed := range seeds(t, 10, 1) {
		w := scenario(t, seed+1, 3+2*int(seed%2))
		d := w.leader().disk
		d.stall, d.stallUntil = 20*time.Second, w.now+int64(time.Second)
		w.pass(t, 3*time.Second)
		if n := w.pass(t, 10*time.Second); n < 20 {
			t.Errorf("seed %d: %d entries in 10 s while the disk of one node stalls", seed+1, n)
		}
		w.heal()
		if w.violation != nil {
			t.Errorf("seed %d: %v", seed+1, w.violation)
		}
	}
}

// TestPartialTopologies cuts links in one direction or both. Where some node
// has a majority, itself counted, that it reaches and that reaches it, writes
// must go on, under leaders that stay. It may be that each such node lacks an
// entry which one of the majority has, as that was sent just before the cut: then
// none of them can win, and raft promises nothing.
func TestPartialTopologies(t *testing.T) {
	var cases [][]bool // of each directed link, whether it is cut
	for bits := range 1 << 6 {
		cuts := make([]bool, 6)
		for i := range cuts {
			cuts[i] = bits>>i&1 == 1
		}
		cases = append(cases, cuts)
	}
	tested := 0
	for i := range seeds(t, len(cases), 2) {
		w := scenario(t, i+1, 3)
		if w.topology(cases[i]) {
			tested += w.checkProgress(t, fmt.Sprint("3 nodes, cuts ", i))
		}
	}
	for i := range seeds(t, 20, 1) {
		w := scenario(t, i+100, 5)
		cuts := make([]bool, 20)
		p := w.rng.Float64()
		for j := range cuts {
			cuts[j] = w.chance(p)
		}
		if w.topology(cuts) {
			tested += w.checkProgress(t, fmt.Sprint("5 nodes, seed ", i+100))
		}
	}
	t.Logf("%d topologies with a majority", tested)
}

// topology cuts links; false when no node has a majority left.
func (w *world) topology(cuts []bool) bool {
	i := 0
	for _, a := range w.nodes {
		for _, b := range w.nodes {
			if a != b {
				w.net.setCut(a.id, b.id, cuts[i])
				i++
			}
		}
	}
	return w.majority(func(_, _ *node) bool { return true })
}

// majority tells whether some node reaches a majority for which ok holds.
func (w *world) majority(ok func(a, b *node) bool) bool {
	return slices.ContainsFunc(w.nodes, func(a *node) bool {
		reached := 0
		for _, b := range w.nodes {
			if a == b || w.net.open(a.id, b.id) && ok(a, b) {
				reached++
			}
		}
		return 2*reached > len(w.nodes)
	})
}

// electable tells whether some node can win the votes of a majority.
func (w *world) electable(t *testing.T) bool {
	t.Helper()
	last := func(n *node) (term, index uint64) {
		index, err := n.log.LastIndex()
		if err == nil {
			term, err = n.log.Term(index)
		}
		if err != nil {
			t.Fatal(err)
		}
		return term, index
	}
	return w.majority(func(a, b *node) bool {
		at, ai := last(a)
		bt, bi := last(b)
		return at > bt || at == bt && ai >= bi
	})
}

// checkProgress returns 1, or 0 if there need not be any.
func (w *world) checkProgress(t *testing.T, what string) int {
	t.Helper()
	w.pass(t, 10*time.Second)
	leaders := w.result.Leaders
	entries := w.pass(t, 20*time.Second)
	if entries == 0 && !w.electable(t) {
		t.Logf("%s: nobody can win the votes of a majority", what)
		return 0
	}
	if leaders = w.result.Leaders - leaders; entries < 20 || leaders > 2 {
		t.Errorf("%s: %d entries in 20 s under %d new leaders; cut: %v", what, entries, leaders, w.net.cut)
	}
	return 1
}

// TestReceiverOfASnapshotDies: it takes no more of it, and is killed. The
// leader is told, and sends another to the process that follows.
func TestReceiverOfASnapshotDies(t *testing.T) {
	w := scenario(t, 1, 3)
	l := w.leader()
	f := w.nodes[l.id%3]
	f.kill(false)
	w.pass(t, 20*time.Second)
	f.start()
	sending := func() bool { return w.net.conn[l.id][f.id].snap != nil }
	for range 10_000 {
		if sending() {
			break
		}
		w.pass(t, time.Millisecond)
	}
	if !sending() {
		t.Fatal("no snapshot is sent: the test tests nothing")
	}
	f.pausedUntil = w.now + int64(time.Hour)
	w.pass(t, time.Second)
	f.kill(false)
	f.start()
	installed := w.result.Snapshots
	w.heal()
	if w.violation != nil {
		t.Error(w.violation)
	}
	if w.result.Snapshots == installed {
		t.Error("no snapshot was installed")
	}
}

// TestStalledDiskBesideAnOldLeader: a follower cut off with a leader stores what
// that one sends late, together with what others have committed in its place.
func TestStalledDiskBesideAnOldLeader(t *testing.T) {
	for seed := range seeds(t, 6, 1) {
		seed += 5
		w := scenario(t, seed, 5)
		old := w.leader()
		f := w.nodes[old.id%5]
		f.disk.stall, f.disk.stallUntil = 20*time.Second, w.now+int64(time.Second)
		for _, n := range w.nodes {
			if n != old && n != f {
				for _, m := range []*node{old, f} {
					w.net.setCut(n.id, m.id, true)
					w.net.setCut(m.id, n.id, true)
				}
			}
		}
		if n := w.pass(t, 5*time.Second); n == 0 {
			t.Fatalf("seed %d: the others have committed nothing", seed)
		}
		w.net.heal()
		w.pass(t, 30*time.Second)
		w.heal()
		if w.violation != nil {
			t.Errorf("seed %d: %v", seed, w.violation)
		}
	}
}
