package consensus

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// stagedSnapshot holds at most one snapshot between its arrival and the moment
// it is installed or raft refuses it.
type stagedSnapshot struct {
	mu sync.Mutex
	// busy: one is being received, at hand or being installed.
	busy, closed bool
	job          *applyJob // at hand
	accepted     bool      // raft has taken it: the writer will ask for it
}

var errStagingBusy = errors.New("another snapshot is being received")

// stage reads a snapshot from r and calls offer when it can be taken.
func (s *stagedSnapshot) stage(machine StateMachine, m Meta, r io.Reader, offer func()) error {
	if err := s.begin(); err != nil {
		return err
	}
	install, discard, err := machine.StageSnapshot(m, r)
	s.mu.Lock()
	switch {
	case err != nil:
		s.busy = false
	case s.closed:
		discard()
		err = ErrStopped
	default:
		s.job = &applyJob{meta: m, install: install, discard: discard}
	}
	s.mu.Unlock()
	if err == nil {
		offer()
	}
	return err
}

func (s *stagedSnapshot) begin() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return ErrStopped
	case s.busy:
		return errStagingBusy
	}
	s.busy = true
	return nil
}

// has tells whether the snapshot is at hand.
func (s *stagedSnapshot) has(index, term uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.job != nil && s.job.meta.Index == index && s.job.meta.Term == term
}

// take hands out the snapshot that raft wants installed. The caller calls
// installed when that is done.
func (s *stagedSnapshot) take(index, term uint64) (applyJob, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.job == nil || s.job.meta.Index != index || s.job.meta.Term != term {
		return applyJob{}, fmt.Errorf("snapshot of index %d is not at hand", index)
	}
	j := *s.job
	s.job, s.accepted = nil, false
	return j, nil
}

// accept notes that raft has taken the snapshot at hand: drop leaves it.
func (s *stagedSnapshot) accept() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accepted = true
}

// installed makes room for the next.
func (s *stagedSnapshot) installed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy = false
}

// drop discards the snapshot at hand: raft had no use for it.
func (s *stagedSnapshot) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.accepted {
		s.discard()
	}
}

// close drops what is at hand and takes nothing any more.
func (s *stagedSnapshot) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.discard()
}

// discard does what drop does. mu is held.
func (s *stagedSnapshot) discard() {
	if s.job != nil {
		s.job.discard()
		s.job, s.busy = nil, false
	}
}

// checkpointer decides when the state is made durable, does it on a goroutine
// of its own, and then shortens the log. The applier owns all fields but the
// queue.
type checkpointer struct {
	n     *Node
	jobs  chan checkpointJob // one slot: one checkpoint at a time
	bytes int64              // applied since the last one began
	last  uint64             // index of the last one begun
	idle  chan struct{}      // one token: no checkpoint is running
}

type checkpointJob struct {
	meta   Meta
	commit func() error
}

func newCheckpointer(n *Node) *checkpointer {
	k := &checkpointer{n: n, jobs: make(chan checkpointJob, 1), last: n.cfg.State.Index, idle: make(chan struct{}, 1)}
	k.idle <- struct{}{}
	k.bytes = checkpointOffset(n.cfg.ID, n.storage.voters(), n.cfg.CheckpointBytes)
	return k
}

// checkpointOffset spreads the voters' checkpoints over the distance between
// two: while one node's disk is busy with its own, a majority's is not.
func checkpointOffset(id uint64, voters map[uint64]bool, distance int64) int64 {
	before := 0
	for v := range voters {
		if v < id {
			before++
		}
	}
	return distance * int64(before) / int64(max(len(voters), 1))
}

// entryCost is added to the size of every entry, for its place in the log.
const entryCost = 512

func (k *checkpointer) count(size int) { k.bytes += int64(size) + entryCost }

// reset is called when a snapshot was installed, which is a checkpoint.
func (k *checkpointer) reset(index uint64) { k.bytes, k.last = 0, index }

// consider begins a checkpoint at what is applied when enough has come since
// the last and that one is done.
func (k *checkpointer) consider(m Meta) {
	if k.bytes < k.n.cfg.CheckpointBytes {
		return
	}
	select {
	case <-k.idle:
	default:
		return
	}
	m.ConfState = k.n.storage.confState()
	k.bytes, k.last = 0, m.Index
	k.jobs <- checkpointJob{m, k.n.cfg.Machine.Checkpoint(m)}
}

func (k *checkpointer) run() {
	for {
		select {
		case j := <-k.jobs:
			if !k.step(j) {
				return
			}
		case <-k.n.stopping:
			return
		case <-k.n.failed:
			return
		}
	}
}

// step does one job and makes room for the next; false when the node ends.
func (k *checkpointer) step(j checkpointJob) bool {
	if !k.do(j) {
		return false
	}
	k.idle <- struct{}{}
	return true
}

// do makes a checkpoint durable and lets the log drop what the one before it
// holds: a follower that is a little behind is then served from the log.
func (k *checkpointer) do(j checkpointJob) bool {
	begin := time.Now()
	err := j.commit()
	if f := k.n.cfg.Hooks.Checkpoint; f != nil {
		f(time.Since(begin), err)
	}
	if err != nil {
		k.n.fail(fmt.Errorf("the state can't be written: %w", err))
		return false
	}
	before := k.n.storage.checkpointed(j.meta)
	if before.Index > j.meta.Index || before.Index > k.n.storage.done.Load() {
		// A snapshot was installed meanwhile; or raft has not been told that
		// the entries are applied, and may look at them.
		return true
	}
	if err := k.n.cfg.Log.Compact(before.Index, before.Term); err != nil {
		k.n.fail(fmt.Errorf("the log can't be shortened: %w", err))
		return false
	}
	return true
}
