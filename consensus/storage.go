package consensus

import (
	"fmt"
	"sync"
	"sync/atomic"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// storage is raft.Storage over a Log and the last checkpoint.
type storage struct {
	Log

	// done is the last index that raft knows to be applied.
	done atomic.Uint64

	mu         sync.Mutex
	conf       *raftpb.ConfState // as of what is applied
	checkpoint Meta              // last durable one
	applied    Meta              // the state at the start of the process
}

// newStorage fits the log to the state on disk: a snapshot may have been
// installed without the log having been told, by a crash between the two.
func newStorage(log Log, state Meta) (*storage, error) {
	first, err := log.FirstIndex()
	if err != nil {
		return nil, err
	}
	last, err := log.LastIndex()
	if err != nil {
		return nil, err
	}
	if first > state.Index+1 {
		return nil, fmt.Errorf("the log begins at index %d but the checkpoint ends at %d: entries between them are missing; restore this node's data directory as it was when it last ran", first, state.Index)
	}
	hs := log.HardState() // nil is a zero one
	if hs.GetCommit() > last {
		return nil, fmt.Errorf("the log ends at index %d but index %d was committed: entries it had stored are missing; restore this node's data directory as it was when it last ran", last, hs.GetCommit())
	}
	fits := state.Index <= last
	if fits {
		term, err := log.Term(state.Index)
		if err != nil {
			return nil, fmt.Errorf("the term of index %d, where the checkpoint ends: %w", state.Index, err)
		}
		fits = term == state.Term
		if !fits && hs.GetCommit() >= state.Index {
			return nil, fmt.Errorf("index %d is of term %d in the checkpoint and of term %d in the log, which says that it is committed: they do not belong together", state.Index, state.Term, term)
		}
	}
	if !fits {
		next := &raftpb.HardState{Term: new(hs.GetTerm()), Vote: new(hs.GetVote()), Commit: new(state.Index)}
		if state.Term > hs.GetTerm() {
			next.Term, next.Vote = new(state.Term), new(uint64(0))
		}
		if err := log.Reset(state.Index, state.Term, next); err != nil {
			return nil, err
		}
	}
	s := &storage{Log: log, conf: state.ConfState, checkpoint: state, applied: state}
	s.done.Store(state.Index)
	return s, nil
}

// InitialState implements raft.Storage.
func (s *storage) InitialState() (*raftpb.HardState, *raftpb.ConfState, error) {
	hs := s.HardState()
	// A commit index is stored with the next entries: the checkpoint may be
	// ahead of it.
	return &raftpb.HardState{
		Term: new(hs.GetTerm()), Vote: new(hs.GetVote()), Commit: new(max(hs.GetCommit(), s.applied.Index)),
	}, s.applied.ConfState, nil
}

// Snapshot implements raft.Storage: the metadata alone. The transport streams
// the state, and sends the stream's own metadata.
func (s *storage) Snapshot() (*raftpb.Snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &raftpb.Snapshot{Metadata: &raftpb.SnapshotMetadata{
		// Raft writes defaults into what it is given.
		ConfState: proto.Clone(s.checkpoint.ConfState).(*raftpb.ConfState), Index: new(s.checkpoint.Index), Term: new(s.checkpoint.Term),
	}}, nil
}

func (s *storage) setConfState(cs *raftpb.ConfState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conf = cs
}

func (s *storage) confState() *raftpb.ConfState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conf
}

// checkpointed notes a durable checkpoint, unless a later one was installed
// meanwhile, and returns the one before it.
func (s *storage) checkpointed(m Meta) (before Meta) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before = s.checkpoint
	if m.Index > before.Index {
		s.checkpoint = m
	}
	return before
}

func (s *storage) lastCheckpoint() Meta {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.checkpoint
}

// voters returns who votes at present, in a joint configuration of either.
func (s *storage) voters() map[uint64]bool {
	cs := s.confState()
	out := make(map[uint64]bool, len(cs.GetVoters()))
	for _, id := range cs.GetVoters() {
		out[id] = true
	}
	for _, id := range cs.GetVotersOutgoing() {
		out[id] = true
	}
	return out
}
