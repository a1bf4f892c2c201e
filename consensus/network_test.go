package consensus

import (
	"math/rand/v2"
	"sync"
	"time"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// network carries messages between the nodes of a test: one ordered queue for
// each direction of each pair.
type network struct {
	mu    sync.Mutex
	rand  *rand.Rand
	nodes map[uint64]*Node
	links map[[2]uint64]*link
	done  chan struct{}
	wg    sync.WaitGroup
	// filter, if set, tells whether a raft message goes through.
	filter func(from, to uint64, m *raftpb.Message) bool
	// snapshots holds streams back while it is open; nil lets them go.
	sendSnapshot func(from, to uint64, m *raftpb.Message) error
}

// link is one direction. The network's mutex guards its settings.
type link struct {
	cut           bool // what is sent is lost
	down          bool // nobody is connected
	refuseForward bool
	delay         time.Duration
	drop, dup     float64 // of raft messages
	dropForward   float64
	forwards      int

	queue queue[delivery]
}

type delivery struct {
	at      time.Time
	deliver func(n *Node)
}

func newNetwork(seed uint64) *network {
	return &network{
		rand: rand.New(rand.NewPCG(seed, 1)), nodes: map[uint64]*Node{}, links: map[[2]uint64]*link{}, done: make(chan struct{}),
	}
}

// link returns the direction, with its pump running. The mutex is held.
func (w *network) link(from, to uint64) *link {
	k := [2]uint64{from, to}
	l := w.links[k]
	if l == nil {
		l = &link{}
		l.queue.init()
		w.links[k] = l
		w.wg.Go(func() { w.pump(l, to) })
	}
	return l
}

func (w *network) pump(l *link, to uint64) {
	var items []delivery
	for {
		var ok bool
		if items, ok = l.queue.wait(items); !ok {
			return
		}
		for _, d := range items {
			if wait := time.Until(d.at); wait > 0 {
				select {
				case <-time.After(wait):
				case <-w.done:
					return
				}
			}
			if n := w.node(to); n != nil {
				d.deliver(n)
			}
		}
	}
}

func (w *network) node(id uint64) *Node {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.nodes[id]
}

func (w *network) set(f func(w *network)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f(w)
}

func (w *network) each(f func(from, to uint64, l *link)) {
	w.set(func(w *network) {
		for k, l := range w.links {
			f(k[0], k[1], l)
		}
	})
}

// heal takes away all faults and connects what was disconnected.
func (w *network) heal() {
	var up [][2]uint64
	w.each(func(from, to uint64, l *link) {
		if l.down || l.cut {
			up = append(up, [2]uint64{from, to})
		}
		l.cut, l.down, l.refuseForward, l.delay, l.drop, l.dup, l.dropForward = false, false, false, 0, 0, 0, 0
	})
	for _, k := range up {
		w.peerUp(k[0], k[1])
	}
}

func (w *network) peerUp(at, of uint64) {
	if n := w.node(at); n != nil && w.node(of) != nil {
		n.PeerUp(of)
	}
}

func (w *network) peerDown(at, of uint64, refused bool) {
	if n := w.node(at); n != nil {
		n.PeerDown(of, refused)
	}
}

// disconnect breaks the connection of from to to: what is on the way is lost.
func (w *network) disconnect(from, to uint64) {
	w.set(func(w *network) {
		l := w.link(from, to)
		l.down = true
		l.queue.take(nil)
	})
	w.peerDown(from, to, false)
}

func (w *network) connect(from, to uint64) {
	w.set(func(w *network) { w.link(from, to).down = false })
	w.peerUp(from, to)
}

// cut loses everything sent between a and the others, in both directions,
// without telling anybody.
func (w *network) isolate(a uint64, others []uint64) {
	w.set(func(w *network) {
		for _, b := range others {
			if a != b {
				w.link(a, b).cut, w.link(b, a).cut = true, true
			}
		}
	})
}

func (w *network) close() {
	close(w.done)
	w.each(func(_, _ uint64, l *link) { l.queue.close() })
	w.wg.Wait()
}

// wire is the network as one node's Transport.
type wire struct {
	w    *network
	self uint64
}

func (t wire) Connected(id uint64) bool {
	t.w.mu.Lock()
	defer t.w.mu.Unlock()
	return t.w.nodes[id] != nil && !t.w.link(t.self, id).down
}

func (t wire) Forward(to, term uint64, group []byte) bool {
	t.w.mu.Lock()
	defer t.w.mu.Unlock()
	l := t.w.link(t.self, to)
	if t.w.nodes[to] == nil || l.down || l.refuseForward {
		return false
	}
	l.forwards++
	if l.cut || t.w.rand.Float64() < l.dropForward {
		return true
	}
	l.queue.put(delivery{time.Now().Add(l.delay), func(n *Node) { n.ReceiveForward(t.self, term, group) }})
	return true
}

func (t wire) Send(msgs []*raftpb.Message) {
	t.w.mu.Lock()
	defer t.w.mu.Unlock()
	for _, m := range msgs {
		l := t.w.link(t.self, m.GetTo())
		if m.GetType() == raftpb.MsgSnap {
			t.w.wg.Go(func() { t.w.snapshot(t.self, m) })
			continue
		}
		if t.w.filter != nil && !t.w.filter(t.self, m.GetTo(), m) {
			continue
		}
		if l.cut || l.down || t.w.rand.Float64() < l.drop {
			continue
		}
		m = proto.Clone(m).(*raftpb.Message)
		d := delivery{time.Now().Add(l.delay), func(n *Node) { n.Receive(t.self, []*raftpb.Message{m}) }}
		l.queue.put(d)
		if t.w.rand.Float64() < l.dup {
			again := proto.Clone(m).(*raftpb.Message)
			l.queue.put(delivery{d.at, func(n *Node) { n.Receive(t.self, []*raftpb.Message{again}) }})
		}
	}
}

// snapshot streams the last checkpoint of from.
func (w *network) snapshot(from uint64, m *raftpb.Message) {
	sender, receiver := w.node(from), w.node(m.GetTo())
	if sender == nil {
		return
	}
	err := errCutStream
	var lost bool
	var hook func(from, to uint64, m *raftpb.Message) error
	w.set(func(w *network) {
		l := w.link(from, m.GetTo())
		lost, hook = l.cut || l.down, w.sendSnapshot
	})
	if receiver != nil && !lost {
		meta, r, _ := sender.cfg.Machine.OpenSnapshot()
		m = proto.Clone(m).(*raftpb.Message)
		m.Snapshot = &raftpb.Snapshot{Metadata: &raftpb.SnapshotMetadata{Index: &meta.Index, Term: &meta.Term, ConfState: proto.Clone(meta.ConfState).(*raftpb.ConfState)}}
		err = nil
		if hook != nil {
			err = hook(from, m.GetTo(), m)
		}
		if err == nil {
			err = receiver.ReceiveSnapshot(from, m, r)
		}
	}
	sender.SnapshotSent(m.GetTo(), err)
}
