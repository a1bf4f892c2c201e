package sim

import (
	"time"
)

// faultKind is a kind of harm.
type faultKind int

const (
	killOne faultKind = iota
	powerOne
	powerSome
	powerAll
	powerInWrite
	powerInBoot
	stopOne
	restartAll
	split
	isolate
	oneWay
	partial
	bridge
	ring
	badNetwork
	slowNetwork
	dropConn
	stallDisk
	failSync
	failWrite
	failRead
	failState
	fullDisk
	clockRate
	clockJump
	pause
	slowNode
	transfer
	numFaults
)

var faultNames = [numFaults]string{
	"kill", "power cut", "power cut of some", "power cut of all", "power cut in a write", "power cut in a start", "stop", "restart of all", "split", "isolated node",
	"one-way cut", "partial cut", "bridge", "ring", "bad network", "slow network", "lost connection", "stalled disk", "failed sync",
	"failed write", "failed read", "failed checkpoint", "full disk", "clock rate", "clock jump", "pause", "slow node", "transfer",
}

// String returns the kind's name.
func (k faultKind) String() string { return faultNames[k] }

// faults does harm by the seed, until heal.
type faults struct {
	w      *world
	healed bool
	undo   []func() // what heal has to do
}

func newFaults(w *world) *faults {
	f := &faults{w: w}
	gap := func() time.Duration { return w.between(0, 3*w.set.faultGap) }
	w.every(gap, func() bool {
		if !f.healed && len(w.set.faultKind) > 0 {
			f.do(pick(w, w.set.faultKind...))
		}
		return !f.healed
	})
	return f
}

// for a while: harm is done now, and undone later or by heal.
func (f *faults) during(lo, hi time.Duration, harm, undo func()) {
	harm()
	ended := false
	end := func() {
		if !ended {
			ended = true
			undo()
		}
	}
	f.undo = append(f.undo, end)
	f.w.after(f.w.between(lo, hi), end)
}

// heal ends all harm and starts what is down.
func (f *faults) heal() {
	f.healed = true
	for _, undo := range f.undo {
		undo()
	}
	w := f.w
	w.net.heal()
	for _, n := range w.nodes {
		d := n.disk
		d.full, d.stallUntil = false, 0
		d.failSync, d.failWrite, d.failRead, d.failState, d.cutAfter, d.bootCut = 0, 0, 0, 0, -1, 0
		n.slow = 0
		n.clock.setRate(w.now, 1)
		if !n.up {
			n.bootLater(0, 50*time.Millisecond)
		}
	}
	if w.cfg.Wrong.NeverHeal {
		for _, n := range w.nodes {
			w.net.setCut(1, n.id, true)
		}
	}
}

func (f *faults) node() *node { return f.w.nodes[f.w.rng.IntN(len(f.w.nodes))] }

// some returns a random set of nodes.
func (f *faults) some(n int) map[uint64]bool {
	out := map[uint64]bool{}
	for _, i := range f.w.rng.Perm(len(f.w.nodes))[:n] {
		out[uint64(i+1)] = true
	}
	return out
}

func (f *faults) do(k faultKind) {
	f.w.mix(8, uint64(k))
	f.w.tracef("fault: %v", k)
	f.w.result.Faults[k]++
	switch {
	case k <= restartAll:
		f.doProcess(k)
	case k <= dropConn:
		f.doNetwork(k)
	case k <= fullDisk:
		f.doDisk(k)
	default:
		f.doTime(k)
	}
}

// down ends a process and starts another after a while.
func (f *faults) down(n *node, power bool) {
	if n.up {
		f.w.tracef("node %d down, power cut: %v", n.id, power)
	}
	n.kill(power)
	n.bootLater(time.Millisecond, 4*time.Second)
}

func (f *faults) doProcess(k faultKind) {
	w := f.w
	switch k {
	case killOne:
		f.down(f.node(), false)
	case powerOne:
		f.down(f.node(), true)
	case powerSome:
		hit := f.some(w.uniform(1, len(w.nodes)))
		for _, n := range w.nodes {
			if hit[n.id] {
				f.down(n, true)
			}
		}
	case powerAll, restartAll:
		for _, n := range w.nodes {
			f.down(n, k == powerAll)
		}
	case powerInWrite:
		n := f.node()
		n.disk.cutAfter = w.rng.IntN(8)
	case powerInBoot:
		n := f.node()
		f.down(n, true)
		n.disk.bootCut = w.uniform(1, 8)
	case stopOne:
		if n := f.node(); n.up && !n.paused() {
			n.exec(0, func() { n.step.Transfer() })
			n.exec(w.between(0, 100*time.Millisecond), n.stop)
		}
	}
}

func (f *faults) doNetwork(k faultKind) {
	w, t := f.w, f.w.net
	nodes := uint64(len(w.nodes))
	switch k {
	case badNetwork:
		f.during(time.Second, 8*time.Second, func() {
			t.loss, t.dup, t.mingle = 0.3*w.rng.Float64(), 0.2*w.rng.Float64(), 0.3*w.rng.Float64()
			t.jitter, t.stray = w.between(0, 40*time.Millisecond), pick(w, 0, 0.01, 0.1)
		}, t.calm)
		return
	case slowNetwork:
		f.during(time.Second, 8*time.Second, func() {
			t.latency, t.jitter = w.between(time.Millisecond, 80*time.Millisecond), w.between(0, 100*time.Millisecond)
		}, t.calm)
		return
	case dropConn:
		a, b := f.node(), f.node()
		t.broke(a, b, t.conn[a.id][b.id].epoch)
		return
	}
	var cuts [][2]uint64
	each := func(cut func(a, b uint64) bool) {
		for a := uint64(1); a <= nodes; a++ {
			for b := uint64(1); b <= nodes; b++ {
				if a != b && cut(a, b) {
					cuts = append(cuts, [2]uint64{a, b})
				}
			}
		}
	}
	one, other := f.node().id, f.node().id
	switch k {
	case split:
		side := f.some(w.uniform(0, int(nodes)))
		each(func(a, b uint64) bool { return side[a] != side[b] })
	case isolate:
		each(func(a, b uint64) bool { return a == one || b == one })
	case oneWay:
		in, all := w.chance(0.5), w.chance(0.5)
		each(func(a, b uint64) bool {
			if in {
				a, b = b, a
			}
			return a == one && (all || b == other)
		})
	case partial:
		each(func(a, b uint64) bool { return a == one && b == other || a == other && b == one })
	case bridge:
		side := f.some(int(nodes) / 2)
		each(func(a, b uint64) bool { return side[a] != side[b] && a != one && b != one })
	case ring:
		each(func(a, b uint64) bool { return (a+1-b)%nodes != 0 && (b+1-a)%nodes != 0 })
	}
	set := func(cut bool) func() {
		return func() {
			for _, c := range cuts {
				t.setCut(c[0], c[1], cut)
			}
		}
	}
	f.during(200*time.Millisecond, 8*time.Second, set(true), set(false))
}

func (f *faults) doDisk(k faultKind) {
	w, n := f.w, f.node()
	d := n.disk
	switch k {
	case stallDisk:
		d.stall = w.between(50*time.Millisecond, 4*time.Second)
		d.stallUntil = w.now + int64(w.between(100*time.Millisecond, 5*time.Second))
	case failSync:
		d.failSync = w.uniform(1, 5)
	case failWrite:
		d.failWrite = w.uniform(1, 5)
	case failRead:
		d.failRead = w.uniform(1, 5)
	case failState:
		d.failState = 1
	case fullDisk:
		f.during(500*time.Millisecond, 10*time.Second, func() { d.full = true }, func() { d.full = false })
	}
}

func (f *faults) doTime(k faultKind) {
	w, n := f.w, f.node()
	switch k {
	case clockRate:
		rate := 0.5 + 1.5*w.rng.Float64()
		f.during(time.Second, 20*time.Second, func() { n.clock.setRate(w.now, rate) }, func() { n.clock.setRate(w.now, 1) })
	case clockJump:
		by := w.between(0, time.Minute)
		if w.chance(0.1) {
			by = w.between(0, 2*time.Hour)
		}
		if w.chance(0.5) {
			by = -by
		}
		n.clock.wall += int64(by)
	case pause:
		n.pausedUntil = max(n.pausedUntil, w.now+int64(w.between(10*time.Millisecond, 4*time.Second)))
	case slowNode:
		// All steps, or those of one goroutine, much more.
		slow, p := w.between(time.Millisecond, 100*time.Millisecond), numParts
		if w.chance(0.6) {
			slow, p = w.between(10*time.Millisecond, 2*time.Second), part(w.rng.IntN(int(numParts)))
		}
		f.during(time.Second, 6*time.Second, func() { n.slow, n.slowPart = slow, p }, func() { n.slow = 0 })
	case transfer:
		for _, n := range w.nodes {
			if n.up && !n.paused() {
				n.exec(0, func() { n.step.Transfer() })
			}
		}
	}
}
