package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	doozerpb "github.com/doozer-store/doozer/proto"
	"github.com/doozer-store/doozer/store"
	"go.etcd.io/raft/v3/raftpb"
)

func setCmd(path, value string) []byte {
	c := store.Command{Kind: store.Write, Author: "t", Ops: []store.Op{{Path: path, Value: []byte(value)}}}
	return c.Append(nil)
}

// applyAll applies one entry and returns the results.
func applyAll(t testing.TB, m *Machine, index uint64, commands ...[]byte) []any {
	t.Helper()
	results := make([]any, len(commands))
	m.Apply(index, int64(index), commands, results)
	return results
}

// digest is what a Machine's state looks like.
func digest(m *Machine) string {
	s := ""
	m.View(func(st *store.Store) {
		s = fmt.Sprint(st.Rev(), st.Oldest(), st.Hash(), st.Files(), st.Clients())
		st.Snapshot(func(k, v []byte) error { s += fmt.Sprintf("\n%q=%x", k, v); return nil })
	})
	return s
}

func TestMachineReloads(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	db, m := openMachine(t, path, Limits{})
	register := store.Command{Kind: store.Register}
	configure := store.Command{Kind: store.Configure, Config: &store.Config{ClusterID: [16]byte{9}, Epoch: 4}}
	applyAll(t, m, 1, register.Append(nil), configure.Append(nil))
	for i := range 50 {
		applyAll(t, m, uint64(i+2), setCmd(fmt.Sprintf("/a/%d", i%7), fmt.Sprint(i)))
		if i%10 == 9 {
			if err := m.Checkpoint(Meta{Index: uint64(i + 2), Term: 2})(); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := digest(m)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db, m = openMachine(t, path, Limits{})
	defer db.Close()
	if got := digest(m); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if c := m.cluster.Load(); c.epoch != 4 || len(c.id) != 16 || m.Rev() != 50 || m.hub.rev.Load() != 50 {
		t.Errorf("epoch %d, id %x, rev %d", c.epoch, c.id, m.Rev())
	}
}

// What a failed checkpoint took is in the next one.
func TestCheckpointFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	db, m := openMachine(t, path, Limits{})
	applyAll(t, m, 1, setCmd("/a", "1"))
	good := m.Checkpoint(Meta{Index: 1, Term: 1})
	if err := good(); err != nil {
		t.Fatal(err)
	}
	applyAll(t, m, 2, setCmd("/a", "2"))
	// An index that goes back is refused by the database.
	if err := m.Checkpoint(Meta{Index: 0, Term: 1})(); err == nil {
		t.Fatal("the checkpoint did not fail")
	}
	applyAll(t, m, 3, setCmd("/b", "3"))
	if err := m.Checkpoint(Meta{Index: 3, Term: 1})(); err != nil {
		t.Fatal(err)
	}
	want := digest(m)
	db.Close()
	db, m = openMachine(t, path, Limits{})
	defer db.Close()
	if got := digest(m); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func TestSnapshotBetweenMachines(t *testing.T) {
	dir := t.TempDir()
	db, m := openMachine(t, filepath.Join(dir, "a.db"), Limits{})
	defer db.Close()
	meta := Meta{Index: 100, Term: 3, ConfState: &raftpb.ConfState{Voters: []uint64{1, 2}}}
	for i := uint64(1); i <= 100; i++ {
		applyAll(t, m, i, setCmd(fmt.Sprintf("/%d", i%9), fmt.Sprint(i)))
	}
	if err := m.Checkpoint(meta)(); err != nil {
		t.Fatal(err)
	}
	applyAll(t, m, 101, setCmd("/later", ""))
	stream := snapshotOf(t, m)

	other := filepath.Join(dir, "b.db")
	db2, m2 := openMachine(t, other, Limits{})
	applyAll(t, m2, 1, setCmd("/old", "x"))
	for cut := 1; cut < len(stream); cut += 997 {
		if _, _, err := m2.StageSnapshot(meta, bytes.NewReader(stream[:cut])); err == nil {
			t.Fatalf("%d of %d bytes were staged", cut, len(stream))
		}
	}
	if _, _, err := m2.StageSnapshot(Meta{Index: 99, Term: 3}, bytes.NewReader(stream)); err == nil {
		t.Fatal("a stream of another index was staged")
	}
	_, discard, err := m2.StageSnapshot(meta, bytes.NewReader(stream))
	if err != nil {
		t.Fatal(err)
	}
	discard()
	install, _, err := m2.StageSnapshot(meta, bytes.NewReader(stream))
	if err != nil {
		t.Fatal(err)
	}
	if m2.Rev() != 1 {
		t.Errorf("rev %d before the install", m2.Rev())
	}
	late := m2.Checkpoint(Meta{Index: 1, Term: 1})
	if err := install(); err != nil {
		t.Fatal(err)
	}
	if err := late(); err != nil {
		t.Errorf("a checkpoint that a snapshot overtook: %v", err)
	}
	applyAll(t, m2, 101, setCmd("/later", ""))
	if a, b := digest(m), digest(m2); a != b {
		t.Errorf("they differ: %s\n%s", a, b)
	}
	if err := m2.Checkpoint(Meta{Index: 101, Term: 3})(); err != nil {
		t.Fatal(err)
	}
	want := digest(m2)
	db2.Close()
	db2, m2 = openMachine(t, other, Limits{})
	defer db2.Close()
	if got := digest(m2); got != want {
		t.Errorf("after a restart: %s\nwant %s", got, want)
	}
}

// snapshotOf returns the bytes of m's snapshot.
func snapshotOf(t testing.TB, m *Machine) []byte {
	t.Helper()
	_, r, err := m.OpenSnapshot()
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatal(err)
	}
	return b
}

// install replaces n's state by a snapshot of source, to which nothing is proposed at
// this moment.
func (n *node) install(t *testing.T, source *node) {
	t.Helper()
	source.c.mu.Lock()
	meta := Meta{Index: source.c.index, Term: 1}
	source.c.mu.Unlock()
	if err := source.machine.Checkpoint(meta)(); err != nil {
		t.Fatal(err)
	}
	install, _, err := n.machine.StageSnapshot(meta, bytes.NewReader(snapshotOf(t, source.machine)))
	if err != nil {
		t.Fatal(err)
	}
	if err := install(); err != nil {
		t.Fatal(err)
	}
}

// Snapshots are installed while watchers of all kinds run: none goes back in
// time, none misses a change, and all end with the right tree.
func TestWatchAcrossInstalls(t *testing.T) {
	limits := tiny()
	source := start(t, limits)
	n := start(t, limits)
	rng := rand.New(rand.NewPCG(9, 10))
	var watches sync.WaitGroup
	const rounds = 30
	var rev int64 // of the last install, once final is closed
	final := make(chan struct{})
	for _, req := range []*doozerpb.WatchRequest{
		{Glob: "/**"}, {Glob: "/a/*", From: 1}, {Glob: "/**", Snapshot: true}, {Glob: "/b/*", Snapshot: true},
	} {
		req.ProgressMs = 1
		d, rec := runDirect(t, n, req), newRecording(t, n, req)
		rec.take(d.next())
		watches.Go(func() {
			end := int64(1 << 62)
			for rec.snapshot || max(rec.mark, rec.sent) < end {
				m := d.next()
				if m == nil {
					rec.bad("it ended")
					return
				}
				rec.take(m)
				select {
				case <-final:
					end = rev
				default:
				}
			}
			rec.reliable()
			if req.Snapshot || req.From == 1 || rec.resyncs > 0 {
				rec.sameTree(end)
			}
		})
	}
	for round := range rounds {
		if round == rounds/2 {
			source.configure(t, store.Config{History: 12})
		}
		rev = source.scribble(t, rng, 3+rng.IntN(20))
		n.install(t, source)
	}
	if n.machine.Rev() != rev {
		t.Fatalf("rev %d, want %d", n.machine.Rev(), rev)
	}
	close(final)
	watches.Wait()
}

func TestHashRing(t *testing.T) {
	type told struct {
		index uint64
		rev   int64
		hash  uint64
	}
	// Two replicas see the same commands; the entries between are nobody's.
	run := func(from uint64, m *Machine) {
		for i := from; i <= 40; i++ {
			if i%3 != 0 || i == 30 { // every third entry is not a command's
				applyAll(t, m, i, setCmd("/a", fmt.Sprint(i)))
			}
		}
	}
	open := func(name string, tell *[]told) *Machine {
		db, m := openMachineWith(t, filepath.Join(t.TempDir(), name), MachineConfig{
			Limits: Limits{HashEvery: 6, HashRing: 4},
			OnHash: func(i uint64, r int64, h uint64) { *tell = append(*tell, told{i, r, h}) },
		})
		t.Cleanup(func() { db.Close() })
		return m
	}
	var ta, tb []told
	a, b := open("a", &ta), open("b", &tb)
	run(1, a)
	for i := uint64(1); i <= 20; i++ {
		if i%3 != 0 {
			applyAll(t, b, i, setCmd("/a", fmt.Sprint(i)))
		}
	}
	run(21, b)
	if fmt.Sprint(ta) != fmt.Sprint(tb) || len(ta) != 6 {
		t.Errorf("a told %v, b %v", ta, tb)
	}
	for _, x := range ta {
		rev, hash, ok := a.HashAt(x.index)
		if wantOK := x.index > 36-4*6; ok != wantOK || ok && (rev != x.rev || hash != x.hash) {
			t.Errorf("at %d: %d %x %v, told %v", x.index, rev, hash, ok, x)
		}
	}
	for _, i := range []uint64{0, 5, 42, 600} {
		if _, _, ok := a.HashAt(i); ok {
			t.Errorf("a hash at %d", i)
		}
	}
}

func TestRevWaiters(t *testing.T) {
	var now int64
	w := &revWaiters{limit: 3}
	got := map[int64]error{}
	wait := func(rev int64) func() bool {
		return w.wait(rev, time.Hour, func() int64 { return now }, func(err error) { got[rev] = err })
	}
	wait(5)
	cancel := wait(3)
	wait(9)
	wait(4)
	if !errors.Is(got[4], errRevWaitFull) {
		t.Errorf("the fourth: %v", got[4])
	}
	if !cancel() || cancel() || w.len() != 2 {
		t.Errorf("cancel: %d are left", w.len())
	}
	now = 5
	w.advance(5)
	if err, ok := got[5]; !ok || err != nil || len(got) != 2 {
		t.Errorf("got %v", got)
	}
	wait(2)
	if err, ok := got[2]; !ok || err != nil {
		t.Errorf("a rev that exists: %v %v", ok, err)
	}
	w.advance(100)
	if w.len() != 0 || w.next.Load() != 0 {
		t.Errorf("%d are left", w.len())
	}
	timeout := make(chan error, 1)
	w.wait(200, time.Millisecond, func() int64 { return 0 }, func(err error) { timeout <- err })
	if err := <-timeout; !errors.Is(err, errRevWait) {
		t.Errorf("got %v", err)
	}
}
