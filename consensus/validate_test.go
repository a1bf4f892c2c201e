package consensus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

func entry(index, term uint64) *raftpb.Entry {
	return &raftpb.Entry{Index: &index, Term: &term}
}

func readPosition(n uint64) []byte { return binary.LittleEndian.AppendUint64(nil, n) }

func snapshotOf(index, term uint64, cs *raftpb.ConfState) func(*raftpb.Message) {
	return func(m *raftpb.Message) {
		m.Snapshot = &raftpb.Snapshot{Metadata: &raftpb.SnapshotMetadata{Index: &index, Term: &term, ConfState: cs}}
	}
}

// TestPeerChecks: for each rule what it refuses, and beside it what it must
// let through. A leader leads handTerm+1; a follower follows node 2 in
// handTerm.
func TestPeerChecks(t *testing.T) {
	const term, led = handTerm, handTerm + 1
	three := &raftpb.ConfState{Voters: []uint64{1, 2, 3}}
	type message = raftpb.Message
	for _, tc := range []struct {
		name string
		role string
		m    *raftpb.Message
		want error
	}{
		{"from another", "follower", peerMessage(raftpb.MsgHeartbeat, term, func(m *message) { m.From = new(uint64(3)) }), ErrInvalidMessage},
		{"to another", "follower", peerMessage(raftpb.MsgHeartbeat, term, func(m *message) { m.To = new(uint64(3)) }), ErrInvalidMessage},
		{"with responses", "follower", peerMessage(raftpb.MsgHeartbeat, term, func(m *message) { m.Responses = []*message{{}} }), ErrInvalidMessage},
		{"with a snapshot", "follower", peerMessage(raftpb.MsgApp, term, snapshotOf(20, term, three)), ErrInvalidMessage},
		{"term near the end", "follower", peerMessage(raftpb.MsgVote, math.MaxUint64, nil), ErrInvalidMessage},
		{"nothing", "follower", &raftpb.Message{}, ErrInvalidMessage},

		{"local", "follower", peerMessage(raftpb.MsgHup, 0, nil), ErrInvalidMessage},
		{"storage", "leader", peerMessage(raftpb.MsgStorageAppendResp, term, nil), ErrInvalidMessage},
		{"proposal", "leader", peerMessage(raftpb.MsgProp, 0, nil), ErrInvalidMessage},
		{"transfer", "leader", peerMessage(raftpb.MsgTransferLeader, 0, nil), ErrInvalidMessage},
		{"forget", "follower", peerMessage(raftpb.MsgForgetLeader, 0, nil), ErrInvalidMessage},
		{"unreachable", "leader", peerMessage(raftpb.MsgUnreachable, 0, nil), ErrInvalidMessage},
		{"unknown type", "leader", peerMessage(raftpb.MessageType(99), led, nil), ErrInvalidMessage},

		{"heartbeat", "follower", peerMessage(raftpb.MsgHeartbeat, term, func(m *message) { m.Commit = new(uint64(handLast)) }), nil},
		{"heartbeat with a read position", "follower", peerMessage(raftpb.MsgHeartbeat, term, func(m *message) { m.Context = readPosition(3) }), nil},
		{"heartbeat of an old term", "follower", peerMessage(raftpb.MsgHeartbeat, term-1, func(m *message) { m.Commit = new(uint64(99)) }), nil},
		{"heartbeat without a term", "follower", peerMessage(raftpb.MsgHeartbeat, 0, nil), ErrInvalidMessage},
		{"heartbeat beyond the log", "follower", peerMessage(raftpb.MsgHeartbeat, term, func(m *message) { m.Commit = new(uint64(handLast + 1)) }), ErrLostEntries},
		{"heartbeat with a short position", "follower", peerMessage(raftpb.MsgHeartbeat, term, func(m *message) { m.Context = []byte{1} }), ErrInvalidMessage},
		{"heartbeat with entries", "follower", peerMessage(raftpb.MsgHeartbeat, term, func(m *message) { m.Entries = []*raftpb.Entry{{}} }), ErrInvalidMessage},
		{"heartbeat to the leader of its term", "leader", peerMessage(raftpb.MsgHeartbeat, led, nil), ErrInvalidMessage},
		{"heartbeat of a higher term to a leader", "leader", peerMessage(raftpb.MsgHeartbeat, led+1, nil), nil},
		{"heartbeat to a candidate", "candidate", peerMessage(raftpb.MsgHeartbeat, led, nil), nil},

		{"append", "follower", peerMessage(raftpb.MsgApp, term, func(m *message) {
			m.Index, m.LogTerm, m.Entries, m.Commit = new(uint64(handLast)), new(uint64(term)), []*raftpb.Entry{entry(handLast+1, term), entry(handLast+2, term)}, new(uint64(99))
		}), nil},
		{"append of nothing", "follower", peerMessage(raftpb.MsgApp, term, func(m *message) { m.Index, m.LogTerm = new(uint64(99)), new(uint64(term)) }), nil},
		{"append with a gap", "follower", peerMessage(raftpb.MsgApp, term, func(m *message) {
			m.Index, m.LogTerm, m.Entries = new(uint64(handLast)), new(uint64(term)), []*raftpb.Entry{entry(handLast+2, term)}
		}), ErrInvalidMessage},
		{"append with falling terms", "follower", peerMessage(raftpb.MsgApp, term, func(m *message) {
			m.Index, m.LogTerm, m.Entries = new(uint64(handLast)), new(uint64(term)), []*raftpb.Entry{entry(handLast+1, term-1)}
		}), ErrInvalidMessage},
		{"append of a later term than its leader's", "follower", peerMessage(raftpb.MsgApp, term, func(m *message) {
			m.Index, m.LogTerm, m.Entries = new(uint64(handLast)), new(uint64(term)), []*raftpb.Entry{entry(handLast+1, term+1)}
		}), ErrInvalidMessage},
		{"append after a later term", "follower", peerMessage(raftpb.MsgApp, term, func(m *message) { m.LogTerm = new(uint64(term + 1)) }), ErrInvalidMessage},
		{"append without a term", "follower", peerMessage(raftpb.MsgApp, 0, nil), ErrInvalidMessage},
		{"append of an entry of no term", "follower", peerMessage(raftpb.MsgApp, term, func(m *message) { m.Entries = []*raftpb.Entry{entry(1, 0)} }), ErrInvalidMessage},
		{"append of a change of members", "follower", peerMessage(raftpb.MsgApp, term, func(m *message) {
			e := entry(handLast+1, term)
			e.Type, e.Data = raftpb.EntryConfChange.Enum(), mustMarshal(&raftpb.ConfChange{NodeId: new(uint64(4))})
			m.Index, m.LogTerm, m.Entries = new(uint64(handLast)), new(uint64(term)), []*raftpb.Entry{e}
		}), nil},
		{"append of a malformed change of members", "follower", peerMessage(raftpb.MsgApp, term, func(m *message) {
			e := entry(handLast+1, term)
			e.Type, e.Data = raftpb.EntryConfChangeV2.Enum(), []byte{0xff}
			m.Index, m.LogTerm, m.Entries = new(uint64(handLast)), new(uint64(term)), []*raftpb.Entry{e}
		}), ErrInvalidMessage},
		{"append of an unknown type", "follower", peerMessage(raftpb.MsgApp, term, func(m *message) {
			e := entry(1, term)
			e.Type = raftpb.EntryType(7).Enum()
			m.Entries = []*raftpb.Entry{e}
		}), ErrInvalidMessage},
		{"append to the leader of its term", "leader", peerMessage(raftpb.MsgApp, led, nil), ErrInvalidMessage},

		{"confirmation", "leader", peerMessage(raftpb.MsgAppResp, led, func(m *message) { m.Index = new(uint64(handLast + 1)) }), nil},
		{"confirmation beyond the log", "leader", peerMessage(raftpb.MsgAppResp, led, func(m *message) { m.Index = new(uint64(handLast + 2)) }), ErrInvalidMessage},
		{"confirmation of a higher term", "leader", peerMessage(raftpb.MsgAppResp, led+1, func(m *message) { m.Index = new(uint64(99)) }), nil},
		{"confirmation of an old term", "leader", peerMessage(raftpb.MsgAppResp, led-1, func(m *message) { m.Index = new(uint64(99)) }), nil},
		{"confirmation to a follower", "follower", peerMessage(raftpb.MsgAppResp, term, func(m *message) { m.Index = new(uint64(99)) }), nil},
		{"rejection", "leader", peerMessage(raftpb.MsgAppResp, led, func(m *message) {
			m.Reject, m.Index, m.RejectHint = new(true), new(uint64(handLast)), new(uint64(4))
		}), nil},
		{"rejection with a hint beyond", "leader", peerMessage(raftpb.MsgAppResp, led, func(m *message) {
			m.Reject, m.Index, m.RejectHint = new(true), new(uint64(4)), new(uint64(math.MaxUint64))
		}), ErrInvalidMessage},
		{"confirmation without a term", "leader", peerMessage(raftpb.MsgAppResp, 0, nil), ErrInvalidMessage},
		{"confirmation with entries", "leader", peerMessage(raftpb.MsgAppResp, led, func(m *message) { m.Entries = []*raftpb.Entry{{}} }), ErrInvalidMessage},
		{"confirmation with a context", "leader", peerMessage(raftpb.MsgAppResp, led, func(m *message) { m.Context = readPosition(1) }), ErrInvalidMessage},

		{"heartbeat's answer", "leader", peerMessage(raftpb.MsgHeartbeatResp, led, nil), nil},
		{"read position", "leader", peerMessage(raftpb.MsgHeartbeatResp, led, func(m *message) { m.Context = readPosition(1) }), nil},
		{"read position that was not sent", "leader", peerMessage(raftpb.MsgHeartbeatResp, led, func(m *message) { m.Context = readPosition(2) }), ErrInvalidMessage},
		{"read position of an old term", "leader", peerMessage(raftpb.MsgHeartbeatResp, led-1, func(m *message) { m.Context = readPosition(2) }), nil},
		{"short read position", "leader", peerMessage(raftpb.MsgHeartbeatResp, led, func(m *message) { m.Context = []byte{1, 2} }), ErrInvalidMessage},
		{"short read position to a candidate", "candidate", peerMessage(raftpb.MsgHeartbeatResp, led, func(m *message) { m.Context = []byte{1, 2} }), ErrInvalidMessage},

		{"read", "leader", peerMessage(raftpb.MsgReadIndex, 0, func(m *message) { m.Entries = []*raftpb.Entry{{Data: readContext(1, 1)}} }), nil},
		{"read to a follower", "follower", peerMessage(raftpb.MsgReadIndex, 0, func(m *message) { m.Entries = []*raftpb.Entry{{Data: readContext(1, 1)}} }), errStale},
		{"read of nothing", "leader", peerMessage(raftpb.MsgReadIndex, 0, nil), ErrInvalidMessage},
		{"read with a term", "leader", peerMessage(raftpb.MsgReadIndex, led, func(m *message) { m.Entries = []*raftpb.Entry{{Data: readContext(1, 1)}} }), ErrInvalidMessage},
		{"read with a short context", "leader", peerMessage(raftpb.MsgReadIndex, 0, func(m *message) { m.Entries = []*raftpb.Entry{{Data: []byte{1}}} }), ErrInvalidMessage},
		{"read answer", "follower", peerMessage(raftpb.MsgReadIndexResp, term, func(m *message) { m.Entries = []*raftpb.Entry{{Data: readContext(1, 1)}} }), nil},
		{"read answer of no leader", "nothing", peerMessage(raftpb.MsgReadIndexResp, term, func(m *message) { m.Entries = []*raftpb.Entry{{Data: readContext(1, 1)}} }), errStale},
		{"read answer of nothing", "follower", peerMessage(raftpb.MsgReadIndexResp, term, nil), ErrInvalidMessage},

		{"invitation to lead", "follower", peerMessage(raftpb.MsgTimeoutNow, term, nil), nil},
		{"invitation of an old term", "follower", peerMessage(raftpb.MsgTimeoutNow, term-1, nil), errStale},
		{"invitation of no leader", "nothing", peerMessage(raftpb.MsgTimeoutNow, term, nil), errStale},
		{"vote", "follower", peerMessage(raftpb.MsgVote, term+1, nil), nil},
		{"pre-vote", "leader", peerMessage(raftpb.MsgPreVote, term+1, nil), nil},
		{"vote without a term", "follower", peerMessage(raftpb.MsgVote, 0, nil), ErrInvalidMessage},
		{"vote's answer", "candidate", peerMessage(raftpb.MsgVoteResp, led, nil), nil},
		{"vote's answer without a term", "candidate", peerMessage(raftpb.MsgVoteResp, 0, nil), ErrInvalidMessage},
		{"vote with entries", "follower", peerMessage(raftpb.MsgVote, term+1, func(m *message) { m.Entries = []*raftpb.Entry{{}} }), ErrInvalidMessage},

		{"snapshot", "follower", peerMessage(raftpb.MsgSnap, term, snapshotOf(20, term, three)), nil},
		{"snapshot of a later term than its leader's", "follower", peerMessage(raftpb.MsgSnap, term, snapshotOf(20, term+1, three)), ErrInvalidMessage},
		{"snapshot without a term", "follower", peerMessage(raftpb.MsgSnap, 0, snapshotOf(20, 1, three)), ErrInvalidMessage},
		{"snapshot of nothing", "follower", peerMessage(raftpb.MsgSnap, term, nil), ErrInvalidMessage},
		{"snapshot near the end", "follower", peerMessage(raftpb.MsgSnap, term, snapshotOf(math.MaxUint64, term, three)), ErrInvalidMessage},
		{"snapshot to the leader of its term", "leader", peerMessage(raftpb.MsgSnap, led, snapshotOf(20, term, three)), ErrInvalidMessage},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := newHandCore(t).become(tc.role)
			err := h.c.checks.check(h.c, 2, tc.m)
			if !errors.Is(err, tc.want) || tc.want == nil && err != nil {
				t.Fatalf("%v, want %v", err, tc.want)
			}
			h.receive(tc.m)
			h.tick(50)
			if lost := errors.Is(tc.want, ErrLostEntries); lost != errors.Is(h.fatal, ErrLostEntries) {
				t.Errorf("the node ended with %v", h.fatal)
			}
		})
	}
}

// TestCheckMembers: the states raft can restore, and those it panics at.
func TestCheckMembers(t *testing.T) {
	type cs = raftpb.ConfState
	for name, tc := range map[string]struct {
		cs   *raftpb.ConfState
		good bool
	}{
		"voters":                     {&cs{Voters: []uint64{1, 2, 3}}, true},
		"learners":                   {&cs{Voters: []uint64{1, 2}, Learners: []uint64{3, 4}}, true},
		"joint":                      {&cs{Voters: []uint64{1, 2}, VotersOutgoing: []uint64{2, 3}, Learners: []uint64{5}, LearnersNext: []uint64{3}, AutoLeave: new(true)}, true},
		"none":                       {&cs{}, false},
		"a voter twice":              {&cs{Voters: []uint64{1, 1}}, false},
		"id 0":                       {&cs{Voters: []uint64{1, 0}}, false},
		"a local id":                 {&cs{Voters: []uint64{1, raft.LocalAppendThread}}, false},
		"voter and learner":          {&cs{Voters: []uint64{1, 2}, Learners: []uint64{2}}, false},
		"outgoing and learner":       {&cs{Voters: []uint64{1}, VotersOutgoing: []uint64{1, 2}, Learners: []uint64{2}}, false},
		"outgoing twice":             {&cs{Voters: []uint64{1}, VotersOutgoing: []uint64{2, 2}}, false},
		"next and voter":             {&cs{Voters: []uint64{1, 2}, VotersOutgoing: []uint64{1, 2}, LearnersNext: []uint64{2}}, false},
		"next twice":                 {&cs{Voters: []uint64{1}, VotersOutgoing: []uint64{1, 2}, LearnersNext: []uint64{2, 2}}, false},
		"next of no outgoing":        {&cs{Voters: []uint64{1}, LearnersNext: []uint64{2}}, false},
		"next that is not outgoing":  {&cs{Voters: []uint64{1}, VotersOutgoing: []uint64{1}, LearnersNext: []uint64{2}}, false},
		"leaving what is not joined": {&cs{Voters: []uint64{1}, AutoLeave: new(true)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			m := peerMessage(raftpb.MsgSnap, handTerm, snapshotOf(20, handTerm, tc.cs))
			if err := checkSnapshot(m); (err == nil) != tc.good {
				t.Errorf("%v", err)
			}
			newHandCore(t).become("follower").receive(m)
		})
	}
}

// TestOneBatch: the first message makes true, or false, what the check of the
// next one relies on.
func TestOneBatch(t *testing.T) {
	cut := peerMessage(raftpb.MsgApp, handTerm, func(m *raftpb.Message) {
		m.Index, m.LogTerm, m.Entries = new(uint64(handCommit)), new(uint64(3)), []*raftpb.Entry{entry(handCommit+1, handTerm)}
	})
	// Entry 6 of a term of its own, so that the rest of the log goes.
	cut.Term, cut.Entries[0].Term = new(uint64(handTerm+1)), new(uint64(handTerm+1))
	beyond := peerMessage(raftpb.MsgHeartbeat, handTerm+1, func(m *raftpb.Message) { m.Commit = new(uint64(handLast)) })
	h := newHandCore(t).become("follower")
	h.receive(cut, beyond)
	if !errors.Is(h.fatal, ErrLostEntries) {
		t.Errorf("a commit index beyond a log that was just cut: %v", h.fatal)
	}

	// It becomes leader by the first of them: nobody has heard of a read yet.
	h = newHandCore(t).become("candidate")
	h.c.receive(h.now, 2, []*raftpb.Message{peerMessage(raftpb.MsgVoteResp, handTerm+1, nil)})
	if h.c.role != raft.StateLeader {
		t.Errorf("a leader takes itself for a %v", h.c.role)
	}
	h.receive(peerMessage(raftpb.MsgHeartbeatResp, handTerm+1, func(m *raftpb.Message) { m.Context = readPosition(7) }),
		peerMessage(raftpb.MsgAppResp, handTerm+1, func(m *raftpb.Message) { m.Index = new(uint64(99)) }))
	if h.c.role != raft.StateLeader || h.c.pending.commit.Load() > handLast+1 {
		t.Errorf("%v, commit %d", h.c.role, h.c.pending.commit.Load())
	}

	h = newHandCore(t).become("leader")
	h.receive(peerMessage(raftpb.MsgApp, handTerm+2, nil),
		peerMessage(raftpb.MsgReadIndex, 0, func(m *raftpb.Message) { m.Entries = []*raftpb.Entry{{Data: readContext(1, 1)}} }))
	for _, m := range h.sent {
		if m.GetType() == raftpb.MsgReadIndex && m.GetFrom() != 1 {
			t.Error("a read request was passed on")
		}
	}
}

// randomMessage makes one that is nearly right.
func randomMessage(r *rand.Rand) *raftpb.Message {
	small := func() *uint64 { return new(uint64(r.IntN(14))) }
	num := func() *uint64 {
		switch r.IntN(12) {
		case 0:
			return nil
		case 1:
			return new(r.Uint64())
		case 2:
			return new(math.MaxUint64 - uint64(r.IntN(3)))
		}
		return small()
	}
	ids := func() (out []uint64) {
		for range r.IntN(4) {
			out = append(out, uint64(r.IntN(6)))
		}
		return out
	}
	m := peerMessage(raftpb.MessageType(r.IntN(24)), 0, nil)
	m.Term, m.Index, m.LogTerm, m.Commit, m.Vote = new(uint64(handTerm+r.IntN(4)-1)), num(), num(), num(), num()
	if r.IntN(10) == 0 {
		m.Term = num()
	}
	if r.IntN(3) == 0 {
		m.Reject, m.RejectHint = new(r.IntN(2) == 0), num()
	}
	if r.IntN(4) == 0 {
		m.Context = slices.Clone([][]byte{readPosition(uint64(r.IntN(4))), {1, 2}, []byte("CampaignTransfer"), make([]byte, 16)}[r.IntN(4)])
	}
	if r.IntN(3) == 0 || m.GetType() == raftpb.MsgApp {
		m.LogTerm = new(min(m.GetIndex()-1, handTerm))
		index, term := m.GetIndex(), m.GetLogTerm()
		for range r.IntN(4) {
			index++
			term += uint64(r.IntN(2))
			e := entry(index, term)
			typ := raftpb.EntryType(r.IntN(4))
			e.Type, e.Data = typ.Enum(), randomChange(r, typ)
			m.Entries = append(m.Entries, e)
		}
	}
	if m.GetType() == raftpb.MsgSnap || r.IntN(20) == 0 {
		snapshotOf(uint64(r.IntN(40)), uint64(r.IntN(6)), &raftpb.ConfState{Voters: append([]uint64{1}, ids()...), Learners: ids(), VotersOutgoing: ids(), LearnersNext: ids(), AutoLeave: new(r.IntN(2) == 0)})(m)
	}
	return m
}

// randomChange is the data of an entry of that type.
func randomChange(r *rand.Rand, typ raftpb.EntryType) []byte {
	one := func() *raftpb.ConfChangeSingle {
		return &raftpb.ConfChangeSingle{Type: raftpb.ConfChangeType(r.IntN(5)).Enum(), NodeId: new(uint64(r.IntN(6)))}
	}
	switch typ {
	case raftpb.EntryConfChange:
		c := one()
		return mustMarshal(&raftpb.ConfChange{Type: c.Type, NodeId: c.NodeId})
	case raftpb.EntryConfChangeV2:
		c := &raftpb.ConfChangeV2{Transition: raftpb.ConfChangeTransition(r.IntN(4)).Enum()}
		for range r.IntN(4) {
			c.Changes = append(c.Changes, one())
		}
		return mustMarshal(c)
	}
	b := make([]byte, r.IntN(20))
	for i := range b {
		b[i] = byte(r.IntN(3))
	}
	return b
}

// TestRandomMessages: whatever a peer sends, in whatever order, no panic.
func TestRandomMessages(t *testing.T) {
	count := uint64(3000)
	if testing.Short() {
		count = 300
	}
	first := uint64(time.Now().UnixNano())
	for seed := first; seed < first+count; seed++ {
		randomPeer(t, seed)
	}
}

func randomPeer(t *testing.T, seed uint64) {
	defer func() {
		if p := recover(); p != nil {
			panic(fmt.Sprintf("seed %d: %v", seed, p))
		}
	}()
	r := rand.New(rand.NewPCG(seed, 5))
	h := newHandCore(t).become(roles[r.IntN(len(roles))])
	for range 12 {
		var batch []*raftpb.Message
		for range 1 + r.IntN(4) {
			batch = append(batch, randomMessage(r))
		}
		h.receive(batch...)
		if h.fatal != nil {
			return
		}
		switch r.IntN(6) {
		case 0:
			h.tick(r.IntN(60))
		case 1:
			h.c.propose(h.now, []*proposal{{data: []byte("x"), deadline: h.now.Add(time.Hour), done: func(any, error) {}}})
			h.c.reads.add([]*read{{deadline: h.now.Add(time.Hour), done: func(error) {}}})
			h.run()
		case 2:
			h.c.forwarded(h.now, 2, h.c.term, testGroup{2, 1, []uint64{uint64(r.IntN(9) + 1)}, []string{"f"}}.append([]byte{0}))
			h.run()
		}
	}
	h.tick(50)
}

// FuzzPeerMessage: arbitrary messages, to a node in each role.
func FuzzPeerMessage(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 1))
	for i := range 60 {
		f.Add(uint8(i), mustMarshal(randomMessage(r)), mustMarshal(randomMessage(r)))
	}
	f.Fuzz(func(t *testing.T, role uint8, first, second []byte) {
		h := newHandCore(t).become(roles[int(role)%len(roles)])
		var batch []*raftpb.Message
		for _, b := range [][]byte{first, second} {
			m := &raftpb.Message{}
			if proto.Unmarshal(b, m) != nil {
				continue
			}
			if role&64 == 0 { // the transport has seen to it
				m.From, m.To = new(uint64(2)), new(uint64(1))
			}
			batch = append(batch, m)
		}
		if role&128 == 0 {
			h.receive(batch...)
		} else {
			for _, m := range batch {
				h.receive(m)
			}
		}
		if h.fatal == nil {
			h.tick(50)
		}
	})
}
