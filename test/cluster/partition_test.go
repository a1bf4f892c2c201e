package cluster_test

import (
	"context"
	"fmt"
	"math"
	"math/rand"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/drill/check"
	"github.com/doozer-store/doozer/drill/cluster"
)

// registers is concurrent callers that read, write and compare-and-set a few
// files: a history for the linearizability checker.
type registers struct {
	history *check.History
	cancel  context.CancelFunc
	callers sync.WaitGroup
	ok      []atomic.Int64 // successful operations of each caller
}

const registerFiles = 8

// startRegisters starts one caller for each client.
func startRegisters(r *rand.Rand, cs []*client.Client) *registers {
	ctx, cancel := context.WithCancel(context.Background())
	g := &registers{history: check.NewHistory(), cancel: cancel, ok: make([]atomic.Int64, len(cs))}
	for i, cl := range cs {
		seed := r.Int63()
		g.callers.Go(func() { g.caller(ctx, i, cl, rand.New(rand.NewSource(seed))) })
	}
	return g
}

func (g *registers) caller(ctx context.Context, id int, cl *client.Client, r *rand.Rand) {
	known := map[string]int64{} // the rev this caller knows of a path
	pause := time.NewTicker(2 * time.Millisecond)
	defer pause.Stop()
	for n := 0; ctx.Err() == nil; n++ {
		op := check.Op{Client: id, Path: fmt.Sprintf("/r/%d", r.Intn(registerFiles)), Value: fmt.Sprintf("%d.%d", id, n)}
		switch k := r.Intn(10); {
		case k < 6:
			op.Kind = check.Read
		case k < 8:
			op.Kind = check.Write
		default:
			op.Kind, op.If = check.CAS, known[op.Path]
		}
		op = cluster.Call(g.history, cl, time.Second, op)
		if op.Outcome == check.OK || op.Outcome == check.Mismatch {
			known[op.Path] = op.Rev
			g.ok[id].Add(1)
		}
		<-pause.C
	}
}

// recovered waits for progress and tells how long that took.
func (g *registers) recovered(t *testing.T, when string, callers ...int) {
	t.Helper()
	start := time.Now()
	g.progress(t, when, callers...)
	t.Logf("%s: progress after %v", when, time.Since(start).Round(time.Millisecond))
}

// progress waits until each of the callers has done some more.
func (g *registers) progress(t *testing.T, when string, callers ...int) {
	t.Helper()
	const more = 20
	target := map[int]int64{}
	for _, i := range callers {
		target[i] = g.ok[i].Load() + more
	}
	cluster.Eventually(t, cluster.RecoverLimit, fmt.Sprintf("callers %v make progress %s", callers, when), func() (bool, string) {
		state, all := "", true
		for _, i := range callers {
			n := g.ok[i].Load()
			all = all && n >= target[i]
			state += fmt.Sprintf("caller %d: %d of %d; ", i, n, target[i])
		}
		return all, state
	})
}

// settled demands progress for several election timeouts, and that the terms
// have stopped rising by then: a cluster that elects for ever may look alive.
func (g *registers) settled(t *testing.T, c *cluster.Cluster, when string, callers ...int) {
	t.Helper()
	const hold = 2 * time.Second
	for until := time.Now().Add(hold); time.Now().Before(until); {
		g.progress(t, when, callers...)
	}
	// A machine that is busy with other things may cost a leader its office.
	cluster.Eventually(t, cluster.RecoverLimit, when+": terms do not rise any more", func() (bool, string) {
		before, from := c.Leader(), g.history.Now()
		term := c.Status()[before.Name].Term
		for until := time.Now().Add(hold); time.Now().Before(until); {
			g.progress(t, when, callers...)
		}
		t.Logf("%s, settled: at most %v without a successful write", when,
			check.MaxGap(g.history.Ops(), from, g.history.Now()).Round(time.Millisecond))
		after := c.Leader()
		now := c.Status()[after.Name].Term
		return now == term, fmt.Sprintf("term %d, leader %s; then %d, leader %s", term, before.Name, now, after.Name)
	})
}

func (g *registers) stop() []check.Op {
	g.cancel()
	g.callers.Wait()
	return g.history.Ops()
}

// verdict stops the callers and looks for an order of what they saw.
func (g *registers) verdict(t *testing.T) {
	t.Helper()
	ops := g.stop()
	start := time.Now()
	err := check.Linearizable(ops, time.Minute)
	ok, unknown, failed := cluster.Tally(ops)
	t.Logf("%d operations; writes: %d done, %d of unknown outcome, %d failed; checked in %v",
		len(ops), ok, unknown, failed, time.Since(start).Round(time.Millisecond))
	if err != nil {
		t.Error(err)
	}
}

// partition callers: one pinned to each node, in order of Nodes, and then free
// ones.
func partitionCallers(c *cluster.Cluster, free int) []*client.Client {
	var cs []*client.Client
	for _, n := range c.Nodes() {
		cs = append(cs, pinned(c, n))
	}
	return append(cs, clients(c, free)...)
}

func indexOf(c *cluster.Cluster, n *cluster.Node) int {
	for i, m := range c.Nodes() {
		if m == n {
			return i
		}
	}
	return -1
}

// TestPartition cuts the leader from the others in every way that leaves a
// majority connected. The majority's side must go on, and nobody may read
// what is stale, least of all from the leader that was.
func TestPartition(t *testing.T) {
	r := cluster.Rand(t)
	c := start(t, cluster.Options{Proxy: true})
	g := startRegisters(r, partitionCallers(c, 3))
	all := []int{0, 1, 2, 3, 4, 5}
	g.recovered(t, "at first", all...)
	for _, way := range []struct {
		name string
		cut  func(leader *cluster.Node, others []*cluster.Node)
		// cutOff tells that the leader's side must lose the majority.
		cutOff bool
	}{
		{"leader cut off", func(l *cluster.Node, o []*cluster.Node) { c.Cut(l, o...) }, true},
		{"leader can't be heard", func(l *cluster.Node, o []*cluster.Node) { c.CutOneWay(l, o[0]); c.CutOneWay(l, o[1]) }, false},
		{"leader can't hear", func(l *cluster.Node, o []*cluster.Node) { c.CutOneWay(o[0], l); c.CutOneWay(o[1], l) }, false},
		{"leader and one follower apart", func(l *cluster.Node, o []*cluster.Node) { c.Cut(l, o[0]) }, false},
		{"one follower can't hear the leader", func(l *cluster.Node, o []*cluster.Node) { c.CutOneWay(l, o[0]) }, false},
		{"one follower can't be heard by the leader", func(l *cluster.Node, o []*cluster.Node) { c.CutOneWay(o[0], l) }, false},
		{"followers apart", func(l *cluster.Node, o []*cluster.Node) { c.Cut(o[0], o[1]) }, false},
	} {
		leader := c.Leader()
		way.cut(leader, c.Others(leader))
		// Free callers, wherever they were, must find the side that works.
		g.recovered(t, way.name, 3, 4, 5)
		if way.cutOff {
			for _, n := range c.Others(leader) {
				g.recovered(t, way.name+", at "+n.Name, indexOf(c, n))
			}
		}
		g.settled(t, c, way.name, 3, 4, 5)
		c.Heal()
		g.recovered(t, way.name+", healed", all...)
	}
	g.verdict(t)
	c.WaitEqual(cluster.StartLimit)
}

// TestSlowLinks gives every link another delay: the cluster must work, and stay
// with one leader.
func TestSlowLinks(t *testing.T) {
	r := cluster.Rand(t)
	c := start(t, cluster.Options{Proxy: true})
	g := startRegisters(r, partitionCallers(c, 1))
	for _, l := range c.Links() {
		l.Delay(2, time.Duration(r.Intn(20))*time.Millisecond)
	}
	g.recovered(t, "with slow links", 0, 1, 2, 3)
	term := c.Status()[c.Leader().Name].Term
	g.recovered(t, "with slow links, later", 0, 1, 2, 3)
	if now := c.Status()[c.Leader().Name].Term; now != term {
		t.Errorf("delays of up to 20 ms changed the leader: term %d, then %d", term, now)
	}
	g.verdict(t)
}

// TestElections reads and writes through leaders that are paused past an
// election, and killed: whoever reads gets what was written last.
func TestElections(t *testing.T) {
	r := cluster.Rand(t)
	c := start(t, cluster.Options{})
	g := startRegisters(r, partitionCallers(c, 3))
	for range cluster.Scale(2, 10) {
		leader := c.Leader()
		leader.Pause()
		g.recovered(t, "leader paused", 3, 4, 5)
		leader.Resume()
		g.recovered(t, "leader resumed", 0, 1, 2, 3, 4, 5)
		leader = c.Leader()
		leader.Kill()
		g.recovered(t, "leader killed", 3, 4, 5)
		leader.Restart()
		g.recovered(t, "leader restarted", 0, 1, 2, 3, 4, 5)
	}
	g.verdict(t)
}

// TestResumedAndNeeded resumes a leader that was paused past an election at the
// moment its successor is killed: it has much to catch up with, and is one half
// of the majority.
func TestResumedAndNeeded(t *testing.T) {
	for what, checkpoint := range map[string]int64{"log": 0, "snapshots": 16 << 10} {
		t.Run(what, func(t *testing.T) { resumedAndNeeded(t, cluster.Options{CheckpointBytes: checkpoint}) })
	}
}

func resumedAndNeeded(t *testing.T, o cluster.Options) {
	r := cluster.Rand(t)
	c := start(t, o)
	g := startRegisters(r, clients(c, 3))
	for range cluster.Scale(2, 30) {
		old := c.Leader()
		old.Pause()
		g.progress(t, "leader paused", 0, 1, 2)
		linger(r, 2*time.Second)
		successor := c.Leader()
		old.Resume()
		linger(r, 400*time.Millisecond)
		successor.Kill()
		g.recovered(t, "its successor killed", 0, 1, 2)
		successor.Restart()
	}
	g.verdict(t)
	installed := 0
	for _, n := range c.Nodes() {
		installed += strings.Count(n.Tail(math.MaxInt), "snapshot installed")
	}
	t.Logf("%d snapshots installed", installed)
}
