package store

import (
	"iter"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// table finds nodes by their paths. It is a hash table that keeps no keys, for a
// node knows its path, and that grows by a quarter and in pieces: a file costs it
// some 18 bytes, where a Go map takes up to 55, and no write waits until a million
// others have moved.
//
// A piece is a list of rows, each a line of the processor's cache: nodes, and
// of each a tag, 31 bits of the hash. A path's place is in the first row with
// room from where its tag says. Whoever knows the hash can make paths that all
// have one place, so a search ends after maxProbe rows; what finds no room in
// those is kept in a map of Go's, whose hash nobody knows.
type table struct {
	hash   func(path string) uint64
	pieces [256]piece // by the high bits of the hash
	n      int
	apart  map[string]*node // nil, but for hostile paths
}

type piece struct {
	rows []row
	n    int
}

// rowNodes is how many nodes a row has.
const rowNodes = 5

type row struct {
	tags  [rowNodes]uint32 // 0: a free place
	nodes [rowNodes]*node
}

// full reports whether a search goes on after b.
func (b *row) full() bool { return b.free() < 0 }

// free returns a free place, -1 if there is none.
func (b *row) free() int {
	for i, tag := range &b.tags {
		if tag == 0 {
			return i
		}
	}
	return -1
}

// like returns the first node of b with tag, nil if none has it.
func (b *row) like(tag uint32) *node {
	for i, have := range &b.tags {
		if have == tag {
			return b.nodes[i]
		}
	}
	return nil
}

// maxProbe is how many rows are looked at for a path.
const maxProbe = 50

func newTable() *table { return &table{hash: xxhash.Sum64String} }

// find returns the piece and the tag of path.
func (t *table) find(path string) (*piece, uint32) {
	h := t.hash(path)
	return &t.pieces[h>>56], uint32(h) | 1<<31
}

// place is the row where the search for tag begins.
func (p *piece) place(tag uint32) int {
	return int(uint64(tag&^(1<<31)) * uint64(len(p.rows)) >> 31)
}

// after returns the row after the one at.
func (p *piece) after(at int) int {
	if at++; at < len(p.rows) {
		return at
	}
	return 0
}

// search returns the place of path in its row, a nil row if it is not here.
func (p *piece) search(path string, tag uint32) (at, i int, b *row) {
	if p.n == 0 {
		return 0, 0, nil
	}
	at = p.place(tag)
	for range min(maxProbe, len(p.rows)) {
		b := &p.rows[at]
		more := true
		for i, have := range &b.tags {
			if have == tag && b.nodes[i].path() == path {
				return at, i, b
			}
			more = more && have != 0
		}
		if !more {
			break
		}
		at = p.after(at)
	}
	return 0, 0, nil
}

// get returns the node of path, nil if there is none.
func (t *table) get(path string) *node {
	p, tag := t.find(path)
	if _, i, b := p.search(path, tag); b != nil {
		return b.nodes[i]
	}
	return t.apart[path]
}

// row returns the row where the search for path begins, and its tag; nil if
// there is none.
func (t *table) row(path string) (*row, uint32) {
	p, tag := t.find(path)
	if p.n == 0 {
		return nil, 0
	}
	return &p.rows[p.place(tag)], tag
}

// add adds n at path, where none is. Nothing may be looked for until n knows its
// path.
func (t *table) add(path string, n *node) {
	t.n++
	p, tag := t.find(path)
	if p.n >= len(p.rows)*rowNodes*3/4 {
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
	t.apart[strings.Clone(path)] = n
}

// reserve makes room for n nodes in a table that has hardly any.
func (t *table) reserve(n int) {
	rows := n * 4 / 3 / rowNodes / len(t.pieces)
	for i := range t.pieces {
		t.resize(&t.pieces[i], rows+rows/8+2) // they do not get the same number
	}
}

// grow makes room in p.
func (t *table) grow(p *piece) { t.resize(p, len(p.rows)*5/4+2) }

func (t *table) resize(p *piece, rows int) {
	old := p.rows
	*p = piece{rows: make([]row, rows)}
	for k := range old {
		b := &old[k]
		for i, n := range &b.nodes {
			if n != nil && !p.put(b.tags[i], n) {
				t.setApart(n.path(), n)
			}
		}
	}
}

// put reports whether it found a place for n.
func (p *piece) put(tag uint32, n *node) bool {
	at := p.place(tag)
	for range min(maxProbe, len(p.rows)) {
		b := &p.rows[at]
		if i := b.free(); i >= 0 {
			b.tags[i], b.nodes[i] = tag, n
			p.n++
			return true
		}
		at = p.after(at)
	}
	return false
}

// remove removes the node at path, which is there.
func (t *table) remove(path string) {
	t.n--
	p, tag := t.find(path)
	at, i, b := p.search(path, tag)
	if b == nil {
		delete(t.apart, path)
		return
	}
	p.n--
	// Searches went on after a row that was full: what they would find there
	// moves up, unless its own place is after this row.
	ended := !b.full()
	for next := p.after(at); !ended && next != at; next = p.after(next) {
		c := &p.rows[next]
		ended = !c.full()
		if k := p.movable(c, at, next); k >= 0 {
			b.tags[i], b.nodes[i] = c.tags[k], c.nodes[k]
			at, i, b = next, k, c
		}
	}
	b.tags[i], b.nodes[i] = 0, nil
}

// movable returns what of c, the row at next, may be in the row at, which
// comes before; -1 if nothing may.
func (p *piece) movable(c *row, at, next int) int {
	n := len(p.rows)
	for k, tag := range &c.tags {
		if tag != 0 && (next-p.place(tag)+n)%n >= (next-at+n)%n {
			return k
		}
	}
	return -1
}

// all are the nodes, in no order that means anything.
func (t *table) all() iter.Seq[*node] {
	return func(yield func(*node) bool) {
		for i := range t.pieces {
			for k := range t.pieces[i].rows {
				for _, n := range &t.pieces[i].rows[k].nodes {
					if n != nil && !yield(n) {
						return
					}
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
