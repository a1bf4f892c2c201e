package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/client/failover"
	"github.com/doozer-store/doozer/client/failover/redistest"
	"github.com/doozer-store/doozer/server/boot"
)

// appoint writes the register of a group, as its agents would.
func appoint(t *testing.T, ctx context.Context, c *client.Client, group string, r failover.Register) {
	t.Helper()
	if _, err := c.Set(ctx, failover.Paths(group).Register(), r.Encode()); err != nil {
		t.Fatal(err)
	}
}

func running(node string, at *redistest.Server) failover.Register {
	return failover.Register{State: failover.Running, Node: node, Addr: at.Addr, Session: "of " + node, RunID: node}
}

// Three groups hold 300 entries. The master of one dies, with entries on their
// way: its replica takes over, and not one entry is missed.
func TestRedisRing(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	masters := map[string]*redistest.Server{}
	for _, group := range []string{"g1", "g2", "g3"} {
		masters[group] = redistest.Start(t)
	}
	spare := redistest.Start(t)
	spare.Follow(masters["g2"])

	n, err := boot.Start(boot.Config{DataDir: t.TempDir(), Listen: "127.0.0.1:0", PeerListen: "127.0.0.1:0", Web: "false"})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Stop(context.Background())
	t.Setenv("DOOZER_URI", n.Addr())
	c, err := client.Open(ctx, n.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for group, m := range masters {
		appoint(t, ctx, c, group, running("a", m))
	}
	var out bytes.Buffer
	for _, line := range []string{"new g1 g2 g3", "put greeting hello", "get greeting", "shares"} {
		if err := run(ctx, strings.Fields(line), &out); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
	}
	if text := out.String(); !strings.HasPrefix(text, "hello\ng1 ") || !strings.Contains(text, masters["g3"].Addr) || strings.Count(text, "\n") != 4 {
		t.Errorf("the program prints %s", text)
	}

	const patience = time.Minute // only a hang exceeds it
	s, err := open(ctx, c, &redis.Options{DialTimeout: patience, ReadTimeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	groups := map[string]int{}
	put := func(from, to int) error {
		for i := from; i < to; i++ {
			key := fmt.Sprint("key ", i)
			groups[s.live.Ring().Owner(key).Name]++
			if err := s.put(ctx, key, fmt.Sprint("value ", i)); err != nil {
				return fmt.Errorf("%s: %w", key, err)
			}
		}
		return nil
	}
	if err := put(0, 200); err != nil {
		t.Fatal(err)
	}
	// What only the master has is not what this is about.
	for i := 0; ; i++ {
		key := fmt.Sprint("key ", i)
		if s.live.Ring().Owner(key).Name != "g2" {
			continue
		}
		g, err := s.owner(ctx, key)
		if err != nil {
			t.Fatal(err)
		}
		conn := g.Conn()
		conn.Set(ctx, key, fmt.Sprint("value ", i), 0)
		acks, err := conn.Wait(ctx, 1, time.Minute).Result()
		conn.Close()
		if err != nil || acks != 1 {
			t.Fatalf("WAIT: %d, %v", acks, err)
		}
		break
	}
	masters["g2"].Kill()
	appoint(t, ctx, c, "g2", failover.Register{State: failover.Electing, Prev: "a"})
	rest := make(chan error, 1)
	go func() { rest <- put(200, 300) }() // waits where it is g2's turn
	spare.Master()
	appoint(t, ctx, c, "g2", running("b", spare))
	if err := <-rest; err != nil {
		t.Fatal(err)
	}
	for i := range 300 {
		if value, err := s.get(ctx, fmt.Sprint("key ", i)); err != nil || value != fmt.Sprint("value ", i) {
			t.Fatalf("entry %d is %q, %v", i, value, err)
		}
	}
	for _, group := range []string{"g1", "g2", "g3"} {
		if groups[group] < 50 {
			t.Errorf("%s has %d of 300 entries", group, groups[group])
		}
	}
	// The ring has followed; it is the same one.
	for s.live.Ring().Node("g2").Addr != spare.Addr {
		changed := s.live.Changed()
		if s.live.Ring().Node("g2").Addr == spare.Addr {
			break
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("g2 is at %s", s.live.Ring().Node("g2").Addr)
		}
	}
	if addr := s.live.Ring().Node("g1").Addr; addr != masters["g1"].Addr {
		t.Errorf("g1 is at %s", addr)
	}
}
