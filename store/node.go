package store

import (
	"sort"
	"strings"
)

// node is a path that is, or in the window was, a file or a directory. There are
// as many as files: it has 32 bytes.
//
// Invariants: head is the newest version and past the ones before it; of all of
// them only the first may have a rev <= Oldest, and it is no deletion. dir is not
// nil if and only if a node lies below (and of the root). A node other than the
// root has a head or a dir, and the path is the one's or the other's. At any rev
// of the window a node is a file, or a directory, or neither, never both.
type node struct {
	parent *node
	head   *Event
	past   *past // nil if there are none
	dir    *directory
}

// past are the versions of a file before its newest, oldest first; at least one.
type past struct {
	list  []*Event
	first [1]*Event // list's array as long as it is one version, as it mostly is
}

// directory is the part of a node that only directories need. It outlives the
// directory it describes for as long as the window remembers a file below.
type directory struct {
	path    string // empty for the root
	kids    children
	present *children // those of kids that are there; nil where they are not kept
	hash    uint64    // sum over the files below, at any depth
	entries int64     // present ones
	// past are the revs > Oldest that changed entries, ascending, each with
	// what it was before: so reading a past rev counts nothing.
	past []count
}

// count says how many entries a directory had until the change of a rev.
type count struct{ rev, before int64 }

// path returns n's path, empty for the root; the string may keep a version.
func (n *node) path() string {
	if n.head != nil {
		return n.head.Path()
	}
	return n.dir.path
}

// name returns n's name in its directory.
func (n *node) name() string { return n.path()[len(n.parent.dir.path)+1:] }

// old returns the versions before the newest, oldest first.
func (n *node) old() []*Event {
	if n.past == nil {
		return nil
	}
	return n.past.list
}

// setOld replaces them by a part of what there was.
func (n *node) setOld(list []*Event) {
	if len(list) == 0 {
		n.past = nil
	} else {
		n.past.list = list
	}
}

// file returns the present file at n, nil if there is none.
func (n *node) file() *Event { return live(n.head) }

// isDir reports whether n is a directory at present. The root always is.
func (n *node) isDir() bool {
	return n.dir != nil && (n.dir.entries > 0 || n.parent == nil)
}

// live returns e, or nil if e is a deletion.
func live(e *Event) *Event {
	if e == nil || e.Del() {
		return nil
	}
	return e
}

// version returns the newest version with a rev of at most rev, which may be a
// deletion; nil if there is none.
func (n *node) version(rev int64) *Event {
	if n.head == nil || n.head.Rev <= rev {
		return n.head
	}
	old := n.old()
	i := sort.Search(len(old), func(i int) bool { return old[i].Rev > rev })
	if i == 0 {
		return nil
	}
	return old[i-1]
}

// fileAt returns the file at n as it was at rev, nil if there was none.
func (n *node) fileAt(rev int64) *Event { return live(n.version(rev)) }

// isDirAt reports whether n was a directory at rev, which is in the window.
func (n *node) isDirAt(rev int64) bool {
	return n.dir != nil && (n.parent == nil || n.dir.entriesAt(rev) > 0)
}

// entriesAt returns the number of entries at rev, which is in the window: it is
// what it was before the first change that is newer.
func (d *directory) entriesAt(rev int64) int64 {
	if n := len(d.past); n == 0 || d.past[n-1].rev <= rev {
		return d.entries
	}
	return d.past[sort.Search(len(d.past), func(i int) bool { return d.past[i].rev > rev })].before
}

// resize changes the number of entries by the change of rev. A rev that leaves
// it as it was leaves no trace, which also makes resize its own inverse.
func (d *directory) resize(rev, by int64) {
	last := len(d.past) - 1
	switch {
	case last < 0 || d.past[last].rev != rev:
		d.past = append(d.past, count{rev, d.entries})
	case d.past[last].before == d.entries+by:
		d.past = d.past[:last]
	}
	d.entries += by
}

// trim forgets what happened at revs up to oldest.
func (d *directory) trim(oldest int64) {
	i := 0
	for i < len(d.past) && d.past[i].rev <= oldest {
		i++
	}
	if i == len(d.past) {
		d.past = nil
	} else if i > 0 {
		d.past = d.past[i:]
	}
}

// push makes e the newest version.
func (n *node) push(e *Event) {
	if n.head != nil {
		if n.past == nil {
			n.past = new(past)
			n.past.list = n.past.first[:0]
		}
		n.past.list = append(n.past.list, n.head)
		if len(n.past.list) > 1 {
			n.past.first[0] = nil // the list has an array of its own
		}
	}
	n.head = e
}

// pop removes the newest version.
func (n *node) pop() {
	n.head = nil
	if old := n.old(); len(old) > 0 {
		last := len(old) - 1
		n.head = old[last]
		old[last] = nil
		n.setOld(old[:last])
	}
}

// oldest returns the oldest version.
func (n *node) oldest() *Event {
	if n.past != nil {
		return n.past.list[0]
	}
	return n.head
}

// maxShift is how many versions are moved to keep a chain's array, instead of
// giving up its first place until the array is replaced.
const maxShift = 16

// shift removes the oldest version.
func (n *node) shift() {
	old := n.old()
	switch k := len(old); {
	case k == 0:
		n.head = nil
	case k > maxShift:
		old[0] = nil
		n.setOld(old[1:])
	default:
		copy(old, old[1:])
		old[k-1] = nil
		n.setOld(old[:k-1])
	}
}

// nodePool keeps nodes in arrays. The collector meets a node by the table and by
// its directory, and all those of an array are one thing to it, not one to mark
// for each file. Nodes that were given back are used again; the arrays stay.
type nodePool struct {
	rest []node // never used so far
	free *node  // given back; the next one is its parent
}

// poolNodes is how many nodes are an array: just as many as the allocator has
// room for in 32 KiB.
const poolNodes = 1023

func (p *nodePool) get() *node {
	if n := p.free; n != nil {
		p.free = n.parent
		n.parent = nil
		return n
	}
	if len(p.rest) == 0 {
		p.rest = make([]node, poolNodes)
	}
	n := &p.rest[0]
	p.rest = p.rest[1:]
	return n
}

// put takes n back, which nobody may know any more.
func (p *nodePool) put(n *node) {
	*n = node{parent: p.free}
	p.free = n
}

// Nodes come with the first version at or below them and go with the last, so
// that a path which nobody uses any more costs nothing.

// makeNode makes the node at key path, and of the directories above those that
// are not there. The node has no version yet.
func (s *Store) makeNode(path string) *node {
	n := s.pool.get()
	up := parentKey(path)
	n.parent = s.nodes.get(up)
	if n.parent == nil || n.parent.dir == nil {
		up = strings.Clone(up)
		if n.parent == nil {
			n.parent = s.makeNode(up)
		}
		n.parent.dir = &directory{path: up}
	}
	n.parent.dir.kids.insert(n, path[len(up)+1:])
	s.nodes.add(path, n)
	return n
}

// prune removes n from the tree if nothing is left of it, and then what held
// it, if that was all it held. e was its last version.
func (s *Store) prune(n *node, e *Event) {
	if n.head != nil || n.dir != nil {
		return
	}
	n.head = e // no version any more, but it tells the name until n is gone
	for {
		up := n.parent
		s.nodes.remove(n.path())
		up.dir.kids.remove(n)
		s.pool.put(n)
		up.dir.relax()
		switch {
		case !up.dir.kids.empty() || up.parent == nil:
			return
		case up.head != nil:
			up.dir = nil
			return
		}
		n = up
	}
}

// link puts e into the tree as the newest version of n. That neither makes a
// directory of a file nor the other way round is for target to see to.
func (s *Store) link(n *node, e *Event) { s.linkAt(n, e, e.Rev) }

// linkAt does it as the change of another rev.
func (s *Store) linkAt(n *node, e *Event, rev int64) {
	from := n.file()
	n.push(e)
	s.replace(n, rev, from, live(e))
}

// unlink takes e, the newest version of n, out of the tree again. What link did
// at the same rev before it must be undone after it.
func (s *Store) unlink(n *node, e *Event) {
	var before *Event
	if old := n.old(); len(old) > 0 {
		before = live(old[len(old)-1])
	}
	s.replace(n, e.Rev, live(e), before)
	n.pop()
	s.prune(n, e)
}

// replace keeps counts and hashes right when the present file at n changes from
// one to another, either of which may be nil.
//
// Hashes change in all directories above. Entries change in the one that holds
// n and, if that began or ceased to exist by it, in the next, and so on.
func (s *Store) replace(n *node, rev int64, from, to *Event) {
	var hash uint64
	var entries int64
	if from != nil {
		hash -= from.hash
		entries--
	}
	if to != nil {
		hash += to.hash
		entries++
	}
	s.files += entries
	child := n
	for n = n.parent; n != nil; child, n = n, n.parent {
		d := n.dir
		d.hash += hash
		if entries == 0 {
			continue
		}
		was := d.entries > 0
		d.resize(rev, entries)
		d.settle(child, entries)
		if was == (d.entries > 0) {
			entries = 0
		}
	}
}
