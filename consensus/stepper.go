package consensus

import (
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
)

// Stepper is a Node without goroutines: whoever drives it runs their steps,
// one at a time and in any order, from one goroutine. The steps are the
// functions that the goroutines of a Node run, so a simulation tests them and
// not a copy. Everything else is done by way of Node, whose Propose, ReadIndex,
// Receive and so on work as ever. After a step the node may have ended: see
// Node.Done. ProposeConfChange, TransferLeadership and Stop are not for it,
// since they wait for goroutines: see Transfer and Stop.
type Stepper struct {
	*Node
	writer  writer
	applier applier
	reader  reader
	// writing is what the write under way stores, nil when there is none.
	writing []*raftpb.Message
	// jobs were taken from the queue and wait for Apply.
	jobs []applyJob
}

// OpenStepper makes a node on what cfg.Log and cfg.Machine hold; now is its
// clock.
func OpenStepper(cfg Config, now func() time.Time) (*Stepper, error) {
	n, err := newNode(cfg, now)
	if err != nil {
		return nil, err
	}
	s := &Stepper{Node: n, writer: openWriter(n), applier: newApplier(n), reader: reader{n: n}}
	n.hand = s
	n.begin()
	return s, nil
}

// Work tells which steps have something to do.
type Work struct{ Loop, Write, Apply, Read, Checkpoint bool }

// Work may change with every call of a method of Node or Stepper.
func (s *Stepper) Work() Work {
	if s.Err() != nil {
		return Work{}
	}
	return Work{
		Loop:       len(s.inbox.signal) > 0,
		Write:      s.writing == nil && s.writes.len() > 0,
		Apply:      len(s.jobs) > 0 || s.applys.len() > 0,
		Read:       len(s.reads.signal) > 0 || len(s.appliedIndex.signal) > 0,
		Checkpoint: len(s.checkpoints.jobs) > 0,
	}
}

// Loop takes all that has come, lets core decide and hands the work on. It is
// to be called when Work says so and when NextWake has come.
func (s *Stepper) Loop() {
	drain(s.inbox.signal)
	s.turn()
}

// NextWake returns when the loop has something to do by its clock; it may
// change with every call of Loop.
func (s *Stepper) NextWake() time.Time { return s.core.nextWake() }

// BeginWrite takes all that waits for the log; false when there is nothing, or
// a write is under way. It is stored by EndWrite: the time between the two is
// what the disk takes, and the node knows of it.
func (s *Stepper) BeginWrite() bool {
	if s.writing != nil || s.writes.len() == 0 {
		return false
	}
	drain(s.writes.signal)
	s.writing = s.writes.take(nil)
	s.writer.begin()
	return true
}

// EndWrite does the write that BeginWrite took, and lets its answers go. If a
// snapshot is to be installed, all that waits for Apply is applied first.
func (s *Stepper) EndWrite() {
	msgs := s.writing
	s.writing = nil
	s.writer.step(msgs)
}

// Apply does one job of the applier.
func (s *Stepper) Apply() {
	if len(s.jobs) == 0 {
		drain(s.applys.signal)
		s.jobs = s.applys.take(nil)
	}
	if len(s.jobs) == 0 {
		return
	}
	j := s.jobs[0]
	s.jobs = s.jobs[1:]
	if !s.applier.step(j) {
		discardInstalls(s.jobs)
		s.jobs = nil
	}
}

// applyAll is for a writer that waits for the applier.
func (s *Stepper) applyAll() {
	for (len(s.jobs) > 0 || s.applys.len() > 0) && s.Err() == nil {
		s.Apply()
	}
}

// Read answers the reads that may be answered.
func (s *Stepper) Read() {
	drain(s.reads.signal)
	drain(s.appliedIndex.signal)
	s.reader.take()
	s.reader.answer()
}

// ExpireReads ends the confirmed reads past their deadline, to be called every
// Config.Tick.
func (s *Stepper) ExpireReads() { s.reader.expire(s.now()) }

// Checkpoint makes the checkpoint that waits durable.
func (s *Stepper) Checkpoint() {
	select {
	case j := <-s.checkpoints.jobs:
		s.checkpoints.step(j)
	default:
	}
}

// Transfer asks raft to hand leadership away; it returns to whom, 0 for nobody.
func (s *Stepper) Transfer() (to uint64) {
	s.event(func(c *core, _ time.Time) { to = c.transfer() })
	s.Loop()
	return to
}

// Stop ends the node as Node.Stop does.
func (s *Stepper) Stop() error {
	s.readsLeft = s.reader.held
	discardInstalls(s.jobs)
	s.jobs = nil
	return s.Node.Stop()
}

// Held is what a node holds at present of what Limits bounds, and of what has
// no bound of its own.
type Held struct {
	Proposals, Reads int
	ProposalBytes    int64
	ForeignBytes     int64 // forwarded by others, not yet in an entry
	Uncommitted      uint64
	Writes, Applies  int // messages that wait for the writer and the applier
}

// Held returns the present measures.
func (s *Stepper) Held() Held {
	h := Held{
		Proposals: int(s.waiting.Load()), Reads: int(s.waitingReads.Load()), ProposalBytes: s.waitingBytes.Load(),
		ForeignBytes: s.core.foreignBytes, Writes: s.writes.len(), Applies: len(s.jobs) + s.applys.len(),
	}
	if s.core.role == raft.StateLeader {
		h.Uncommitted = s.core.lastIndex - min(s.core.pending.commit.Load(), s.core.lastIndex)
	}
	return h
}

// Leads returns the term this node leads, false if it does not.
func (s *Stepper) Leads() (term uint64, ok bool) {
	l := s.state.Load()
	return l.term, l.role == raft.StateLeader
}

// drain empties a signal of one slot.
func drain(signal chan struct{}) {
	select {
	case <-signal:
	default:
	}
}
