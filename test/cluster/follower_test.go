package cluster_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/drill/cluster"
	"github.com/doozer-store/doozer/test/cluster/build"
)

// fill writes files of the given size, round and round over so many paths, from
// several callers, until total bytes were written.
func fill(t *testing.T, cl *client.Client, prefix string, size, paths int, total int64) {
	t.Helper()
	const callers = 8
	each := int(total / int64(size) / callers)
	errs := make(chan error, callers)
	for i := range callers {
		go func() {
			value := []byte(strings.Repeat("v", size))
			for n := range each {
				ctx, cancel := context.WithTimeout(context.Background(), cluster.RecoverLimit)
				copy(value, fmt.Sprintf("%d.%d ", i, n))
				_, err := cl.Set(ctx, fmt.Sprintf("%s/%d", prefix, (i*each+n)%paths), value)
				cancel()
				if err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range callers {
		if err := <-errs; err != nil {
			t.Fatalf("fill: %v", err)
		}
	}
}

// TestSlowFollower leaves a follower behind until the others' logs no longer
// have what it lacks: it must catch up from a snapshot.
func TestSlowFollower(t *testing.T) {
	const checkpointBytes = 1 << 20
	c := start(t, cluster.Options{CheckpointBytes: checkpointBytes, History: 1000})
	cl := c.Client()
	load := cluster.StartLoad(cluster.LoadOptions{Writers: 4, Clients: []*client.Client{cl}, Prefix: "/load", Pause: 10 * time.Millisecond})
	load.Await(t, 50)
	leader := c.Leader()
	slow := c.Others(leader)[0]
	for round, end := range []struct {
		how          string
		down, revive func(n *cluster.Node)
	}{
		{"paused", (*cluster.Node).Pause, (*cluster.Node).Resume},
		{"killed", (*cluster.Node).Kill, (*cluster.Node).Restart},
	} {
		behind := c.Status()[slow.Name]
		end.down(slow)
		fill(t, cl, fmt.Sprintf("/fill%d", round), 32<<10, 500, outrun)
		ahead := c.Status()[leader.Name]
		if ahead.CheckpointIndex <= behind.LastIndex {
			t.Errorf("no checkpoint past %d: %s", behind.LastIndex, c.StatusLine(c.Status()))
		}
		t.Logf("%s at index %d; leader at %d, checkpoint %d, log %d MiB, db %d MiB",
			end.how, behind.LastIndex, ahead.LastIndex, ahead.CheckpointIndex, ahead.LogSize>>20, ahead.DBSize>>20)
		start := time.Now()
		end.revive(slow)
		target := ahead.AppliedIndex
		cluster.Eventually(t, cluster.StartLimit, "the slow one catches up", func() (bool, string) {
			all := c.Status()
			return all[slow.Name].Reachable && all[slow.Name].AppliedIndex >= target, c.StatusLine(all)
		})
		t.Logf("%s: caught up after %v", end.how, time.Since(start).Round(time.Millisecond))
		expectSnapshot(t, slow)
	}
	ops := load.Stop()
	c.WaitEqual(cluster.StartLimit)
	// The slow one must have the files, not just say so.
	local := pinned(c, slow)
	want := c.Tree(cl, "/fill0/*")
	for path, e := range want {
		mustGet(t, local, path, e.Value, client.Local())
	}
	if ok, unknown, failed := cluster.Tally(ops); unknown+failed > 0 {
		t.Errorf("%d writes, %d of unknown outcome, %d failed with a majority all the time", ok, unknown, failed)
	}
}

// outrun is more bytes than a log keeps for a follower that is behind.
const outrun = 96 << 20

// expectSnapshot says that a node has installed a snapshot since it was
// started: else the test proved less than it meant to.
func expectSnapshot(t *testing.T, n *cluster.Node) {
	t.Helper()
	if !strings.Contains(n.Output(), "snapshot installed") {
		t.Errorf("node %s caught up without a snapshot:\n%s", n.Name, n.Tail(20))
	}
}

// TestWatchAcrossSnapshot watches at a node that falls behind and catches up
// from a snapshot, under the watcher's feet: it still gets every change once
// and in order, from the snapshot's history.
func TestWatchAcrossSnapshot(t *testing.T) {
	c := start(t, cluster.Options{CheckpointBytes: 1 << 20, History: history})
	cl := c.Client()
	slow := c.Others(c.Leader())[0]
	local := pinned(c, slow)
	all := watch(t, local, "/**", client.From(1))
	one := watch(t, local, "/fill/7", client.From(1))
	for i := range 20 {
		mustSet(t, cl, "/before", fmt.Sprint(i))
	}
	cluster.Eventually(t, cluster.RecoverLimit, "the watcher has begun", func() (bool, string) {
		n, rev := all.seen()
		return n > 20, fmt.Sprintf("%d changes, rev %d, %v", n, rev, all.failure())
	})
	slow.Pause()
	fill(t, cl, "/fill", 32<<10, 50, outrun)
	slow.Resume()
	for i := range 20 {
		mustSet(t, cl, "/after", fmt.Sprint(i))
	}
	log := c.Log(cl)
	all.verdict(t, log, 1)
	one.verdict(t, log, 1)
	expectSnapshot(t, slow)
	c.WaitEqual(cluster.StartLimit)
}

// raw is a codec for messages that are bytes already.
type raw struct{}

func (raw) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }
func (raw) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = append([]byte(nil), data...)
	return nil
}
func (raw) Name() string { return "proto" }

var _ encoding.Codec = raw{}

// stall opens a Watch of glob at a node with the protocol itself, reads its
// first message, and nothing after.
func stall(t *testing.T, n *cluster.Node, glob string) {
	t.Helper()
	conn, err := grpc.NewClient(n.Addr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/doozer.v1.Doozer/Watch", grpc.ForceCodec(raw{}))
	if err != nil {
		t.Fatal(err)
	}
	const fieldGlob = 1 // of WatchRequest
	request := protowire.AppendString(protowire.AppendTag(nil, fieldGlob, protowire.BytesType), glob)
	if err := stream.SendMsg(&request); err != nil {
		t.Fatal(err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	var first []byte
	if err := stream.RecvMsg(&first); err != nil {
		t.Fatalf("watch %s: %v", glob, err)
	}
}

// TestStalledWatcher bounds what watchers that don't read cost a node. Without
// a bound each of them would hold all that is written.
func TestStalledWatcher(t *testing.T) {
	const (
		watchers = 20
		written  = 96 << 20
		bound    = 96 << 20 // for all watchers together, and the collector's slack
	)
	c := start(t, cluster.Options{Nodes: 1, History: 200})
	n, cl := c.Node("a"), c.Client()
	// The first round brings heap, log cache and window to their size.
	fill(t, cl, "/warm", 32<<10, 100, written)
	before := n.RSS()
	for range watchers {
		stall(t, n, "/stall/**")
	}
	var peak int64
	for range 4 {
		fill(t, cl, "/stall", 32<<10, 100, written/4)
		peak = max(peak, n.RSS())
	}
	t.Logf("%d stalled watchers, %d MiB written: RSS %d MiB before, %d MiB at most", watchers, written>>20, before>>20, peak>>20)
	if !build.Race && peak-before > bound {
		t.Errorf("RSS grew by %d MiB; the bound is %d MiB", (peak-before)>>20, bound>>20)
	}
}
