package client

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// servedBy is the node that answers a local read.
func servedBy(t *testing.T, cl *Client) uint64 {
	t.Helper()
	var h Header
	if _, err := cl.Get(t.Context(), "/x", Local(), Served(func(got Header) { h = got })); err != nil {
		t.Fatal(err)
	}
	return h.Node
}

// TestServedIsTheAnswer: the header is that of the node that answered this read,
// not of the one that other calls go to.
func TestServedIsTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		c.nodes[1].age.Store(700)
		cl := openTarget(t, c.target(1), WithTargetFirst())
		rev := mustSet(t, cl, "/x", "1")
		eventually(t, "calls go to the leader", func() bool { return cl.router.main.Load().node.Load() == 1 })
		var got []Header
		served := Served(func(h Header) { got = append(got, h) })
		ctx := t.Context()
		local := Header{Node: 2, Rev: rev, Age: 700 * time.Millisecond, Leader: 1, Epoch: 1}
		strong := Header{Node: 1, Rev: rev, Leader: 1, Epoch: 1}
		for name, call := range map[string]struct {
			do   func() error
			want Header
		}{
			"get":        {func() error { _, err := cl.Get(ctx, "/x", served, Local()); return err }, local},
			"strong get": {func() error { _, err := cl.Get(ctx, "/x", served); return err }, strong},
			"stat":       {func() error { _, err := cl.Stat(ctx, "/x", served, Local()); return err }, local},
			"rev":        {func() error { _, err := cl.Rev(ctx, served, Local()); return err }, local},
			"self":       {func() error { _, err := cl.Self(ctx, served, Local()); return err }, local},
			"list":       {func() error { _, err := cl.List(ctx, "/", served, Local()); return err }, local},
			"log": {func() error {
				for _, err := range cl.Log(ctx, "/x", served, Local()) {
					return err
				}
				return errors.New("no change")
			}, local},
		} {
			got = nil
			if err := call.do(); err != nil || !slices.Equal(got, []Header{call.want}) {
				t.Errorf("%s: %+v, %v", name, got, err)
			}
		}
		self, err := cl.Self(ctx, Local())
		if err != nil || self.Node != 2 || self.Age != 700*time.Millisecond {
			t.Errorf("local self: %+v, %v", self, err)
		}
		got = nil
		if _, err := cl.Get(ctx, "/none", served); !errors.Is(err, ErrNotExist) || got != nil {
			t.Errorf("a refused get: %v, %+v", err, got)
		}
	})
}

// TestServedPages: one header for each page, before its files.
func TestServedPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		cl := c.open(t)
		for i := range 25 {
			mustSet(t, cl, "/p/"+string(rune('a'+i)), "1")
		}
		pages, files := 0, 0
		for _, err := range cl.Walk(t.Context(), "/p/*", Served(func(Header) { pages++ })) {
			if files++; err != nil || pages != (files+9)/10 {
				t.Fatalf("file %d: %d pages, %v", files, pages, err)
			}
		}
		if pages != 3 || files != 25 {
			t.Errorf("%d pages, %d files", pages, files)
		}
	})
}

// TestTargetFirst: local reads stay with the node that was named while others
// do the rest, leave it when it is gone, and return to it.
func TestTargetFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		cl := openTarget(t, c.target(2), WithTargetFirst())
		mustSet(t, cl, "/x", "1")
		eventually(t, "calls go to the leader", func() bool { return cl.router.main.Load().node.Load() == 1 })
		c.set(func() { c.leader = 2 })
		mustSet(t, cl, "/x", "2")
		eventually(t, "calls go to the next leader", func() bool { return cl.router.main.Load().node.Load() == 2 })
		for range 100 {
			if id := servedBy(t, cl); id != 3 {
				t.Fatalf("node %d answers", id)
			}
		}
		addr := c.nodes[2].addr()
		c.nodes[2].kill()
		if id := servedBy(t, cl); id == 3 {
			t.Error("a dead node answers")
		}
		c.nodes[2].serve(addr)
		eventually(t, "local reads return to the target", func() bool { return servedBy(t, cl) == 3 })
		c.set(func() { c.leader = 3 })
		mustSet(t, cl, "/x", "3")
		eventually(t, "calls go to the target", func() bool { return cl.router.main.Load().node.Load() == 3 })
		if id := servedBy(t, cl); id != 3 {
			t.Errorf("node %d answers", id)
		}
	})
}

// TestTargetFirstOldState: a node without a majority is left by writes, and
// still answers the local reads that it was named for.
func TestTargetFirstOldState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		cl := openTarget(t, c.target(2), WithTargetFirst())
		mustSet(t, cl, "/x", "1")
		eventually(t, "the members are known", func() bool { return cl.router.nodes.byID(2) != nil })
		c.nodes[2].age.Store(5000)
		for i := range 100 {
			if id := servedBy(t, cl); id != 3 {
				t.Fatalf("read %d: node %d answers", i, id)
			}
		}
		mustSet(t, cl, "/x", "2")
		eventually(t, "writes leave", func() bool { l := cl.router.main.Load(); return l != nil && l.node.Load() != 3 })
		if id := servedBy(t, cl); id != 3 {
			t.Errorf("node %d answers", id)
		}
	})
}

// TestTargetFirstStreams: watches and logs too go where they are sent.
func TestTargetFirstStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		cl := openTarget(t, c.target(2), WithTargetFirst())
		mustSet(t, cl, "/x", "1")
		eventually(t, "calls go to the leader", func() bool { return cl.router.main.Load().node.Load() == 1 })
		target := c.nodes[2].addr()
		if n := cl.router.usual(nil); n.addr != target {
			t.Errorf("a watch goes to %s", n.addr)
		}
		n := cl.router.usual(nil)
		if other := cl.router.usual(n); other == n {
			t.Errorf("a watch goes on at %s, which it was to avoid", n.addr)
		}
	})
}
