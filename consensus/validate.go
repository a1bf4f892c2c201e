package consensus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/confchange"
	"go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
	"google.golang.org/protobuf/proto"
)

// peerChecks keeps from raft what would make it panic or believe a lie: raft
// trusts its messages. A message must have the form its type asks for and fit
// this node's log. Owned by the core.
type peerChecks struct {
	// readPosition is the highest read position sent in heartbeats of term.
	term, readPosition uint64
}

// newTerm is called when this node leads term.
func (p *peerChecks) newTerm(term uint64) {
	if p.term != term {
		p.term, p.readPosition = term, 0
	}
}

// sent notes what answers to m may refer to.
func (p *peerChecks) sent(m *raftpb.Message) {
	if m.GetType() == raftpb.MsgHeartbeat && m.GetTerm() == p.term && len(m.GetContext()) == 8 {
		p.readPosition = max(p.readPosition, binary.LittleEndian.Uint64(m.GetContext()))
	}
}

// maxPosition bounds terms, and the index of a snapshot: raft counts on from
// them.
const maxPosition = 1 << 62

// errStale drops a message that was right when it was sent.
var errStale = errors.New("overtaken by an election")

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalidMessage, fmt.Sprintf(format, args...))
}

// check tells whether m, from an authenticated peer, may be stepped. Errors
// are errStale or wrap ErrInvalidMessage or ErrLostEntries.
func (p *peerChecks) check(c *core, from uint64, m *raftpb.Message) error {
	switch {
	case m.GetFrom() != from:
		return invalid("from %d, but node %d sent it", m.GetFrom(), from)
	case m.GetTo() != c.cfg.ID:
		return invalid("to node %d", m.GetTo())
	case from == c.cfg.ID || from == raft.None || raft.IsLocalMsgTarget(from):
		return invalid("from itself")
	case m.GetTerm() > maxPosition:
		return invalid("of term %d", m.GetTerm())
	case len(m.GetResponses()) > 0:
		return invalid("with responses")
	case m.GetType() != raftpb.MsgSnap && !raft.IsEmptySnap(m.GetSnapshot()):
		return invalid("with a snapshot")
	}
	switch m.GetType() {
	case raftpb.MsgApp:
		return p.checkAppend(c, m)
	case raftpb.MsgHeartbeat:
		return p.checkHeartbeat(c, m)
	case raftpb.MsgSnap:
		if err := checkLeader(c, m); err != nil {
			return err
		}
		if !c.cfg.staged(m.GetSnapshot().GetMetadata()) {
			return invalid("snapshot without its state")
		}
		return checkSnapshot(m)
	case raftpb.MsgAppResp, raftpb.MsgHeartbeatResp:
		return p.checkResponse(c, m)
	case raftpb.MsgReadIndex:
		// Raft takes any number of entries, and panics at a term when it
		// passes the message on.
		if m.GetTerm() != 0 || len(m.GetEntries()) != 1 || len(m.GetEntries()[0].GetData()) != readContextSize {
			return invalid("malformed read request")
		}
		if c.role != raft.StateLeader {
			return errStale
		}
		return nil
	case raftpb.MsgReadIndexResp:
		if len(m.GetEntries()) != 1 || m.GetTerm() == 0 {
			return invalid("malformed read answer")
		}
		if from != c.leader {
			return errStale
		}
		return nil
	case raftpb.MsgTimeoutNow:
		if from != c.leader || m.GetTerm() != c.term {
			return errStale
		}
		return noEntries(m)
	case raftpb.MsgVote, raftpb.MsgPreVote, raftpb.MsgVoteResp, raftpb.MsgPreVoteResp:
		if m.GetTerm() == 0 {
			return invalid("without a term")
		}
		return noEntries(m)
	}
	return invalid("of a type that peers do not send")
}

func noEntries(m *raftpb.Message) error {
	if len(m.GetEntries()) > 0 {
		return invalid("with entries")
	}
	return nil
}

// checkLeader refuses a second leader in one term.
func checkLeader(c *core, m *raftpb.Message) error {
	switch {
	case m.GetTerm() == 0:
		return invalid("without a term")
	case m.GetTerm() == c.term && c.role == raft.StateLeader:
		return invalid("from a leader of this node's own term %d", c.term)
	case m.GetTerm() == c.term && c.leader != raft.None && c.leader != m.GetFrom():
		return invalid("from a leader of term %d, which is led by node %d", c.term, c.leader)
	}
	return nil
}

// checkAppend: entries follow each other, and changes of members can be
// decoded. Raft itself skips what lies below the commit index.
func (p *peerChecks) checkAppend(c *core, m *raftpb.Message) error {
	if err := checkLeader(c, m); err != nil {
		return err
	}
	index, term := m.GetIndex(), m.GetLogTerm()
	if term > m.GetTerm() {
		return invalid("entry of term %d from a leader of term %d", term, m.GetTerm())
	}
	for _, e := range m.GetEntries() {
		if e.GetIndex() != index+1 || e.GetTerm() < term || e.GetTerm() > m.GetTerm() || e.GetTerm() == 0 {
			return invalid("entry %d of term %d after entry %d of term %d", e.GetIndex(), e.GetTerm(), index, term)
		}
		index, term = e.GetIndex(), e.GetTerm()
		if err := checkEntry(e); err != nil {
			return err
		}
	}
	return nil
}

// checkEntry: what the applier hands to raft must be decodable.
func checkEntry(e *raftpb.Entry) error {
	if _, err := decodeConfChange(e); err != nil {
		return invalid("entry %d: change of members: %v", e.GetIndex(), err)
	}
	return nil
}

// decodeConfChange returns the change of members an entry is, nil if it is
// none.
func decodeConfChange(e *raftpb.Entry) (raftpb.ConfChangeI, error) {
	switch e.GetType() {
	case raftpb.EntryNormal:
		return nil, nil
	case raftpb.EntryConfChange:
		cc := &raftpb.ConfChange{}
		return cc, proto.Unmarshal(e.GetData(), cc)
	case raftpb.EntryConfChangeV2:
		cc := &raftpb.ConfChangeV2{}
		return cc, proto.Unmarshal(e.GetData(), cc)
	}
	return nil, fmt.Errorf("entry of unknown type %d", e.GetType())
}

// checkHeartbeat: a leader tells a follower to commit no more than the
// follower has confirmed. If this log is shorter it has lost something.
func (p *peerChecks) checkHeartbeat(c *core, m *raftpb.Message) error {
	if err := checkLeader(c, m); err != nil {
		return err
	}
	if n := len(m.GetContext()); n != 0 && n != 8 {
		return invalid("read position of %d bytes", n)
	}
	if m.GetTerm() >= c.term && m.GetCommit() > c.pending.commit.Load() {
		c.settle()
	}
	if m.GetTerm() >= c.term && m.GetCommit() > c.lastIndex {
		return fmt.Errorf("%w: node %d has index %d confirmed by it, the log ends at %d", ErrLostEntries, m.GetFrom(), m.GetCommit(), c.lastIndex)
	}
	return noEntries(m)
}

// checkSnapshot: raft must be able to restore the members.
func checkSnapshot(m *raftpb.Message) error {
	meta := m.GetSnapshot().GetMetadata()
	switch {
	case m.GetTerm() == 0 || meta.GetIndex() == 0 || meta.GetIndex() > maxPosition || meta.GetTerm() == 0 || meta.GetTerm() > m.GetTerm():
		return invalid("snapshot of index %d, term %d in term %d", meta.GetIndex(), meta.GetTerm(), m.GetTerm())
	case len(meta.GetConfState().GetVoters()) == 0:
		return invalid("snapshot without voters")
	}
	return checkConfState(meta.GetConfState())
}

// checkConfState refuses what raft can't restore: ids that are 0, local, or
// named twice in roles that exclude each other.
func checkConfState(cs *raftpb.ConfState) error {
	// Raft compares what it restored with what it was given, to the last
	// field, and panics where they differ.
	if len(cs.ProtoReflect().GetUnknown()) > 0 {
		return invalid("members in a form this version does not know")
	}
	seen := map[uint64]bool{}
	for _, ids := range [][]uint64{cs.GetVoters(), cs.GetLearners()} {
		for _, id := range ids {
			if id == raft.None || raft.IsLocalMsgTarget(id) || seen[id] {
				return invalid("members with id %d", id)
			}
			seen[id] = true
		}
	}
	if len(cs.GetVotersOutgoing()) == 0 && (len(cs.GetLearnersNext()) > 0 || cs.GetAutoLeave()) {
		return invalid("members that leave a joint configuration there is not")
	}
	out := map[uint64]bool{}
	for _, id := range cs.GetVotersOutgoing() {
		if id == raft.None || raft.IsLocalMsgTarget(id) || out[id] || slices.Contains(cs.GetLearners(), id) {
			return invalid("members with id %d", id)
		}
		out[id] = true
	}
	for _, id := range cs.GetLearnersNext() {
		if !out[id] || seen[id] {
			return invalid("learner %d to be", id)
		}
		seen[id] = true
	}
	return nil
}

// checkResponse: a follower can't have more than the leader, nor have heard a
// read position that was not sent.
func (p *peerChecks) checkResponse(c *core, m *raftpb.Message) error {
	if m.GetTerm() == 0 {
		return invalid("without a term")
	}
	ctx := m.GetContext()
	if len(ctx) != 0 && (m.GetType() != raftpb.MsgHeartbeatResp || len(ctx) != 8) {
		return invalid("read position of %d bytes", len(ctx))
	}
	if m.GetTerm() != c.term || c.role != raft.StateLeader {
		return noEntries(m) // raft ignores it, or follows a higher term
	}
	if len(ctx) == 8 && binary.LittleEndian.Uint64(ctx) > p.readPosition {
		return invalid("read position %d was not sent", binary.LittleEndian.Uint64(ctx))
	}
	if m.GetIndex() > c.lastIndex || m.GetRejectHint() > m.GetIndex() {
		return invalid("it confirms index %d, the log ends at %d", max(m.GetIndex(), m.GetRejectHint()), c.lastIndex)
	}
	return noEntries(m)
}

// checkConfChange tells whether raft can apply cc to the members cs; where it
// can't, it panics. The same on every node: it depends on the log alone.
func checkConfChange(cs *raftpb.ConfState, cc *raftpb.ConfChangeV2) error {
	for _, ch := range cc.GetChanges() {
		if raft.IsLocalMsgTarget(ch.GetNodeId()) {
			return invalid("members with id %d", ch.GetNodeId())
		}
	}
	switch cc.GetTransition() {
	case raftpb.ConfChangeTransitionAuto, raftpb.ConfChangeTransitionJointImplicit, raftpb.ConfChangeTransitionJointExplicit:
	default:
		return invalid("change of members by transition %d", cc.GetTransition())
	}
	changer := confchange.Changer{Tracker: tracker.MakeProgressTracker(1, 0), LastIndex: 1}
	cfg, progress, err := confchange.Restore(changer, cs)
	if err != nil {
		return err
	}
	changer.Tracker.Config, changer.Tracker.Progress = cfg, progress
	if cc.LeaveJoint() {
		_, _, err = changer.LeaveJoint()
	} else if autoLeave, joint := cc.EnterJoint(); joint {
		_, _, err = changer.EnterJoint(autoLeave, cc.GetChanges()...)
	} else {
		_, _, err = changer.Simple(cc.GetChanges()...)
	}
	return err
}
