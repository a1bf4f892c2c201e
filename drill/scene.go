package drill

import (
	"context"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"github.com/doozer-store/doozer/drill/cluster"
)

// step does one harm. It belongs to the run's goroutine.
type step func(*scene)

// setting is what the cluster of a run is started with.
type setting struct {
	history    int64 // revs that nodes keep
	checkpoint int64 // bytes of log between checkpoints
	lose       *replyLoser
	// tmpfs has the data of these many nodes, the last ones, on small file
	// systems of their own.
	tmpfs int
}

// scene is a cluster, the harm that is being done to it, and what has to be
// done to undo that. It belongs to the run's goroutine.
type scene struct {
	ctx   context.Context
	c     *cluster.Cluster
	r     *rand.Rand
	seed  uint64
	o     *setting
	now   func() time.Duration // since the start of the report
	hold  time.Duration
	meter *meter
	load  *load
	log   func(format string, args ...any)

	faults []Fault
	undo   []func() // the last one is undone first
	checks []Check  // what steps found
	// down are nodes that can't serve, cut the directions in which nodes can't
	// hear each other, by names; deaf tells that no client reaches a node.
	down map[string]bool
	cut  map[[2]string]bool
	deaf bool
	// led is the node that led when it was last asked.
	led *cluster.Node
}

// begin notes a harm; end, which undoes it, is called when all is healed.
func (x *scene) begin(kind string, undo func(), format string, args ...any) {
	i := len(x.faults)
	x.faults = append(x.faults, Fault{Kind: kind, What: fmt.Sprintf(format, args...), From: x.now()})
	x.log("harm: %s", x.faults[i].What)
	x.meter.fault(x.current())
	x.undo = append(x.undo, func() {
		if undo != nil {
			undo()
		}
		x.faults[i].To = x.now()
		x.meter.fault(x.current())
	})
}

// current names what is being done, "" when all is healed.
func (x *scene) current() string {
	var all []string
	for _, f := range x.faults {
		if f.To == 0 {
			all = append(all, f.What)
		}
	}
	return strings.Join(all, ", ")
}

// heal undoes all harm.
func (x *scene) heal() {
	for len(x.undo) > 0 {
		last := x.undo[len(x.undo)-1]
		x.undo = x.undo[:len(x.undo)-1]
		last()
	}
	clear(x.down)
	clear(x.cut)
	x.deaf = false
	x.log("healed")
}

// check notes what a step found.
func (x *scene) check(name string, err error, format string, args ...any) {
	c := Check{Name: name, OK: err == nil, Detail: fmt.Sprintf(format, args...)}
	if err != nil {
		c.Detail = err.Error()
	}
	x.checks = append(x.checks, c)
}

// wait lets time pass under load; the end of the run's context ends the run.
func (x *scene) wait(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-x.ctx.Done():
		x.c.TB().Fatalf("%v", x.ctx.Err())
	}
}

// linger is wait for a random time up to most, so that harm comes at any point
// of what nodes are doing.
func (x *scene) linger(most time.Duration) { x.wait(time.Duration(x.r.Int64N(int64(most)) + 1)) }

// leaderPatience is how long a step waits for a leader: in the middle of harm
// there may be none.
const leaderPatience = 3 * time.Second

// leader is the node that leads, or any where none does.
func (x *scene) leader() *cluster.Node {
	if x.led = x.c.LeaderWithin(leaderPatience); x.led != nil {
		return x.led
	}
	all := x.c.Nodes()
	return all[x.r.IntN(len(all))]
}

// tag tells whether n was the leader when that was last asked.
func (x *scene) tag(n *cluster.Node) string {
	if n == x.led {
		return n.Name + " (leader)"
	}
	return n.Name
}

// follower is any node that does not lead.
func (x *scene) follower() *cluster.Node {
	o := x.c.Others(x.leader())
	return o[x.r.IntN(len(o))]
}

// some are n nodes in random order, with the leader among them or not.
func (x *scene) some(n int) []*cluster.Node {
	x.leader()
	all := x.c.Nodes()
	var out []*cluster.Node
	for _, i := range x.r.Perm(len(all))[:n] {
		out = append(out, all[i])
	}
	return out
}

// majority is the smallest number of nodes that is one.
func (x *scene) majority() int { return len(x.c.Nodes())/2 + 1 }

// serves tells whether the cluster has to serve: a majority of nodes can all hear
// each other, and clients reach it. That one node hears a majority is not enough
// for raft: a node whose log lacks an entry that its neighbours have is not voted
// for by them, and they may not hear each other.
func (x *scene) serves() bool {
	nodes := x.c.Nodes()
	for set := 1; set < 1<<len(nodes) && !x.deaf; set++ {
		if bits.OnesCount(uint(set)) == x.majority() && x.together(nodes, set) {
			return true
		}
	}
	return false
}

// together tells whether the nodes in set work, and all hear each other.
func (x *scene) together(nodes []*cluster.Node, set int) bool {
	for i, n := range nodes {
		if set>>i&1 == 0 {
			continue
		}
		if x.down[n.Name] {
			return false
		}
		for j, m := range nodes {
			if set>>j&1 == 1 && x.cut[[2]string{n.Name, m.Name}] {
				return false
			}
		}
	}
	return true
}

// sideBySide is how long harm lasts after the first write that succeeded during
// it: time for a node that should know better to answer with what was before.
const sideBySide = 150 * time.Millisecond

// goesOn waits until writes that began after the harm have succeeded, if a
// majority of nodes can work together.
func (x *scene) goesOn() {
	if !x.serves() {
		return
	}
	x.await("writes go on while a majority can work together: "+x.current(), func() bool { return x.load.fresh.Load() > 0 })
	x.wait(sideBySide)
	x.check("serves", nil, "writes went on: %s", x.current())
}

// listening tells whether a majority of nodes take connections of clients.
func (x *scene) listening() bool {
	n := 0
	for _, node := range x.c.Nodes() {
		if c, err := net.DialTimeout("tcp", node.Listen(), time.Second); err == nil {
			c.Close()
			n++
		}
	}
	return n >= x.majority()
}
