package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/drill/check"
	"github.com/doozer-store/doozer/drill/cluster"
)

// storm is writers that set and delete files /s/<0..99>/<0..9>, alone and in
// transactions, until so many calls succeeded.
type storm struct {
	writers sync.WaitGroup
	left    atomic.Int64
	done    atomic.Int64
	failed  atomic.Pointer[error]
}

func startStorm(r *rand.Rand, cs []*client.Client, writers int, changes int64) *storm {
	s := &storm{}
	s.left.Store(changes)
	for i := range writers {
		seed := r.Int63()
		s.writers.Go(func() { s.write(i, cs[i%len(cs)], rand.New(rand.NewSource(seed))) })
	}
	return s
}

func (s *storm) write(id int, cl *client.Client, r *rand.Rand) {
	path := func() string { return fmt.Sprintf("/s/%d/%d", r.Intn(100), r.Intn(10)) }
	for n := 0; s.left.Add(-1) >= 0; n++ {
		ctx, cancel := context.WithTimeout(context.Background(), cluster.RecoverLimit)
		value := fmt.Appendf(nil, "%d.%d", id, n)
		var err error
		switch r.Intn(10) {
		case 0:
			_, err = cl.Del(ctx, path())
		case 1:
			dir := r.Intn(100)
			_, err = cl.Txn(ctx, client.Txn{Do: []client.Op{
				client.SetOp(fmt.Sprintf("/s/%d/0", dir), value),
				client.SetOp(fmt.Sprintf("/s/%d/1", dir), value),
				client.SetOp(fmt.Sprintf("/s/%d/2", (dir+1)%100), value),
			}})
		default:
			_, err = cl.Set(ctx, path(), value)
		}
		cancel()
		if err != nil && !errors.Is(err, client.ErrNotExist) {
			s.failed.Store(&err)
			return
		}
		s.done.Add(1)
	}
}

// await waits until so many calls are done.
func (s *storm) await(t *testing.T, n int64) {
	t.Helper()
	cluster.Eventually(t, 10*time.Minute, fmt.Sprintf("%d writes", n), func() (bool, string) {
		if err := s.failed.Load(); err != nil {
			t.Fatalf("a writer failed: %v", *err)
		}
		return s.done.Load() >= n, fmt.Sprint(s.done.Load())
	})
}

// stormGlobs are a hundred different ones, from one file to everything.
func stormGlobs() []string {
	globs := []string{"/**", "/s/**", "/s/?/**", "/s/??/?", "/s/1*/**", "/s/*/5", "/**/7", "/s/*1/*", "/s/9?/0", "/ctl/**"}
	for i := range 60 {
		globs = append(globs, fmt.Sprintf("/s/%d/*", i))
	}
	for i := range 30 {
		globs = append(globs, fmt.Sprintf("/s/%d/%d", 60+i, i%10))
	}
	return globs
}

func TestWatchStorm(t *testing.T) {
	r := cluster.Rand(t)
	c := start(t, cluster.Options{History: history})
	cs := clients(c, 10)
	changes := int64(cluster.Scale(10_000, 100_000))
	var ws []*watcher
	for i, glob := range stormGlobs() {
		ws = append(ws, watch(t, cs[i%len(cs)], glob, client.From(1)))
	}
	start := time.Now()
	s := startStorm(r, cs, 64, changes)
	snap := watch(t, cs[0], "/s/*/3", client.Snapshot())
	for i := range int64(3) {
		s.await(t, changes*(i+1)/4)
		leader := c.Leader()
		leader.Kill()
		s.await(t, changes*(i+1)/4+changes/20)
		leader.Restart()
	}
	s.await(t, changes)
	s.writers.Wait()
	took := time.Since(start)
	log := c.Log(cs[0])
	t.Logf("%d changes in %v (with three leader kills), %d events", changes, took.Round(time.Millisecond), len(log))
	for _, w := range ws {
		w.verdict(t, log, 1)
	}
	snapshotVerdict(t, snap, log)
	resume(t, r, cs, log)
}

// snapshotVerdict checks a watch that began with a snapshot in the middle.
func snapshotVerdict(t *testing.T, w *watcher, log []check.Event) {
	t.Helper()
	to := log[len(log)-1].Rev
	var at int64
	cluster.Eventually(t, cluster.ReadLimit, "the snapshot is complete", func() (bool, string) {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, it := range w.items {
			if it.Kind == check.Mark {
				at = it.Rev
				return true, ""
			}
		}
		return false, fmt.Sprintf("%d items, %v", len(w.items), w.err)
	})
	w.await(t, log, at+1, to)
	if err := check.SnapshotWatch(check.Stream{Glob: w.glob, To: to, Items: w.stop()}, at, log); err != nil {
		t.Errorf("watch %s with a snapshot at %d:\n%v", w.glob, at, err)
	}
}

// resume starts watches from revs all over the window, its edges, and beyond
// its end.
func resume(t *testing.T, r *rand.Rand, cs []*client.Client, log []check.Event) {
	t.Helper()
	end := log[len(log)-1].Rev
	froms := []int64{1, 2, end - 100, end - 1, end}
	for range cluster.Scale(20, 100) {
		froms = append(froms, 1+r.Int63n(end))
	}
	globs := stormGlobs()
	for i, from := range froms {
		watch(t, cs[i%len(cs)], globs[i%len(globs)], client.From(from)).verdict(t, log, from)
	}
	ahead := watch(t, cs[0], "/s/**", client.From(end+100))
	for i := range 150 {
		mustSet(t, cs[1], "/s/0/0", fmt.Sprint("ahead ", i))
	}
	var more []check.Event
	for i := range int64(150) {
		more = append(more, check.Event{Path: "/s/0/0", Value: fmt.Sprint("ahead ", i), Rev: end + 1 + i})
	}
	ahead.verdict(t, append(log, more...), end+100)
}

// TestWatchResync leaves a watcher unread until it has fallen out of a small
// window: what it is given then must amount to the tree.
func TestWatchResync(t *testing.T) {
	r := cluster.Rand(t)
	c := start(t, cluster.Options{History: 100})
	cl := c.Client()
	const files = 50
	path := func(i int) string { return fmt.Sprintf("/f/%d", i) }
	for i := range files {
		mustSet(t, cl, path(i), "first")
	}
	w := cl.Watcher("/f/*", client.Snapshot())
	defer w.Close()
	tree := map[string]check.Event{}
	step := func(e client.Event) {
		if e.Del {
			delete(tree, e.Path)
		} else {
			tree[e.Path] = cluster.EventOf(e)
		}
	}
	for range files {
		e, err := w.Next(within(t, cluster.RecoverLimit))
		if err != nil {
			t.Fatal(err)
		}
		step(e)
	}
	changes := 0
	big := string(make([]byte, 16<<10))
	for i := range 3000 {
		if i%3 < 2 {
			mustSet(t, cl, path(r.Intn(files)), fmt.Sprint(i, big))
			changes++
		} else if _, err := cl.Del(within(t, cluster.RecoverLimit), path(r.Intn(files))); err == nil {
			changes++
		} else if !errors.Is(err, client.ErrNotExist) {
			t.Fatal(err)
		}
	}
	last := mustSet(t, cl, "/f/last", "last")
	given := 0
	for more := true; more || tree["/f/last"].Rev != last; given++ {
		e, err := w.Next(within(t, cluster.RecoverLimit))
		if err != nil {
			t.Fatalf("after %d events: %v", given, err)
		}
		step(e)
		more = e.More
	}
	t.Logf("%d changes reached the watcher as %d events", changes, given)
	if given >= changes/2 {
		t.Errorf("the watcher never fell out of the window: %d events", given)
	}
	want := c.Tree(cl, "/f/*")
	for p, e := range want {
		if tree[p] != e {
			t.Errorf("%s: the watcher has %v, the store %v", p, tree[p], e)
		}
	}
	for p := range tree {
		if _, ok := want[p]; !ok {
			t.Errorf("the watcher has %s, the store does not", p)
		}
	}
}
