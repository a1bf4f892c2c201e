package store

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// ErrDamaged is in every error of a Loader: the records are not those of a
// store's state, or not all of them.
var ErrDamaged = errors.New("damaged records")

// Loader makes a Store of its records. It checks them as Apply would check the
// commands that led there: whatever the records are, the result is either a
// sound Store or an error. After an error it is of no more use.
//
// What Decode uses and what Link uses is not the same, so that one may run
// beside the other.
type Loader struct {
	// Of Decode.
	meta    meta
	hasMeta bool
	origins origins
	last    []byte      // the key before
	clients []*client   // in order of id
	held    [][2][]byte // client records, until meta tells their format

	// Of Link, but for what Decode does before it returns the first event.
	s      *Store
	recent []*Event // versions newer than oldest, in order of path and rev
}

// NewLoader returns a Loader that has been given nothing.
func NewLoader() *Loader { return &Loader{s: New()} }

func damaged(key []byte, fault string) error {
	return fmt.Errorf("%w: record %q: %s", ErrDamaged, key, fault)
}

// Add gives the Loader a record. Records come in order of their keys. Add
// copies what it keeps. Its errors are ErrDamaged, with the record's key.
func (l *Loader) Add(key, value []byte) error {
	e, err := l.Decode(key, value)
	if e == nil || err != nil {
		return err
	}
	return l.Link(e)
}

// Decode does the first half of Add. If it returns an event, Link is to be called
// with it, in the same order.
func (l *Loader) Decode(key, value []byte) (*Event, error) {
	if l.last != nil && bytes.Compare(key, l.last) <= 0 {
		return nil, damaged(key, "it is out of order")
	}
	l.last = append(l.last[:0], key...)
	switch {
	case len(key) == 0 || key[0] != clientKey && key[0] != metaKey && key[0] != versionKey || key[0] == metaKey && len(key) > 1:
		return nil, damaged(key, "an unknown kind of record")
	case key[0] == clientKey:
		l.held = append(l.held, [2][]byte{bytes.Clone(key), bytes.Clone(value)})
		return nil, nil
	case key[0] == metaKey:
		return nil, l.addMeta(key, value)
	case !l.hasMeta:
		return nil, damaged(key, "it comes before "+string(rune(metaKey)))
	}
	v, fault := decodeVersion(key, value)
	switch {
	case fault != "":
	case v.Rev > l.meta.rev || v.Time > l.meta.time:
		fault = "it is newer than the state"
	case v.Rev <= l.meta.oldest && v.Del:
		fault = "a deletion that is not in the window"
	}
	if fault != "" {
		return nil, damaged(key, fault)
	}
	return v.event(l.origins.share(v.Author, v.Message)), nil
}

// Link does the second half of Add: it puts a base into the tree, and keeps a
// newer version for Finish.
func (l *Loader) Link(e *Event) error {
	s := l.s
	if e.Rev > s.oldest {
		l.recent = append(l.recent, e)
		return nil
	}
	fault := "a second version that is not in the window"
	if n := s.lookup(e.Path()); n == nil || n.head == nil {
		_, err := s.replay(n, e, s.oldest)
		if err == nil {
			return nil
		}
		fault = err.Error()
	}
	return damaged(appendVersionKey(nil, e.Path(), e.Rev), fault)
}

// The table of nodes is made for as many files as the meta record tells of, from
// minReserve on; as nothing has shown yet that it is right, up to maxReserve.
const (
	minReserve = 10_000
	maxReserve = 2_000_000
)

func (l *Loader) addMeta(key, value []byte) error {
	if fault := l.meta.decode(value); fault != "" {
		return damaged(key, fault)
	}
	l.hasMeta = true
	s, m := l.s, &l.meta
	s.rev, s.oldest, s.time = m.rev, m.oldest, m.time
	s.configure(m.config)
	s.clients.last, s.clients.touches = m.lastClient, m.touches
	if m.files >= minReserve {
		s.nodes.reserve(int(min(m.files, maxReserve)))
	}
	for _, r := range l.held {
		c, fault := decodeClient(r[0], r[1])
		if fault == "" && (c.id == 0 || c.id > m.lastClient || c.used > m.time || c.touch > m.touches) {
			fault = "it is newer than the state"
		}
		if fault != "" {
			return damaged(r[0], fault)
		}
		l.clients = append(l.clients, c)
	}
	l.held = nil
	return nil
}

// replay puts e into the tree as Apply would, or refuses it as Apply would. n is
// what there is at its path; it returns what there is then. What it changes in
// directories counts as of rev: bases come in order of their paths, and all that
// matters is that they were there when the window began.
func (s *Store) replay(n *node, e *Event, rev int64) (*node, *Error) {
	n, err := s.target(n, &Op{Path: e.Path(), Del: e.Del()})
	if err != nil {
		return nil, err
	}
	s.linkAt(n, e, rev)
	s.versions++
	s.sum += e.hash
	return n, nil
}

// Finish returns the store of the records, as it was when index had been
// applied. Its errors are ErrDamaged, with what does not fit.
func (l *Loader) Finish(index uint64) (*Store, error) {
	if !l.hasMeta {
		return nil, fmt.Errorf("%w: there is no record %q", ErrDamaged, metaKey)
	}
	if err := l.finishWindow(); err != nil {
		return nil, err
	}
	if err := l.finishClients(); err != nil {
		return nil, err
	}
	// All that can be counted or summed up is, so that no record can be missing,
	// too many or changed.
	s := l.s
	s.origins = l.origins
	if have := s.meta(); have != l.meta {
		return nil, fmt.Errorf("%w: a hash or a count is not that of the records: %+v, and %+v", ErrDamaged, have, l.meta)
	}
	if s.rev-s.oldest > 1 && s.window.full(&s.config) {
		return nil, fmt.Errorf("%w: the window has %d revs and %d bytes", ErrDamaged, s.window.revs, s.window.bytes)
	}
	for n := range s.nodes.all() {
		if n.dir != nil {
			n.dir.trim(s.oldest)
		}
	}
	s.index = index
	s.unsaved = unsaved{since: s.rev}
	s.clients.changed = nil
	return s, nil
}

// finishWindow replays the changes since oldest on top of the bases, in the
// order in which they were made. They must be all of them: their places in a rev
// are counted from 0, the last one is marked, and every rev has at least one,
// unless it was forgotten whole, which the last never is: which revs those are
// the counts and the sum of hashes in the meta record tell.
func (l *Loader) finishWindow() error {
	s := l.s
	slices.SortFunc(l.recent, func(a, b *Event) int {
		if c := cmp.Compare(a.Rev, b.Rev); c != 0 {
			return c
		}
		return cmp.Compare(a.Ordinal(), b.Ordinal())
	})
	rev, ordinal := s.oldest+1, 0
	for _, e := range l.recent {
		key := func() []byte { return appendVersionKey(nil, e.Path(), e.Rev) }
		if ordinal == 0 && len(s.volatile) > 0 {
			rev = max(rev, e.Rev)
		}
		if e.Rev != rev || e.Ordinal() != ordinal {
			return damaged(key(), "it does not follow the change before")
		}
		n, err := s.replay(s.lookup(e.Path()), e, e.Rev)
		if err != nil {
			return damaged(key(), err.Error())
		}
		s.window.push(n, e)
		if ordinal++; e.Last() {
			rev, ordinal = rev+1, 0
		}
	}
	if rev != s.rev+1 || ordinal != 0 {
		return fmt.Errorf("%w: the changes end at rev %d of %d", ErrDamaged, rev, s.rev)
	}
	l.recent = nil
	return nil
}

// finishClients puts the clients in order of their last use, which their touches
// tell: it decides which one is forgotten first, so it must be the same on a
// node that was restored as on one that was not.
func (l *Loader) finishClients() error {
	t := &l.s.clients
	slices.SortFunc(l.clients, func(a, b *client) int { return cmp.Compare(a.touch, b.touch) })
	for _, c := range l.clients {
		if before := t.lru.prev; before != &t.lru && (before.touch == c.touch || before.used > c.used) {
			return damaged(appendClientKey(nil, c.id), "its last use does not fit the others'")
		}
		t.byID[c.id] = c
		t.attach(c)
		t.results += len(c.results)
	}
	l.clients = nil
	return nil
}
