package sim

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/doozer-store/doozer/consensus"
	"github.com/doozer-store/doozer/server"
	"github.com/doozer-store/doozer/store"
)

// healLimit is how long after the last fault everything may take to be whole
// again: the longest wait between two attempts is that for a lost forward, 32
// election timeouts.
const healLimit = 40 * time.Second

var errNotWhole = errors.New("not whole again in time")

// Run does one seed. Its error is a promise that was broken.
func Run(cfg Config) (Result, error) {
	if cfg.Random == nil {
		return Result{}, errors.New("sim: Config lacks Random")
	}
	w := newWorld(cfg)
	w.begin()
	w.runUntil(int64(w.cfg.For), nil)
	w.heal()
	r := &w.result
	r.Seed, r.Nodes, r.Hash, r.Events, r.Simulated = cfg.Seed, w.set.nodes, w.hash, w.events, time.Duration(w.now)
	return *r, w.violation
}

// newWorld decides what a run is like; nothing has happened yet.
func newWorld(cfg Config) *world {
	cfg.Random(cfg.Seed)
	w := &world{cfg: cfg, rng: rand.New(rand.NewPCG(cfg.Seed, 0x600d)), metrics: server.NewMetrics()}
	if w.cfg.For == 0 {
		w.cfg.For = 60 * time.Second
	}
	w.draw()
	return w
}

// begin starts everything there is.
func (w *world) begin() {
	w.tracef("%+v", w.set)
	w.truth, w.net = newTruth(w), newNet(w)
	for id := range w.set.nodes {
		w.nodes = append(w.nodes, newNode(w, uint64(id+1)))
	}
	w.faults = newFaults(w)
	for _, n := range w.nodes {
		n.start()
	}
	newOperator(w)
	for id := range w.set.clients {
		w.clients = append(w.clients, newClient(w, id+1))
	}
	for id := range w.set.watches {
		w.watches = append(w.watches, newWatch(w, id+1))
	}
}

// heal ends all faults, and requires that everything comes to one end: a write
// by way of every node, all nodes and watches at the same rev, the same bytes.
func (w *world) heal() {
	if w.violation != nil {
		return
	}
	w.tracef("everything heals")
	begin := w.now
	limit := begin + int64(healLimit)
	w.faults.heal()
	for _, c := range w.clients {
		c.quiet = true
	}
	probes := make([]*probe, len(w.nodes))
	for i, n := range w.nodes {
		probes[i] = newProbe(w, n)
	}
	whole := "probes"
	w.runUntil(limit, func() bool {
		whole = w.lacks(probes)
		return whole == ""
	})
	if w.violation != nil {
		return
	}
	if whole = w.lacks(probes); whole != "" {
		w.fail("%v: %s\n%s", errNotWhole, whole, w.status())
		return
	}
	w.result.Healed = time.Duration(w.now - begin)
	w.compare()
}

// status tells how the nodes are.
func (w *world) status() string {
	var b strings.Builder
	for _, n := range w.nodes {
		if !n.up {
			fmt.Fprintf(&b, "node %d is down\n", n.id)
			continue
		}
		fmt.Fprintf(&b, "node %d at rev %d: %+v, holds %+v, work %+v\n", n.id, n.machine.Rev(), n.step.Status(), n.step.Held(), n.step.Work())
	}
	return b.String()
}

// lacks tells what is not whole, "" for nothing.
func (w *world) lacks(probes []*probe) string {
	for i, p := range probes {
		if p.rev == 0 {
			return fmt.Sprintf("no write by way of node %d", i+1)
		}
	}
	for _, c := range w.clients {
		if len(c.calls) > 0 {
			return fmt.Sprintf("client %d waits for %d calls", c.id, len(c.calls))
		}
	}
	rev := w.truth.rev()
	for _, n := range w.nodes {
		if !n.up || n.machine.Rev() != rev || n.step.Applied() != w.nodes[0].step.Applied() {
			return fmt.Sprintf("node %d is behind rev %d", n.id, rev)
		}
		if h := n.step.Held(); h != (consensus.Held{}) {
			return fmt.Sprintf("node %d holds %+v", n.id, h)
		}
	}
	for _, v := range w.watches {
		if v.snapshot || v.cursor < rev {
			return fmt.Sprintf("watch %d is at rev %d of %d", v.id, v.cursor, rev)
		}
	}
	return ""
}

// compare: the same log gives the same bytes.
func (w *world) compare() {
	var first []byte
	for _, n := range w.nodes {
		var b bytes.Buffer
		n.machine.View(func(st *store.Store) {
			if why := w.truth.past.compare(st, 0); why != "" {
				w.fail("node %d, in the end: %s", n.id, why)
			}
			_ = st.Snapshot(func(k, v []byte) error {
				fmt.Fprintf(&b, "%d %s %d %s\n", len(k), k, len(v), v)
				return nil
			})
		})
		if first == nil {
			first = b.Bytes()
		} else if !bytes.Equal(first, b.Bytes()) {
			w.fail("nodes 1 and %d have the same log, but not the same state", n.id)
		}
	}
	w.mix(xxhash.Sum64(first))
	if acked := w.truth.acked; w.truth.rev() < acked {
		w.fail("rev %d was acknowledged, the last is %d", acked, w.truth.rev())
	}
}

// probe writes by way of one node until that has worked.
type probe struct {
	w   *world
	n   *node
	try int
	rev int64
}

func newProbe(w *world, n *node) *probe {
	p := &probe{w: w, n: n}
	w.every(func() time.Duration { return 500 * time.Millisecond }, func() bool {
		p.write()
		return p.rev == 0
	})
	return p
}

func (p *probe) write() {
	if !p.n.up || !p.n.serving || p.rev != 0 {
		return
	}
	p.try++
	cmd := store.Command{Kind: store.Write, Ops: []store.Op{{Path: fmt.Sprintf("/probe/%d", p.n.id), Value: []byte{byte(p.try)}}}}
	p.n.exec(0, func() {
		p.n.step.Propose(cmd.Append(nil), p.n.time().Add(400*time.Millisecond), func(result any, err error) {
			if err == nil && p.rev == 0 {
				p.rev = result.(*store.Result).Rev
			}
		})
	})
}

// newOperator sees to it that the replicated settings are those of the run. In
// some runs they are others now and then: how much is kept, and of what.
func newOperator(w *world) {
	want, drawn, done := w.set.replicate, 1, 0 // how often settings were drawn, and which were put in force
	w.every(func() time.Duration { return 200 * time.Millisecond }, func() bool {
		n := w.nodes[w.rng.IntN(len(w.nodes))]
		if n.up && n.serving && done < drawn {
			cmd, which := (&store.Command{Kind: store.Configure, Config: &want}).Append(nil), drawn
			n.exec(0, func() {
				n.step.Propose(cmd, n.time().Add(time.Second), func(_ any, err error) {
					if err == nil {
						done = max(done, which)
					}
				})
			})
		}
		return done < drawn || !w.faults.healed
	})
	w.every(func() time.Duration { return w.between(2*time.Second, 40*time.Second) }, func() bool {
		if w.set.reconfigure && !w.faults.healed {
			w.drawHistory(&want)
			drawn++
		}
		return !w.faults.healed
	})
}
