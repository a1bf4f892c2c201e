package drill

import (
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/doozer-store/doozer/drill/cluster"
	"github.com/doozer-store/doozer/drill/proxy"
)

// shape tells, for nodes 0 to n-1, which directions are cut: cut(i, j) that j
// can't hear i. Node 0 is the leader.
type shape struct {
	name string
	cut  func(i, j int) bool
}

// both is a shape whose links are cut in both directions.
func both(name string, cut func(i, j int) bool) shape {
	return shape{name, func(i, j int) bool { return cut(i, j) || cut(j, i) }}
}

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

// fixed is a shape for any number of nodes.
func fixed(s shape) func(*scene, int) shape { return func(*scene, int) shape { return s } }

// oneOf picks among shapes.
func oneOf(all ...shape) func(*scene, int) shape {
	return func(x *scene, _ int) shape { return all[x.r.IntN(len(all))] }
}

var (
	leaderAlone = both("leader cut off", func(i, j int) bool { return i == 0 })
	// A follower that comes back must not disturb the others.
	followerAlone = both("follower cut off", func(i, j int) bool { return i == 1 })
	leaderMute    = shape{"leader can't be heard", func(i, j int) bool { return i == 0 }}
	leaderDeaf    = shape{"leader can't hear", func(i, j int) bool { return j == 0 }}
	followerMute  = shape{"follower can't be heard", func(i, j int) bool { return i == 1 }}
	followerDeaf  = shape{"follower can't hear", func(i, j int) bool { return j == 1 }}
	leaderAndOne  = both("leader and one follower apart", func(i, j int) bool { return i == 0 && j == 1 })
	twoFollowers  = both("two followers apart", func(i, j int) bool { return i == 1 && j == 2 })
	oneCantHear   = shape{"one follower can't hear the leader", func(i, j int) bool { return i == 0 && j == 1 }}
	oneNotHeard   = shape{"leader can't hear one follower", func(i, j int) bool { return i == 1 && j == 0 }}
	allApart      = both("every link cut", func(i, j int) bool { return true })
)

// halves cuts the nodes into a majority and a minority, with the leader in
// either.
func halves(x *scene, n int) shape {
	minority := 1 + x.r.IntN(n/2)
	inLeader := x.r.IntN(2) == 0
	small := func(i int) bool {
		if inLeader {
			return i < minority
		}
		return i >= n-minority
	}
	name := fmt.Sprintf("%d and %d apart", minority, n-minority)
	return both(name, func(i, j int) bool { return small(i) && !small(j) })
}

// bridge cuts the nodes into two halves that share one node: the leader, or
// another.
func bridge(x *scene, n int) shape {
	at := x.r.IntN(n)
	side := func(i int) int { return ((i - at + n) % n) * 2 / (n + 1) }
	return both(fmt.Sprintf("bridge of %d nodes", n), func(i, j int) bool { return i != at && j != at && side(i) != side(j) })
}

// ring leaves every node with its two neighbours.
func ring(x *scene, n int) shape {
	return both("ring", func(i, j int) bool { d := (i - j + n) % n; return d != 1 && d != n-1 })
}

// oneWayRing lets every node be heard by the next alone; of three nodes that is
// what remains of a ring.
func oneWayRing(x *scene, n int) shape {
	return shape{"one-way ring", func(i, j int) bool { return (j-i+n)%n != 1 }}
}

// chain leaves every node with the one before and the one after it.
func chain(x *scene, n int) shape {
	return both("chain", func(i, j int) bool { return i-j > 1 })
}

// star leaves every node with one alone, which does not lead.
func star(x *scene, n int) shape {
	return both("star", func(i, j int) bool { return i != 1 && j != 1 })
}

// anyShape cuts any set of directions, links as a whole or not.
func anyShape(x *scene, n int) shape { return shapeOf(n, x.r.Uint64(), x.r.IntN(2) == 0) }

// shapeOf is one of all sets of directions among n nodes, or of links: each bit
// of which says of one that it is cut.
func shapeOf(n int, which uint64, whole bool) shape {
	bits := map[[2]int]bool{}
	k := 0
	for i := range n {
		for j := range n {
			if i == j || whole && i > j {
				continue
			}
			bits[[2]int{i, j}] = which>>k&1 == 1
			k++
		}
	}
	s := shape{"any directions", func(i, j int) bool { return bits[[2]int{i, j}] }}
	if whole {
		return both("any links", s.cut)
	}
	return s
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
