package sim

import (
	"bytes"
	"errors"
	"io"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

const maxNodes = 5

// net is the network between nodes; ids count from 1.
type net struct {
	w *world
	// cut: nothing passes from one to the other.
	cut  [maxNodes + 1][maxNodes + 1]bool
	conn [maxNodes + 1][maxNodes + 1]conn
	// off: a machine without power refuses nobody.
	off [maxNodes + 1]bool

	latency, jitter   time.Duration
	loss, dup, mingle float64
	// stray is how often a message comes very late.
	stray float64
}

// conn is a connection that one node makes to another.
type conn struct {
	up      bool
	epoch   int   // rises when it is made or ends
	last    int64 // when what was sent last arrives
	refused bool  // its owner was told that nobody listens
	// snap ends the sending of a snapshot, nil when none is on its way.
	snap func(error)
}

func newNet(w *world) *net {
	t := &net{w: w}
	t.calm()
	return t
}

// calm makes a network without faults.
func (t *net) calm() {
	t.latency, t.jitter = 50*time.Microsecond, 300*time.Microsecond
	t.loss, t.dup, t.mingle, t.stray = 0, 0, 0, 0
}

func (t *net) open(a, b uint64) bool { return !t.cut[a][b] && !t.cut[b][a] }

// started is called when a process begins: it dials everybody.
func (t *net) started(n *node) {
	t.off[n.id] = false
	for _, p := range t.w.nodes {
		if p != n {
			t.conn[n.id][p.id] = conn{epoch: t.conn[n.id][p.id].epoch + 1}
			t.redial(n, p, time.Millisecond)
		}
	}
}

// ended is called when a process is gone; without power nobody is told.
func (t *net) ended(n *node, power bool) {
	t.off[n.id] = power
	for _, p := range t.w.nodes {
		t.conn[n.id][p.id].up = false
		t.conn[n.id][p.id].epoch++
		if c := t.conn[p.id][n.id]; p != n && c.up {
			if power || !t.open(n.id, p.id) {
				t.noticeLater(p, n, c.epoch)
			} else {
				t.w.after(t.delay(), func() { t.broke(p, n, c.epoch) })
			}
		}
	}
}

// noticeLater ends a connection over which nothing comes back, after a while;
// also if there is another process by then.
func (t *net) noticeLater(from, to *node, epoch int) {
	life := to.life
	t.w.after(t.w.between(100*time.Millisecond, 500*time.Millisecond), func() {
		if !to.up || to.life != life || !t.open(from.id, to.id) {
			t.broke(from, to, epoch)
		}
	})
}

// broke ends a connection.
func (t *net) broke(from, to *node, epoch int) {
	c := &t.conn[from.id][to.id]
	if !c.up || c.epoch != epoch {
		return
	}
	c.up = false
	c.epoch++
	t.w.mix(2, from.id, to.id)
	if c.snap != nil {
		c.snap(errCut)
	}
	if from.up {
		from.step.PeerDown(to.id, false)
		from.kick()
		t.redial(from, to, time.Millisecond)
	}
}

// redial tries to connect until it works.
func (t *net) redial(from, to *node, soon time.Duration) {
	life := from.life
	t.w.after(t.w.between(soon, 10*soon), func() {
		c := &t.conn[from.id][to.id]
		if !from.up || from.life != life || c.up {
			return
		}
		if !t.open(from.id, to.id) || t.off[to.id] {
			t.redial(from, to, 30*time.Millisecond)
			return
		}
		if !to.up {
			if !c.refused {
				c.refused = true
				from.step.PeerDown(to.id, true)
				from.kick()
			}
			t.redial(from, to, 20*time.Millisecond)
			return
		}
		c.up, c.refused = true, false
		c.epoch++
		c.last = 0
		t.w.mix(3, from.id, to.id)
		from.step.PeerUp(to.id)
		from.kick()
	})
}

// setCut cuts a direction, or joins it again.
func (t *net) setCut(from, to uint64, cut bool) {
	if from == to || t.cut[from][to] == cut {
		return
	}
	t.cut[from][to] = cut
	t.w.tracef("link %d to %d: cut %v", from, to, cut)
	if cut {
		a, b := t.w.nodes[from-1], t.w.nodes[to-1]
		t.noticeLater(a, b, t.conn[from][to].epoch)
		t.noticeLater(b, a, t.conn[to][from].epoch)
	}
}

// heal joins all that was cut.
func (t *net) heal() {
	for a := range t.cut {
		for b := range t.cut[a] {
			t.setCut(uint64(a), uint64(b), false)
		}
	}
	t.calm()
}

func (t *net) delay() time.Duration { return t.latency + t.w.between(0, t.jitter) }

// deliver lets fn happen at to, as often and as late as the network likes.
func (t *net) deliver(from, to uint64, fn func(n *node)) {
	times := 1
	switch {
	case t.cut[from][to] || t.w.chance(t.loss):
		times = 0
	case t.w.chance(t.dup):
		times = 2
	}
	c := &t.conn[from][to]
	epoch := c.epoch
	for range times {
		at := t.w.now + int64(t.delay())
		if t.w.chance(t.stray) {
			at += int64(t.w.between(0, 4*time.Second))
		} else if !t.w.chance(t.mingle) {
			at = max(at, c.last+1)
			c.last = at
		}
		t.w.queue.push(at, func() {
			n := t.w.nodes[to-1]
			if n.up && t.conn[from][to].epoch == epoch && !t.cut[from][to] {
				t.w.mix(4, from, to)
				fn(n)
				n.kick()
			}
		})
	}
}

// transport is what a process has of the network.
type transport struct {
	n    *node
	life int
}

func (t transport) dead() bool { return !t.n.up || t.n.life != t.life }

// Connected implements consensus.Transport.
func (t transport) Connected(id uint64) bool {
	return !t.dead() && t.n.w.net.conn[t.n.id][id].up
}

// Send implements consensus.Transport. Messages travel as bytes, as they do in
// reality: nodes share no memory.
func (t transport) Send(msgs []*raftpb.Message) {
	w, from := t.n.w, t.n.id
	for _, m := range msgs {
		to := m.GetTo()
		switch {
		case t.dead():
			return
		case m.GetType() == raftpb.MsgSnap:
			t.sendSnapshot(m)
			continue
		case !w.net.conn[from][to].up:
			t.n.step.Unreachable(to)
			continue
		}
		t.n.disk.checkAnswer(m)
		b, err := proto.Marshal(m)
		if err != nil {
			w.fail("node %d sends what can't be encoded: %v", from, err)
			return
		}
		w.result.Messages++
		w.mixBytes(b)
		if w.cfg.Trace != nil {
			w.tracef("%d to %d: %s", from, to, raft.DescribeMessage(m, nil))
		}
		w.net.deliver(from, to, func(n *node) {
			m := &raftpb.Message{}
			if err := proto.Unmarshal(b, m); err != nil {
				w.fail("node %d sent what can't be decoded: %v", from, err)
				return
			}
			n.step.Receive(from, []*raftpb.Message{m})
		})
	}
}

// Forward implements consensus.Transport.
func (t transport) Forward(to, term uint64, group []byte) bool {
	if !t.Connected(to) {
		return false
	}
	w, from := t.n.w, t.n.id
	b := bytes.Clone(group)
	w.result.Messages++
	w.mixBytes(b)
	w.net.deliver(from, to, func(n *node) { n.step.ReceiveForward(from, term, bytes.Clone(b)) })
	return true
}

var errCut = errors.New("sim: the connection broke")

// sendSnapshot streams the last checkpoint, as package transport does: one at
// a time, with metadata of its own. The sender is told of its end also if the
// receiver ends first; then it may have been received all the same.
func (t transport) sendSnapshot(m *raftpb.Message) {
	w, from, to := t.n.w, t.n.id, m.GetTo()
	c := &w.net.conn[from][to]
	if c.snap != nil {
		return
	}
	meta, r, err := t.n.machine.OpenSnapshot()
	if err != nil {
		w.fail("node %d can't open a snapshot: %v", from, err)
		return
	}
	stream, _ := io.ReadAll(r)
	ended := false
	done := func(err error) {
		if ended {
			return
		}
		ended = true
		if t.dead() {
			return // c may be another's
		}
		c.snap = nil
		t.n.step.SnapshotSent(to, err)
		t.n.kick()
	}
	c.snap = done
	epoch := c.epoch
	m = proto.Clone(m).(*raftpb.Message)
	m.Snapshot = &raftpb.Snapshot{Metadata: &raftpb.SnapshotMetadata{Index: &meta.Index, Term: &meta.Term, ConfState: meta.ConfState}}
	w.tracef("node %d sends node %d a snapshot at %d", from, to, meta.Index)
	w.after(w.between(time.Millisecond, 300*time.Millisecond), func() {
		n := w.nodes[to-1]
		if !c.up || c.epoch != epoch || !n.up || !w.net.open(from, to) || t.dead() {
			done(errCut)
			return
		}
		if w.chance(w.net.loss / 2) {
			stream = stream[:w.rng.IntN(len(stream))]
		}
		n.exec(0, func() {
			err := n.step.ReceiveSnapshot(from, m, bytes.NewReader(stream))
			w.tracef("node %d received a snapshot: %v", to, err)
			w.mix(5, from, to, uint64(len(stream)))
			w.after(w.net.delay(), func() { done(err) })
		})
	})
}
