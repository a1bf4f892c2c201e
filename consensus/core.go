package consensus

import (
	"errors"
	"log/slog"
	"slices"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
)

// core takes every decision of a node and does no I/O: it is told what
// happened (tick, receive, propose, ...) and advance returns what to do. It is
// owned by one goroutine, the node's loop or a simulator.
type core struct {
	cfg     *Config
	limits  Limits
	log     *slog.Logger
	raw     *raft.RawNode
	storage *storage

	now    time.Time // of the present input; only compared, never stored on disk
	term   uint64
	role   raft.StateType
	leader uint64

	// lastIndex is the end of the log as raft has it.
	lastIndex uint64

	pending *pending // shared with the applier, see there
	queue   []*proposal
	// foreign are groups that followers forwarded in this term, as they go
	// into an entry.
	foreign      [][]byte
	foreignBytes int64
	// entry is the last entry that was made, to be made anew: raft copies it.
	entry []byte
	// taken is the highest command number accepted from each process in
	// takenTerm, with all before it: a forward that is repeated is dropped by
	// it, and so is one that comes after one that was lost.
	taken     map[sender]uint64
	takenTerm uint64
	// sent is the last number that was forwarded to the present leader, 0 when
	// all that it may lack is in the queue.
	sent   uint64
	resend resendTimer
	// refused is set when raft takes no proposal for the moment.
	refused bool
	// crowd: the last entry held more than one write. gathering: none is made.
	crowd, gathering bool

	// answered is when each follower last answered this leader.
	answered map[uint64]time.Time

	clock    raftClock
	reads    readQueue
	failover failover
	stall    stallGuard
	lonely   lonelyWatch
	checks   peerChecks
	// offered is set when the staged snapshot was given to raft, until raft
	// takes it.
	offered bool

	// leads is an index of this leader's term, 0 until there is one.
	leads uint64

	// made is when this leader made entries that are not committed.
	made []madeEntry

	// out gathers what the driver is to do; done is what it was given last.
	out, done output
}

type madeEntry struct {
	index uint64
	at    time.Time
}

// sender is one process of one node.
type sender struct{ origin, nonce uint64 }

// output is what a call of advance asks its driver to do. The slices belong
// to the driver until the next advance.
type output struct {
	send    []*raftpb.Message // to peers, at once
	append  []*raftpb.Message // to the writer, in order
	apply   []*raftpb.Message // to the applier, in order
	reads   []confirmedReads  // to the reader, in order
	expired []expiry          // answers to give
	// accepted is set when append has a snapshot that raft took.
	accepted bool
	// discard is set when raft did not get, or not take, the staged snapshot.
	discard bool
	// changed is set when leader, role or term changed.
	changed bool
}

// reset empties o and keeps its space.
func (o *output) reset() {
	clear(o.send)
	clear(o.append)
	clear(o.apply)
	clear(o.reads)
	clear(o.expired)
	*o = output{send: o.send[:0], append: o.append[:0], apply: o.apply[:0], reads: o.reads[:0], expired: o.expired[:0]}
}

// expiry ends a proposal or a read with err.
type expiry struct {
	proposal *proposal
	read     *read
	err      error
}

// newCore returns a core at the time now.
func newCore(cfg *Config, st *storage, p *pending, now time.Time) (*core, error) {
	last, err := st.LastIndex()
	if err != nil {
		return nil, err
	}
	c := &core{
		cfg: cfg, limits: cfg.Limits, log: cfg.Logger, storage: st, pending: p, now: now,
		lastIndex: last, taken: map[sender]uint64{}, answered: map[uint64]time.Time{},
	}
	c.clock.init(cfg, now)
	c.reads.init(cfg)
	c.failover.init(cfg)
	raw, err := raft.NewRawNode(&raft.Config{
		ID:                        cfg.ID,
		ElectionTick:              cfg.ElectionTicks,
		HeartbeatTick:             cfg.HeartbeatTicks,
		Storage:                   st,
		Applied:                   st.applied.Index,
		AsyncStorageWrites:        true,
		MaxSizePerMsg:             cfg.Limits.MessageBytes,
		MaxCommittedSizePerReady:  cfg.Limits.ApplyBytes,
		MaxUncommittedEntriesSize: cfg.Limits.UncommittedBytes,
		MaxInflightMsgs:           cfg.Limits.InflightMessages,
		MaxInflightBytes:          max(cfg.Limits.InflightBytes, cfg.Limits.MessageBytes),
		CheckQuorum:               true,
		PreVote:                   true,
		ReadOnlyOption:            raft.ReadOnlySafe,
		DisableProposalForwarding: true,
		StepDownOnRemoval:         true,
		Logger:                    raftLogger{cfg.Logger},
	})
	if err != nil {
		return nil, err
	}
	c.raw = raw
	c.observeState()
	return c, nil
}

// wake does what is due by the clock. What has come must have been told
// before: a process that did not run for a while may have messages of its
// leader waiting, and must not take its own silence for the leader's.
func (c *core) wake(now time.Time) {
	c.now = now
	c.failover.campaign(c)
	if n := c.clock.take(c); n > 0 {
		c.tick(n)
	}
}

// tick moves raft's clock by n, and does what is done by it.
func (c *core) tick(n int) {
	c.refused = false
	for range n {
		c.raw.Tick()
	}
	c.observeState()
	c.expire()
	c.resend.check(c)
	c.reads.retry(c)
	c.stall.check(c)
	c.noteMajority()
	c.lonely.check(c)
}

// noteMajority notes on a leader when it last had the answers of a majority:
// by then as many had answered as it needs beside itself.
func (c *core) noteMajority() {
	if c.role != raft.StateLeader {
		return
	}
	var times []time.Time
	voters := c.storage.voters()
	for id := range voters {
		if id == c.cfg.ID {
			times = append(times, c.now)
		} else {
			times = append(times, c.answered[id])
		}
	}
	slices.SortFunc(times, func(a, b time.Time) int { return b.Compare(a) })
	if at := times[len(times)/2]; !at.IsZero() {
		c.cfg.heard(at)
	}
}

// nextWake is when core wants to be woken at the latest. It may change with
// every input, and is right after advance.
func (c *core) nextWake() time.Time {
	if next := c.failover.next; !next.IsZero() && next.Before(c.clock.due) {
		return next
	}
	return c.clock.due
}

// receive takes messages of a peer that have passed the transport's checks.
func (c *core) receive(now time.Time, from uint64, msgs []*raftpb.Message) {
	c.now = now
	for _, m := range msgs {
		if err := c.checks.check(c, from, m); err != nil {
			if !errors.Is(err, errStale) {
				c.log.Warn("message refused", "peer", from, "type", m.GetType().String(), "err", err)
			}
			if errors.Is(err, ErrLostEntries) {
				c.cfg.Fatal(err)
			}
			if m.GetType() == raftpb.MsgSnap && c.cfg.staged(m.GetSnapshot().GetMetadata()) {
				c.out.discard = true // it would keep its place for ever
			}
			continue
		}
		switch m.GetType() {
		case raftpb.MsgApp, raftpb.MsgHeartbeat, raftpb.MsgSnap:
			if m.GetTerm() >= c.term {
				c.cfg.heard(now)
			}
		case raftpb.MsgAppResp, raftpb.MsgHeartbeatResp:
			if m.GetTerm() == c.term && c.role == raft.StateLeader {
				c.answered[from] = now
			}
		}
		if m.GetType() == raftpb.MsgSnap {
			c.offered = true
		}
		c.step(m)
		switch m.GetType() {
		case raftpb.MsgApp, raftpb.MsgHeartbeat, raftpb.MsgSnap:
			if c.leader == from && m.GetTerm() == c.term {
				c.clock.restart(now)
			}
		}
	}
}

// step hands a message to raft. Raft returns errors for messages it drops by
// rule (a reply of a peer that is no member, say): they need no action. Term,
// role and leader are exact afterwards: the checks of the next message use
// them.
func (c *core) step(m *raftpb.Message) {
	_ = c.raw.Step(m)
	switch m.GetType() {
	case raftpb.MsgVoteResp, raftpb.MsgPreVoteResp, raftpb.MsgTimeoutNow:
	default:
		if m.GetTerm() <= c.term && c.leader != raft.None {
			return
		}
	}
	c.observeState()
}

// settle makes lastIndex exact when messages may have cut the log since raft
// was asked last.
func (c *core) settle() {
	if c.raw.HasReady() {
		c.ready(c.raw.Ready())
	}
}

// stored takes raft's answers to an append whose entries and votes are on
// disk now.
func (c *core) stored(now time.Time, responses []*raftpb.Message) {
	c.now = now
	for _, m := range responses {
		c.step(m)
	}
}

// applied takes raft's answers to an apply up to an entry of index and term.
func (c *core) applied(now time.Time, responses []*raftpb.Message, index, term uint64) {
	c.now = now
	for _, m := range responses {
		c.step(m)
	}
	c.storage.done.Store(index)
	c.refused = false
	c.requeue(term)
}

// applyConfChange must be called when the applier meets a change of members.
// One that can't be applied changes nothing, on any node.
func (c *core) applyConfChange(cc raftpb.ConfChangeI) {
	if err := checkConfChange(c.storage.confState(), cc.AsV2()); err != nil {
		c.log.Error("change of members skipped", "err", err)
		return
	}
	c.storage.setConfState(c.raw.ApplyConfChange(cc))
	c.observeState() // it may have ended this node's leadership
}

func (c *core) peerUp(now time.Time, id uint64) {
	c.now = now
	c.failover.up(c, id)
	if id == c.leader {
		// What was forwarded on the old connection may be lost.
		c.requeueForwarded()
	}
}

func (c *core) peerDown(now time.Time, id uint64, refused bool) {
	c.now = now
	c.raw.ReportUnreachable(id)
	c.failover.down(c, id, refused)
}

func (c *core) unreachable(id uint64) { c.raw.ReportUnreachable(id) }

func (c *core) snapshotSent(id uint64, ok bool) {
	status := raft.SnapshotFinish
	if !ok {
		status = raft.SnapshotFailure
	}
	c.raw.ReportSnapshot(id, status)
}

// advance turns what was told since the last call into work.
func (c *core) advance() *output {
	for {
		progress := c.handOver()
		c.reads.ask(c)
		if !c.raw.HasReady() {
			if !progress {
				break
			}
			continue
		}
		c.ready(c.raw.Ready())
	}
	// What raft did not take by now is of no use to it: it is obsolete, or the
	// log has these entries.
	c.out.discard, c.offered = c.out.discard || c.offered, false
	c.clock.plan(c)
	c.done.reset()
	c.done, c.out = c.out, c.done
	return &c.done
}

// ready sorts raft's output by who handles it.
func (c *core) ready(rd raft.Ready) {
	holdVotes(rd.Messages)
	for _, m := range rd.Messages {
		switch m.GetTo() {
		case raft.LocalAppendThread:
			c.appending(m)
		case raft.LocalApplyThread:
			c.out.apply = append(c.out.apply, m)
		case raft.None: // held
		default:
			c.checks.sent(m)
			c.out.send = append(c.out.send, m)
		}
	}
	if rd.SoftState != nil || !raft.IsEmptyHardState(rd.HardState) {
		c.observeState()
	}
	c.reads.confirm(c, rd.ReadStates)
}

// holdVotes makes requests for votes go out with the answers of the write that
// stores their term, once it is on disk. Raft lets them go at once, and counts
// the candidate's own vote when it is stored; but those of the others may be
// enough. A leader that forgets its term in a crash could then lead it again,
// and two entries would have the same index and term.
func holdVotes(msgs []*raftpb.Message) {
	var write *raftpb.Message
	for _, m := range msgs {
		if m.GetTo() == raft.LocalAppendThread {
			write = m
		}
	}
	if write == nil {
		return
	}
	for i, m := range msgs {
		if m.GetType() == raftpb.MsgVote {
			write.Responses = append(write.Responses, m)
			msgs[i] = &raftpb.Message{}
		}
	}
}

func (c *core) appending(m *raftpb.Message) {
	dropOutdated(m)
	if s := m.GetSnapshot(); !raft.IsEmptySnap(s) {
		c.lastIndex = s.GetMetadata().GetIndex()
		c.offered, c.out.accepted = false, true
	}
	if n := len(m.GetEntries()); n > 0 {
		c.lastIndex = m.GetEntries()[n-1].GetIndex()
		if c.role == raft.StateLeader && c.leads == 0 && m.GetEntries()[n-1].GetTerm() == c.term {
			// This may be later than the first, which is as good.
			c.leads = c.lastIndex
		}
		if c.role == raft.StateLeader && c.cfg.Hooks.Commit != nil {
			c.made = append(c.made, madeEntry{c.lastIndex, c.now})
		}
	}
	c.out.append = append(c.out.append, m)
}

// dropOutdated takes from a write the acknowledgements of terms that end with it.
// When a new leader replaces entries before they were written, raft answers the
// old leader in the same write: the answer would tell of entries that never were
// on this disk. Losing it is as losing a message.
func dropOutdated(m *raftpb.Message) {
	if m.Term == nil {
		return
	}
	m.Responses = slices.DeleteFunc(m.Responses, func(r *raftpb.Message) bool {
		return r.GetType() == raftpb.MsgAppResp && r.GetTerm() < m.GetTerm()
	})
}

// observeState reads term, role and leader from raft after they may have
// changed, and does what a change asks for.
func (c *core) observeState() {
	st := c.raw.BasicStatus()
	term, role, leader := st.HardState.GetTerm(), st.RaftState, st.Lead
	c.committed(st.HardState.GetCommit())
	if term == c.term && role == c.role && leader == c.leader {
		return
	}
	if leader != c.leader && leader != raft.None {
		c.failover.settled()
	}
	if role == raft.StateLeader {
		c.checks.newTerm(term)
	}
	if role != c.role || term != c.term {
		c.clock.restart(c.now)
	}
	if role == raft.StateLeader && role != c.role {
		clear(c.answered)
		c.cfg.heard(c.now) // a majority has just voted for it
	}
	if term != c.term {
		c.leads = 0
	}
	if leader != c.leader && leader != raft.None {
		c.reads.again = true
	}
	c.term, c.role, c.leader = term, role, leader
	if c.takenTerm != term {
		clear(c.taken)
		c.takenTerm, c.made = term, nil
		c.foreign, c.foreignBytes = nil, 0 // their senders hand them over again
		c.dropResends()                    // a leader of another term does not know the numbers
		c.sent, c.refused = 0, false
	}
	c.out.changed = true
}

// readable tells whether raft may be asked for a read index. A leader must
// have committed an entry of its term: raft itself sees to it, but not where
// one node votes alone, whose commit index at the start may be an old one.
func (c *core) readable() bool {
	if c.role == raft.StateLeader {
		return c.leads != 0 && c.pending.commit.Load() >= c.leads
	}
	return c.leader != raft.None
}

// committed notes raft's commit index and how long entries took to get there.
func (c *core) committed(index uint64) {
	c.pending.commit.Store(index)
	n := 0
	for n < len(c.made) && c.made[n].index <= index {
		c.cfg.Hooks.Commit(c.now.Sub(c.made[n].at))
		n++
	}
	c.made = dropFront(c.made, n)
}

// transfer asks raft to hand leadership to the connected voter with the
// longest log, if possible one that was heard of lately; 0 if there is none.
func (c *core) transfer() uint64 {
	if c.role != raft.StateLeader {
		return 0
	}
	voters := c.storage.voters()
	var best uint64
	var of tracker.Progress
	c.raw.WithProgress(func(id uint64, _ raft.ProgressType, pr tracker.Progress) {
		if id == c.cfg.ID || pr.IsLearner || !voters[id] || !c.cfg.Transport.Connected(id) {
			return
		}
		better := best == 0 || pr.RecentActive && !of.RecentActive
		if pr.RecentActive == of.RecentActive {
			better = better || pr.Match > of.Match || pr.Match == of.Match && id < best
		}
		if better {
			best, of = id, pr
		}
	})
	if best != 0 {
		c.raw.TransferLeader(best)
	}
	return best
}

// dropFront removes n elements and lets go of what they point to.
func dropFront[T any](s []T, n int) []T {
	if n == len(s) {
		clear(s)
		return s[:0]
	}
	clear(s[:n])
	return s[n:]
}
