package ring

import (
	"cmp"
	"crypto/md5"
	"encoding/binary"
	"slices"
	"sort"
	"strconv"
)

// The classic ring: md5 of "name:i" for i from 0 makes the points of a node, read
// as a big-endian number of 128 bits; a key belongs to the first point that is
// larger than its own md5 or, after the last, to the first of all. A point that
// two nodes share, which nobody has seen, belongs to the first by name.

// point is one on the circle.
type point struct {
	hi, lo uint64
	node   int
}

func (a point) compare(b point) int {
	return cmp.Or(cmp.Compare(a.hi, b.hi), cmp.Compare(a.lo, b.lo), cmp.Compare(a.node, b.node))
}

// pointAt is the place of text.
func pointAt(text []byte) point {
	sum := md5.Sum(text)
	return point{hi: binary.BigEndian.Uint64(sum[:8]), lo: binary.BigEndian.Uint64(sum[8:])}
}

// keyPoint is pointAt without an allocation for keys of usual length.
func keyPoint(key string) point {
	var buf [128]byte
	return pointAt(append(buf[:0], key...))
}

// circleOf has the points of the members, sorted.
func circleOf(nodes []Node, members []int, points int) []point {
	circle := []point{} // not nil: an md5 pool without nodes is one too
	for _, n := range members {
		text := append([]byte(nodes[n].Name), ':')
		for i := range pointsOf(points, nodes[n].Weight) {
			at := pointAt(strconv.AppendInt(text, int64(i), 10))
			at.node = n
			circle = append(circle, at)
		}
	}
	slices.SortFunc(circle, point.compare)
	return slices.CompactFunc(circle, func(a, b point) bool { return a.hi == b.hi && a.lo == b.lo })
}

// after is the place of the first point that is larger than key's, which may be
// one past the last.
func after(circle []point, key point) int {
	return sort.Search(len(circle), func(i int) bool {
		p := &circle[i]
		return p.hi > key.hi || p.hi == key.hi && p.lo > key.lo
	})
}

// clockwise is the first node from a place on that is not in without.
func (p *pool) clockwise(place int, without *nodeSet) int {
	for i := range len(p.circle) {
		if n := p.circle[(place+i)%len(p.circle)].node; !without.has(n) {
			return n
		}
	}
	return none
}

// arc is the share of all keys that belong to point i.
func arc(circle []point, i int) float64 {
	if len(circle) == 1 {
		return 1
	}
	return to(circle[(i+len(circle)-1)%len(circle)], circle[i])
}

// to is the way from a to b, clockwise, as a share of the circle.
func to(a, b point) float64 {
	lo := b.lo - a.lo
	hi := b.hi - a.hi
	if b.lo < a.lo {
		hi--
	}
	return float64(hi)/(1<<64) + float64(lo)/(1<<64)/(1<<64)
}
