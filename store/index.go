package store

import (
	"iter"
	"slices"
	"strings"
)

// Index is a set of globs, each with values, that finds the values of those
// that match a path. The zero Index is empty. It needs a lock of its owner:
// Match may run concurrently with Match, and with nothing else.
//
// It is a trie of the globs' segments, the parts between slashes. Of segments
// with wildcards, only those are tried whose literal start a name has; of globs
// with **, which leave the trie there, also only those whose last segment, if
// it has no wildcard, is the path's last name. A Match costs as much as the
// path is deep, plus what is tried.
type Index[T comparable] struct {
	root indexNode[T]
	n    int
}

// indexNode stands for the segments on the way to it.
type indexNode[T comparable] struct {
	here values[T]                // of globs that end here
	lits map[string]*indexNode[T] // next segments without wildcards
	wild buckets[*wildEdge[T]]    // next segments with * or ?
	deep buckets[*deepLeaf[T]]    // globs whose next segment has **
}

// wildEdge is a segment with wildcards, as a glob of one name.
type wildEdge[T comparable] struct {
	glob *Glob
	next indexNode[T]
}

// deepLeaf is a glob that is matched as a whole.
type deepLeaf[T comparable] struct {
	glob *Glob
	here values[T]
}

// Len returns how many pairs of a glob and a value there are.
func (x *Index[T]) Len() int { return x.n }

// Add adds the pair of g and v. To add it twice is to add it once.
func (x *Index[T]) Add(g *Glob, v T) {
	n, rest := &x.root, g.pattern
	for rest != "" {
		seg, after := cutSegment(rest)
		lit, wild := segmentPrefix(seg)
		switch {
		case !wild:
			if n.lits == nil {
				n.lits = make(map[string]*indexNode[T])
			}
			next := n.lits[seg]
			if next == nil {
				next = new(indexNode[T])
				n.lits[strings.Clone(seg)] = next
			}
			n = next
		case strings.Contains(seg, "**"):
			b := bucket{lit, lastLiteral(g.pattern)}
			leaf := n.deep.find(b, func(l *deepLeaf[T]) bool { return l.glob.pattern == g.pattern })
			if leaf == nil {
				leaf = &deepLeaf[T]{glob: g}
				n.deep.add(b, leaf)
			}
			x.n += leaf.here.add(v)
			return
		default:
			edge := n.wild.find(bucket{start: lit}, func(e *wildEdge[T]) bool { return e.glob.pattern[1:] == seg })
			if edge == nil {
				edge = &wildEdge[T]{glob: segmentGlob(seg)}
				n.wild.add(bucket{start: lit}, edge)
			}
			n = &edge.next
		}
		rest = after
	}
	x.n += n.here.add(v)
}

// Remove removes the pair of g and v, if it is there.
func (x *Index[T]) Remove(g *Glob, v T) {
	x.n -= x.root.remove(g.pattern, 0, v)
}

// remove removes v from the glob pattern, whose segments from n on start at
// pattern[at:], and returns how many pairs that were.
func (n *indexNode[T]) remove(pattern string, at int, v T) int {
	if at == len(pattern) {
		return n.here.remove(v)
	}
	seg, after := cutSegment(pattern[at:])
	next := len(pattern) - len(after)
	lit, wild := segmentPrefix(seg)
	switch {
	case !wild:
		child := n.lits[seg]
		if child == nil {
			return 0
		}
		removed := child.remove(pattern, next, v)
		if child.empty() {
			delete(n.lits, seg)
		}
		return removed
	case strings.Contains(seg, "**"):
		b := bucket{lit, lastLiteral(pattern)}
		leaf := n.deep.find(b, func(l *deepLeaf[T]) bool { return l.glob.pattern == pattern })
		if leaf == nil {
			return 0
		}
		removed := leaf.here.remove(v)
		if len(leaf.here.list) == 0 {
			n.deep.remove(b, leaf)
		}
		return removed
	}
	edge := n.wild.find(bucket{start: lit}, func(e *wildEdge[T]) bool { return e.glob.pattern[1:] == seg })
	if edge == nil {
		return 0
	}
	removed := edge.next.remove(pattern, next, v)
	if edge.next.empty() {
		n.wild.remove(bucket{start: lit}, edge)
	}
	return removed
}

func (n *indexNode[T]) empty() bool {
	return len(n.here.list) == 0 && len(n.lits) == 0 && len(n.wild.lens) == 0 && len(n.deep.lens) == 0
}

// Match calls fn with the values of the globs that match path, once for each
// glob. Equal histories of Add and Remove give the same order.
func (x *Index[T]) Match(path string, fn func(v T)) { x.root.match(path, 0, fn) }

// match looks for globs whose rest matches path[at:], which is empty or starts
// with a slash.
func (n *indexNode[T]) match(path string, at int, fn func(v T)) {
	if at == len(path) {
		n.here.each(fn)
		return
	}
	end := len(path)
	if i := strings.IndexByte(path[at+1:], '/'); i >= 0 {
		end = at + 1 + i
	}
	name := path[at+1 : end]
	for l := range n.deep.of(name, path[strings.LastIndexByte(path, '/')+1:]) {
		if l.glob.Match(path) {
			l.here.each(fn)
		}
	}
	if next := n.lits[name]; next != nil {
		next.match(path, end, fn)
	}
	for e := range n.wild.of(name, "") {
		if e.glob.Match(path[at:end]) {
			e.next.match(path, end, fn)
		}
	}
}

// cutSegment splits what follows the first slash of rest at the next one.
func cutSegment(rest string) (seg, after string) {
	if i := strings.IndexByte(rest[1:], '/'); i >= 0 {
		return rest[1 : 1+i], rest[1+i:]
	}
	return rest[1:], ""
}

// segmentPrefix returns what of seg comes before its first wildcard, and
// whether it has one.
func segmentPrefix(seg string) (lit string, wild bool) {
	if i := strings.IndexAny(seg, "?*"); i >= 0 {
		return seg[:i], true
	}
	return seg, false
}

// segmentGlob compiles a segment of a glob that has been compiled, as a glob of
// one name.
func segmentGlob(seg string) *Glob {
	g := newGlob("/" + seg)
	if g.shape == shapeAny {
		g.tail = newTail(g.pattern[len(g.prefix):])
	}
	return g
}

// lastLiteral returns the last segment of pattern if it has no wildcard.
func lastLiteral(pattern string) string {
	last := pattern[strings.LastIndexByte(pattern, '/')+1:]
	if strings.ContainsAny(last, "?*") {
		return ""
	}
	return last
}

// bucket is what has to be literally in a path: how the name at hand starts
// and, unless it is empty, the last name.
type bucket struct{ start, last string }

// buckets holds entries by what has to be literally in the paths they match.
type buckets[E comparable] struct {
	by   map[bucket][]E
	lens []startLen // lengths of starts that occur, ascending
}

type startLen struct{ len, n int }

func (p *buckets[E]) find(b bucket, is func(E) bool) (e E) {
	list := p.by[b]
	if i := slices.IndexFunc(list, is); i >= 0 {
		return list[i]
	}
	return e
}

func (p *buckets[E]) add(b bucket, e E) {
	if p.by == nil {
		p.by = make(map[bucket][]E)
	}
	p.by[b] = append(p.by[b], e)
	i, ok := p.lenIndex(len(b.start))
	if !ok {
		p.lens = slices.Insert(p.lens, i, startLen{len: len(b.start)})
	}
	p.lens[i].n++
}

func (p *buckets[E]) remove(b bucket, e E) {
	list := p.by[b]
	i := slices.Index(list, e)
	if list = slices.Delete(list, i, i+1); len(list) == 0 {
		delete(p.by, b)
	} else {
		p.by[b] = list
	}
	i, _ = p.lenIndex(len(b.start))
	if p.lens[i].n--; p.lens[i].n == 0 {
		p.lens = slices.Delete(p.lens, i, i+1)
	}
}

func (p *buckets[E]) lenIndex(n int) (int, bool) {
	return slices.BinarySearchFunc(p.lens, n, func(l startLen, n int) int { return l.len - n })
}

// of returns the entries that name, and the path's last name, leave possible.
func (p *buckets[E]) of(name, last string) iter.Seq[E] {
	return func(yield func(E) bool) {
		for _, l := range p.lens {
			if l.len > len(name) {
				return
			}
			for _, e := range p.by[bucket{start: name[:l.len]}] {
				if !yield(e) {
					return
				}
			}
			if last == "" {
				continue
			}
			for _, e := range p.by[bucket{name[:l.len], last}] {
				if !yield(e) {
					return
				}
			}
		}
	}
}

// values is a set that is walked in an order that depends only on its history.
// To add, remove and find takes a step or two, however many watch the same
// glob.
type values[T comparable] struct {
	list []T
	at   map[T]int // index in list
}

func (s *values[T]) add(v T) int {
	if _, ok := s.at[v]; ok {
		return 0
	}
	if s.at == nil {
		s.at = make(map[T]int)
	}
	s.at[v] = len(s.list)
	s.list = append(s.list, v)
	return 1
}

func (s *values[T]) remove(v T) int {
	i, ok := s.at[v]
	if !ok {
		return 0
	}
	last := len(s.list) - 1
	s.list[i] = s.list[last]
	s.at[s.list[i]] = i
	clear(s.list[last:])
	s.list = s.list[:last]
	delete(s.at, v)
	return 1
}

func (s *values[T]) each(fn func(v T)) {
	for _, v := range s.list {
		fn(v)
	}
}
