package ring

import (
	"math/bits"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// Node is one node of a Ring. It is not changed.
type Node struct {
	Name string
	// Addr is where it is: the addr of the file, or the text of the file that
	// Ref names, "" while that is not known.
	Addr   string
	Ref    string
	Weight Weight
	Zone   string
	State  State
}

// Ring is one epoch of a ring. It is never changed, and may be used by any number
// of goroutines.
//
// A ring has two sides while a node joins or drains: what is (up, draining) and
// what is to be (up, joining). With hrw and md5 the side to be owns the keys at
// once, with slots the side that is, until each slot is taken over.
type Ring struct {
	epoch int64
	file  *File
	nodes []Node // by name

	// own is the side that owns, first its flat table: the owner by part; nil
	// for md5. rows has Copies owners a part. Both have noNode where there is
	// none.
	first []uint16
	rows  []uint16
	own   *pool
	// other is the other side, nil unless the ring is migrating; otherFirst its
	// table.
	other      *pool
	otherFirst []uint16
}

// noNode is none in a table.
const noNode = 1<<16 - 1

// New makes the ring that f describes; epoch is the rev of its file, 0 if it has
// none. It takes f, with its defaults filled in: f must not be changed any more.
// Its error is ErrBadFile.
func New(f *File, epoch int64) (*Ring, error) { return build(f, epoch, nil) }

// build is New; what old has of the tables is used again where it is the same: all
// of it when only addresses differ.
func build(f *File, epoch int64, old *Ring) (*Ring, error) {
	if err := f.Check(); err != nil {
		return nil, err
	}
	r := &Ring{epoch: epoch, file: f}
	for _, name := range f.names() {
		s := f.Nodes[name]
		r.nodes = append(r.nodes, Node{Name: name, Addr: s.Addr, Ref: s.Ref, Weight: s.Weight, Zone: s.Zone, State: s.State})
	}
	if old != nil && sameShape(old.file, f) {
		r.first, r.rows, r.own, r.other, r.otherFirst = old.first, old.rows, old.own, old.other, old.otherFirst
		return r, nil
	}
	owns, others := toBe, is
	owners, next := f.Slots, f.Slots
	if f.Algo == Slots {
		owns, others = is, toBe
		next = f.after()
	}
	r.own = r.pool(owns, owners)
	if f.migrating() {
		r.other = r.pool(others, next)
	}
	if f.Algo != MD5 {
		r.first, r.rows = flatten(r.own, f.Parts, f.Copies, r.baseOf(old, r.own))
		if r.other != nil {
			r.otherFirst, _ = flatten(r.other, f.Parts, 1, r.baseOf(old, r.other))
		}
	}
	return r, nil
}

// is and toBe are the two sides of a migration.
func is(s State) bool   { return s == Up || s == Draining }
func toBe(s State) bool { return s == Up || s == Joining }

// pool makes one side.
func (r *Ring) pool(serves func(State) bool, owners []string) *pool {
	p := newPool(r.nodes, serves, r.file.Spread == SpreadZone)
	switch r.file.Algo {
	case MD5:
		p.circle = circleOf(r.nodes, p.members, r.file.Points)
	case Slots:
		index := make(map[string]int)
		for i, n := range r.nodes {
			if n.State != Down {
				index[n.Name] = i
			}
		}
		p.owners = make([]int, len(owners))
		for slot, name := range owners {
			i, ok := index[name]
			if !ok {
				i = none
			}
			p.owners[slot] = i
		}
	}
	return p
}

// after is who will own each slot when the migration is over.
func (f *File) after() []string {
	after := make([]string, len(f.Slots))
	for i := range after {
		if after[i] = f.next(i); after[i] == "" {
			after[i] = f.Slots[i]
		}
	}
	return after
}

// migrating tells whether some keys have two owners.
func (f *File) migrating() bool {
	for _, s := range f.Nodes {
		if s.State == Joining || s.State == Draining {
			return true
		}
	}
	for _, next := range f.Next {
		if next != "" {
			return true
		}
	}
	return false
}

// Epoch is the rev of the file that the ring was made from.
func (r *Ring) Epoch() int64 { return r.epoch }

// File is a copy of what the ring was made from.
func (r *Ring) File() *File { return r.file.Clone() }

// Nodes are all nodes of the ring, in every state, by name.
func (r *Ring) Nodes() []Node { return append([]Node(nil), r.nodes...) }

// Node is the node of that name, nil if there is none.
func (r *Ring) Node(name string) *Node {
	i, found := slices.BinarySearchFunc(r.nodes, name, func(n Node, name string) int { return strings.Compare(n.Name, name) })
	if !found {
		return nil
	}
	return &r.nodes[i]
}

// Migrating tells whether some keys have two owners: see Both.
func (r *Ring) Migrating() bool { return r.other != nil }

// Owner is the node that owns key, nil if no node does. It allocates nothing.
func (r *Ring) Owner(key string) *Node {
	if r.first == nil {
		return r.classicOwner(r.own, key)
	}
	part, _ := bits.Mul64(xxhash.Sum64String(key), uint64(len(r.first)))
	if i := int(r.first[part]); i < len(r.nodes) {
		return &r.nodes[i]
	}
	return nil
}

// Get is the address of key's owner, "" if there is none: a ring as a dictionary
// from keys to what the names stand for.
func (r *Ring) Get(key string) string {
	if n := r.Owner(key); n != nil {
		return n.Addr
	}
	return ""
}

func (r *Ring) classicOwner(p *pool, key string) *Node {
	if len(p.circle) == 0 {
		return nil
	}
	i := after(p.circle, keyPoint(key))
	if i == len(p.circle) {
		i = 0
	}
	return &r.nodes[p.circle[i].node]
}

// Owners appends the n distinct owners of key to dst, the best first, fewer if
// there are not so many nodes. Those of a ring with spread are in distinct zones
// as far as there are zones. Up to as many as the ring's copies come from the
// table: that costs little more than one, and nothing is allocated if dst has
// room. More are ranked on the spot.
func (r *Ring) Owners(dst []*Node, key string, n int) []*Node {
	if r.first != nil && n <= r.file.Copies {
		at := Part(key, len(r.first)) * r.file.Copies
		for _, i := range r.rows[at : at+max(n, 0)] {
			if int(i) < len(r.nodes) {
				dst = append(dst, &r.nodes[i])
			}
		}
		return dst
	}
	return r.rank(dst, r.own, key, n)
}

// Others is Owners on the other side of a migration; without one it is empty.
func (r *Ring) Others(dst []*Node, key string, n int) []*Node {
	if r.other == nil {
		return dst
	}
	return r.rank(dst, r.other, key, n)
}

// rank appends the n best of a pool for key. What it needs is on the stack.
func (r *Ring) rank(dst []*Node, p *pool, key string, n int) []*Node {
	w := walk{p: p, members: p.members}
	if p.circle != nil {
		w.place = after(p.circle, keyPoint(key))
		return r.take(dst, &w, n)
	}
	var room ranks
	w.place, w.r = Part(key, r.file.Parts), &room
	return r.take(dst, &w, n)
}

// take appends the next n of a walk.
func (r *Ring) take(dst []*Node, w *walk, n int) []*Node {
	for ; n > 0; n-- {
		i := w.next()
		if i == none {
			break
		}
		dst = append(dst, &r.nodes[i])
	}
	return dst
}

// Both is the owner of key and, while key is on its way from one node to another,
// that other one; else other is nil.
//
// Write to both. Read from the owner and, if it has nothing, from the other one.
// With hrw and md5 the owner is the node that gains the key, and the other the
// one that still has its data; with slots it is the reverse, so that the data is
// always at the owner.
func (r *Ring) Both(key string) (owner, other *Node) {
	owner = r.Owner(key)
	switch {
	case r.other == nil:
		return owner, nil
	case r.first == nil:
		other = r.classicOwner(r.other, key)
	default:
		if i := int(r.otherFirst[Part(key, len(r.first))]); i < len(r.nodes) {
			other = &r.nodes[i]
		}
	}
	if other == owner {
		other = nil
	}
	return owner, other
}

// Share is a node and how much of the keys it owns.
type Share struct {
	Node *Node
	// Share is exact: of all keys that are spread evenly. Ideal is what the
	// weights ask for. Both are 0 for nodes that own nothing by their state.
	Share, Ideal float64
	// Parts is the number behind Share, of the ring's parts or of its points.
	Parts int
}

// Shares tells how much each node owns, by name.
func (r *Ring) Shares() []Share {
	shares := make([]Share, len(r.nodes))
	for i := range r.nodes {
		shares[i].Node = &r.nodes[i]
		if r.own.serving.has(i) {
			shares[i].Ideal = float64(r.own.weights[i]) / float64(r.own.total)
		}
	}
	for _, i := range r.first {
		if int(i) < len(shares) {
			shares[i].Parts++
			shares[i].Share += 1 / float64(len(r.first))
		}
	}
	for i, p := range r.own.circle {
		shares[p.node].Parts++
		shares[p.node].Share += arc(r.own.circle, i)
	}
	return shares
}

// withTexts is r with the texts of the files that nodes refer to, by path.
func (r *Ring) withTexts(texts map[string]string) *Ring {
	c := *r
	c.nodes = append([]Node(nil), r.nodes...)
	for i := range c.nodes {
		if n := &c.nodes[i]; n.Ref != "" {
			n.Addr = texts[n.Ref]
		}
	}
	return &c
}
