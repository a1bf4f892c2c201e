package store

import "strings"

// Scan is a List or a Find that may be done in parts, so that no call holds its
// caller's lock for long. The parts of a scan show one rev: what is applied
// between two of them is not seen. Only if the rev leaves the window meanwhile
// does the next part fail, with TooLate.
type Scan struct {
	// Rev is what is read; 0 is the latest, which the first call puts here.
	Rev int64
	// After is where the scan goes on: paths up to it are left out, whether
	// they exist or not. Each call moves it over what it has visited.
	After string
	// Visits bounds what a call looks at: nodes, present at Rev or not, of
	// which one with a long path counts as several if the glob is hard to
	// match. 0 is no bound. A call that can go on visits one at least.
	Visits int
}

// Span is an Events that may be done in parts, as a Scan is.
type Span struct {
	// From and To are the first and last rev, both included. From 0 is the
	// first of the window, To 0 the last. Each call moves From over the revs
	// it is done with.
	From, To int64
	// Visits bounds what a call looks at, as in Scan; but a rev is not split.
	Visits int
}

// meter counts what a call visits.
type meter struct{ spent, limit int }

// full reports whether the call has visited all it may.
func (m *meter) full() bool { return m.limit > 0 && m.spent >= m.limit }

// weight returns how many visits it counts as to match path: one for each 64
// words that the automaton goes through, which takes about as long as finding
// the next node.
func (g *Glob) weight(path string) int {
	if g == nil || g.tail == nil {
		return 1
	}
	return 1 + len(path)*g.tail.words/64
}

// begin settles which rev sc reads, or returns why that can't be read.
func (s *Store) begin(sc *Scan) *Error {
	rev, err := s.at(sc.Rev)
	if err == nil {
		sc.Rev = rev
	}
	return err
}

// List calls fn with the direct entries of dir in byte order of their names,
// until it returns false. For a file fn is given its version too, for a
// directory nil. more tells that fn or sc.Visits ended the scan before its end;
// what fn returned false for comes first in the next part. The errors are those
// of Get, with NotDir for a file. The root is a directory even when it is empty.
func (s *Store) List(dir string, sc *Scan, fn func(Info, *Event) bool) (more bool, err *Error) {
	if err = s.begin(sc); err != nil {
		return false, err
	}
	d, err := s.directory(dir, sc.Rev)
	if err != nil {
		return false, err
	}
	prefix := d.path() + "/"
	name := ""
	if strings.HasPrefix(sc.After, prefix) {
		name = sc.After[len(prefix):]
	} else if sc.After > prefix {
		return false, nil
	}
	visits := meter{limit: sc.Visits}
	cur := d.dir.entriesOf(sc.Rev == s.rev).seek(name)
	for n := cur.next(); n != nil; n = cur.next() {
		if n.path() <= sc.After {
			continue
		}
		if visits.full() || !s.listed(n, sc.Rev, fn) {
			return true, nil
		}
		visits.spent++
		sc.After = n.path()
	}
	return false, nil
}

// listed calls fn with n if it was there at rev, and returns false if fn does.
func (s *Store) listed(n *node, rev int64, fn func(Info, *Event) bool) bool {
	if e := n.fileAt(rev); e != nil {
		return fn(fileInfo(e), e)
	}
	return !n.isDirAt(rev) || fn(s.dirInfo(n, rev), nil)
}

// Find calls fn with the files that g matches in byte order of their paths,
// until it returns false. It looks only into directories that can hold a match.
// more is as in List. The error is TooLate or BadRequest.
func (s *Store) Find(g *Glob, sc *Scan, fn func(*Event) bool) (more bool, err *Error) {
	if err = s.begin(sc); err != nil {
		return false, err
	}
	rev := sc.Rev
	if g.Exact() {
		if n := s.lookup(g.pattern); n != nil && g.pattern > sc.After {
			if e := n.fileAt(rev); e != nil && !fn(e) {
				return true, nil
			}
		}
		return false, nil
	}
	start := s.lookup(g.Literal())
	if start == nil || start.dir == nil {
		return false, nil
	}
	visits := meter{limit: sc.Visits}
	w := walker{
		nodes:  s.nodes,
		latest: rev == s.rev,
		from:   max(sc.After, g.prefix),
		stop:   func(path string) bool { return path > g.prefix && !strings.HasPrefix(path, g.prefix) },
		enter:  func(n *node) bool { return n.isDirAt(rev) && g.reaches(n.path()+"/") },
		visit: func(n *node) bool {
			if n.path() <= sc.After {
				return true // one a level: on the way to where the scan goes on
			}
			if visits.full() {
				return false
			}
			e := n.fileAt(rev)
			if e != nil && g.Match(n.path()) && !fn(e) {
				return false
			}
			visits.spent += g.weight(n.path())
			sc.After = n.path()
			return true
		},
	}
	return !w.walk(start), nil
}

// Events calls fn with the changes of the files that g matches, of all files if
// g is nil, in order, until it returns false. more tells that fn or sp.Visits
// ended it before sp.To: sp.From is then the rev to go on with, of which fn has
// been given nothing unless it was fn that ended it within the rev. The error
// is TooLate if sp.From is not in the window: changes are kept after Oldest.
func (s *Store) Events(g *Glob, sp *Span, fn func(*Event) bool) (more bool, err *Error) {
	switch {
	case sp.From < 0 || sp.To < 0:
		return false, badRequest("a rev below 0")
	case sp.From == 0:
		sp.From = s.oldest + 1
	case sp.From <= s.oldest:
		return false, &Error{Code: TooLate, Rev: s.oldest}
	}
	to := sp.To
	if to == 0 || to > s.rev {
		to = s.rev
	}
	visits := meter{limit: sp.Visits}
	for _, c := range s.window.since(sp.From) {
		e := c.event
		if e.Rev > to {
			break
		}
		if visits.full() && e.Rev != sp.From {
			sp.From = e.Rev
			return true, nil
		}
		visits.spent += g.weight(e.Path())
		sp.From = e.Rev
		if c.forgotten() {
			continue
		}
		if (g == nil || g.Match(e.Path())) && !fn(e) {
			return true, nil
		}
	}
	sp.From = max(sp.From, to+1)
	return false, nil
}
