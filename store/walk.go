package store

import "strings"

// walker visits nodes in byte order of their paths.
//
// Children are ordered by name, but what is below the directory x comes behind
// x-y, since "-" is less than "/". So a directory waits, when its name comes
// up, until the names that start with its own and go on with less than a slash
// are done. Those that wait are a stack: each name starts with the one below.
type walker struct {
	nodes *table
	// latest: only what is there at the latest rev need be visited.
	latest bool
	// from is a path below which nothing need be visited.
	from string
	// stop, if not nil, reports that no path from this one on is of interest;
	// paths are given in order within a directory.
	stop func(path string) bool
	// enter reports whether to visit what is below a node with a dir.
	enter func(n *node) bool
	// visit is called for every node; false ends the walk.
	visit func(n *node) bool
}

// walk visits what is below d. It returns false if visit has.
func (w *walker) walk(d *node) bool {
	cur, waiting := w.seek(d)
	for n := cur.next(); n != nil; n = cur.next() {
		if w.stop != nil && w.stop(n.path()) {
			break
		}
		for len(waiting) > 0 && !precedes(n, waiting[len(waiting)-1]) {
			if !w.pop(&waiting) {
				return false
			}
		}
		if !w.visit(n) {
			return false
		}
		if n.dir != nil && w.enter(n) {
			waiting = append(waiting, n)
		}
	}
	for len(waiting) > 0 {
		if !w.pop(&waiting) {
			return false
		}
	}
	return true
}

// pop walks the directory on top of the stack.
func (w *walker) pop(waiting *[]*node) bool {
	last := len(*waiting) - 1
	d := (*waiting)[last]
	*waiting = (*waiting)[:last]
	return w.walk(d)
}

// precedes reports whether n, which comes behind d by name, comes before what
// is below d by path.
func precedes(n, d *node) bool {
	return len(n.path()) > len(d.path()) && n.path()[len(d.path())] < '/' && strings.HasPrefix(n.path(), d.path())
}

// seek returns a cursor at the first child of d that from leaves, and the
// directories that wait by then.
func (w *walker) seek(d *node) (cursor, []*node) {
	at := len(d.path()) + 1
	if len(w.from) < at || w.from[:at-1] != d.path() || w.from[at-1] != '/' {
		return d.dir.entriesOf(w.latest).seek(""), nil
	}
	name := w.from[at:]
	if i := strings.IndexByte(name, '/'); i >= 0 {
		name = name[:i]
	}
	var waiting []*node
	for i := 1; i < len(name); i++ {
		if name[i] < '/' {
			if n := w.nodes.get(w.from[:at+i]); n != nil && n.dir != nil && w.enter(n) {
				waiting = append(waiting, n)
			}
		}
	}
	return d.dir.entriesOf(w.latest).seek(name), waiting
}
