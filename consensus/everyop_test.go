package consensus

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/doozer-store/doozer/consensus/wal"
	"github.com/doozer-store/doozer/consensus/wal/faultfs"
)

// hurt is the node whose disk is at stake; the others' never fail.
const hurt = 2

// board is a cluster of Steppers on one goroutine. Node hurt has the log of
// package wal and a diskMachine on one MemFS; the mail between nodes is a
// queue. Elections are called by hand: nothing waits for a clock.
type board struct {
	t     *testing.T
	rng   *rand.Rand // order of steps
	fs    *faultfs.MemFS
	ids   []uint64
	nodes map[uint64]*Stepper
	logs  map[uint64]*memLog
	state map[uint64]StateMachine
	log   *wal.Log // of hurt
	now   time.Time
	cut   bool // hurt is cut off
	mail  []mail

	proposed []string
	acked    []string // whose proposer was told that it is done
	failed   bool     // hurt's disk has failed an operation
	staging  bool     // and that was while it staged a snapshot, which is then dropped
	promised promises
	counts   map[string]int
}

type mail struct {
	from, to uint64
	m        *raftpb.Message
}

// promises are what hurt has told its peers.
type promises struct {
	term, voteTerm, vote uint64
	entries              map[uint64]uint64 // index: term
}

func newBoard(t *testing.T, nodes int, seed uint64) *board {
	b := &board{
		t: t, rng: rand.New(rand.NewPCG(seed, 9)), fs: faultfs.New(), now: time.Unix(1e9, 0),
		nodes: map[uint64]*Stepper{}, logs: map[uint64]*memLog{}, state: map[uint64]StateMachine{},
		promised: promises{entries: map[uint64]uint64{}}, counts: map[string]int{},
	}
	for id := range uint64(nodes) {
		b.ids = append(b.ids, id+1)
	}
	if nodes == 1 {
		b.ids[0] = hurt
	}
	for _, id := range b.ids {
		if id != hurt {
			b.logs[id], b.state[id] = &memLog{}, newMachine(Bootstrap(slices.Clone(b.ids)))
			if err := b.start(id, b.logs[id], b.state[id], b.state[id].(*machine).meta()); err != nil {
				t.Fatal(err)
			}
		}
	}
	return b
}

func (b *board) start(id uint64, log Log, machine StateMachine, state Meta) (err error) {
	b.nodes[id], err = OpenStepper(Config{
		ID: id, Nonce: b.rng.Uint64(), State: state, Log: log, Machine: machine, Transport: bench{b, id},
		CheckpointBytes: 4 * entryCost, Wall: func() int64 { return b.now.UnixNano() },
	}, func() time.Time { return b.now })
	return err
}

// startHurt boots hurt from what is on its disk.
func (b *board) startHurt() (err error) {
	delete(b.nodes, hurt)
	m, err := openDiskMachine(b.fs, Bootstrap(slices.Clone(b.ids)))
	if err != nil {
		return fmt.Errorf("state: %w", err)
	}
	b.state[hurt] = m
	b.log, err = wal.Open(wal.Options{
		Dir: "/log", Node: hurt, BootstrapID: [16]byte{7}, FS: b.fs, Foreground: true, SegmentSize: 4096, CacheBytes: 500,
	})
	if err != nil {
		return fmt.Errorf("log: %w", err)
	}
	return b.start(hurt, b.log, m, m.durable.Meta)
}

// bench is a node's Transport.
type bench struct {
	b    *board
	self uint64
}

func (x bench) Connected(id uint64) bool {
	return x.b.nodes[id] != nil && (!x.b.cut || id != hurt && x.self != hurt)
}
func (x bench) Forward(uint64, uint64, []byte) bool { return false }
func (x bench) Send(msgs []*raftpb.Message) {
	for _, m := range msgs {
		if x.self == hurt {
			x.b.promise(m)
		}
		x.b.mail = append(x.b.mail, mail{x.self, m.GetTo(), proto.Clone(m).(*raftpb.Message)})
	}
}

// promise notes what a message of hurt promises.
func (b *board) promise(m *raftpb.Message) {
	answers := m.GetType() == raftpb.MsgAppResp || m.GetType() == raftpb.MsgVoteResp
	if b.failed && answers && !b.staging {
		b.t.Errorf("after its disk failed it says %v", m)
	}
	p := &b.promised
	switch {
	case m.GetReject() || !answers:
		return
	case m.GetType() == raftpb.MsgVoteResp:
		p.voteTerm, p.vote = m.GetTerm(), m.GetTo()
	default:
		first, _ := b.log.FirstIndex()
		for i := first; i <= m.GetIndex(); i++ {
			if term, err := b.log.Term(i); err == nil {
				p.entries[i] = term
			}
		}
	}
	p.term = max(p.term, m.GetTerm())
}

// settle runs all steps, in an order the seed decides, until nothing is left to
// do.
func (b *board) settle() {
	for range 100_000 {
		var todo []func()
		for _, id := range b.ids {
			s := b.nodes[id]
			if s == nil {
				continue
			}
			w := s.Work()
			for _, step := range []struct {
				work bool
				run  func()
			}{{w.Loop, s.Loop}, {w.Write, func() { s.BeginWrite(); s.EndWrite() }}, {w.Apply, s.Apply}, {w.Read, s.Read}, {w.Checkpoint, s.Checkpoint}} {
				if step.work {
					todo = append(todo, step.run)
				}
			}
		}
		if len(b.mail) > 0 {
			todo = append(todo, b.deliver)
		}
		if len(todo) == 0 {
			return
		}
		todo[b.rng.IntN(len(todo))]()
	}
	b.t.Fatal("the nodes never come to rest")
}

// deliver hands over the oldest message.
func (b *board) deliver() {
	d := b.mail[0]
	b.mail = b.mail[1:]
	from, to := b.nodes[d.from], b.nodes[d.to]
	lost := to == nil || to.Err() != nil || b.cut && (d.from == hurt || d.to == hurt)
	if d.m.GetType() != raftpb.MsgSnap {
		if !lost {
			to.Receive(d.from, []*raftpb.Message{d.m})
		}
		return
	}
	err := errors.New("lost")
	if !lost && from != nil {
		meta, r, openErr := b.state[d.from].OpenSnapshot()
		if openErr != nil {
			b.t.Fatal(openErr)
		}
		d.m.Snapshot = &raftpb.Snapshot{Metadata: &raftpb.SnapshotMetadata{Index: &meta.Index, Term: &meta.Term, ConfState: proto.Clone(meta.ConfState).(*raftpb.ConfState)}}
		err = to.ReceiveSnapshot(d.from, d.m, r)
	}
	if from != nil {
		from.SnapshotSent(d.to, err)
	}
}

// elect makes a node campaign.
func (b *board) elect(id uint64) {
	if s := b.nodes[id]; s != nil && s.Err() == nil {
		_ = s.core.raw.Campaign()
		s.act()
	}
	b.settle()
}

// propose hands a command to a node, and notes it when it is acknowledged.
func (b *board) propose(id uint64, size int) {
	cmd := fmt.Sprintf("%d %s", len(b.proposed), strings.Repeat(".", size))
	b.proposed = append(b.proposed, cmd)
	b.nodes[id].Propose([]byte(cmd), b.now.Add(time.Hour), func(_ any, err error) {
		if err != nil {
			return
		}
		if id == hurt && b.failed && !b.staging {
			b.t.Error("a proposal was acknowledged after the disk failed")
		}
		b.acked = append(b.acked, cmd)
	})
	b.settle()
}

// history is a script that does everything a node does to its disk; it goes on
// whatever hurt's disk does. It returns hurt's first error.
func (b *board) history() error {
	if err := b.startHurt(); err != nil {
		return err
	}
	if len(b.ids) == 1 {
		b.elect(hurt)
		for i := range 40 {
			b.propose(hurt, 100+190*(i%4))
		}
		return b.nodes[hurt].Err()
	}
	b.elect(1)
	for i := range 14 { // append, rotate, checkpoint, compact
		b.propose(1, 100+190*(i%4))
	}
	b.elect(3) // a vote, a term
	b.propose(3, 20)
	b.orphan()
	b.cut = true
	b.elect(1)
	for i := range 14 { // hurt falls behind what the others' logs hold
		b.propose(1, 50*i)
	}
	b.cut = false
	b.heartbeats(1) // a snapshot, staged, installed, the log reset
	for range 6 {
		b.propose(1, 300)
	}
	if hurtNode := b.nodes[hurt]; hurtNode.Err() != nil {
		return hurtNode.Err()
	}
	b.elect(hurt) // as leader: its own proposals
	for range 3 {
		b.propose(hurt, 700)
	}
	return b.nodes[hurt].Err()
}

// orphan gives hurt entries that the next leader does not have: they will be
// replaced.
func (b *board) orphan() {
	s := b.nodes[hurt]
	if s.Err() != nil {
		return
	}
	b.elect(hurt)
	b.cut = true
	for range 3 {
		b.propose(hurt, 60)
	}
	b.cut = false
	b.elect(3)
	b.propose(3, 10)
}

// heartbeats lets a leader find out who is back.
func (b *board) heartbeats(id uint64) {
	for range 6 {
		b.nodes[id].PeerUp(hurt)
		b.now = b.nodes[id].NextWake()
		b.nodes[id].Loop()
		b.settle()
	}
}

// check compares what a crash left on hurt's disk with what hurt has said: its
// reports to the test, its messages to peers, and its acknowledgements.
func (b *board) check() {
	t := b.t
	t.Helper()
	before := b.state[hurt].(*diskMachine)
	if err := b.startHurt(); err != nil {
		t.Errorf("it does not start: %v", err)
		return
	}
	m := b.state[hurt].(*diskMachine)
	if before != nil && m.durable.Meta.Index < before.reported {
		t.Errorf("the state is of index %d, %d was durable", m.durable.Meta.Index, before.reported)
	}
	hs := b.nodes[hurt].storage.HardState()
	p := b.promised
	if hs.GetTerm() < p.term || hs.GetTerm() == p.voteTerm && p.vote != 0 && hs.GetVote() != p.vote {
		t.Errorf("it remembers %v and has promised term %d, a vote for %d in %d", hs, p.term, p.vote, p.voteTerm)
	}
	for i, term := range p.entries {
		if i <= m.durable.Meta.Index {
			continue
		}
		got, err := b.log.Term(i)
		if err != nil || got < term {
			t.Errorf("entry %d of term %d was promised; found term %d, %v", i, term, got, err)
		}
	}
}

// goOn lets the cluster settle after hurt's return, and checks that all nodes
// hold all that was acknowledged, once, and the same.
func (b *board) goOn() {
	t := b.t
	t.Helper()
	leader := b.ids[len(b.ids)-1]
	for range 3 {
		b.elect(leader)
		if len(b.ids) > 1 {
			b.heartbeats(leader)
		}
	}
	for range 6 {
		b.propose(leader, 200)
	}
	if len(b.ids) > 1 {
		b.heartbeats(leader)
	}
	list := b.state[hurt].(*diskMachine).now.List
	if err := b.nodes[hurt].Err(); err != nil {
		t.Errorf("it does not go on: %v", err)
	}
	for _, id := range b.ids {
		if id != hurt && !slices.Equal(b.state[id].(*machine).list(), list) {
			t.Errorf("node %d has %d commands, hurt has %d, or they differ", id, len(b.state[id].(*machine).list()), len(list))
		}
	}
	seen := map[string]int{}
	for _, cmd := range list {
		seen[cmd]++
	}
	for _, cmd := range b.acked {
		if seen[cmd] != 1 {
			t.Errorf("%.10q was acknowledged and is there %d times", cmd, seen[cmd])
		}
	}
	if n := len(b.proposed); !slices.Contains(b.acked, b.proposed[n-1]) {
		t.Error("the last command was not acknowledged")
	}
}

func (b *board) fault(f func(faultfs.Op) error) {
	b.fs.SetFault(func(op faultfs.Op) error {
		b.counts[op.Kind.String()]++
		err := f(op)
		if err != nil && !b.failed {
			m, ok := b.state[hurt].(*diskMachine)
			b.failed, b.staging = true, ok && m.staging
		}
		return err
	})
}

// long says that tests may take minutes.
func long() bool { return os.Getenv("DOOZER_TEST_LONG") != "" }

// TestCrashAtEveryOperation takes hurt's power before every single operation on
// its disk, while it appends, rotates, votes, replaces entries, makes
// checkpoints, shortens the log, stages and installs a snapshot and starts the
// log over; and once more while it starts again.
func TestCrashAtEveryOperation(t *testing.T) {
	seeds, crashes, stride := uint64(2), uint64(1), 1
	switch {
	case long():
		seeds, crashes = 40, 4
	case raced:
		seeds, stride = 1, 5
	}
	cuts, kinds := 0, map[string]int{}
	for _, nodes := range []int{1, 3} {
		for seed := range seeds {
			for cut, ended := 0, false; !ended && !t.Failed(); cut += stride {
				for crash := range crashes {
					b := newBoard(t, nodes, seed)
					b.fault(faultfs.CutAfter(cut))
					if ended = b.history() == nil && !b.failed; ended {
						for k, n := range b.counts {
							kinds[k] += n
						}
						if m := b.state[hurt].(*diskMachine); m.installs == 0 && nodes > 1 || m.seq < 3 {
							t.Fatalf("%d installs, %d checkpoints: the test tests nothing", m.installs, m.seq)
						}
						break
					}
					cuts++
					b.crash(rand.New(rand.NewPCG(uint64(cut), crash)))
					if t.Failed() {
						t.Fatalf("%d nodes, seed %d, cut after %d operations, crash %d", nodes, seed, cut, crash)
					}
				}
			}
		}
	}
	t.Logf("%d power cuts, each at another operation: %v", cuts, kinds)
}

// crash is a power cut, another while the node starts again, and what follows.
func (b *board) crash(rng *rand.Rand) {
	b.t.Helper()
	before, _ := b.state[hurt].(*diskMachine)
	b.fs = b.fs.CrashClone(rng)
	b.cut = false
	b.mail = nil
	b.fault(faultfs.CutAfter(rng.IntN(12)))
	if b.startHurt() != nil || b.failed {
		b.fs = b.fs.CrashClone(rng)
	}
	b.fs.SetFault(nil)
	b.failed = false
	b.state[hurt] = before
	b.check()
	if !b.t.Failed() {
		b.goOn()
	}
}

// TestADiskThatFailsIsNeverAskedAgain fails every sync, write, rename and
// allocation in turn, once, with a disk that is well before and after: the
// node ends, tries nothing again, tells nobody that anything was stored, and
// what it had promised is there when it starts again.
func TestADiskThatFailsIsNeverAskedAgain(t *testing.T) {
	for _, kind := range []faultfs.OpKind{faultfs.OpSync, faultfs.OpWrite, faultfs.OpSyncDir, faultfs.OpRename, faultfs.OpAllocate, faultfs.OpCreate, faultfs.OpRemove} {
		times, stride := 0, 1
		if raced && !long() {
			stride = 5
		}
		for _, nodes := range []int{1, 3} {
			for n := 1; ; n += stride {
				errno := syscall.EIO
				if n/stride%2 == 0 && kind != faultfs.OpSync {
					errno = syscall.ENOSPC
				}
				b := newBoard(t, nodes, uint64(n))
				var after []faultfs.Op
				failing := faultfs.FailNth(kind, n, errno)
				b.fault(func(op faultfs.Op) error {
					if b.failed && op.Kind.Changes() {
						after = append(after, op)
					}
					return failing(op)
				})
				err := b.history()
				if !b.failed {
					break
				}
				times++
				if b.staging {
					if b.failed = false; err != nil {
						t.Errorf("it ended with %v when a snapshot could not be staged", err)
					}
				} else if !errors.Is(err, errno) {
					t.Errorf("it ended with %v, want %v", err, errno)
				}
				for _, op := range after {
					if op.Kind != faultfs.OpRemove && err != nil {
						t.Errorf("after the failure it does a %v of %s", op.Kind, op.Name)
					}
				}
				b.crash(rand.New(rand.NewPCG(uint64(n), 1)))
				if t.Failed() {
					t.Fatalf("%d nodes, the %dth %v fails; afterwards: %v", nodes, n, kind, after)
				}
			}
		}
		t.Logf("%d times a %v failed", times, kind)
	}
}
