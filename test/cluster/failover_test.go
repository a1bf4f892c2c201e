package cluster_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/drill/check"
	"github.com/doozer-store/doozer/drill/cluster"
)

// The bound on a failover is not a goal, only what no working cluster exceeds
// on a busy machine.
const saneGap = 30 * time.Second

// history is large enough that no test's log loses anything.
const history = 5_000_000

func TestLeaderKill(t *testing.T) {
	for _, n := range []int{1, 12} {
		t.Run(fmt.Sprintf("clients=%d", n), func(t *testing.T) {
			harmLeader(t, n, "kill -9", func(leader *cluster.Node) { leader.Kill() })
		})
	}
}

func TestLeaderTerm(t *testing.T) {
	harmLeader(t, 4, "SIGTERM", func(leader *cluster.Node) {
		if code := leader.Term(); code != 0 {
			t.Errorf("leader %s ended with status %d:\n%s", leader.Name, code, leader.Tail(20))
		}
	})
}

// harmLeader ends the leader again and again under load from 12 writers.
func harmLeader(t *testing.T, clientCount int, what string, end func(leader *cluster.Node)) {
	c := start(t, cluster.Options{History: history})
	load := cluster.StartLoad(cluster.LoadOptions{Writers: 12, Clients: clients(c, clientCount), Prefix: "/load"})
	var gaps []time.Duration
	for range cluster.Scale(3, 10) {
		leader := c.Leader()
		gap := load.Gap(t, 300, func() { end(leader) })
		if gap > saneGap {
			t.Errorf("%v without a successful write", gap)
		}
		gaps = append(gaps, gap)
		leader.Restart()
	}
	ops := load.Stop()
	c.Verify(c.Client(), "/load", ops)
	ok, unknown, failed := cluster.Tally(ops)
	t.Logf("%s of the leader, 12 writers over %d clients: time without a successful write: %s; %d writes, %d of unknown outcome, %d failed",
		what, clientCount, cluster.Times(gaps), ok, unknown, failed)
	if unknown+failed > 0 {
		t.Errorf("%d writes of unknown outcome, %d failed, though there was a majority all the time%s", unknown, failed, cluster.Losses(ops))
	}
}

func TestKillAll(t *testing.T) {
	c := start(t, cluster.Options{History: history})
	cl := c.Client()
	load := cluster.StartLoad(cluster.LoadOptions{Writers: 12, Clients: clients(c, 3), Prefix: "/load", Timeout: cluster.RecoverLimit})
	steady := watch(t, cl, "/**", client.From(1))
	next := int64(1)
	var resumed []*watcher // each goes on where the one before it ended
	var outage []time.Duration
	revBefore := int64(0)
	for range cluster.Scale(2, 10) {
		w := watch(t, cl, "/**", client.From(next))
		resumed = append(resumed, w)
		outage = append(outage, load.Gap(t, 500, func() {
			cluster.Eventually(t, cluster.ReadLimit, "the watcher follows", func() (bool, string) {
				_, rev := w.seen()
				return rev > next, fmt.Sprintf("at rev %d, %v", rev, w.failure())
			})
			for _, n := range c.Nodes() {
				n.Signal(syscall.SIGKILL)
			}
			w.stop()
			for _, n := range c.Nodes() {
				<-n.Ended()
				n.Start()
			}
			for _, n := range c.Nodes() {
				n.WaitReady()
			}
		}))
		next = afterStep(w, next)
		rev, err := cl.Rev(within(t, cluster.RecoverLimit))
		if err != nil || rev < revBefore {
			t.Fatalf("rev %d after it was %d, %v", rev, revBefore, err)
		}
		revBefore = rev
	}
	ops := load.Stop()
	log := c.Verify(cl, "/load", ops)
	steady.verdict(t, log, 1)
	last := watch(t, cl, "/**", client.From(next))
	joinVerdict(t, append(resumed, last), log)
	ok, unknown, failed := cluster.Tally(ops)
	t.Logf("all nodes kill -9 and started again: time without a successful write: %s; %d writes, %d of unknown outcome, %d failed",
		cluster.Times(outage), ok, unknown, failed)
	if unknown+failed > 0 {
		t.Errorf("%d writes of unknown outcome, %d failed, though each had %v and the cluster came back%s",
			unknown, failed, cluster.RecoverLimit, cluster.Losses(ops))
	}
}

// afterStep is the rev from which a stopped watcher is to be resumed: the one
// after the last whole step, or from when there was none. It drops what came of
// a step that was cut short.
func afterStep(w *watcher, from int64) int64 {
	for i := len(w.items) - 1; i >= 0; i-- {
		it := w.items[i]
		if it.Kind == check.Mark {
			return it.Rev + 1
		}
		if !it.More {
			return it.Event.Rev + 1
		}
		w.items = w.items[:i]
		w.changes--
	}
	return from
}

// joinVerdict checks that watchers, each resumed where the one before ended,
// were given every change once between them.
func joinVerdict(t *testing.T, ws []*watcher, log []check.Event) {
	t.Helper()
	last := ws[len(ws)-1]
	before := 0
	for _, w := range ws[:len(ws)-1] {
		n, _ := w.seen()
		before += n
	}
	cluster.Eventually(t, cluster.ReadLimit, "the last watcher has seen everything", func() (bool, string) {
		n, rev := last.seen()
		return before+n >= len(log), fmt.Sprintf("%d and %d of %d changes, up to rev %d, %v", before, n, len(log), rev, last.failure())
	})
	s := check.Stream{Glob: last.glob, From: 1, To: log[len(log)-1].Rev}
	for _, w := range ws {
		s.Items = append(s.Items, w.stop()...)
	}
	if err := check.Watch(s, log); err != nil {
		t.Errorf("%d watches, each resumed where the one before ended:\n%v", len(ws), err)
	}
}
