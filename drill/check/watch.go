package check

import (
	"fmt"
	"regexp"
	"strings"
)

// Match tells whether a path matches a glob, by way of a regular expression:
// slow, and short enough to be believed.
func Match(glob, path string) bool { return compile(glob).MatchString(path) }

// matcher remembers its answers: logs name the same paths again and again.
type matcher struct {
	re    *regexp.Regexp
	known map[string]bool
}

func newMatcher(glob string) *matcher {
	return &matcher{re: compile(glob), known: map[string]bool{}}
}

func (m *matcher) match(path string) bool {
	yes, ok := m.known[path]
	if !ok {
		yes = m.re.MatchString(path)
		m.known[path] = yes
	}
	return yes
}

func compile(glob string) *regexp.Regexp {
	q := regexp.QuoteMeta(glob)
	q = strings.ReplaceAll(q, `\*\*`, `.*`)
	q = strings.ReplaceAll(q, `\*`, `[^/]*`)
	q = strings.ReplaceAll(q, `\?`, `[^/]`)
	return regexp.MustCompile(`(?s)\A` + q + `\z`)
}

// ItemKind is what one item of a watch stream is.
type ItemKind int

const (
	// Change is an event.
	Change ItemKind = iota
	// Mark promises that every change up to Rev was delivered.
	Mark
	// File is a file of a snapshot, in Event.
	File
	// FilesEnd ends a snapshot, which is of Rev. It is a Mark too.
	FilesEnd
	// Resync voids all that was given before: a snapshot follows.
	Resync
)

// Item is one thing a watcher was given, in the order it was given.
type Item struct {
	Kind  ItemKind
	Event Event // Change, File
	More  bool  // Change: the next change belongs to the same step
	Rev   int64 // Mark, FilesEnd
}

func (i Item) String() string {
	switch i.Kind {
	case Change:
		return i.Event.String()
	case File:
		return "the snapshot's " + i.Event.String()
	case FilesEnd:
		return fmt.Sprintf("the end of the snapshot of rev %d", i.Rev)
	case Resync:
		return "a resync"
	}
	return fmt.Sprintf("mark %d", i.Rev)
}

// Stream is what one watcher recorded.
type Stream struct {
	Glob string
	// From and To are the first and the last rev that must have been delivered;
	// more may follow To.
	From, To int64
	Items    []Item
	// Gone are revs whose change a store may have forgotten: it may be left out,
	// but not come at another place. nil: there are none.
	Gone map[int64]bool
}

// Filter returns the events that match glob with from <= rev <= to.
func Filter(log []Event, glob string, from, to int64) []Event {
	m := newMatcher(glob)
	var out []Event
	for _, e := range log {
		if e.Rev >= from && e.Rev <= to && m.match(e.Path) {
			out = append(out, e)
		}
	}
	return out
}

// Watch checks a stream against the log. Each rule that is broken is named
// first in its sentence: filtered, ordered, unique, atomic, reliable,
// bookmarked.
func Watch(s Stream, log []Event) error {
	var p Problems
	want := Filter(log, s.Glob, s.From, maxRev)
	m := newMatcher(s.Glob)
	type key struct {
		rev  int64
		path string
	}
	seen := map[key]bool{}
	var last, mark int64
	next := 0 // want[next] is the event expected
	for _, it := range s.Items {
		if it.Kind == Mark {
			if it.Rev < mark {
				p.addf("bookmarked: mark %d after mark %d", it.Rev, mark)
			}
			mark = max(mark, it.Rev)
			for next < len(want) && want[next].Rev <= mark && s.Gone[want[next].Rev] {
				next++
			}
			if next < len(want) && want[next].Rev <= it.Rev {
				p.addf("bookmarked: mark %d, but %v was not delivered", it.Rev, want[next])
			}
			continue
		}
		e := it.Event
		switch {
		case !m.match(e.Path):
			p.addf("filtered: %v does not match %s", e, s.Glob)
			continue
		case e.Rev < s.From:
			p.addf("filtered: %v is before the first rev asked for, %d", e, s.From)
			continue
		case seen[key{e.Rev, e.Path}]:
			p.addf("unique: %v was delivered twice", e)
			continue
		}
		seen[key{e.Rev, e.Path}] = true
		if e.Rev < last {
			p.addf("ordered: %v after rev %d", e, last)
		}
		if e.Rev <= mark {
			p.addf("bookmarked: %v after mark %d", e, mark)
		}
		last = max(last, e.Rev)
		next = p.expect(e, want, next, s.Gone)
		if more := next < len(want) && want[next].Rev == e.Rev; more != it.More {
			p.addf("atomic: %v with more = %v", e, it.More)
		}
	}
	for _, w := range want[min(next, len(want)):] {
		if s.Gone[w.Rev] {
			continue
		}
		if w.Rev <= s.To {
			p.addf("reliable: %v was not delivered", w)
		} else if w.Rev == last {
			p.addf("atomic: the stream ends inside rev %d, before %v", last, w)
		}
	}
	return p.err()
}

// expect compares an event with the one the log has next and returns where the
// log goes on.
func (p *Problems) expect(e Event, want []Event, next int, gone map[int64]bool) int {
	if next < len(want) && want[next] == e {
		return next + 1
	}
	for i := next; i < len(want) && want[i].Rev <= e.Rev; i++ {
		if want[i] != e {
			if i == next && gone[want[i].Rev] {
				next++
			}
			continue
		}
		if i == next {
			return i + 1
		}
		rule := "reliable"
		if want[next].Rev == e.Rev {
			rule = "atomic"
		}
		p.addf("%s: %v was not delivered before %v", rule, want[next], e)
		return i + 1
	}
	p.addf("reliable: %v is not what the log has there", e)
	return next
}

// SnapshotWatch checks a stream that began with a snapshot at rev: before the
// first mark come the files at that rev, each once and in order of path, then
// the changes after it.
func SnapshotWatch(s Stream, rev int64, log []Event) error {
	var p Problems
	got := map[string]Event{}
	i := 0
	for ; i < len(s.Items) && s.Items[i].Kind == Change && s.Items[i].Event.Rev <= rev; i++ {
		e := s.Items[i].Event
		if _, ok := got[e.Path]; ok {
			p.addf("unique: %v is twice in the snapshot", e)
		}
		if e.Del {
			p.addf("filtered: %v in a snapshot", e)
		}
		got[e.Path] = e
	}
	want := map[string]Event{}
	for path, e := range Tree(log, rev) {
		if Match(s.Glob, path) {
			want[path] = e
		}
	}
	p = append(p, sameTree("the snapshot", got, want)...)
	rest := s
	rest.From, rest.Items = rev+1, s.Items[i:]
	if err := Watch(rest, log); err != nil {
		p = append(p, err.(Problems)...)
	}
	return p.err()
}
