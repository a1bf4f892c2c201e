package consensus

import (
	"io"
	"time"

	"go.etcd.io/raft/v3/raftpb"
)

// Log is the raft log on disk (consensus/wal has one). Its reading methods
// are raft.Storage's and may be called at the same time as any other; Append
// and Reset are called by the writer alone. An error of Append or Reset is
// final.
type Log interface {
	// HardState returns the last stored vote, term and commit; nil if none.
	HardState() *raftpb.HardState
	FirstIndex() (uint64, error)
	LastIndex() (uint64, error)
	Term(index uint64) (uint64, error)
	Entries(lo, hi, maxSize uint64) ([]*raftpb.Entry, error)
	// Append stores hs (nil: unchanged) and entries; entries at and after the
	// first one's index are replaced. With sync it returns when all is on
	// disk.
	Append(hs *raftpb.HardState, entries []*raftpb.Entry, sync bool) error
	// Reset empties the log: it goes on after index.
	Reset(index, term uint64, hs *raftpb.HardState) error
	// Compact allows the log to drop entries up to index.
	Compact(index, term uint64) error
	// Size returns the bytes on disk.
	Size() int64
}

// Transport carries messages to peers. Its methods do not block.
type Transport interface {
	// Send sends messages in order, or drops them. It may keep the messages,
	// not the slice. Whatever becomes of a MsgSnap, Node.SnapshotSent must be
	// called: raft sends its receiver nothing else until then.
	Send(msgs []*raftpb.Message)
	// Forward sends commands to the leader of term, after those sent before on
	// the same connection; false: they were not and will not be sent. What is
	// accepted may be lost; when a connection is lost, PeerUp follows once
	// there is another.
	Forward(to, term uint64, group []byte) bool
	// Connected tells whether the peer is reached at present.
	Connected(id uint64) bool
}

// Alarm wakes the loop. Time itself the node reads from time.Now.
type Alarm interface {
	// Set lets Ring receive once when d has passed, at once if d is not
	// positive. What was set before does not count any more; Ring may have
	// received it.
	Set(d time.Duration)
	// Ring is a channel of one slot.
	Ring() <-chan struct{}
	// Close ends it; Set does nothing afterwards.
	Close()
}

// Meta says which part of the log a state contains.
type Meta struct {
	Index, Term uint64
	ConfState   *raftpb.ConfState
}

// StateMachine is what commands are applied to.
type StateMachine interface {
	// Apply applies the commands of the entry at index in order and puts what
	// each of them led to into results, for whoever proposed it. now is the
	// leader's clock when the entry was made, nanoseconds since 1970. Called
	// by the applier alone. The commands alias the entry.
	Apply(index uint64, now int64, commands [][]byte, results []any)
	// Checkpoint takes the state as it is between two calls of Apply, without
	// copying it, and returns a function that makes it durable together with
	// m. The function is called on another goroutine, one at a time; an error
	// of it ends the node. When a snapshot was installed before it is called
	// it must do nothing: what is durable is newer.
	Checkpoint(m Meta) func() error
	// OpenSnapshot opens a stream of the last durable checkpoint.
	OpenSnapshot() (Meta, io.ReadCloser, error)
	// StageSnapshot reads such a stream into durable storage beside the
	// present state. install puts it in the present state's place, durably,
	// while nothing is applied; discard drops it. One of them is called.
	StageSnapshot(m Meta, r io.Reader) (install func() error, discard func(), err error)
}
