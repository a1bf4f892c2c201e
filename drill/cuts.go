package drill

import (
	"strings"
	"sync/atomic"
	"time"

	"github.com/doozer-store/doozer/drill/cluster"
	"github.com/doozer-store/doozer/drill/proxy"
)

// apart cuts what in makes the picked shape cut.
func apart(pick func(x *scene, n int) shape) step {
	return func(x *scene) {
		l := x.leader()
		nodes := append([]*cluster.Node{l}, shuffled(x, x.c.Others(l))...)
		s := pick(x, len(nodes))
		var cuts []string
		for i, from := range nodes {
			for j, to := range nodes {
				if i == j || !s.cut(i, j) {
					continue
				}
				x.c.CutOneWay(from, to)
				x.cut[[2]string{from.Name, to.Name}] = true
				cuts = append(cuts, from.Name+">"+to.Name)
			}
		}
		x.begin("cut", x.c.Heal, "%s, %s leads: %s", s.name, l.Name, strings.Join(cuts, " "))
	}
}

func shuffled(x *scene, nodes []*cluster.Node) []*cluster.Node {
	x.r.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
	return nodes
}

// outOfReach cuts nodes off from all others, and loses what was under way to and
// from them when it mends their links: what they missed they must be sent anew,
// from the log or, where that no longer has it, in a snapshot. Clients and watches
// stay with them.
func outOfReach(w who) step {
	return func(x *scene) {
		for _, n := range w(x) {
			others := x.c.Others(n)
			x.c.Cut(n, others...)
			for _, o := range others {
				x.cut[[2]string{n.Name, o.Name}], x.cut[[2]string{o.Name, n.Name}] = true, true
			}
			x.begin("cut", func() {
				for _, o := range others {
					x.c.Link(n, o).Reset()
					x.c.Link(o, n).Reset()
				}
				x.c.Heal()
			}, "%s out of reach", x.tag(n))
		}
	}
}

// changing cuts one shape after the other.
func changing(times int) step {
	return func(x *scene) {
		for i := range times {
			apart(anyShape)(x)
			if i+1 < times {
				x.linger(700 * time.Millisecond)
				x.heal()
			}
		}
	}
}

// shapesEach is how many shapes one run goes through.
const shapesEach = 10

// ShapeParts is into how many parts all shapes of so many nodes are divided: the
// drill cut-every goes through the one that its seed, modulo this, says.
func ShapeParts(nodes int) int { return (len(everyShape(nodes)) + shapesEach - 1) / shapesEach }

// every goes through one part of all shapes.
func every(x *scene) {
	all := everyShape(len(x.c.Nodes()))
	parts := ShapeParts(len(x.c.Nodes()))
	part := int(x.seed % uint64(parts))
	for i := part; i < len(all); i += parts {
		apart(func(*scene, int) shape { return all[i] })(x)
		x.load.harmed()
		x.wait(300 * time.Millisecond)
		x.goesOn()
		x.heal()
	}
}

// slowLinks gives every direction of every link a delay of its own.
func slowLinks(most time.Duration) step {
	return func(x *scene) {
		for _, l := range x.c.Links() {
			for _, d := range []proxy.Direction{proxy.Forward, proxy.Back} {
				l.Delay(d, time.Duration(x.r.Int64N(int64(most))))
			}
		}
		x.begin("delay", x.c.Heal, "links delayed by up to %v each way", most)
	}
}

// slowNode delays all that one node hears and says.
func slowNode(w who, by time.Duration) step {
	return func(x *scene) {
		for _, n := range w(x) {
			for _, o := range x.c.Others(n) {
				x.c.Link(n, o).Delay(proxy.Both, by)
				x.c.Link(o, n).Delay(proxy.Both, by)
			}
			x.begin("delay", x.c.Heal, "links of %s delayed by %v each way", x.tag(n), by)
		}
	}
}

// resets resets connections between nodes again and again.
func resets(times int) step {
	return func(x *scene) {
		x.begin("reset", nil, "connections between nodes reset %d times", times)
		for range times {
			for _, l := range x.c.Links() {
				if x.r.IntN(3) == 0 {
					l.Reset()
				}
			}
			x.linger(200 * time.Millisecond)
		}
	}
}

// clientsCut keeps clients from nodes.
func clientsCut(w who) step {
	return func(x *scene) {
		nodes := w(x)
		x.deaf = len(nodes) == len(x.c.Nodes())
		for _, n := range nodes {
			if err := n.Front().Cut(proxy.Both); err != nil {
				x.c.TB().Fatalf("%v", err)
			}
			x.begin("client cut", n.Front().Heal, "clients cut off from %s", x.tag(n))
		}
	}
}

// clientsReset resets connections of clients again and again.
func clientsReset(times int) step {
	return func(x *scene) {
		x.begin("client reset", nil, "connections of clients reset %d times", times)
		for range times {
			for _, n := range x.c.Nodes() {
				if x.r.IntN(2) == 0 {
					n.Front().Reset()
				}
			}
			x.linger(200 * time.Millisecond)
		}
	}
}

// replyLoser loses one reply in every few while it is on.
type replyLoser struct {
	every int64
	on    atomic.Bool
	seen  atomic.Int64
}

func (l *replyLoser) lose([]byte) bool { return l.on.Load() && l.seen.Add(1)%l.every == 0 }

// lostReplies loses replies of nodes to clients after what they tell of was
// done.
func lostReplies(x *scene) {
	x.o.lose.on.Store(true)
	x.begin("lost replies", func() { x.o.lose.on.Store(false) }, "one reply to clients in %d lost", x.o.lose.every)
}
