package consensus

import (
	"log/slog"
	"testing"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// handCore is a core of node 1 among voters 1 to 3, driven by hand: its log
// and its applier are at once.
type handCore struct {
	t     testing.TB
	c     *core
	log   *memLog
	now   time.Time
	sent  []*raftpb.Message
	fatal error
	// applied is the last index handed to the applier.
	applied  uint64
	discards int
}

// deaf is a Transport that keeps nothing.
type deaf struct{}

func (deaf) Send([]*raftpb.Message)              {}
func (deaf) Forward(uint64, uint64, []byte) bool { return true }
func (deaf) Connected(uint64) bool               { return true }

// handTerm and handLast are where the log of a handCore ends; all up to
// handCommit is committed.
const (
	handTerm   = 3
	handLast   = 8
	handCommit = 5
)

func newHandCore(t testing.TB) *handCore {
	h := &handCore{t: t, now: time.Unix(1e9, 0)}
	h.log = &memLog{now: logState{base: 2, baseTerm: 1, hs: &raftpb.HardState{
		Term: new(uint64(handTerm)), Vote: new(uint64(0)), Commit: new(uint64(handCommit))}}}
	for i := uint64(3); i <= handLast; i++ {
		h.log.now.entries = append(h.log.now.entries, &raftpb.Entry{Index: new(i), Term: new(min(i-1, handTerm))})
	}
	cfg := &Config{
		ID: 1, Nonce: 9, State: Meta{Index: 3, Term: 2, ConfState: &raftpb.ConfState{Voters: []uint64{1, 2, 3}}},
		Log: h.log, Machine: newMachine(Meta{}), Transport: deaf{}, Wall: func() int64 { return 1 },
		Logger: slog.New(slog.DiscardHandler),
	}
	if err := cfg.prepare(); err != nil {
		t.Fatal(err)
	}
	cfg.Fatal = func(err error) { h.fatal = err }
	cfg.heard = func(time.Time) {}
	cfg.writing = func() time.Time { return time.Time{} }
	cfg.staged = func(*raftpb.SnapshotMetadata) bool { return true }
	st, err := newStorage(h.log, cfg.State)
	if err != nil {
		t.Fatal(err)
	}
	if h.c, err = newCore(cfg, st, newPending(), h.now); err != nil {
		t.Fatal(err)
	}
	h.applied = cfg.State.Index
	h.run()
	return h
}

// run does what core asks for until it asks for nothing.
func (h *handCore) run() {
	for {
		out := h.c.advance()
		h.sent = append(h.sent, out.send...)
		if out.discard {
			h.discards++
		}
		appends, applies := append([]*raftpb.Message{}, out.append...), append([]*raftpb.Message{}, out.apply...)
		for _, m := range appends {
			h.store(m)
		}
		for _, m := range applies {
			h.apply(m)
		}
		if len(appends)+len(applies) == 0 {
			return
		}
	}
}

func (h *handCore) store(m *raftpb.Message) {
	h.t.Helper()
	if s := m.GetSnapshot(); !raft.IsEmptySnap(s) {
		meta := s.GetMetadata()
		hs := &raftpb.HardState{Term: m.Term, Vote: m.Vote, Commit: new(min(m.GetCommit(), meta.GetIndex()))}
		if err := h.log.Reset(meta.GetIndex(), meta.GetTerm(), hs); err != nil {
			h.t.Fatal(err)
		}
		h.applied = meta.GetIndex()
		h.c.storage.setConfState(meta.GetConfState())
		h.c.skipped(h.now, meta.GetTerm())
	}
	var hs *raftpb.HardState
	if m.Term != nil {
		hs = &raftpb.HardState{Term: m.Term, Vote: m.Vote, Commit: m.Commit}
	}
	if err := h.log.Append(hs, m.GetEntries(), true); err != nil {
		h.t.Fatal(err)
	}
	var own []*raftpb.Message
	for _, r := range m.GetResponses() {
		if r.GetTo() == 1 {
			own = append(own, r)
		} else {
			h.sent = append(h.sent, r)
		}
	}
	h.c.stored(h.now, own)
}

func (h *handCore) apply(m *raftpb.Message) {
	h.t.Helper()
	var r entryReader
	for _, e := range m.GetEntries() {
		if e.GetIndex() != h.applied+1 {
			h.t.Fatalf("entry %d is applied after %d", e.GetIndex(), h.applied)
		}
		h.applied++
		cc, err := decodeConfChange(e)
		if err != nil {
			h.t.Fatalf("entry %d can't be applied: %v", e.GetIndex(), err)
		}
		if cc != nil {
			h.c.applyConfChange(cc)
		} else if len(e.GetData()) > 0 {
			_, _, _ = r.decode(e.GetData())
		}
	}
	es := m.GetEntries()
	h.c.applied(h.now, m.GetResponses(), h.applied, es[len(es)-1].GetTerm())
}

// receive gives messages of node 2 to core, together.
func (h *handCore) receive(ms ...*raftpb.Message) {
	h.c.receive(h.now, 2, ms)
	h.run()
}

func (h *handCore) tick(n int) {
	for range n {
		h.now = h.now.Add(h.c.cfg.Tick)
		h.c.wake(h.now)
		h.run()
	}
}

// become makes the core what role says, and returns it.
func (h *handCore) become(role string) *handCore {
	h.t.Helper()
	switch role {
	case "follower":
		h.receive(peerMessage(raftpb.MsgHeartbeat, handTerm, nil))
	case "nothing": // no leader is known
	case "candidate", "leader":
		_ = h.c.raw.Campaign()
		h.run()
		h.receive(peerMessage(raftpb.MsgPreVoteResp, handTerm+1, nil))
	}
	if role == "leader" {
		h.receive(peerMessage(raftpb.MsgVoteResp, handTerm+1, nil))
		h.receive(peerMessage(raftpb.MsgAppResp, handTerm+1, func(m *raftpb.Message) { m.Index = new(uint64(handLast + 1)) }))
		// A read that waits: heartbeats carry its position.
		h.c.reads.add([]*read{{deadline: h.now.Add(time.Hour), done: func(error) {}}})
		h.run()
	}
	want := map[string]raft.StateType{"follower": raft.StateFollower, "nothing": raft.StateFollower, "candidate": raft.StateCandidate, "leader": raft.StateLeader}
	if h.c.role != want[role] {
		h.t.Fatalf("it became %v, not %s", h.c.role, role)
	}
	return h
}

var roles = []string{"follower", "nothing", "candidate", "leader"}

// peerMessage is a message of node 2 to node 1.
func peerMessage(typ raftpb.MessageType, term uint64, change func(*raftpb.Message)) *raftpb.Message {
	m := &raftpb.Message{Type: typ.Enum(), From: new(uint64(2)), To: new(uint64(1))}
	if term != 0 {
		m.Term = &term
	}
	if change != nil {
		change(m)
	}
	return m
}

func mustMarshal(m proto.Message) []byte {
	b, err := proto.Marshal(m)
	if err != nil {
		panic(err)
	}
	return b
}
