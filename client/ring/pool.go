package ring

// nodeSet is a set of nodes by their index. It lives on the stack.
type nodeSet [MaxNodes / 64]uint64

func (s *nodeSet) add(i int)      { s[i/64] |= 1 << (i % 64) }
func (s *nodeSet) has(i int) bool { return s[i/64]>>(i%64)&1 != 0 }

func (s *nodeSet) union(o *nodeSet) {
	for i, w := range o {
		s[i] |= w
	}
}

// none stands for no node.
const none = -1

// pool is the nodes that keys are shared out to, and their ranking for each part
// (hrw, slots) or place on the circle (md5). It is not changed once it is made.
type pool struct {
	// serving is who is ranked, by index.
	serving nodeSet
	members []int    // of serving, ascending: by name
	hashes  []uint64 // by node
	weights []uint64 // by node
	total   uint64   // of the members' weights
	even    bool     // all members weigh the same
	log     *[1025]uint64
	// zones has, by node, the members that share its zone; nil unless copies are
	// spread.
	zones []nodeSet
	// owners has, by slot, who comes before all others, or none; nil but for
	// slots.
	owners []int
	// circle has the points; nil but for md5.
	circle []point
}

// newPool is the pool of the nodes for which serves is true.
func newPool(nodes []Node, serves func(State) bool, spread bool) *pool {
	p := &pool{even: true, log: logTable(), hashes: make([]uint64, len(nodes)), weights: make([]uint64, len(nodes))}
	for i, n := range nodes {
		p.hashes[i], p.weights[i] = nodeHash(n.Name), uint64(n.Weight)
		if serves(n.State) {
			p.serving.add(i)
			p.members = append(p.members, i)
			p.total += p.weights[i]
			p.even = p.even && n.Weight == nodes[p.members[0]].Weight
		}
	}
	if spread {
		p.zones = zonesOf(nodes)
	}
	return p
}

// zonesOf has, by node, the nodes of its zone.
func zonesOf(nodes []Node) []nodeSet {
	byName := make(map[string]*nodeSet)
	for i, n := range nodes {
		if n.Zone != "" {
			if byName[n.Zone] == nil {
				byName[n.Zone] = new(nodeSet)
			}
			byName[n.Zone].add(i)
		}
	}
	zones := make([]nodeSet, len(nodes))
	for i, n := range nodes {
		if n.Zone != "" {
			zones[i] = *byName[n.Zone]
		} else {
			zones[i].add(i)
		}
	}
	return zones
}

// ranks are what a walk compares: by node, its draw (the largest wins) or, where
// weights differ, its cost.
type ranks [MaxNodes]uint64

// rank fills in the ranks of some members for a part.
func (p *pool) rank(part int, members []int, r *ranks) {
	h := partHash(part)
	if p.even {
		for _, i := range members {
			r[i] = draw(p.hashes[i], h)
		}
		return
	}
	for _, i := range members {
		r[i] = cost(draw(p.hashes[i], h), p.log)
	}
}

// best is the one of some members with the best rank for a part that is not in
// without. A tie is won by the larger draw, then by the first name.
func (p *pool) best(part int, members []int, r *ranks, without *nodeSet) int {
	best := none
	if p.even {
		for _, i := range members {
			if !without.has(i) && (best == none || r[i] > r[best] || r[i] == r[best] && i < best) {
				best = i
			}
		}
		return best
	}
	for _, i := range members {
		if !without.has(i) && (best == none || p.beats(part, i, best, r)) {
			best = i
		}
	}
	return best
}

// beats tells whether i ranks before j, where weights differ: cost/weight is
// compared without a division.
func (p *pool) beats(part, i, j int, r *ranks) bool {
	mine, its := r[i]*p.weights[j], r[j]*p.weights[i]
	if mine != its {
		return mine < its
	}
	h := partHash(part)
	a, b := draw(p.hashes[i], h), draw(p.hashes[j], h)
	return a > b || a == b && i < j
}

// walk finds owners one after the other: for a part, or for a place on the
// circle.
type walk struct {
	p     *pool
	place int
	// members are who is looked at: all of the pool, or enough of them.
	members []int
	// taken have been found; without are taken, and the zones of those found in
	// this round.
	taken, without nodeSet
	// r is room for the ranks, which are there once ranked is set; a circle needs
	// none.
	r      *ranks
	ranked bool
}

// next is the next owner, none after the last. With zones, each round takes the
// best of every zone before the next round takes another of any.
func (w *walk) next() int {
	i := w.candidate()
	if i == none && w.without != w.taken {
		w.without = w.taken
		i = w.candidate()
	}
	if i == none {
		return none
	}
	w.taken.add(i)
	w.without.add(i)
	if w.p.zones != nil {
		w.without.union(&w.p.zones[i])
	}
	return i
}

func (w *walk) candidate() int {
	p := w.p
	if p.circle != nil {
		return p.clockwise(w.place, &w.without)
	}
	if p.owners != nil {
		if i := p.owners[w.place]; i != none && !w.without.has(i) {
			return i
		}
	}
	if !w.ranked {
		p.rank(w.place, w.members, w.r)
		w.ranked = true
	}
	return p.best(w.place, w.members, w.r, &w.without)
}
