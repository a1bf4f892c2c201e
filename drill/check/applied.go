package check

import (
	"maps"
	"slices"
	"strings"
)

// Applied checks what became of every write, by the ids that changes carry in
// the log: an acknowledged one is there once, at its rev, with all of its changes
// and no others, and its conditions held; one of unknown outcome is there once, as
// a whole, or not at all; a refused one is not there; and below the prefixes nothing
// is there that nobody wrote.
func Applied(ops []Op, l *Ledger, prefixes ...string) error {
	var p Problems
	revs := l.byID()
	known := make(map[string]bool, len(ops))
	for _, o := range ops {
		if !o.Writes() {
			continue
		}
		known[o.ID] = true
		at := revs[o.ID]
		switch {
		case len(at) > 1:
			p.addf("applied twice: %v is in the log at %v", o, at)
			continue
		case len(at) == 0:
			if o.Outcome == OK {
				p.addf("lost: %v is not in the log", o)
			}
			continue
		case o.Outcome == OK && at[0] != o.Rev:
			p.addf("applied at another rev: %v is in the log at %d", o, at[0])
		case o.Outcome != OK && o.Outcome != Unknown:
			p.addf("refused but applied: %v is in the log at %d", o, at[0])
		}
		p = append(p, l.done(o, at[0])...)
	}
	for _, step := range l.steps {
		for _, e := range step {
			mine := slices.ContainsFunc(prefixes, func(dir string) bool { return strings.HasPrefix(e.Path, dir+"/") })
			if mine && !known[e.ID] {
				p.addf("nobody wrote %v", e)
			}
		}
	}
	return p.err()
}

// done checks that rev is o, all of it and nothing else, and that its conditions
// held before.
func (l *Ledger) done(o Op, rev int64) Problems {
	var p Problems
	want := map[string]Event{}
	for _, part := range parts(o) {
		before, _, _ := l.At(part.Path, rev-1)
		if part.asks() && !holds(part, before.Rev) {
			p.addf("its condition did not hold: %v was done at %d, when %s was at %d", o, rev, part.Path, before.Rev)
		}
		if part.Set || part.Del {
			want[part.Path] = Event{Path: part.Path, Value: part.Value, Rev: rev, Del: part.Del, ID: o.ID}
		}
	}
	got := map[string]Event{}
	for _, e := range l.Step(rev) {
		got[e.Path] = e
	}
	if !maps.Equal(got, want) {
		p.addf("not as a whole: %v is %v in the log", o, slices.Collect(maps.Values(got)))
	}
	return p
}

// parts is any write as a transaction.
func parts(o Op) []Part {
	switch o.Kind {
	case Write:
		return []Part{{Path: o.Path, Set: true, Value: o.Value}}
	case CAS:
		return []Part{{Path: o.Path, Missing: o.If == 0, If: o.If, Set: true, Value: o.Value}}
	case Del:
		most := o.If
		if most == 0 {
			most = maxRev
		}
		return []Part{{Path: o.Path, If: most, Del: true}}
	}
	return o.Parts
}
