package consensus

import (
	"cmp"
	"slices"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"
)

// Status tells how a node is.
type Status struct {
	ID, Leader, Term uint64
	// Role is "leader", "follower", "candidate" or "learner".
	Role string
	// Indexes of the log.
	Applied, Commit, Last, Checkpoint uint64
	// LogSize is the log's size on disk in bytes after the last write.
	LogSize int64
	// Age is the time since the node heard from a leader.
	Age time.Duration
	// Waiting is the number of proposals and reads without an answer.
	Waiting, WaitingReads int
	Members               []MemberStatus
}

// MemberStatus is another node, or this one, as this node sees it.
type MemberStatus struct {
	ID        uint64
	Voter     bool
	Connected bool
	// Match is the last index a leader knows to be stored there.
	Match uint64
}

// Role returns the node's role: "leader", "follower", "candidate" or
// "learner".
func (n *Node) Role() string {
	switch n.state.Load().role {
	case raft.StateLeader:
		return "leader"
	case raft.StateCandidate, raft.StatePreCandidate:
		return "candidate"
	}
	for _, id := range n.storage.confState().GetLearners() {
		if id == n.cfg.ID {
			return "learner"
		}
	}
	return "follower"
}

// Term returns the current term.
func (n *Node) Term() uint64 { return n.state.Load().term }

// Applied returns the last index applied here.
func (n *Node) Applied() uint64 { return n.appliedIndex.get() }

// QueueLengths returns how many batches wait for the writer, the applier and
// the reader.
func (n *Node) QueueLengths() (writer, applier, reader int) {
	return n.writes.len(), n.applys.len(), n.reads.len()
}

// Status gathers a Status. It waits for nothing; what a leader knows of the
// members' logs is as of one of the last heartbeats.
func (n *Node) Status() Status {
	last, _ := n.storage.LastIndex() // it reports no errors once open
	l := n.state.Load()
	s := Status{
		ID: n.cfg.ID, Leader: l.leader, Term: l.term, Role: n.Role(),
		Applied: n.Applied(), Commit: n.pending.commit.Load(), Last: last,
		Checkpoint: n.storage.lastCheckpoint().Index, LogSize: n.logSize.Load(), Age: n.Age(),
		Waiting: int(n.waiting.Load()), WaitingReads: int(n.waitingReads.Load()),
	}
	var match map[uint64]uint64
	if l.role == raft.StateLeader {
		match = *n.progress.Load()
	}
	for id := range n.storage.voters() {
		s.Members = append(s.Members, n.member(id, true, match))
	}
	for _, id := range n.storage.confState().GetLearners() {
		s.Members = append(s.Members, n.member(id, false, match))
	}
	slices.SortFunc(s.Members, func(a, b MemberStatus) int { return cmp.Compare(a.ID, b.ID) })
	return s
}

func (n *Node) member(id uint64, voter bool, match map[uint64]uint64) MemberStatus {
	self := id == n.cfg.ID
	return MemberStatus{ID: id, Voter: voter, Connected: self || n.cfg.Transport.Connected(id), Match: match[id]}
}

// progressEvery is how often, in heartbeats, a leader's view of the members is
// published.
const progressEvery = 2

// publishProgress makes what a leader knows of every member's log readable.
func (n *Node) publishProgress() {
	if n.core.role != raft.StateLeader || n.core.now.Sub(n.progressAt) < progressEvery*n.cfg.heartbeat() {
		return
	}
	n.progressAt = n.core.now
	match := map[uint64]uint64{}
	n.core.raw.WithProgress(func(id uint64, _ raft.ProgressType, pr tracker.Progress) { match[id] = pr.Match })
	n.progress.Store(&match)
}
