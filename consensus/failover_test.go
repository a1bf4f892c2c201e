package consensus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
)

// slowElections makes an election timeout of four seconds: what is quicker did
// not wait for one.
func slowElections(cfg *Config) { cfg.ElectionTicks = 400 }

const slowTimeout = 400 * testTick

// TestFirstLeader: nodes that are started together do not wait for a timeout.
func TestFirstLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		newCluster(t, 3, 1, slowElections).leader()
		if d := time.Since(begin); d > slowTimeout/2 {
			t.Errorf("it took %v", d)
		}
	})
}

// TestLeaderDies: followers learn that its process is gone, elect another and
// finish what they had handed to it; all within a fraction of a timeout.
func TestLeaderDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 1, slowElections)
		for round := range 3 {
			l := c.leader()
			c.must(l, fmt.Sprint("before ", round))
			// Nothing of this leader arrives any more, and it does not notice.
			c.net.each(func(from, to uint64, k *link) { k.cut = from == l || to == l })
			answers := map[string]<-chan answer{}
			for i := range 30 {
				for _, id := range c.followers() {
					cmd := fmt.Sprintf("round %d node %d %d", round, id, i)
					answers[cmd] = c.propose(id, cmd, patience)
				}
			}
			begin := time.Now()
			c.stop(l)
			for cmd, ch := range answers {
				if a := get(t, cmd, ch); a.err != nil {
					t.Fatalf("%s: %v", cmd, a.err)
				}
			}
			if d := time.Since(begin); d > slowTimeout/2 {
				t.Errorf("it took %v", d)
			}
			c.net.heal()
			c.start(l)
			c.checkOnce(c.converge(), answers)
		}
	})
}

// TestSplitVote: two candidates of one term have a vote each and the third
// node is dead. They try again long before an election timeout.
func TestSplitVote(t *testing.T) {
	h := newHandCore(t).become("follower")
	h.c.peerDown(h.now, 2, true)
	for h.c.role != raft.StateCandidate {
		h.now = h.c.nextWake()
		h.c.wake(h.now)
		h.run()
		granted := peerMessage(raftpb.MsgPreVoteResp, h.c.term+1, func(m *raftpb.Message) { m.From = new(uint64(3)) })
		h.c.receive(h.now, 3, []*raftpb.Message{granted})
		h.run()
	}
	begin, asked := h.now, len(h.sent)
	again := func() bool {
		return slices.ContainsFunc(h.sent[asked:], func(m *raftpb.Message) bool { return m.GetType() == raftpb.MsgPreVote })
	}
	for !again() {
		if h.c.failover.next.IsZero() {
			t.Fatal("it gave up")
		}
		h.now = h.c.nextWake()
		h.c.wake(h.now)
		h.run()
	}
	if d := h.now.Sub(begin); d < 2*campaignRepeat || d > h.c.cfg.electionTimeout()/2 {
		t.Errorf("it asked again after %v", d)
	}
}

// checkOnce fails unless each command is in the list exactly once.
func (c *cluster) checkOnce(list []string, answers map[string]<-chan answer) {
	c.t.Helper()
	times := map[string]int{}
	for _, cmd := range list {
		times[cmd]++
	}
	for cmd := range answers {
		if times[cmd] != 1 {
			c.t.Errorf("%s is applied %d times", cmd, times[cmd])
		}
	}
}

// TestTransferLeadership: leadership is handed over before the process ends.
func TestTransferLeadership(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 1, slowElections)
		ctx := context.Background()
		for range 5 {
			l := c.leader()
			f := c.followers()[0]
			if err := c.node(f).TransferLeadership(ctx); err != nil {
				t.Fatalf("at a follower: %v", err)
			}
			answers := map[string]<-chan answer{}
			for i := range 20 {
				for _, id := range c.ids {
					cmd := fmt.Sprint(l, id, i, time.Now())
					answers[cmd] = c.propose(id, cmd, patience)
				}
			}
			if err := c.node(l).TransferLeadership(ctx); err != nil {
				t.Fatal(err)
			}
			if now := c.node(l).Leader(); now == l || now == 0 {
				t.Fatalf("leader %d handed over to %d", l, now)
			}
			for cmd, ch := range answers {
				if a := get(t, cmd, ch); a.err != nil {
					t.Fatalf("%s: %v", cmd, a.err)
				}
			}
			c.checkOnce(c.converge(), answers)
		}
		l := c.leader()
		for _, id := range c.followers() {
			c.net.disconnect(l, id)
		}
		if err := c.node(l).TransferLeadership(ctx); !errors.Is(err, ErrNoLeader) {
			t.Errorf("with nobody connected: %v", err)
		}
		c.net.heal()
		short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
		c.net.set(func(w *network) {
			for _, id := range c.ids {
				if id != l {
					w.link(l, id).cut = true
				}
			}
		})
		if err := c.node(l).TransferLeadership(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with nobody reached: %v", err)
		}
	})
}

// TestLostForwards: within one term the connection to the leader breaks again
// and again, with forwards on the way, and new ones go out before the node is
// told of the new connection. Nothing is lost and nothing is done twice.
func TestLostForwards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 1, slowElections)
		l := c.leader()
		f := c.followers()[0]
		term := c.node(l).Term()
		answers := map[string]<-chan answer{}
		for round := range 20 {
			propose := func(n int) {
				for range n {
					cmd := fmt.Sprint(len(answers))
					answers[cmd] = c.propose(f, cmd, patience)
				}
				eventually(t, "handed over", func() bool {
					n := c.node(f)
					n.pending.mu.Lock()
					defer n.pending.mu.Unlock()
					return n.pending.lastID >= uint64(len(answers))
				})
			}
			propose(5)
			c.net.set(func(w *network) { w.link(f, l).cut = true })
			propose(5) // accepted, and lost
			c.net.set(func(w *network) { w.link(f, l).cut = false })
			if round%2 == 0 {
				propose(5) // arrive, though what was before them did not
			}
			c.net.disconnect(f, l)
			c.net.connect(f, l)
		}
		for cmd, ch := range answers {
			if a := get(t, cmd, ch); a.err != nil {
				t.Fatalf("%s: %v", cmd, a.err)
			}
		}
		c.checkOnce(c.converge(), answers)
		if now := c.node(l).Term(); now != term {
			t.Errorf("the term was %d and is %d: the test tests another thing", term, now)
		}
	})
}

// TestSilentlyLostForwards: without any word of it the node sends again.
func TestSilentlyLostForwards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 1, nil)
		l := c.leader()
		f := c.followers()[0]
		c.net.set(func(w *network) { w.link(f, l).dropForward = 1 })
		answers := map[string]<-chan answer{"a": c.propose(f, "a", patience), "b": c.propose(f, "b", patience)}
		eventually(t, "forwarded", func() bool {
			var n int
			c.net.set(func(w *network) { n = w.link(f, l).forwards })
			return n > 0
		})
		c.net.set(func(w *network) { w.link(f, l).dropForward = 0 })
		answers["c"] = c.propose(f, "c", patience)
		for cmd, ch := range answers {
			if a := get(t, cmd, ch); a.err != nil {
				t.Fatalf("%s: %v", cmd, a.err)
			}
		}
		c.checkOnce(c.converge(), answers)
	})
}

// TestNoMajority: what no leader was given is definite, what one was given is
// unknown.
func TestNoMajority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 1, nil)
		l := c.leader()
		fs := c.followers()
		f := fs[0]
		c.must(f, "before")

		// The leader hears nobody: what it takes into its log is unknown, what it
		// is given after it stepped down is not.
		c.net.isolate(l, c.ids)
		unknown := c.propose(l, "into the log of an old leader", 2*time.Second)
		eventually(t, "the end of its leadership", func() bool { return c.node(l).Leader() != l })
		definitely := c.propose(l, "to nobody", 50*time.Millisecond)
		if a := get(t, "to nobody", definitely); a.err != ErrDeadline {
			t.Errorf("never handed over: %v", a.err)
		}
		if a := get(t, "into the log", unknown); a.err != ErrUnknown {
			t.Errorf("handed over: %v", a.err)
		}
		c.net.heal()
		c.leader()
		c.must(l, "healed")
		list := c.converge("healed")
		if slices.Contains(list, "to nobody") {
			t.Error("a command that definitely was not done is applied")
		}

		// A follower whose forward is lost does not know either, until entries of
		// a later term prove that it was not done: then it is, or is definite.
		l = c.leader()
		f = c.followers()[0]
		c.net.set(func(w *network) { w.link(f, l).cut = true })
		if a := get(t, "lost forward", c.propose(f, "lost", 100*time.Millisecond)); a.err != ErrUnknown {
			t.Errorf("forwarded and lost: %v", a.err)
		}
		c.net.heal()

		// With its process alone nothing is definite but that nobody had it.
		l = c.leader()
		for _, id := range c.ids {
			if id != l {
				c.stop(id)
			}
		}
		eventually(t, "no leader", func() bool { return c.node(l).Leader() == 0 })
		if a := get(t, "alone", c.propose(l, "alone", 50*time.Millisecond)); a.err != ErrDeadline {
			t.Errorf("alone: %v", a.err)
		}
		if err := get(t, "read alone", c.read(l, 50*time.Millisecond)); err != ErrDeadline {
			t.Errorf("read alone: %v", err)
		}
	})
}

// TestOldTermIsDefinite: a command that was handed to a leader of an earlier
// term, and is not in the log, is done later or definitely not.
func TestOldTermIsDefinite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 1, nil)
		l := c.leader()
		f := c.followers()[0]
		c.net.set(func(w *network) { w.link(f, l).dropForward = 1 })
		ch := c.propose(f, "survivor", patience)
		eventually(t, "forwarded", func() bool {
			var n int
			c.net.set(func(w *network) { n = w.link(f, l).forwards })
			return n > 0
		})
		c.stop(l)
		if a := get(t, "survivor", ch); a.err != nil {
			t.Errorf("%v", a.err)
		}
	})
}

// TestSlowDisk: a leader whose disk hangs gives leadership away and the
// others go on.
func TestSlowDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 1, nil)
		l := c.leader()
		gate := make(chan struct{})
		free := sync.OnceFunc(func() { close(gate) })
		defer free()
		c.hosts[l].log.setHook(func([]*raftpb.Entry) error { <-gate; return nil })
		stuck := c.propose(l, "stuck", patience)
		f := c.followers()[0]
		eventually(t, "another leader", func() bool { return c.node(f).Leader() != l && c.node(f).Leader() != 0 })
		c.must(f, "meanwhile")
		eventually(t, "the old leader following", func() bool { return c.node(l).Leader() != l })
		c.hosts[l].log.setHook(nil)
		free()
		if a := get(t, "stuck", stuck); a.err != nil {
			t.Errorf("stuck: %v", a.err)
		}
		c.converge("meanwhile", "stuck")
	})
}

// TestDiskError: the node ends and acknowledges nothing any more.
func TestDiskError(t *testing.T) {
	for _, role := range []string{"leader", "follower"} {
		t.Run(role, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 3, 1, nil)
				id := c.leader()
				if role == "follower" {
					id = c.followers()[0]
				}
				c.must(id, "before")
				n := c.node(id)
				broken := errors.New("input/output error")
				c.hosts[id].log.setHook(func([]*raftpb.Entry) error { return broken })
				ch := c.propose(id, "after", patience)
				select {
				case <-n.Done():
				case <-time.After(patience):
					t.Fatal("the node goes on")
				}
				if err := n.Err(); !errors.Is(err, broken) {
					t.Fatalf("it ended with %v", err)
				}
				last, _ := c.hosts[id].log.LastIndex()
				if err := n.Stop(); !errors.Is(err, broken) {
					t.Errorf("Stop: %v", err)
				}
				if a := get(t, "after", ch); a.err != nil && a.err != ErrUnknown && a.err != ErrStopped {
					t.Errorf("the command: %v", a.err)
				}
				if now, _ := c.hosts[id].log.LastIndex(); now != last {
					t.Errorf("the log went on from %d to %d", last, now)
				}
			})
		})
	}
}
