package sim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/doozer-store/doozer/consensus"
	"github.com/doozer-store/doozer/consensus/checkpoint"
	"github.com/doozer-store/doozer/consensus/wal"
	"github.com/doozer-store/doozer/server"
)

// node is one machine: its disk and clock, and while up is set a process.
type node struct {
	w     *world
	id    uint64
	clock clock
	disk  *disk

	// up: a process runs. life counts processes; what was planned for an
	// earlier one does not happen. booting: it will.
	up, booting bool
	life        int
	pausedUntil int64
	// slow is what steps may take longer, those of slowPart or (numParts) all.
	slow     time.Duration
	slowPart part

	log     *simLog
	machine *recorder
	step    *consensus.Stepper
	server  *server.Stepper
	wake    int64 // when Loop is planned by the clock, 0 for never
	planned [numParts]bool
	// serving is set once what the log knew to be committed is applied.
	serving  bool
	mustHave uint64

	sessions []*session
	watches  []*watch
	set      *watchSet // of those that share a stream; nil: there is none
}

// part is a goroutine of a real node.
type part int

const (
	partLoop part = iota
	partWrite
	partApply
	partRead
	partCheckpoint
	partSend
	partWatch
	numParts
)

func newNode(w *world, id uint64) *node {
	n := &node{w: w, id: id, clock: clock{rate: 0.98 + 0.04*w.rng.Float64(), wall: int64(w.rng.IntN(2e9))}}
	n.disk = newDisk(n)
	return n
}

// start boots a process, as server/boot does. An error of the disk ends it
// again; any other is a violation.
func (n *node) start() {
	n.booting = false
	if n.up || n.w.violation != nil {
		return
	}
	n.life++
	n.up, n.serving, n.wake, n.slow = true, false, 0, 0
	n.planned = [numParts]bool{}
	n.pausedUntil = 0
	n.w.mix(1, n.id, uint64(n.life))
	n.w.tracef("node %d starts", n.id)
	var err error
	if n.w.guard(func() { err = n.open() }, n.disk.failedRead) {
		err = errors.New("panic after a failed read")
	}
	if n.w.violation != nil {
		return
	}
	if err != nil {
		if !n.disk.excuses() {
			n.w.fail("node %d does not start: %v", n.id, err)
			return
		}
		n.ended(err)
		return
	}
	n.mustHave = n.log.HardState().GetCommit()
	n.tickLater(n.life)
	n.w.net.started(n)
	n.kick()
}

func (n *node) open() error {
	log, err := wal.Open(wal.Options{
		Dir: "/log", Node: n.id, BootstrapID: [16]byte{7}, FS: n.disk.fileSystem(), Foreground: true,
		SegmentSize: n.w.set.segmentBytes, CacheBytes: n.w.set.cacheBytes,
	})
	if err != nil {
		return err
	}
	n.log = &simLog{Log: log, n: n}
	n.disk.checkPromises(log)
	machine, err := server.NewMachine(server.MachineConfig{State: n.disk.openState(), Limits: n.w.set.server, Metrics: n.w.metrics})
	if err != nil {
		return err
	}
	n.machine = newRecorder(n, machine)
	var nonce [8]byte
	binary.LittleEndian.PutUint64(nonce[:], n.w.rng.Uint64())
	n.step, err = consensus.OpenStepper(consensus.Config{
		ID: n.id, Nonce: binary.LittleEndian.Uint64(nonce[:]), State: consensus.Meta(n.disk.image.meta),
		Log: n.log, Transport: transport{n, n.life}, Machine: n.machine,
		Tick: n.w.set.tick, CheckpointBytes: n.w.set.checkpointBytes, Limits: n.w.set.limits,
		Hooks: consensus.Hooks{Checkpoint: func(time.Duration, error) { n.w.result.Checkpoints++ }},
		Wall:  func() int64 { return n.clock.wallNanos(n.w.now) },
		Yield: n.w.set.yield,
	}, n.time)
	if err != nil {
		return err
	}
	n.server = server.NewStepper(server.Config{
		Node: n.id, Machine: machine, Consensus: asked{n.step, n}, Metrics: n.w.metrics, Limits: n.w.set.server,
	}, n.time)
	return nil
}

func (n *node) time() time.Time { return n.clock.time(n.w.now) }

// tickLater plans when the reads of a process that wait are looked at next.
func (n *node) tickLater(life int) {
	n.w.after(n.clock.real(n.w.set.tick), func() {
		if n.up && n.life == life {
			n.tickLater(life)
			if n.w.now >= n.pausedUntil {
				n.run(n.step.ExpireReads)
				n.checkHeld()
			}
		}
	})
}

// exec runs code of the process that runs now, once it is not paused.
func (n *node) exec(d time.Duration, fn func()) {
	life := n.life
	n.w.after(d, func() { n.resume(life, fn) })
}

func (n *node) resume(life int, fn func()) {
	switch {
	case !n.up || n.life != life:
	case n.w.now < n.pausedUntil:
		n.w.queue.push(n.pausedUntil, func() { n.resume(life, fn) })
	default:
		n.run(fn)
	}
}

// run runs code of the process, and what follows from it.
func (n *node) run(fn func()) {
	if n.w.guard(fn, n.disk.failedRead) && n.w.violation == nil {
		n.ended(errors.New("panic after a failed read"))
		return
	}
	n.kick()
}

// kick plans the steps that have something to do.
func (n *node) kick() {
	if !n.up || n.w.violation != nil {
		return
	}
	if err := n.step.Err(); err != nil {
		n.ended(err)
		return
	}
	n.checkLeader()
	if !n.serving && n.step.Applied() >= n.mustHave {
		n.serving = true
		n.w.tracef("node %d serves at rev %d", n.id, n.machine.Rev())
	}
	work := n.step.Work()
	n.plan(partLoop, work.Loop, n.step.Loop)
	n.plan(partWrite, work.Write, n.write)
	n.plan(partApply, work.Apply, n.step.Apply)
	n.plan(partRead, work.Read, n.step.Read)
	n.plan(partCheckpoint, work.Checkpoint, n.step.Checkpoint)
	n.plan(partSend, n.waiting(), n.send)
	n.plan(partWatch, n.watching(), n.deliver)
	n.planWake(max(n.clock.real(n.step.NextWake().Sub(n.time())), 0) + time.Microsecond)
}

func (n *node) plan(p part, work bool, fn func()) {
	if !work || n.planned[p] {
		return
	}
	n.planned[p] = true
	n.exec(n.stepTime(p), func() {
		n.planned[p] = false
		fn()
	})
}

func (n *node) planWake(d time.Duration) {
	at := n.w.now + int64(d)
	if n.wake != 0 && n.wake <= at {
		return
	}
	n.wake = at
	n.exec(d, func() {
		if n.wake == at {
			n.wake = 0
			n.step.Loop()
		}
	})
}

// stepTime is how long it takes until a step is taken.
func (n *node) stepTime(p part) time.Duration {
	d := n.w.between(time.Microsecond, 4*n.w.set.stepTime)
	if p == partCheckpoint {
		d += n.w.between(0, 200*time.Millisecond)
	}
	if n.slowPart == p || n.slowPart == numParts {
		d += n.w.between(0, n.slow)
	}
	return d
}

// write begins a write of the log, and ends it when the disk is done.
func (n *node) write() {
	if !n.step.BeginWrite() {
		return
	}
	n.exec(n.disk.syncTime(), n.step.EndWrite)
}

// checkLeader: one leader a term.
func (n *node) checkLeader() {
	if term, ok := n.step.Leads(); ok {
		n.w.truth.leads(n, term)
	}
}

// checkHeld: what the node holds is bounded.
func (n *node) checkHeld() {
	if !n.up || n.w.violation != nil {
		return
	}
	h, l := n.step.Held(), &n.w.set.limits
	// A command, or a group of commands, may go over a limit in bytes once.
	slack := int64(l.CommandBytes)
	switch {
	case h.Proposals > l.Pending || h.Reads > l.Pending:
		n.w.fail("node %d: %d proposals and %d reads wait, the limit is %d", n.id, h.Proposals, h.Reads, l.Pending)
	case h.ProposalBytes > l.PendingBytes+slack || h.ForeignBytes > l.PendingBytes+slack:
		n.w.fail("node %d: %d bytes of proposals, %d of others', the limit is %d", n.id, h.ProposalBytes, h.ForeignBytes, l.PendingBytes)
	case h.Uncommitted > l.UncommittedBytes/entryLeast+maxEntries:
		n.w.fail("node %d: %d entries are not committed", n.id, h.Uncommitted)
	case h.Writes > maxQueue || h.Applies > maxQueue:
		n.w.fail("node %d: %d writes and %d applies wait", n.id, h.Writes, h.Applies)
	case n.server.Held() > n.w.set.server.HubBytes:
		n.w.fail("node %d: %d bytes wait for watches", n.id, n.server.Held())
	}
}

// Bounds that follow from limits: raft hands out a message for each batch it
// receives until it is stored, and followers are sent InflightMessages at once;
// an entry that counts for raft has a command in it.
const (
	entryLeast = 16
	maxEntries = 64
	maxQueue   = 4096
)

// waiting and send are the sender of Do streams, watching and deliver that of
// watches.
func (n *node) waiting() bool {
	for _, s := range n.sessions {
		if s.do.Waiting() {
			return true
		}
	}
	return false
}

func (n *node) send() {
	for _, s := range n.sessions {
		if s.do.Waiting() {
			if err := s.do.Send(); err != nil {
				n.w.fail("node %d can't answer: %v", n.id, err)
			}
		}
	}
}

func (n *node) watching() bool {
	for _, v := range n.watches {
		if v.due() {
			return true
		}
	}
	return n.set.due()
}

func (n *node) deliver() {
	for _, v := range append([]*watch(nil), n.watches...) {
		if v.due() {
			v.deliver()
		}
	}
	if n.set.due() {
		n.set.deliver(time.Time{})
	}
}

// asked is a node's consensus as its server sees it: every answer to a
// question for an index is checked.
type asked struct {
	*consensus.Stepper
	n *node
}

// ReadIndex implements server.Consensus.
func (a asked) ReadIndex(deadline time.Time, done func(error)) {
	acked := a.n.w.truth.acked
	if a.n.w.cfg.Wrong.StaleReads {
		done(nil)
		return
	}
	a.Stepper.ReadIndex(deadline, func(err error) {
		if rev := a.n.machine.Rev(); err == nil && rev < acked {
			a.n.w.fail("node %d lets a read go at rev %d, but rev %d was acknowledged before it", a.n.id, rev, acked)
		}
		done(err)
	})
}

// metaOf is the state in which a new cluster begins.
func metaOf(nodes int) checkpoint.Meta {
	ids := make([]uint64, nodes)
	for i := range ids {
		ids[i] = uint64(i + 1)
	}
	return checkpoint.Meta(consensus.Bootstrap(ids))
}

func (n *node) String() string { return fmt.Sprintf("node %d", n.id) }

// paused tells whether the process does not run for a while.
func (n *node) paused() bool { return n.w.now < n.pausedUntil }
