package fakestore

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/doozer-store/doozer/client"
)

// Store is the state that its Clients share.
type Store struct {
	mu     sync.Mutex
	rev    int64
	files  map[string]client.File
	log    []client.Event
	oldest int64 // changes are there from oldest+1 on
	counts Counts
	stamp  func() time.Time
	// waiting are those who wait for a change: a channel that is closed by the
	// next one that matches one of the globs.
	waiting map[chan struct{}][]string
}

// Counts is how often something was asked of a store.
type Counts struct {
	Gets, Walks, Txns, Awaits int
	// Wakes are the changes that were delivered to Wait and Watch, and the answers
	// of Awaits that came of changes.
	Wakes int
}

// New makes an empty store.
func New() *Store {
	return &Store{stamp: time.Now, files: make(map[string]client.File), waiting: make(map[chan struct{}][]string)}
}

// Rev is the present rev.
func (s *Store) Rev() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rev
}

// Log is every change so far.
func (s *Store) Log() []client.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.log)
}

// Count returns the counts so far.
func (s *Store) Count() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts
}

// Forget ends the window: what was before the present rev can't be waited for.
func (s *Store) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.oldest = s.rev
}

// Stamp makes fn the clock by which changes are stamped from here on: that of
// the leader, which may be any.
func (s *Store) Stamp(fn func() time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stamp = fn
}

// Files are the files that match glob, in order of their paths.
func (s *Store) Files(glob string) []client.File {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []client.File
	for path, f := range s.files {
		if match(glob, path) {
			list = append(list, f)
		}
	}
	slices.SortFunc(list, func(a, b client.File) int { return cmp.Compare(a.Path, b.Path) })
	return list
}

// Set writes a file without conditions.
func (s *Store) Set(path, value string) int64 {
	rev, err := s.apply(client.Txn{Do: []client.Op{client.SetOp(path, []byte(value))}})
	if err != nil {
		panic(err)
	}
	return rev
}

// Del deletes a file if it is there.
func (s *Store) Del(path string) {
	s.apply(client.Txn{Do: []client.Op{client.DelOp(path)}})
}

// apply does a transaction.
func (s *Store) apply(t client.Txn) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.holds(t.If); err != nil {
		return 0, err
	}
	there := make(map[string]bool)
	for _, op := range t.Do {
		exists, known := there[op.Path]
		if !known {
			_, exists = s.files[op.Path]
		}
		if op.Del && !exists {
			return 0, client.ErrNotExist
		}
		there[op.Path] = !op.Del
	}
	if len(t.Do) == 0 {
		return s.rev, nil
	}
	s.rev++
	for i, op := range t.Do {
		f := client.File{Path: op.Path, Rev: s.rev, Time: s.stamp(), Message: t.Message}
		if op.Del {
			delete(s.files, op.Path)
		} else {
			f.Value, f.Len = op.Value, int64(len(op.Value))
			s.files[op.Path] = f
		}
		s.log = append(s.log, client.Event{File: f, Del: op.Del, More: i+1 < len(t.Do)})
		for wait, globs := range s.waiting {
			if slices.ContainsFunc(globs, func(g string) bool { return match(g, op.Path) }) {
				close(wait)
				delete(s.waiting, wait)
			}
		}
	}
	return s.rev, nil
}

// holds tells why the conditions do not hold. s.mu is held.
func (s *Store) holds(conds []client.Cond) error {
	for i, c := range conds {
		if c.Kind == client.CondMissing && s.isDir(c.Path) {
			return client.ErrIsDir
		}
		f, exists := s.files[c.Path]
		ok := c.Kind == client.CondAny || c.Kind == client.CondMissing && !exists ||
			c.Kind == client.CondUnchanged && exists && f.Rev <= c.Rev
		if !ok {
			return &client.RevMismatchError{Path: c.Path, Rev: f.Rev, Index: i}
		}
	}
	return nil
}

// look returns what an Await comes to at present and, if that does not answer
// it, a channel that is closed when it may be otherwise, to be given back to
// forget.
func (s *Store) look(a *client.Await) (out client.Awaited, wait chan struct{}, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.holds(a.If); err != nil {
		return out, nil, err
	}
	out.Rev = s.rev
	for path, f := range s.files {
		if f.Rev >= a.Before || !match(a.Glob, path) {
			continue
		}
		out.Older++
		if out.Newest == nil || f.Rev > out.Newest.Rev {
			out.Newest = &client.Info{Path: path, Rev: f.Rev, Len: f.Len, Time: f.Time, Message: f.Message}
		}
	}
	if out.Newest == nil || a.Known != "" && out.Newest.Path != a.Known {
		return out, nil, nil
	}
	wait = make(chan struct{})
	s.waiting[wait] = []string{out.Newest.Path}
	for _, c := range a.If {
		s.waiting[wait] = append(s.waiting[wait], c.Path)
	}
	return out, wait, nil
}

// at is a file as it was at rev. s.mu is held.
func (s *Store) at(path string, rev int64) (client.File, bool) {
	for _, ev := range slices.Backward(s.log) {
		if ev.Path == path && ev.Rev <= rev {
			return ev.File, !ev.Del
		}
	}
	return client.File{}, false
}

// isDir tells whether a file lies below path. s.mu is held.
func (s *Store) isDir(path string) bool {
	for p := range s.files {
		if strings.HasPrefix(p, path+"/") {
			return true
		}
	}
	return false
}

// next returns the first change with rev >= from that matches glob, behind the
// first skip changes of the log, and where it stands; or a channel that is
// closed by the next such change, to be given back to forget.
func (s *Store) next(glob string, from int64, skip int) (ev client.Event, at int, wait chan struct{}, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if skip == 0 && from != 0 && from <= s.oldest {
		return ev, 0, nil, &client.TooLateError{Oldest: s.oldest}
	}
	if skip == 0 {
		skip, _ = slices.BinarySearchFunc(s.log, from, func(e client.Event, from int64) int { return cmp.Compare(e.Rev, from) })
	}
	for i := skip; i < len(s.log); i++ {
		if match(glob, s.log[i].Path) {
			s.counts.Wakes++
			return s.log[i], i + 1, nil, nil
		}
	}
	wait = make(chan struct{})
	s.waiting[wait] = []string{glob}
	return ev, len(s.log), wait, nil
}

// forget lets go of a channel of next.
func (s *Store) forget(wait chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.waiting, wait)
}

// match knows globs that are a path, or end in /* or /**.
func match(glob, path string) bool {
	if prefix, ok := strings.CutSuffix(glob, "**"); ok {
		return strings.HasPrefix(path, prefix)
	}
	if prefix, ok := strings.CutSuffix(glob, "*"); ok {
		return strings.HasPrefix(path, prefix) && !strings.Contains(path[len(prefix):], "/")
	}
	return glob == path
}
