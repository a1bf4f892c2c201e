package ring

import (
	"cmp"
	"errors"
	"slices"
	"strings"
)

// Move is how much of all keys goes from one node to another; From or To is "" if
// nobody owned or will own them.
type Move struct {
	From, To string
	// Share is exact: of all keys that are spread evenly. Parts is the number of
	// the ring's parts behind it, 0 for md5.
	Share float64
	Parts int
}

// ErrShape: two rings divide keys in different ways, so that all may move.
var ErrShape = errors.New("the rings differ in algo or parts")

// Moves tells what changes its owner between two rings, the largest move first,
// and the share of it all. It is ErrShape if they differ in algo or parts.
func Moves(a, b *Ring) (moves []Move, total float64, err error) {
	if a.file.Algo != b.file.Algo || a.file.Parts != b.file.Parts {
		return nil, 0, ErrShape
	}
	sums := make(map[[2]string]Move)
	move := func(from, to string, share float64, parts int) {
		if from == to {
			return
		}
		m := sums[[2]string{from, to}]
		sums[[2]string{from, to}] = Move{From: from, To: to, Share: m.Share + share, Parts: m.Parts + parts}
		total += share
	}
	for part := range a.first {
		move(a.nameAt(part), b.nameAt(part), 1/float64(len(a.first)), 1)
	}
	if a.first == nil {
		arcs(a, b, func(from, to string, share float64) { move(from, to, share, 0) })
	}
	for _, m := range sums {
		moves = append(moves, m)
	}
	slices.SortFunc(moves, func(a, b Move) int {
		return cmp.Or(cmp.Compare(b.Share, a.Share), strings.Compare(a.From, b.From), strings.Compare(a.To, b.To))
	})
	return moves, total, nil
}

// nameAt is the owner of a part.
func (r *Ring) nameAt(part int) string {
	if i := int(r.first[part]); i < len(r.nodes) {
		return r.nodes[i].Name
	}
	return ""
}

// arcs goes round two circles at once, from each point of either to the next.
func arcs(a, b *Ring, each func(from, to string, share float64)) {
	all := slices.Concat(a.own.circle, b.own.circle)
	slices.SortFunc(all, func(a, b point) int { return cmp.Or(cmp.Compare(a.hi, b.hi), cmp.Compare(a.lo, b.lo)) })
	all = slices.CompactFunc(all, func(a, b point) bool { return a.hi == b.hi && a.lo == b.lo })
	owner := func(r *Ring, at point) string {
		if len(r.own.circle) == 0 {
			return ""
		}
		// Keys just before a point belong to it, or to the next of the ring.
		i := after(r.own.circle, point{hi: at.hi - borrow(at.lo), lo: at.lo - 1})
		return r.nodes[r.own.circle[i%len(r.own.circle)].node].Name
	}
	for i := range all {
		each(owner(a, all[i]), owner(b, all[i]), arc(all, i))
	}
}

// borrow is what lo-1 takes from the upper half.
func borrow(lo uint64) uint64 {
	if lo == 0 {
		return 1
	}
	return 0
}
