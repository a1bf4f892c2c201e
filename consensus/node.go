package consensus

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// Node is a member of the cluster. All methods may be called from any
// goroutine.
type Node struct {
	cfg     Config
	storage *storage
	core    *core // owned by the loop
	pending *pending

	inbox  inbox
	writes queue[*raftpb.Message]
	applys queue[applyJob]
	reads  queue[confirmedReads]
	// readsLeft is what the reader had not answered when it ended.
	readsLeft []confirmedReads

	// What waits at present, against Limits.
	waiting      atomic.Int64
	waitingBytes atomic.Int64
	waitingReads atomic.Int64

	state        atomic.Pointer[leadership]
	progress     atomic.Pointer[map[uint64]uint64]
	progressAt   time.Time    // of progress; owned by the loop
	lastHeard    atomic.Int64 // ns since start, of a message from a leader
	writingSince atomic.Int64 // ns since start; 0: the writer is idle
	logSize      atomic.Int64 // of the log, set by the writer: Log.Size may wait for the disk
	appliedIndex *watermark
	now          func() time.Time // the node's clock: deadlines are by it
	start        time.Time
	hand         *Stepper // who runs the steps; nil: goroutines do

	staged      stagedSnapshot
	checkpoints *checkpointer

	failOnce sync.Once
	failed   chan struct{}
	err      error // set before failed is closed
	stopOnce sync.Once
	stopping chan struct{}
	wg       sync.WaitGroup
}

// leadership is what the node knows of it; immutable.
type leadership struct {
	term, leader uint64
	role         raft.StateType
}

// Open starts a node on what cfg.Log and cfg.Machine hold.
func Open(cfg Config) (*Node, error) {
	if cfg.Alarm == nil {
		cfg.Alarm = newTimerAlarm()
	}
	n, err := newNode(cfg, time.Now)
	if err != nil {
		cfg.Alarm.Close()
		return nil, err
	}
	for _, f := range []func(){n.loop, n.writer, n.applier, n.reader, n.checkpoints.run} {
		n.wg.Go(f)
	}
	return n, nil
}

// newNode makes a node of which nothing runs yet.
func newNode(cfg Config, now func() time.Time) (*Node, error) {
	if err := cfg.prepare(); err != nil {
		return nil, err
	}
	st, err := newStorage(cfg.Log, cfg.State)
	if err != nil {
		return nil, err
	}
	n := &Node{
		cfg: cfg, storage: st, pending: newPending(), now: now, start: now(),
		appliedIndex: newWatermark(cfg.State.Index),
		failed:       make(chan struct{}), stopping: make(chan struct{}),
	}
	n.inbox.init()
	n.writes.init()
	n.applys.init()
	n.reads.init()
	n.cfg.Fatal = n.fail
	n.cfg.heard = func(t time.Time) { n.lastHeard.Store(int64(t.Sub(n.start))) }
	n.cfg.writing = n.writing
	n.cfg.staged = func(m *raftpb.SnapshotMetadata) bool { return n.staged.has(m.GetIndex(), m.GetTerm()) }
	n.state.Store(&leadership{})
	n.progress.Store(&map[uint64]uint64{})
	n.logSize.Store(cfg.Log.Size())
	n.checkpoints = newCheckpointer(n)
	if n.core, err = newCore(&n.cfg, st, n.pending, n.start); err != nil {
		return nil, err
	}
	n.publish()
	return n, nil
}

// Propose hands a command to the cluster. done is called once, by a goroutine
// of the node or, if the command is refused at once, by this one, and must not
// block: with the state machine's result when this
// node has applied the command, or with ErrOverloaded, ErrTooLarge,
// ErrStopped, ErrDeadline (nothing was done) or ErrUnknown. data must not be
// changed any more.
func (n *Node) Propose(data []byte, deadline time.Time, done func(result any, err error)) {
	if len(data) > n.cfg.Limits.CommandBytes {
		done(nil, ErrTooLarge)
		return
	}
	size := int64(len(data))
	count, bytes := n.waiting.Add(1), n.waitingBytes.Add(size)
	if count > int64(n.cfg.Limits.Pending) || bytes > n.cfg.Limits.PendingBytes {
		n.release(size)
		done(nil, ErrOverloaded)
		return
	}
	p := &proposal{data: data, deadline: deadline, done: done}
	if !n.inbox.put(func(b *batch) { b.proposals = append(b.proposals, p) }) {
		n.release(size)
		done(nil, ErrStopped)
	}
}

func (n *Node) release(size int64) {
	n.waiting.Add(-1)
	n.waitingBytes.Add(-size)
}

// answer ends a proposal.
func (n *Node) answer(p *proposal, result any, err error) {
	n.release(int64(len(p.data)))
	p.done(result, err)
}

// ReadIndex calls done, once, when this node's state contains everything that
// was acknowledged anywhere before the call; or with ErrOverloaded, ErrStopped
// or ErrDeadline. done must not block: it runs on a goroutine of the node that
// all reads share, or on this one if the read is refused at once.
func (n *Node) ReadIndex(deadline time.Time, done func(err error)) {
	if n.waitingReads.Add(1) > int64(n.cfg.Limits.Pending) {
		n.waitingReads.Add(-1)
		done(ErrOverloaded)
		return
	}
	r := &read{deadline: deadline, done: done}
	if !n.inbox.put(func(b *batch) { b.reads = append(b.reads, r) }) {
		n.answerRead(r, ErrStopped)
	}
}

func (n *Node) answerRead(r *read, err error) {
	n.waitingReads.Add(-1)
	r.done(err)
}

// Receive takes messages of an authenticated peer.
func (n *Node) Receive(from uint64, msgs []*raftpb.Message) {
	n.inbox.put(func(b *batch) { b.messages = append(b.messages, received{from: from, msgs: msgs}) })
}

// ReceiveForward takes commands that a peer forwards to the leader of term.
func (n *Node) ReceiveForward(from, term uint64, group []byte) {
	n.inbox.put(func(b *batch) {
		b.messages = append(b.messages, received{from: from, term: term, group: group})
	})
}

// ReceiveSnapshot takes a snapshot that a peer streams. It returns when the
// state is staged and raft has been told; an error goes back to the peer.
func (n *Node) ReceiveSnapshot(from uint64, m *raftpb.Message, r io.Reader) error {
	if err := checkSnapshot(m); err != nil {
		return err
	}
	// Raft writes into the message: the state gets a copy.
	meta := proto.Clone(m.GetSnapshot().GetMetadata()).(*raftpb.SnapshotMetadata)
	return n.staged.stage(n.cfg.Machine, Meta{meta.GetIndex(), meta.GetTerm(), meta.GetConfState()}, r, func() {
		n.Receive(from, []*raftpb.Message{m})
	})
}

// PeerUp tells that a connection to a peer was made.
func (n *Node) PeerUp(id uint64) { n.event(func(c *core, now time.Time) { c.peerUp(now, id) }) }

// PeerDown tells that the connection to a peer was lost; refused: and that its
// address refuses a new one.
func (n *Node) PeerDown(id uint64, refused bool) {
	n.event(func(c *core, now time.Time) { c.peerDown(now, id, refused) })
}

// Unreachable tells that a message to a peer was dropped.
func (n *Node) Unreachable(id uint64) {
	n.event(func(c *core, _ time.Time) { c.unreachable(id) })
}

// SnapshotSent tells how the sending of a snapshot ended.
func (n *Node) SnapshotSent(id uint64, err error) {
	n.event(func(c *core, _ time.Time) { c.snapshotSent(id, err == nil) })
}

func (n *Node) event(f func(*core, time.Time)) bool {
	return n.inbox.put(func(b *batch) { b.events = append(b.events, f) })
}

// ProposeConfChange proposes a change of members. It returns once raft has
// taken it, which does not mean that it was committed.
func (n *Node) ProposeConfChange(ctx context.Context, cc raftpb.ConfChangeI) error {
	result := make(chan error, 1)
	if !n.event(func(c *core, _ time.Time) { result <- c.raw.ProposeConfChange(cc) }) {
		return ErrStopped
	}
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-n.failed:
		return n.err
	case <-n.stopping:
		return ErrStopped
	}
}

// TransferLeadership hands leadership to the best connected peer and returns
// when another node leads or has led since, at once if this one does not lead.
// It returns ErrNoLeader when no peer can take it, or the context's error.
func (n *Node) TransferLeadership(ctx context.Context) error {
	begin := n.state.Load()
	if begin.leader != n.cfg.ID {
		return nil
	}
	ask := time.NewTicker(n.cfg.Tick)
	defer ask.Stop()
	for {
		asked := make(chan uint64, 1)
		n.event(func(c *core, _ time.Time) { asked <- c.transfer() })
		select {
		case to := <-asked:
			if to == 0 && n.Leader() == n.cfg.ID {
				return ErrNoLeader
			}
		case <-n.failed:
			return n.err
		case <-n.stopping:
			return ErrStopped
		case <-ctx.Done():
			return ctx.Err()
		}
		// A later term is enough even if it is this node's again: two nodes
		// that stop would hand leadership to each other without end.
		if l := n.state.Load(); l.leader != raft.None && (l.leader != n.cfg.ID || l.term != begin.term) {
			return nil
		}
		select {
		case <-ask.C:
		case <-n.failed:
			return n.err
		case <-n.stopping:
			return ErrStopped
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Leader returns the leader's id, 0 when it is not known.
func (n *Node) Leader() uint64 { return n.state.Load().leader }

// Age returns how long ago the node heard from a leader; on a leader how long
// ago it last had the answers of a majority, and 0 while they come with every
// heartbeat.
func (n *Node) Age() time.Duration {
	age := n.now().Sub(n.start) - time.Duration(n.lastHeard.Load())
	if n.state.Load().role == raft.StateLeader && age < 3*n.cfg.heartbeat() {
		return 0
	}
	return age
}

// Done is closed when the node has ended by an error; Err tells which.
func (n *Node) Done() <-chan struct{} { return n.failed }

// Err returns the error that ended the node, nil while it runs.
func (n *Node) Err() error {
	select {
	case <-n.failed:
		return n.err
	default:
		return nil
	}
}

// fail ends the node: what its disk holds is no longer known.
func (n *Node) fail(err error) {
	n.failOnce.Do(func() {
		n.err = err
		close(n.failed)
		n.inbox.close()
		n.writes.close()
		n.applys.close()
		n.reads.close()
	})
}

// Stop ends the node and returns when all its goroutines have ended. What
// waits is answered with ErrStopped or ErrUnknown.
func (n *Node) Stop() error {
	n.stopOnce.Do(func() {
		close(n.stopping)
		n.inbox.close()
		n.writes.close()
		n.applys.close()
		n.reads.close()
		n.wg.Wait()
		n.staged.close()
		n.abandon()
	})
	if err := n.Err(); err != nil && !errors.Is(err, ErrStopped) {
		return err
	}
	return nil
}

// abandon answers all that waits when no goroutine is left to do so.
func (n *Node) abandon() {
	discardInstalls(n.applys.drain())
	b := n.inbox.take()
	for _, p := range append(n.core.queue, b.proposals...) {
		if !p.resend {
			n.answer(p, nil, ErrStopped)
		}
	}
	for _, p := range n.pending.takeAll() {
		n.answer(p, nil, ErrUnknown)
	}
	rs := append(n.core.reads.waiting, b.reads...)
	for _, open := range n.core.reads.open {
		rs = append(rs, open.reads...)
	}
	for _, c := range append(n.readsLeft, n.reads.drain()...) {
		rs = append(rs, c.reads...)
	}
	for _, r := range rs {
		n.answerRead(r, ErrStopped)
	}
}
