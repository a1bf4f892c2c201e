package consensus

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.etcd.io/raft/v3/raftpb"
)

// Config says what a node is and gives it what it needs. Fields without a
// default are required.
type Config struct {
	// ID is the node's raft id, never 0, never used by another node or by
	// another life of this one.
	ID uint64
	// Nonce is random for each process.
	Nonce uint64
	// State says what the StateMachine holds at the start: its last durable
	// checkpoint.
	State Meta

	Log       Log
	Transport Transport
	Machine   StateMachine
	// Yield lets others run first that wait for a processor, in this process and
	// in others, and returns at once if nobody does; nil: nothing does that. A
	// leader calls it before it makes an entry, when there are many writes: see
	// gather.
	Yield func()
	// Alarm is closed by Node.Stop, and by Open if that fails (a timer of the
	// runtime).
	Alarm Alarm

	// Tick is raft's unit of time (25 ms); a leader sends heartbeats every
	// HeartbeatTicks (5); a follower that hears nothing for ElectionTicks
	// (20), up to twice that, calls an election.
	Tick           time.Duration
	HeartbeatTicks int
	ElectionTicks  int
	// CheckpointBytes is how much log may be applied between checkpoints
	// (128 MiB).
	CheckpointBytes int64

	Limits Limits
	Hooks  Hooks
	Logger *slog.Logger
	// Wall reads the clock that stamps entries: nanoseconds since 1970.
	Wall func() int64

	// Fatal is called once with the error that ends the node (see Node.Done);
	// set by Open.
	Fatal func(error)

	// What core asks and tells its driver; set by Open.
	heard   func(time.Time)                     // a message of a leader came
	writing func() time.Time                    // see stallGuard
	staged  func(*raftpb.SnapshotMetadata) bool // a snapshot is at hand
}

// Hooks are called by the node's goroutines and must not block; nil ones are
// left out.
type Hooks struct {
	// Commit: time from making an entry to its commit, on the leader.
	Commit func(time.Duration)
	// Apply: time to apply what was committed together, and how many entries.
	Apply func(d time.Duration, entries int)
	// Leader: leader or term changed; 0 for no leader.
	Leader func(leader, term uint64)
	// Checkpoint: how long one took, and whether it worked.
	Checkpoint func(d time.Duration, err error)
}

func (c *Config) prepare() error {
	if c.ID == 0 {
		return errors.New("consensus: node id 0")
	}
	if c.Log == nil || c.Transport == nil || c.Machine == nil || c.Wall == nil {
		return errors.New("consensus: Config lacks Log, Transport, Machine or Wall")
	}
	if len(c.State.ConfState.GetVoters()) == 0 || c.State.Index == 0 {
		return fmt.Errorf("consensus: the state at index %d has no voters", c.State.Index)
	}
	if err := checkConfState(c.State.ConfState); err != nil {
		return fmt.Errorf("consensus: the state at index %d: %w", c.State.Index, err)
	}
	setDefault(&c.Tick, 25*time.Millisecond)
	setDefault(&c.HeartbeatTicks, 5)
	setDefault(&c.ElectionTicks, 20)
	setDefault(&c.CheckpointBytes, 128<<20)
	c.Limits = c.Limits.withDefaults()
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

func (c *Config) electionTimeout() time.Duration { return time.Duration(c.ElectionTicks) * c.Tick }

func (c *Config) heartbeat() time.Duration { return time.Duration(c.HeartbeatTicks) * c.Tick }

// readRetry is how long a read question may stay without an answer.
func (c *Config) readRetry() time.Duration { return 2 * c.heartbeat() }

// Bootstrap returns the state in which all nodes of a new cluster begin: an
// empty log after index 1, which stands for the list of voters.
func Bootstrap(voters []uint64) Meta {
	return Meta{Index: 1, Term: 1, ConfState: &raftpb.ConfState{Voters: voters}}
}
