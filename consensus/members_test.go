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

// learner is a member that no node of a test is.
const learner = 9

// addLearner proposes to add it, at whoever leads, until that is taken.
func (c *cluster) addLearner() {
	c.t.Helper()
	cc := &raftpb.ConfChange{Type: raftpb.ConfChangeAddLearnerNode.Enum(), NodeId: new(uint64(learner))}
	eventually(c.t, "a proposed change of members", func() bool {
		for _, id := range c.ids {
			if n := c.node(id); n != nil && n.Role() == "leader" {
				return n.ProposeConfChange(c.t.Context(), cc) == nil
			}
		}
		return false
	})
}

// knows waits until a node counts the learner among the members.
func (c *cluster) knows(id uint64, when string) {
	c.t.Helper()
	eventually(c.t, fmt.Sprintf("the learner at node %d, %s", id, when), func() bool {
		return slices.Equal(c.node(id).storage.confState().GetLearners(), []uint64{learner})
	})
}

// TestSnapshotCarriesMembers: a node that gets a change of members in a
// snapshot knows it, also after a restart, and counts when another is lost.
func TestSnapshotCarriesMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 1, oftenCheckpoints)
		f := leaveBehind(t, c)
		c.addLearner()
		l := c.leader()
		c.knows(l, "while another is away")
		for at := c.hosts[l].log.state().last(); ; {
			behind := true
			for _, id := range c.ids {
				behind = behind && (id == f || c.hosts[id].log.state().base > at)
			}
			if behind {
				break
			}
			c.must(c.leader(), fmt.Sprint("missed ", time.Now()))
		}
		installs := c.hosts[f].machine.installs
		c.start(f)
		c.mustAgain(f, "caught up")
		if c.hosts[f].machine.installs == installs {
			t.Fatal("no snapshot was installed: the test tests nothing")
		}
		c.knows(f, "from a snapshot")
		c.stop(f)
		c.start(f)
		c.knows(f, "after a restart")
		c.leader()
		c.stop(c.followersBut(f))
		c.mustAgain(f, "with one node lost")
	})
}

// followersBut returns a running node that neither leads nor is f.
func (c *cluster) followersBut(f uint64) uint64 {
	c.t.Helper()
	l := c.leader()
	for _, id := range c.ids {
		if id != f && id != l && c.node(id) != nil {
			return id
		}
	}
	// f follows the leader, and the third does too or is f.
	return l
}

// TestCrashAroundConfChange crashes a node before a change of members is in its
// log, when it is but may not be applied, and when it is applied: after the
// restart all nodes have the same members, and go on when one is lost.
func TestCrashAroundConfChange(t *testing.T) {
	for _, victim := range []string{"leader", "follower"} {
		for _, moment := range []string{"before it is stored", "after it is stored", "after it is applied"} {
			t.Run(victim+" "+moment, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { crashAroundConfChange(t, victim, moment) })
			})
		}
	}
}

func crashAroundConfChange(t *testing.T, victim, moment string) {
	isChange := func(es []*raftpb.Entry) bool {
		return slices.ContainsFunc(es, func(e *raftpb.Entry) bool { return e.GetType() == raftpb.EntryConfChange })
	}
	power := errors.New("power cut")
	c := newCluster(t, 3, 1, oftenCheckpoints)
	v := c.leader()
	if victim == "follower" {
		v = c.followers()[0]
	}
	c.must(v, "before")
	stored := false // written by v's writer alone
	hook := func(es []*raftpb.Entry) error {
		if stored || moment == "before it is stored" && isChange(es) {
			return power
		}
		stored = isChange(es)
		return nil
	}
	if moment != "after it is applied" {
		c.hosts[v].log.setHook(hook)
	}
	n := c.node(v)
	c.addLearner()
	if moment == "after it is applied" {
		c.knows(v, "before the crash")
	} else {
		c.writeUntilGone(n)
	}
	c.stop(v)
	c.start(v)
	c.addLearner() // it may have been lost with its only copy; twice is as good
	for _, id := range c.ids {
		c.knows(id, "after the restart")
	}
	c.mustAgain(v, "after")
	gone := c.leader()
	c.stop(gone)
	c.mustAgain(c.leader(), "with one node lost")
	c.start(gone)
	c.knows(gone, "when it is back")
	c.converge("before")
}

// writeUntilGone lets the others write until n, whose disk fails at the next
// write or the one after, has ended.
func (c *cluster) writeUntilGone(n *Node) {
	c.t.Helper()
	eventually(c.t, "the end of the node", func() bool {
		for _, id := range c.ids {
			if m := c.node(id); m != nil && m.Role() == "leader" {
				c.propose(id, fmt.Sprint("more ", time.Now()), patience)
			}
		}
		select {
		case <-n.Done():
			return true
		default:
			return false
		}
	})
}
