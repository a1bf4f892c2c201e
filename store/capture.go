package store

import (
	"cmp"
	"slices"
	"strings"
)

// unsaved is what changed in the tree since the last Capture. Apply only appends
// to it, and Capture only takes it away: what cancels out is found by Records,
// which sorts and needs no lock, or if there is no Capture for long, by compact.
type unsaved struct {
	since int64    // rev of the last Capture: newer versions are in puts
	puts  []*Event // made, and perhaps dropped again
	drops []drop   // dropped, also of those in puts
	both  int      // events in puts and drops, which the next Capture need not mention
	waste int64    // what those hold on to, in bytes
}

// drop names a version that is no longer in the tree.
type drop struct {
	path string
	rev  int64
}

func (u *unsaved) drop(e *Event) {
	u.drops = append(u.drops, drop{e.Path, e.Rev})
	if e.Rev > u.since {
		u.both++
		u.waste += e.cost()
	}
}

// worthIt reports whether sorting out the events in both lists frees enough for
// what it costs: a search for each entry.
func (u *unsaved) worthIt() bool {
	n := len(u.puts) + len(u.drops)
	return u.both > max(minCompact, n/4) || u.waste > max(maxWaste, wastePerChange*int64(n))
}

// compact sorts out, when it is worth it, the versions that were made and
// dropped since the last Capture, so that a store that is never captured stays
// within a constant factor of its live versions, and the two limits. A write
// pays for it in proportion to what it has dropped, one that drops nothing not
// at all.
func (s *Store) compact() {
	u := &s.unsaved
	if u.worthIt() {
		u.sortOut(s.nodes)
	}
}

// sortOut takes the events in both lists out of them.
func (u *unsaved) sortOut(nodes map[string]*node) {
	u.puts = slices.DeleteFunc(u.puts, func(e *Event) bool {
		n := nodes[e.Path]
		return n == nil || n.version(e.Rev) != e
	})
	u.drops = slices.DeleteFunc(u.drops, func(d drop) bool { return d.rev > u.since })
	u.both, u.waste = 0, 0
}

// Capture is what changed between two points of the log, as records. It belongs
// to whoever took it: the store goes on with lists of its own, and the events in
// it never change.
type Capture struct {
	since   int64 // rev of the Capture before
	puts    []*Event
	drops   []drop
	meta    []byte
	clients []clientRecord
}

// clientRecord is a client at the time of a Capture; value is nil if it had
// been forgotten.
type clientRecord struct {
	id    uint64
	value []byte
}

// Capture returns what changed since the last one, or since the Loader's
// Finish. It takes over lists; of what it copies, there are only the clients
// that changed. At most one Capture may be neither written nor given back to
// Uncapture.
func (s *Store) Capture() *Capture {
	u := &s.unsaved
	m := s.meta()
	c := &Capture{since: u.since, puts: u.puts, drops: u.drops, meta: m.record()}
	t := &s.clients
	c.clients = make([]clientRecord, 0, len(t.changed))
	for id := range t.changed {
		r := clientRecord{id: id}
		if cl := t.byID[id]; cl != nil {
			cl.saved = true
			r.value = cl.record()
		}
		c.clients = append(c.clients, r)
	}
	clear(t.changed)
	// The next Capture will be about as large; its lists need not grow to it.
	*u = unsaved{
		since: s.rev,
		puts:  make([]*Event, 0, min(len(c.puts), minCompact)),
		drops: make([]drop, 0, min(len(c.drops), minCompact)),
	}
	return c
}

// Uncapture puts what c holds into the next Capture: c was not written. That
// has to be certain, so a Capture is written in one transaction.
func (s *Store) Uncapture(c *Capture) {
	u := &s.unsaved
	u.since = c.since
	u.puts = append(c.puts, u.puts...)
	u.drops = append(c.drops, u.drops...)
	u.sortOut(s.nodes) // what is in both since then would have to be counted
	for _, r := range c.clients {
		s.clients.changed[r.id] = struct{}{}
	}
}

// Records calls put and del with the records that differ from those at the
// Capture before, in order of their keys, and returns their first error. It
// needs no lock, and is called once. A version that was made and dropped in
// between is not mentioned. put and del may keep what they are given; del may
// be given a client's key that was never put.
func (c *Capture) Records(put func(key, value []byte) error, del func(key []byte) error) error {
	slices.SortFunc(c.clients, func(a, b clientRecord) int { return cmp.Compare(a.id, b.id) })
	for _, r := range c.clients {
		key := appendClientKey(nil, r.id)
		if r.value == nil {
			if err := del(key); err != nil {
				return err
			}
		} else if err := put(key, r.value); err != nil {
			return err
		}
	}
	if err := put(metaName(), c.meta); err != nil {
		return err
	}
	puts := slices.Clone(c.puts)
	slices.SortFunc(puts, func(a, b *Event) int { return compareVersions(a.Path, a.Rev, b.Path, b.Rev) })
	drops := slices.Clone(c.drops)
	slices.SortFunc(drops, func(a, b drop) int { return compareVersions(a.path, a.rev, b.path, b.rev) })
	for len(puts) > 0 || len(drops) > 0 {
		order := -1
		if len(puts) == 0 {
			order = 1
		} else if len(drops) > 0 {
			order = compareVersions(puts[0].Path, puts[0].Rev, drops[0].path, drops[0].rev)
		}
		var err error
		if order < 0 {
			err = put(puts[0].record())
		} else if order > 0 {
			err = del(appendVersionKey(nil, drops[0].path, drops[0].rev))
		}
		if err != nil {
			return err
		}
		if order <= 0 {
			puts = puts[1:]
		}
		if order >= 0 {
			drops = drops[1:]
		}
	}
	return nil
}

func compareVersions(path string, rev int64, path2 string, rev2 int64) int {
	if c := strings.Compare(path, path2); c != 0 {
		return c
	}
	return cmp.Compare(rev, rev2)
}
