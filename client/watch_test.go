package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	doozerpb "github.com/doozer-store/doozer/proto"
)

// checker validates a stream of events against the store's log: filtered,
// ordered, unique, atomic, reliable and bookmarked.
type checker struct {
	glob string
	from int64 // the first rev that has to be there
	got  []Event
	mark int64
}

func (k *checker) add(ev Event) error {
	n := len(k.got)
	switch {
	case !fakeMatch(k.glob, ev.Path):
		return fmt.Errorf("%s does not match %s", ev.Path, k.glob)
	case ev.Rev <= k.mark:
		return fmt.Errorf("rev %d after the mark %d", ev.Rev, k.mark)
	case n > 0 && ev.Rev < k.got[n-1].Rev:
		return fmt.Errorf("rev %d after rev %d", ev.Rev, k.got[n-1].Rev)
	case n > 0 && k.got[n-1].More != (ev.Rev == k.got[n-1].Rev):
		return fmt.Errorf("rev %d ends with %+v", k.got[n-1].Rev, k.got[n-1])
	}
	k.got = append(k.got, ev)
	return nil
}

// complete compares what was received with the log up to rev.
func (k *checker) complete(log []*doozerpb.Event, rev int64) error {
	i := 0
	for _, want := range log {
		if want.GetRev() < k.from || want.GetRev() > rev || !fakeMatch(k.glob, want.GetPath()) {
			continue
		}
		if i >= len(k.got) {
			return fmt.Errorf("%s at rev %d is missing at the end", want.GetPath(), want.GetRev())
		}
		got := k.got[i]
		if got.Path != want.GetPath() || got.Rev != want.GetRev() || string(got.Value) != string(want.GetValue()) ||
			got.Del != (want.GetKind() == doozerpb.Event_DEL) {
			return fmt.Errorf("event %d is %s at rev %d, want %s at rev %d", i, got.Path, got.Rev, want.GetPath(), want.GetRev())
		}
		i++
	}
	if i != len(k.got) {
		return fmt.Errorf("%d events, the log has %d", len(k.got), i)
	}
	return nil
}

// TestCheckerCatches is the checker's canary.
func TestCheckerCatches(t *testing.T) {
	at := func(path string, rev int64, more bool) Event {
		return Event{File: File{Path: path, Rev: rev}, More: more}
	}
	log := []*doozerpb.Event{{Path: "/a", Rev: 1}, {Path: "/b", Rev: 1}, {Path: "/a", Rev: 2}}
	good := []Event{at("/a", 1, true), at("/b", 1, false), at("/a", 2, false)}
	for name, stream := range map[string][]Event{
		"good":    good,
		"gap":     {good[0], good[1]},
		"double":  {good[0], good[1], good[1], good[2]},
		"skipped": {good[0], good[2]},
		"order":   {good[2], good[0], good[1]},
		"split":   {at("/a", 1, false), good[1], good[2]},
		"other":   {good[0], at("/x", 1, false), good[2]},
	} {
		k := checker{glob: "/**"}
		var err error
		for _, ev := range stream {
			err = errors.Join(err, k.add(ev))
		}
		err = errors.Join(err, k.complete(log, 2))
		if (err == nil) != (name == "good") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// storm writes rounds of changes, some with several files, some deletes.
func storm(c *fakeCluster, rounds int, seed uint64, each func(i int)) int64 {
	rng := rand.New(rand.NewPCG(seed, 1))
	var rev int64
	for i := range rounds {
		var ops []*doozerpb.Op
		for j := range 1 + rng.IntN(3) {
			p := fmt.Sprintf("/w/%d-%d", rng.IntN(10), j)
			c.mu.Lock()
			exists := c.files[p] != nil
			c.mu.Unlock()
			ops = append(ops, &doozerpb.Op{Path: p, Value: []byte(fmt.Sprint(i)), Del: exists && rng.IntN(3) == 0})
		}
		rev = c.write(ops...)
		each(i)
	}
	return rev
}

func TestWatchOverNodeLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		c := newCluster(t, 3)
		cl := c.open(t)
		var wg sync.WaitGroup
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
		defer cancel()
		from := c.write(&doozerpb.Op{Path: "/w/first"})
		const last = "/w/last"
		for range 3 {
			k := checker{glob: "/w/**", from: from}
			wg.Go(func() {
				for ev, err := range cl.Watch(ctx, k.glob, From(from), Progress(func(rev int64) { k.mark = rev })) {
					if err == nil {
						err = k.add(ev)
					}
					if err != nil {
						t.Error(err)
						return
					}
					if ev.Path == last {
						break
					}
				}
				c.mu.Lock()
				defer c.mu.Unlock()
				if err := k.complete(c.events, c.rev); err != nil {
					t.Error(err)
				}
			})
		}
		storm(c, 300, seed, func(i int) {
			if i%10 == 0 {
				c.nodes[i/10%3].cutWatches([]error{errCut, rpcRefusal(doozerpb.Code_STOPPING, 0)}[i/10%2])
			}
			if i == 150 {
				c.nodes[2].kill()
			}
		})
		c.write(&doozerpb.Op{Path: last})
		wg.Wait()
	})
}

// TestResyncKeepsTheMirror: a mirror that is built from a watch with Snapshot
// equals the store, through resyncs and losses in the middle of snapshots.
func TestResyncKeepsTheMirror(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		c := newCluster(t, 2)
		cl := c.open(t)
		storm(c, 50, seed, func(int) {})
		w := cl.Watcher("/w/**", Snapshot())
		defer w.Close()
		if err := w.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		go func() {
			storm(c, 200, seed+1, func(i int) {
				switch node := c.nodes[i%2]; i % 20 {
				case 5:
					node.resyncWatches()
				case 10:
					node.cutWatches(errCut)
				case 15:
					// The place to go on from is lost: the node resyncs.
					c.set(func() { c.oldest = c.rev })
					node.cutWatches(errCut)
				}
			})
			c.write(&doozerpb.Op{Path: "/w/last"})
		}()
		mirror := make(map[string]int64)
		for mirror["/w/last"] == 0 {
			ev, err := w.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if ev.Del {
				if _, ok := mirror[ev.Path]; !ok {
					t.Errorf("%s was deleted and not there", ev.Path)
				}
				delete(mirror, ev.Path)
				continue
			}
			if mirror[ev.Path] == ev.Rev {
				t.Errorf("%s at rev %d came twice", ev.Path, ev.Rev)
			}
			mirror[ev.Path] = ev.Rev
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		want := c.matching("/w/**")
		if len(want) != len(mirror) {
			t.Errorf("the mirror has %d files, the store %d", len(mirror), len(want))
		}
		for _, f := range want {
			if mirror[f.GetPath()] != f.GetRev() {
				t.Errorf("%s: rev %d in the mirror, %d in the store", f.GetPath(), mirror[f.GetPath()], f.GetRev())
			}
		}
	})
}

func TestWatchStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		cl := c.open(t)
		w := cl.Watcher("/x")
		defer w.Close()
		if err := w.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		rev := mustSet(t, cl, "/x", "1")
		ev, err := w.Next(t.Context())
		if err != nil || ev.Rev != rev || string(ev.Value) != "1" || ev.More {
			t.Errorf("event %+v, %v", ev, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := w.Next(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("next = %v", err)
		}
		mustSet(t, cl, "/x", "2")
		if ev, err = w.Next(t.Context()); err != nil || string(ev.Value) != "2" {
			t.Errorf("a canceled Next broke the watcher: %+v, %v", ev, err)
		}
		w.Close()
		if _, err := w.Next(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("next after close = %v", err)
		}
	})
}

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		cl := c.open(t)
		rev := mustSet(t, cl, "/x", "1")
		if ev, err := cl.Wait(t.Context(), "/x", 1); err != nil || ev.Rev != rev {
			t.Errorf("wait = %+v, %v", ev, err)
		}
		c.set(func() { c.oldest = rev })
		_, err := cl.Wait(t.Context(), "/x", 1)
		var late *TooLateError
		if !errors.As(err, &late) || late.Oldest != rev {
			t.Errorf("wait = %v", err)
		}
	})
}

func TestWatchErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		cl := c.open(t)
		for _, test := range []struct {
			opts []WatchOption
			code doozerpb.Code
			want error
		}{
			{[]WatchOption{Snapshot(), From(3)}, 0, ErrBadRequest},
			{nil, doozerpb.Code_BAD_GLOB, ErrBadGlob},
			{[]WatchOption{NoResync()}, doozerpb.Code_TOO_LATE, ErrTooLate},
		} {
			w := cl.Watcher("/**", test.opts...)
			if test.code != 0 {
				if err := w.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
				for _, n := range c.nodes {
					n.cutWatches(rpcRefusal(test.code, 5))
				}
			}
			_, err := nextEvent(t.Context(), w)
			if !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
			if _, again := w.Next(t.Context()); !errors.Is(again, test.want) {
				t.Errorf("the error is not final: %v", again)
			}
			w.Close()
		}
	})
}

func nextEvent(ctx context.Context, w *Watcher) (Event, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return w.Next(ctx)
}

func TestWatchLeavesASilentNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		cl := c.open(t)
		w := cl.Watcher("/x")
		defer w.Close()
		if err := w.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		node := w.stream.n.addr
		for _, n := range c.nodes {
			if n.addr() == node {
				n.lis.freeze()
			} else {
				c.set(func() { c.leader = n.id })
			}
		}
		c.write(&doozerpb.Op{Path: "/x"})
		start := time.Now()
		if ev, err := nextEvent(t.Context(), w); err != nil || ev.Path != "/x" {
			t.Fatalf("%+v, %v", ev, err)
		}
		if d := time.Since(start); d > watchSilence+2*time.Second {
			t.Errorf("it took %v", d)
		}
	})
}

// TestSlowConsumer: what a watch does not consume stays at the node.
func TestSlowConsumer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		cl := c.open(t)
		w := cl.Watcher("/big/**", From(1))
		defer w.Close()
		if err := w.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		value := make([]byte, 100<<10)
		for i := range 100 {
			c.write(&doozerpb.Op{Path: fmt.Sprintf("/big/%d", i), Value: value})
		}
		// Calls go on beside the stalled watch, over the same connection.
		for range 10 {
			mustSet(t, cl, "/x", "1")
		}
		seen := 0
		for seen < 100 {
			ev, err := w.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			held := 0
			for _, s := range w.view.queue {
				held += max(len(s.list), 1)
			}
			if held > 10 {
				t.Fatalf("%d events are held", held)
			}
			seen++
			if ev.Path != fmt.Sprintf("/big/%d", seen-1) {
				t.Fatalf("event %d is %s", seen, ev.Path)
			}
		}
	})
}
