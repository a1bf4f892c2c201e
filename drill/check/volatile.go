package check

// Volatile says which files are volatile: of those a store may forget a rewrite
// once the file was changed again. It must not forget what made or deleted the
// file, nor a change that others share a rev with; and the window counts only
// what is left.
func (l *Ledger) Volatile(glob string) {
	l.gone = map[int64]bool{}
	m := newMatcher(glob)
	for path, all := range l.paths {
		if !m.match(path) {
			continue
		}
		for i, e := range all {
			if i > 0 && i+1 < len(all) && !e.Del && !all[i-1].Del && len(l.Step(e.Rev)) == 1 {
				l.gone[e.Rev] = true
			}
		}
	}
}

// left is the changes of a log that must be there, and those that may be gone
// but are all the same.
func (l *Ledger) left(log []Event, there func(rev int64) bool) []Event {
	var out []Event
	for _, e := range log {
		if !l.gone[e.Rev] || there(e.Rev) {
			out = append(out, e)
		}
	}
	return out
}

// stoodIn puts the files of want in the place of older versions of theirs in
// got, where all versions since may be gone: then got may show what it does.
func (l *Ledger) stoodIn(got, want map[string]Event) map[string]Event {
	out := make(map[string]Event, len(got))
	for path, f := range got {
		out[path] = f
		if e, ok := want[path]; ok && f != e && l.standsFor(f, e) {
			out[path] = e
		}
	}
	return out
}

// standsFor tells whether f is an earlier version of e's file, and all that came
// after it, up to e, may be gone.
func (l *Ledger) standsFor(f, e Event) bool {
	if was, _, ok := l.At(f.Path, f.Rev); !ok || was != f || f.Rev > e.Rev {
		return false
	}
	for _, v := range l.paths[e.Path] {
		if v.Rev > f.Rev && v.Rev <= e.Rev && !l.gone[v.Rev] {
			return false
		}
	}
	return true
}

// lastOldest is the highest rev that the window may begin at when history revs
// are kept, whatever may be gone.
func (l *Ledger) lastOldest(history int64) int64 {
	rev := l.Rev()
	for ; rev > 1; rev-- {
		if l.gone[rev] {
			continue
		}
		if history--; history == 0 {
			break
		}
	}
	return max(1, rev)
}
