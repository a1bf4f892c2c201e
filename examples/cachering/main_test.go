package main

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/client/ring"
	"github.com/doozer-store/doozer/server/boot"
)

// Three servers hold 300 entries; a fourth joins, one drains and leaves, and not
// one entry is missed meanwhile.
func TestCacheRing(t *testing.T) {
	n, err := boot.Start(boot.Config{DataDir: t.TempDir(), Listen: "127.0.0.1:0", PeerListen: "127.0.0.1:0", Web: "false"})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Stop(context.Background())
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	c, err := client.Open(ctx, n.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := ring.Create(ctx, c, name, &ring.File{}); err != nil {
		t.Fatal(err)
	}
	live, err := ring.Open(ctx, c, name, ring.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	serving, stop := context.WithCancel(ctx)
	var servers sync.WaitGroup
	defer servers.Wait()
	defer stop()
	start := func(node string) {
		servers.Go(func() {
			if err := serve(serving, c, node, "127.0.0.1:0"); err != nil {
				t.Error(err)
			}
		})
		for live.Ring().Node(node) == nil {
			changed := live.Changed()
			if live.Ring().Node(node) != nil {
				break
			}
			select {
			case <-changed:
			case <-ctx.Done():
				t.Fatalf("%s is not in the ring: %v", node, live.Status())
			}
		}
	}
	change := func(fn func(*ring.File) error) {
		t.Helper()
		rev, err := ring.Edit(ctx, c, name, fn)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := live.Wait(ctx, rev); err != nil {
			t.Fatal(err)
		}
	}
	check := func(what string) {
		t.Helper()
		for i := range 300 {
			if value, err := get(ctx, live.Ring(), fmt.Sprint("key ", i)); err != nil || value != fmt.Sprint("value ", i) {
				t.Fatalf("%s: entry %d is %q, %v", what, i, value, err)
			}
		}
	}

	for _, node := range []string{"n1", "n2", "n3"} {
		start(node)
		change(func(f *ring.File) error { return f.Up(node) })
	}
	for i := range 300 {
		if err := put(ctx, live.Ring(), fmt.Sprint("key ", i), fmt.Sprint("value ", i)); err != nil {
			t.Fatal(err)
		}
	}
	check("three servers")
	start("n4")
	check("n4 joins")
	change(func(f *ring.File) error { return f.Up("n4") })
	check("n4 is up")
	change(func(f *ring.File) error { return f.Drain("n2") })
	check("n2 drains")
	change(func(f *ring.File) error { return f.Remove("n2") })
	check("n2 is gone")
	if _, err := get(ctx, live.Ring(), "no such key"); err != errMiss {
		t.Errorf("an entry that was never put: %v", err)
	}
}
