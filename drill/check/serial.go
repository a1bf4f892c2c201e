package check

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Serial checks strict serializability of all operations together, on however
// many paths, against the committed log. The order of the writes is known, it is
// their revs; what has to be found is a place in it for every read, and for every
// write that was refused, such that it saw exactly the state there, and that the
// places agree with time: what returned before another was called is not placed
// after it. Each operation is given the lowest place it can have; if that is not
// possible for one, no other choice would make it so.
//
// A write of unknown outcome has the place that the log gives it, or none; it
// may take effect at any time after its call. What writes did is for Applied.
func Serial(ops []Op, l *Ledger) error {
	applied := l.byID()
	type moment struct {
		at   time.Duration
		ends bool
		op   int
	}
	var moments []moment
	for i, o := range ops {
		if places(o) {
			moments = append(moments, moment{o.Call, false, i}, moment{o.Return, true, i})
		}
	}
	slices.SortStableFunc(moments, func(a, b moment) int {
		if c := cmp.Compare(a.at, b.at); c != 0 || a.ends == b.ends {
			return c
		} else if a.ends {
			return 1 // what begins when another ends counts as concurrent
		}
		return -1
	})
	var p Problems
	floor := int64(0) // the highest place of what has returned
	by := -1          // whose place that is
	floors := make([]int64, len(ops))
	under := make([]int, len(ops))
	for _, m := range moments {
		o := ops[m.op]
		if !m.ends {
			floors[m.op], under[m.op] = floor, by
			if o.Outcome == Unknown {
				if revs := applied[o.ID]; len(revs) > 0 && revs[0] <= floor {
					p.addf("before its call: %v was applied at %d, after %v had returned", o, revs[0], ops[by])
				}
			}
			continue
		}
		if o.Outcome == Unknown {
			continue
		}
		place, ok := l.place(o, floors[m.op])
		if !ok {
			if i := under[m.op]; i >= 0 {
				p.addf("stale or impossible: %v, after %v had returned", o, ops[i])
			} else {
				p.addf("impossible: %v", o)
			}
			continue
		}
		if place > floor {
			floor, by = place, m.op
		}
	}
	return p.err()
}

// places tells whether o has a place in the order.
func places(o Op) bool {
	switch {
	case o.Outcome == Failed || o.Outcome == TooLate || o.Kind == Local || o.Kind == List && o.At != 0:
		return false
	case o.Outcome == Unknown:
		return o.Writes()
	}
	return true
}

// want is what an operation has seen of one path: the file's rev was in
// [least, most]; 0 and 0: there was none.
type want struct {
	path        string
	least, most int64
}

// place is the lowest rev from floor on whose state o has seen.
func (l *Ledger) place(o Op, floor int64) (int64, bool) {
	if o.Writes() && o.Outcome == OK {
		return o.Rev, o.Rev > floor && o.Rev <= l.Rev()
	}
	at := floor
	wants := l.wants(o)
	for i := 0; i < len(wants); i++ {
		w := wants[i]
		e, next, _ := l.At(w.path, at)
		if e.Rev >= w.least && e.Rev <= w.most {
			continue
		}
		if next == 0 {
			return 0, false
		}
		at, i = next, -1 // all over again, from the path's next change on
	}
	return at, true
}

// wants is what a read, or a refused write, has seen.
func (l *Ledger) wants(o Op) []want {
	exact := func(path string, rev int64) want { return want{path, rev, rev} }
	switch o.Kind {
	case List:
		var all []want
		seen := map[string]int64{}
		for _, f := range o.Files {
			seen[f.Path] = f.Rev
		}
		m := newMatcher(o.Path)
		for path := range l.paths {
			if m.match(path) {
				all = append(all, exact(path, seen[path]))
			}
		}
		return all
	case Txn:
		var all []want
		for i, part := range o.Parts[:o.Index+1] {
			switch {
			case i == o.Index:
				all = append(all, exact(part.Path, o.Rev))
			case part.Missing:
				all = append(all, exact(part.Path, 0))
			case part.If != 0:
				all = append(all, want{part.Path, 1, part.If})
			}
		}
		return all
	}
	return []want{exact(o.Path, o.Rev)}
}

// byID tells at which revs the changes of each write are.
func (l *Ledger) byID() map[string][]int64 {
	revs := map[string][]int64{}
	for i, step := range l.steps {
		rev := int64(i + 1)
		for _, e := range step {
			if at := revs[e.ID]; e.ID != "" && (len(at) == 0 || at[len(at)-1] != rev) {
				revs[e.ID] = append(at, rev)
			}
		}
	}
	return revs
}

// Answers checks what operations returned, apart from when: a file that was read
// is one that the log has, with that value; a refused condition did not hold in
// what was found; a list at a past rev is the tree at that rev; a rev refused as
// too late is below a window of history revs.
func Answers(ops []Op, l *Ledger, history int64) error {
	var p Problems
	for _, o := range ops {
		switch {
		case o.Outcome == TooLate:
			if o.At >= o.Rev || o.Rev > l.lastOldest(history) {
				p.addf("not too late: %v, with %d revs in all, of which %d are kept", o, l.Rev(), history)
			}
		case (o.Kind == Read || o.Kind == Local) && o.Outcome == OK && o.Rev != 0:
			if e, _, ok := l.At(o.Path, o.Rev); !ok || e.Rev != o.Rev || e.Value != o.Value {
				p.addf("nobody wrote what was read: %v; the log has %v", o, e)
			}
		case o.Kind == List && o.Outcome == OK:
			p = append(p, l.listed(o)...)
		case o.Outcome == Mismatch && refusedWrongly(o):
			p.addf("refused though the condition holds: %v", o)
		}
	}
	return p.err()
}

// listed checks the files of a list, at the rev asked for if there was one.
func (l *Ledger) listed(o Op) Problems {
	var p Problems
	if o.At != 0 {
		if err := l.SameFiles("a list", o.Path, o.At, o.Files); err != nil {
			p = append(p, err.(Problems)...)
		}
	}
	for i, f := range o.Files {
		if e, _, ok := l.At(f.Path, f.Rev); !ok || e != f {
			p.addf("nobody wrote what was listed: %v; the log has %v", f, e)
		}
		if i > 0 && o.Files[i-1].Path >= f.Path {
			p.addf("not in order: %s after %s in %v", f.Path, o.Files[i-1].Path, o)
		}
	}
	return p
}

// refusedWrongly tells whether the condition that a write was refused for holds
// in the state it was told.
func refusedWrongly(o Op) bool {
	part := Part{Missing: o.Kind == CAS && o.If == 0, If: o.If}
	switch {
	case o.Kind == Txn && o.Index < len(o.Parts):
		part = o.Parts[o.Index]
	case o.Kind == Del && o.If == 0:
		part.If = math.MaxInt64
	}
	return holds(part, o.Rev)
}

// holds tells whether a part's condition holds for a file at rev (0: none).
func holds(p Part, rev int64) bool {
	switch {
	case p.Missing:
		return rev == 0
	case p.If != 0:
		return rev != 0 && rev <= p.If
	}
	return true
}
