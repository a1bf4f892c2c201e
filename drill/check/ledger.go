package check

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
)

// Ledger is the committed log of a store from its beginning, by rev and by
// path.
type Ledger struct {
	steps [][]Event          // steps[r-1] are the changes of rev r
	paths map[string][]Event // the changes of a path, in order
	gone  map[int64]bool     // revs whose only change a store may have forgotten
}

// NewLedger makes a ledger of a log of every path that begins with rev 1.
func NewLedger(log []Event) (*Ledger, error) {
	if err := Whole(log); err != nil {
		return nil, err
	}
	l := &Ledger{paths: map[string][]Event{}}
	for len(log) > 0 {
		n := 1
		for n < len(log) && log[n].Rev == log[0].Rev {
			n++
		}
		l.add(log[:n])
		log = log[n:]
	}
	return l, nil
}

// add puts the next step at the end.
func (l *Ledger) add(step []Event) {
	l.steps = append(l.steps, step)
	for _, e := range step {
		l.paths[e.Path] = append(l.paths[e.Path], e)
	}
}

// Rev is the last rev.
func (l *Ledger) Rev() int64 { return int64(len(l.steps)) }

// Log is every change, in order.
func (l *Ledger) Log() []Event { return slices.Concat(l.steps...) }

// Step is the changes of one rev; none when there is no such rev.
func (l *Ledger) Step(rev int64) []Event {
	if rev < 1 || rev > l.Rev() {
		return nil
	}
	return l.steps[rev-1]
}

// At is the file at path as it was at rev, and the rev of the path's next change
// after that, 0 if there is none. Of a missing file ok is false.
func (l *Ledger) At(path string, rev int64) (e Event, next int64, ok bool) {
	all := l.paths[path]
	i := sort.Search(len(all), func(i int) bool { return all[i].Rev > rev })
	if i < len(all) {
		next = all[i].Rev
	}
	if i == 0 || all[i-1].Del {
		return Event{}, next, false
	}
	return all[i-1], next, true
}

// Files are those that match glob at rev, in byte order of their paths.
func (l *Ledger) Files(glob string, rev int64) []Event {
	m := newMatcher(glob)
	var out []Event
	for path := range l.paths {
		if e, _, ok := l.At(path, rev); ok && m.match(path) {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b Event) int { return cmp.Compare(a.Path, b.Path) })
	return out
}

// Stretch is what one watch of every path was given: whole steps, and of what was
// not volatile no rev left out.
type Stretch struct {
	From   string // who recorded it
	Events []Event
}

// merger puts stretches together.
type merger struct {
	p     Problems
	steps map[int64][]Event
	from  map[int64]string
	last  int64
	// skips are the revs that a stretch went over, with what it was given next.
	skips []skip
}

type skip struct {
	from        string
	after, next int64
}

// Merge makes the committed log of what watches of every path were given, at all
// nodes and at different times. They must not contradict each other, and a
// stretch may go over a rev only if its change may be forgotten: anything else
// is a Problem of the store. What no watch was given is taken from written, the
// changes of volatile files that were acknowledged; unsure is how many others may
// have been made. holes are the revs that nobody knows, which is nobody's fault,
// but leaves nothing to judge by.
func Merge(stretches []Stretch, volatile string, written []Event, unsure int) (log *Ledger, holes []int64, err error) {
	m := merger{steps: map[int64][]Event{}, from: map[int64]string{}}
	for _, s := range stretches {
		m.add(s)
	}
	glob := newMatcher(volatile)
	for _, e := range written {
		if m.steps[e.Rev] == nil && glob.match(e.Path) {
			m.steps[e.Rev] = []Event{e}
		}
	}
	log = &Ledger{paths: map[string][]Event{}}
	for rev := int64(1); rev <= m.last; rev++ {
		if m.steps[rev] == nil {
			holes = append(holes, rev)
		}
		log.add(m.steps[rev])
	}
	log.Volatile(volatile)
	for _, k := range m.skips {
		for rev := k.after + 1; rev < k.next; rev++ {
			if m.steps[rev] == nil && len(holes) <= unsure || log.gone[rev] {
				continue
			}
			m.p.addf("%s was given rev %d right after %d", k.from, k.next, k.after)
			break
		}
	}
	return log, holes, m.p.err()
}

// add takes in one stretch.
func (m *merger) add(s Stretch) {
	for i := 0; i < len(s.Events); {
		rev, j := s.Events[i].Rev, i
		for j < len(s.Events) && s.Events[j].Rev == rev {
			j++
		}
		switch {
		case i == 0:
		case rev < s.Events[i-1].Rev:
			m.p.addf("%s was given rev %d right after %d", s.From, rev, s.Events[i-1].Rev)
		case rev > s.Events[i-1].Rev+1:
			m.skips = append(m.skips, skip{s.From, s.Events[i-1].Rev, rev})
		}
		step := s.Events[i:j]
		for k := 1; k < len(step); k++ {
			if slices.ContainsFunc(step[:k], func(e Event) bool { return e.Path == step[k].Path }) {
				m.p.addf("%s was told that rev %d changes %s twice", s.From, rev, step[k].Path)
			}
		}
		if have, ok := m.steps[rev]; !ok {
			m.steps[rev], m.from[rev] = step, s.From
		} else if !slices.Equal(have, step) {
			m.p.addf("two histories: rev %d is %v at %s and %v at %s", rev, have, m.from[rev], step, s.From)
		}
		m.last, i = max(m.last, rev), j
	}
}

// SameFiles compares files that were read at rev, in any order, with the
// ledger's.
func (l *Ledger) SameFiles(what, glob string, rev int64, files []Event) error {
	got, want := map[string]Event{}, map[string]Event{}
	var p Problems
	for _, f := range files {
		if _, ok := got[f.Path]; ok {
			p.addf("%s has %s twice", what, f.Path)
		}
		got[f.Path] = f
	}
	for _, e := range l.Files(glob, rev) {
		want[e.Path] = e
	}
	return append(p, sameTree(fmt.Sprintf("%s at rev %d", what, rev), l.stoodIn(got, want), want)...).err()
}

// SameWindow compares the changes that a store still has, up to rev, with the
// ledger's.
func (l *Ledger) SameWindow(what string, window []Event, rev int64) error {
	var p Problems
	if len(window) == 0 {
		return nil
	}
	var want []Event
	for r := window[0].Rev; r <= rev; r++ {
		want = append(want, l.Step(r)...)
	}
	has := map[int64]bool{}
	for _, e := range window {
		has[e.Rev] = true
	}
	want = l.left(want, func(rev int64) bool { return has[rev] })
	for i := range max(len(want), len(window)) {
		switch {
		case i >= len(window):
			p.addf("%s has no %v in its history", what, want[i])
		case i >= len(want):
			p.addf("%s has %v in its history, which was never watched", what, window[i])
		case want[i] != window[i]:
			p.addf("%s has %v in its history, not %v", what, window[i], want[i])
		}
	}
	return p.err()
}
