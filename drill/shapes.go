package drill

import (
	"fmt"
	"slices"
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

// everyShape is all ways to cut n nodes that differ, whatever the names of those
// that don't lead: of 3 nodes every set of directions, of 5 every set of links.
func everyShape(n int) []shape {
	whole := n > 3
	bits := n * (n - 1)
	if whole {
		bits /= 2
	}
	seen := map[uint64]bool{}
	var all []shape
	for which := uint64(1); which < 1<<bits; which++ {
		s := shapeOf(n, which, whole)
		if key := s.key(n); !seen[key] {
			seen[key] = true
			s.name = fmt.Sprintf("shape %d", which)
			all = append(all, s)
		}
	}
	return all
}

// key is the same for shapes that differ only in the names of nodes 1 to n-1.
func (s shape) key(n int) uint64 {
	least := ^uint64(0)
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	for {
		key, bit := uint64(0), uint64(1)
		for i := range n {
			for j := range n {
				if s.cut(order[i], order[j]) && i != j {
					key |= bit
				}
				bit <<= 1
			}
		}
		least = min(least, key)
		if !nextOrder(order[1:]) {
			return least
		}
	}
}

// nextOrder makes the next permutation, in the order of words; false after the
// last.
func nextOrder(p []int) bool {
	i := len(p) - 2
	for i >= 0 && p[i] > p[i+1] {
		i--
	}
	if i < 0 {
		return false
	}
	j := len(p) - 1
	for p[j] < p[i] {
		j--
	}
	p[i], p[j] = p[j], p[i]
	slices.Reverse(p[i+1:])
	return true
}
