package store

import (
	"iter"

	"github.com/cespare/xxhash/v2"
)

// table finds nodes by their paths. It is a hash table that keeps no keys, for a
// node knows its path, and that grows by a quarter and in pieces: a file costs it
// some 18 bytes, where a Go map takes up to 55, and no write waits until a million
// others have moved.
//
// A piece is a list of tags, 32 bits of the hash, and beside it the nodes. A
// path's place is the first free one from where its tag says. Whoever knows the
// hash can make paths that all have one place, so a search ends after maxProbe
// places; what finds none there is kept in a map of Go's, whose hash nobody
// knows.
type table struct {
	hash   func(path string) uint64
	pieces [256]piece // by the high bits of the hash
	n      int
	apart  map[string]*node // nil, but for hostile paths
}

type piece struct {
	tags  []uint32 // 0: a free place
	nodes []*node
	n     int
}

// maxProbe is how many places are looked at for a path.
const maxProbe = 256

func newTable() *table { return &table{hash: xxhash.Sum64String} }

// find returns the piece and the tag of path.
func (t *table) find(path string) (*piece, uint32) {
	h := t.hash(path)
	return &t.pieces[h>>56], uint32(h) | 1<<31
}

// place is where the search for tag begins.
func (p *piece) place(tag uint32) int {
	return int(uint64(tag&^(1<<31)) * uint64(len(p.tags)) >> 31)
}

// search returns the place of path, -1 if it is not here.
func (p *piece) search(path string, tag uint32) int {
	if p.n == 0 {
		return -1
	}
	at := p.place(tag)
	for range min(maxProbe, len(p.tags)) {
		switch have := p.tags[at]; {
		case have == 0:
			return -1
		case have == tag && p.nodes[at].path() == path:
			return at
		}
		if at++; at == len(p.tags) {
			at = 0
		}
	}
	return -1
}

// get returns the node of path, nil if there is none.
func (t *table) get(path string) *node {
	p, tag := t.find(path)
	if at := p.search(path, tag); at >= 0 {
		return p.nodes[at]
	}
	return t.apart[path]
}

// add adds n at path, where none is. Nothing may be looked for until n knows its
// path.
func (t *table) add(path string, n *node) {
	t.n++
	p, tag := t.find(path)
	if p.n >= len(p.tags)*3/4 {
		t.grow(p)
	}
	if !p.put(tag, n) {
		t.setApart(path, n)
	}
}

func (t *table) setApart(path string, n *node) {
	if t.apart == nil {
		t.apart = make(map[string]*node)
	}
	t.apart[path] = n
}

// grow makes room in p.
func (t *table) grow(p *piece) {
	old := *p
	size := len(old.tags)*5/4 + 8
	*p = piece{tags: make([]uint32, size), nodes: make([]*node, size)}
	for i, tag := range old.tags {
		if n := old.nodes[i]; n != nil && !p.put(tag, n) {
			t.setApart(n.path(), n)
		}
	}
}

// put reports whether it found a place for n.
func (p *piece) put(tag uint32, n *node) bool {
	at := p.place(tag)
	for range min(maxProbe, len(p.tags)) {
		if p.tags[at] == 0 {
			p.tags[at], p.nodes[at] = tag, n
			p.n++
			return true
		}
		if at++; at == len(p.tags) {
			at = 0
		}
	}
	return false
}

// remove removes the node at path, which is there.
func (t *table) remove(path string) {
	t.n--
	p, tag := t.find(path)
	hole := p.search(path, tag)
	if hole < 0 {
		delete(t.apart, path)
		return
	}
	p.n--
	// What follows moves up, unless that would be before its place.
	for at := hole; ; {
		if at++; at == len(p.tags) {
			at = 0
		}
		if p.tags[at] == 0 || at == hole {
			break
		}
		from := p.place(p.tags[at])
		if (at-from+len(p.tags))%len(p.tags) >= (at-hole+len(p.tags))%len(p.tags) {
			p.tags[hole], p.nodes[hole] = p.tags[at], p.nodes[at]
			hole = at
		}
	}
	p.tags[hole], p.nodes[hole] = 0, nil
}

// all are the nodes, in no order that means anything.
func (t *table) all() iter.Seq[*node] {
	return func(yield func(*node) bool) {
		for i := range t.pieces {
			for _, n := range t.pieces[i].nodes {
				if n != nil && !yield(n) {
					return
				}
			}
		}
		for _, n := range t.apart {
			if !yield(n) {
				return
			}
		}
	}
}
