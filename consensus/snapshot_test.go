package consensus

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/raft/v3/raftpb"
)

// oftenCheckpoints makes one every few entries.
func oftenCheckpoints(cfg *Config) { cfg.CheckpointBytes = 5 * entryCost }

// leaveBehind stops a follower and writes until the others' logs no longer
// reach back to it.
func leaveBehind(t *testing.T, c *cluster) (follower uint64) {
	t.Helper()
	f := c.followers()[0]
	c.must(f, "seen by all")
	c.converge("seen by all")
	c.stop(f)
	at := c.hosts[f].log.state().last()
	for i := 0; ; i++ {
		l := c.leader()
		c.must(l, fmt.Sprint("missed ", i))
		behind := true
		for _, id := range c.ids {
			behind = behind && (id == f || c.hosts[id].log.state().base > at+1)
		}
		if behind {
			return f
		}
	}
}

func TestCatchUpBySnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 1, oftenCheckpoints)
		for range 3 {
			f := leaveBehind(t, c)
			before := c.hosts[f].machine.installs
			c.start(f)
			c.converge(c.mustAgain(f, fmt.Sprint("at ", f, time.Now())))
			if got := c.hosts[f].machine.installs; got != before+1 {
				t.Fatalf("%d snapshots were installed, want one", got-before)
			}
			s := c.hosts[f].log.state()
			if m := c.hosts[f].machine.meta(); s.base > m.Index {
				t.Fatalf("the log begins after %d, the checkpoint is of %d", s.base, m.Index)
			}
			// It goes on from there after a restart.
			c.stop(f)
			c.start(f)
			c.mustAgain(f, fmt.Sprint("again at ", f, time.Now()))
		}
	})
}

// TestSkippedIsUnknown: commands that were handed over before a snapshot
// replaced part of the log may be in it. They are never handed over again.
func TestSkippedIsUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 1, oftenCheckpoints)
		l := c.leader()
		f := c.followers()[0]
		// The follower's forwards arrive, and nothing comes back.
		c.net.each(func(_, to uint64, k *link) { k.cut = to == f })
		var chans []<-chan answer
		for i := range 10 {
			chans = append(chans, c.propose(f, fmt.Sprint("forwarded ", i), 2*patience))
		}
		eventually(t, "its commands in the log", func() bool { return c.hosts[l].machine.size() >= 10 })
		c.makeLeaderOf(f, l)
		at := c.hosts[f].log.state().last()
		eventually(t, "a log that does not reach back", func() bool {
			now := c.leaderBut(f)
			c.must(now, fmt.Sprint("missed ", time.Now()))
			return c.hosts[now].log.state().base > at+1
		})
		c.net.heal()
		for i, ch := range chans {
			if a := get(t, fmt.Sprint("forwarded ", i), ch); a.err != ErrUnknown {
				t.Errorf("forwarded %d: %v, want ErrUnknown", i, a.err)
			}
		}
		list := c.converge(c.mustAgain(f, "last"))
		for i := range chans {
			cmd := fmt.Sprint("forwarded ", i)
			if n := len(list) - len(slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == cmd })); n != 1 {
				t.Errorf("%s is applied %d times", cmd, n)
			}
		}
		if c.hosts[f].machine.installs == 0 {
			t.Error("no snapshot was installed: the test tests nothing")
		}
	})
}

// makeLeaderOf moves leadership from l to the node that is neither l nor f,
// so that the snapshot is of a later term.
func (c *cluster) makeLeaderOf(f, l uint64) {
	c.t.Helper()
	other := 6 - f - l
	eventually(c.t, "the third node's leadership", func() bool {
		if c.node(other).Role() == "leader" {
			return true
		}
		c.node(l).event(func(k *core, _ time.Time) { k.raw.TransferLeader(other) })
		return false
	})
}

// leaderBut returns the leader that nodes other than f know.
func (c *cluster) leaderBut(f uint64) uint64 {
	c.t.Helper()
	var leader uint64
	eventually(c.t, "a leader", func() bool {
		for _, id := range c.ids {
			if id != f && c.node(id).Role() == "leader" {
				leader = id
				return true
			}
		}
		return false
	})
	return leader
}

// TestCrashBetweenInstallAndReset: the state is new, the log is old. Open
// repairs it.
func TestCrashBetweenInstallAndReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 1, oftenCheckpoints)
		f := leaveBehind(t, c)
		h := c.hosts[f]
		h.machine.with(func() {
			h.machine.afterStage = func() { h.log.setHook(func([]*raftpb.Entry) error { return errors.New("power cut") }) }
		})
		n := c.start(f)
		select {
		case <-n.Done():
		case <-time.After(patience):
			t.Fatal("the node goes on")
		}
		c.stop(f)
		h.machine.with(func() { h.machine.afterStage = nil })
		if last := h.log.state().last(); last >= h.machine.meta().Index {
			t.Fatalf("the log ends at %d, the state at %d: the test tests nothing", last, h.machine.meta().Index)
		}
		term := h.log.HardState().GetTerm()
		c.start(f)
		if s := h.log.state(); s.base != h.machine.meta().Index || s.hs.GetTerm() < term {
			t.Errorf("log after %d of term %d, want %d of at least %d", s.base, s.hs.GetTerm(), h.machine.meta().Index, term)
		}
		c.converge(c.mustAgain(f, "repaired"))
	})
}

// TestFailedInstall ends the node.
func TestFailedInstall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 1, oftenCheckpoints)
		f := leaveBehind(t, c)
		broken := errors.New("no space")
		c.hosts[f].machine.failInstall = broken
		n := c.start(f)
		select {
		case <-n.Done():
		case <-time.After(patience):
			t.Fatal("the node goes on")
		}
		if !errors.Is(n.Err(), broken) {
			t.Errorf("it ended with %v", n.Err())
		}
		last := c.hosts[f].log.state()
		if last.base != 1 && last.base >= c.hosts[f].machine.meta().Index+1 {
			t.Errorf("the log was reset to %d", last.base)
		}
	})
}

// TestUselessSnapshots: those that raft does not take, that are not for this
// node, or that come without a state, leave room for the right one.
func TestUselessSnapshots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 1, oftenCheckpoints)
		l := c.leader()
		f := c.followers()[0]
		c.must(l, "x")
		c.converge("x")
		n, h := c.node(f), c.hosts[f]
		message := func(term, from, to uint64) *raftpb.Message {
			meta := c.hosts[l].machine.meta()
			return &raftpb.Message{Type: raftpb.MsgSnap.Enum(), Term: &term, From: &from, To: &to, Snapshot: &raftpb.Snapshot{
				Metadata: &raftpb.SnapshotMetadata{Index: &meta.Index, Term: &meta.Term, ConfState: meta.ConfState}}}
		}
		for name, m := range map[string]*raftpb.Message{
			"obsolete":   message(n.Term(), l, f),
			"old term":   message(n.Term()-1, l, f),
			"not for it": message(n.Term(), l, l),
			"not of him": message(n.Term(), f, f),
		} {
			_, r, _ := c.hosts[l].machine.OpenSnapshot()
			if err := n.ReceiveSnapshot(l, m, r); err != nil && m.GetTerm() != 0 {
				t.Logf("%s: %v", name, err)
			}
			eventually(t, name+": discarded", func() bool {
				h.machine.mu.Lock()
				defer h.machine.mu.Unlock()
				return h.machine.staged == 0
			})
		}
		// Without a state: refused, or the writer would find nothing to install.
		m := message(n.Term(), l, f)
		m.Snapshot.Metadata.Index = new(uint64(1000))
		n.Receive(l, []*raftpb.Message{m})
		c.converge("x", c.mustAgain(f, "y"))
		// One at a time.
		if err := n.staged.begin(); err != nil {
			t.Fatal(err)
		}
		_, r, _ := c.hosts[l].machine.OpenSnapshot()
		if err := n.ReceiveSnapshot(l, message(n.Term(), l, f), r); !errors.Is(err, errStagingBusy) {
			t.Errorf("a second one at a time: %v", err)
		}
		n.staged.installed()
		c.stop(f)
		if err := n.ReceiveSnapshot(l, message(1, l, f), r); err == nil {
			t.Error("a stopped node took a snapshot")
		}
	})
}

func TestCheckpoints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 1, oftenCheckpoints)
		for i := range 60 {
			c.must(uint64(i%3+1), fmt.Sprint(i))
		}
		c.converge()
		for _, id := range c.ids {
			h := c.hosts[id]
			var metas []Meta
			eventually(t, "checkpoints", func() bool {
				h.machine.with(func() { metas = slices.Clone(h.machine.checkpoints) })
				return len(metas) >= 5
			})
			eventually(t, "a log up to the last checkpoint but one", func() bool {
				h.machine.with(func() { metas = slices.Clone(h.machine.checkpoints) })
				return h.log.state().base == metas[len(metas)-2].Index
			})
			for i, m := range metas {
				if i > 0 && m.Index < metas[i-1].Index+5 {
					t.Errorf("checkpoints at %d and %d: too often", metas[i-1].Index, m.Index)
				}
				if len(m.ConfState.GetVoters()) != 3 || m.Term == 0 {
					t.Errorf("checkpoint %+v", m)
				}
			}
			if got := c.node(id).Status().Checkpoint; got != metas[len(metas)-1].Index {
				t.Errorf("status says %d, the last is %d", got, metas[len(metas)-1].Index)
			}
		}
	})
}

// TestOneCheckpointAtATime: entries are applied while one is made durable.
func TestOneCheckpointAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := prepareCluster(t, 1, 1, oftenCheckpoints)
		h := c.hosts[1]
		gate := make(chan struct{})
		h.machine.gate = gate
		c.start(1)
		for i := range 40 {
			c.must(1, fmt.Sprint(i))
		}
		if base := h.log.state().base; base != 1 {
			t.Errorf("the log was compacted to %d before a checkpoint was durable", base)
		}
		h.machine.with(func() { h.machine.gate = nil })
		close(gate)
		c.must(1, "next")
		eventually(t, "two checkpoints", func() bool { return h.log.state().base > 1 || c.propose(1, "more", patience) == nil })
	})
}

func TestFailedCheckpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := prepareCluster(t, 1, 1, oftenCheckpoints)
		broken := errors.New("no space")
		c.hosts[1].machine.failCommit = broken
		n := c.start(1)
		for i := range 10 {
			c.propose(1, fmt.Sprint(i), patience)
		}
		for {
			select {
			case <-n.Done():
				if !errors.Is(n.Err(), broken) {
					t.Errorf("it ended with %v", n.Err())
				}
				return
			case <-time.After(testTick):
				c.propose(1, "more", patience)
			}
		}
	})
}

func TestConfChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 1, oftenCheckpoints)
		l := c.leader()
		change := func(cc raftpb.ConfChangeI) {
			t.Helper()
			eventually(t, "a proposed change of members", func() bool {
				return c.node(l).ProposeConfChange(t.Context(), cc) == nil
			})
		}
		node := new(uint64(4))
		change(&raftpb.ConfChange{Type: raftpb.ConfChangeAddLearnerNode.Enum(), NodeId: node})
		for _, id := range c.ids {
			eventually(t, "a learner", func() bool { return slices.Contains(c.node(id).storage.confState().GetLearners(), 4) })
		}
		// What raft can't apply is skipped by all and ends none of them.
		change(&raftpb.ConfChangeV2{Transition: raftpb.ConfChangeTransition(77).Enum(), Changes: []*raftpb.ConfChangeSingle{{NodeId: node}}})
		change(&raftpb.ConfChange{Type: raftpb.ConfChangeType(99).Enum(), NodeId: node})
		for i := range 20 {
			c.must(l, fmt.Sprint(i))
		}
		c.converge()
		for _, id := range c.ids {
			eventually(t, "the learner in a checkpoint", func() bool {
				return slices.Equal(c.hosts[id].machine.confState().GetLearners(), []uint64{4})
			})
			c.stop(id)
		}
		for _, id := range c.ids {
			c.start(id)
		}
		l = c.leader()
		if got := c.node(l).storage.confState().GetLearners(); !slices.Equal(got, []uint64{4}) {
			t.Errorf("learners after a restart: %v", got)
		}
		// A leader that is removed steps down, the others go on.
		gone := l
		change(&raftpb.ConfChange{Type: raftpb.ConfChangeRemoveNode.Enum(), NodeId: &gone})
		eventually(t, "another leader", func() bool {
			for _, id := range c.ids {
				if id != gone && c.node(id).Role() == "leader" {
					l = id
					return true
				}
			}
			return false
		})
		c.must(l, "without it")
	})
}
