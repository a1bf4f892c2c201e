package cluster_test

import (
	"math/rand"
	"testing"
	"time"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/drill/cluster"
)

// linger lets a random time pass, so that a crash comes at any point of what
// the node is doing.
func linger(r *rand.Rand, most time.Duration) { time.Sleep(time.Duration(r.Int63n(int64(most)))) }

// TestCrashLoop kills one node after another, each at a random moment, while
// checkpoints follow each other as fast as they can.
func TestCrashLoop(t *testing.T) {
	r := cluster.Rand(t)
	c := start(t, cluster.Options{CheckpointBytes: 64 << 10, History: history})
	load := cluster.StartLoad(cluster.LoadOptions{
		Writers: 12, Clients: clients(c, 3), Prefix: "/load", ValueSize: 1000,
		Timeout: cluster.ReadLimit, Pause: time.Millisecond,
	})
	steady := watch(t, c.Client(), "/**", client.From(1))
	crashes := cluster.Scale(12, 100)
	for range crashes {
		n := c.Nodes()[r.Intn(len(c.Nodes()))]
		n.Kill()
		linger(r, 100*time.Millisecond)
		n.Start()
		linger(r, 500*time.Millisecond)
	}
	for _, n := range c.Nodes() {
		n.WaitReady()
	}
	load.Await(t, 100)
	ops := load.Stop()
	cl := c.Client()
	steady.verdict(t, c.Verify(cl, "/load", ops), 1)
	ok, unknown, failed := cluster.Tally(ops)
	t.Logf("%d crashes, %d writes, %d of unknown outcome, %d failed", crashes, ok, unknown, failed)
	if unknown+failed > 0 {
		t.Errorf("%d writes of unknown outcome, %d failed, with two minutes for each", unknown, failed)
	}
}

// TestCrashDuringSnapshot kills a follower again and again while it is sent and
// installs a snapshot.
func TestCrashDuringSnapshot(t *testing.T) {
	r := cluster.Rand(t)
	c := start(t, cluster.Options{CheckpointBytes: 1 << 20, History: 1000})
	cl := c.Client()
	slow := c.Others(c.Leader())[0]
	slow.Kill()
	fill(t, cl, "/fill", 32<<10, 500, outrun)
	for range cluster.Scale(6, 40) {
		slow.Start()
		linger(r, 400*time.Millisecond)
		slow.Kill()
		fill(t, cl, "/fill", 32<<10, 500, 2<<20)
	}
	slow.Restart()
	c.WaitEqual(cluster.StartLimit)
	local := pinned(c, slow)
	for path, e := range c.Tree(cl, "/fill/*") {
		mustGet(t, local, path, e.Value, client.Local())
	}
}
