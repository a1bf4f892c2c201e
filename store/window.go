package store

import (
	"slices"
	"sort"
)

// window holds the changes newer than Oldest in order of rev and ordinal.
type window struct {
	changes []change // those before first are gone
	first   int
	revs    int64 // that have changes which are not forgotten
	bytes   int64 // sum of the costs of those
	holes   int   // forgotten changes
}

// change is an event in the window and its file's node, which is in the tree as
// long as the event is one of its versions. Keeping it here saves the search
// when the event leaves the window.
type change struct {
	event *Event
	node  *node // nil if forgotten
}

// forgotten reports whether the change is none any more: all that is left of it
// is its place, which keeps the list in order without moving the rest.
func (c change) forgotten() bool { return c.node == nil }

// minHoles is how many forgotten changes a window may hold on to however short
// it is. Beyond, they are at most as many as the others.
const minHoles = 1024

// push appends the change that e is of n, which is newer than all others.
func (w *window) push(n *node, e *Event) {
	w.changes = append(w.changes, change{e, n})
	w.bytes += e.cost()
	if e.Last() {
		w.revs++
	}
}

// front returns the oldest change; there has to be one.
func (w *window) front() change { return w.changes[w.first] }

// shift removes the oldest change. Now and then it moves the rest to the front
// of the array, at most as many as it has removed since it last did, so that a
// change is moved about once.
func (w *window) shift() {
	c := w.changes[w.first]
	if c.forgotten() {
		w.holes--
	} else {
		w.uncount(c.event)
	}
	w.changes[w.first] = change{}
	w.first++
	if w.first >= 1024 && w.first*2 >= len(w.changes) {
		n := copy(w.changes, w.changes[w.first:])
		clear(w.changes[n:])
		w.changes, w.first = w.changes[:n], 0
	}
}

func (w *window) uncount(e *Event) {
	w.bytes -= e.cost()
	if e.Last() {
		w.revs--
	}
}

// forget makes a hole of e, the only change of its rev, which is in the window.
// Holes are closed when there are more of them than of changes, so that each
// costs the moving of about one change.
func (w *window) forget(e *Event) {
	w.since(e.Rev)[0].node = nil
	w.uncount(e)
	w.holes++
	if list := w.changes[w.first:]; w.holes > minHoles && w.holes*2 > len(list) {
		w.changes = w.changes[:w.first+len(slices.DeleteFunc(list, change.forgotten))]
		w.holes = 0
	}
}

// since returns the changes with a rev of at least rev.
func (w *window) since(rev int64) []change {
	list := w.changes[w.first:]
	return list[sort.Search(len(list), func(i int) bool { return list[i].event.Rev >= rev }):]
}

// full reports whether there is more in the window than the settings want, and
// in a large window so much more that it is worth going to see: where revs are
// the limit they leave it in groups.
func (w *window) full(c *Config) bool {
	return w.revs > c.History+min(maxSlack, c.History/1024) || w.bytes > c.HistoryBytes
}

// slide moves Oldest up to where the settings want it, and forgets what can no
// longer be read. The newest rev stays, whatever its size.
func (s *Store) slide() {
	w := &s.window
	if !w.full(&s.config) {
		return
	}
	s.warmOldest()
	for s.oldest < s.rev-1 && (w.revs > s.config.History || w.bytes > s.config.HistoryBytes) {
		s.oldest = min(w.front().event.Rev, s.rev-1)
		for c := w.front(); c.event.Rev <= s.oldest; c = w.front() {
			w.shift()
			if !c.forgotten() {
				s.settle(c.node, c.event)
			}
		}
	}
}

// settle makes e, which has left the window, the base of its file, n: the
// version before it goes, and so does e if it is a deletion. What e did to the
// directories above is no longer asked for either.
func (s *Store) settle(n *node, e *Event) {
	if base := n.oldest(); base != e {
		n.shift()
		s.drop(base)
		if !e.Del() {
			return // a rewrite: no directory has changed
		}
	}
	for up := n.parent; up != nil; up = up.parent {
		if len(up.dir.past) > 0 {
			up.dir.trim(s.oldest)
		}
	}
	if e.Del() {
		n.shift()
		s.drop(e)
		s.prune(n, e)
	}
}
