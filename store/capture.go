package store

import (
	"cmp"
	"slices"
)

// unsaved is what changed in the tree since the last Capture. Apply only appends
// to it, and Capture only takes it away: what cancels out is passed over by
// Records, which needs no lock, or if there is no Capture for long, by compact.
type unsaved struct {
	since int64    // rev of the last Capture: newer versions are in puts
	puts  []*Event // made, and perhaps dropped again
	drops []drop   // dropped, of those before puts
	paths paths    // of drops
	waste int64    // what the dropped ones of puts hold on to, in bytes
	both  int      // how many those are
}

// drop names a version that is no longer in the tree.
type drop struct {
	path string
	rev  int64
}

// paths is memory for strings that go together.
type paths struct{ free []byte }

// pathsBytes is how much of it is taken at once.
const pathsBytes = 16 << 10

// keep returns a copy of path.
func (p *paths) keep(path string) string {
	n := len(path)
	if len(p.free) < n {
		p.free = make([]byte, max(n, pathsBytes))
	}
	b := p.free[:n:n]
	p.free = p.free[n:]
	copy(b, path)
	return aliasString(b)
}

func (u *unsaved) drop(e *Event) {
	if e.Rev <= u.since {
		u.drops = append(u.drops, drop{u.paths.keep(e.Path()), e.Rev})
		return
	}
	e.dropped = true
	u.both++
	u.waste += e.cost()
}

// worthIt reports whether taking out what cancels out frees enough for what it
// costs: a look at each of puts.
func (u *unsaved) worthIt() bool {
	n := len(u.puts)
	return u.both > max(minCompact, n/2) || u.waste > max(maxWaste, wastePerChange*int64(n))
}

// compact takes out, when it is worth it, the versions that were made and
// dropped since the last Capture, so that a store that is never captured stays
// within a constant factor of its live versions, and the two limits. A write
// pays for it in proportion to what it has dropped, one that drops nothing not
// at all.
func (s *Store) compact() {
	u := &s.unsaved
	if u.worthIt() {
		u.puts = slices.DeleteFunc(u.puts, func(e *Event) bool { return e.dropped })
		u.both, u.waste = 0, 0
	}
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
	warmth  int // of no meaning, see warm
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
	c := &Capture{since: u.since, puts: u.puts, drops: u.drops, meta: m.record(), clients: s.clients.capture()}
	// The next Capture will be about as large; its lists need not grow to it.
	*u = unsaved{
		since: s.rev,
		puts:  make([]*Event, 0, min(len(c.puts), minCompact)),
		drops: make([]drop, 0, min(len(c.drops), minCompact)),
	}
	return c
}

// capture returns the clients that changed, and begins a new list of them.
func (t *clients) capture() []clientRecord {
	records := make([]clientRecord, 0, len(t.changed))
	for _, cl := range t.changed {
		cl.changed = false
		switch {
		case t.has(cl):
			cl.saved = true
			records = append(records, clientRecord{cl.id, cl.record()})
		case cl.saved:
			records = append(records, clientRecord{id: cl.id})
		}
	}
	t.changed = nil
	return records
}

// Uncapture puts what c holds into the next Capture: c was not written. That
// has to be certain, so a Capture is written in one transaction.
func (s *Store) Uncapture(c *Capture) {
	u := &s.unsaved
	u.since = c.since
	u.puts = append(c.puts, u.puts...)
	u.drops = append(c.drops, u.drops...)
	u.sortOut(s.nodes)
	for _, r := range c.clients {
		cl := s.clients.byID[r.id]
		if cl == nil {
			cl = &client{id: r.id, saved: true} // forgotten
		}
		s.clients.change(cl)
	}
}

// sortOut finds the versions that were made since the last Capture and are no
// longer in the tree, after that Capture has become an earlier one: those
// dropped in between are in drops.
func (u *unsaved) sortOut(nodes *table) {
	u.puts = slices.DeleteFunc(u.puts, func(e *Event) bool {
		n := nodes.get(e.Path())
		return n == nil || n.version(e.Rev) != e
	})
	u.drops = slices.DeleteFunc(u.drops, func(d drop) bool { return d.rev > u.since })
	u.both, u.waste = 0, 0
}

// Records calls put and del with the records that differ from those at the
// Capture before, in order of their keys, and returns their first error. It
// needs no lock, and is called once. A version that was made and dropped in
// between is not mentioned. put and del must not keep what they are given; del
// may be given a client's key that was never put.
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
	var buf []byte // of the present record
	vs := c.versions()
	for i, v := range vs {
		if i%warmAtOnce == 0 {
			c.warm(vs[i:min(i+warmAtOnce, len(vs))])
		}
		var err error
		if v.event != nil {
			var key, value []byte
			key, value = v.event.appendRecord(buf[:0])
			err = put(key, value)
			buf = key
		} else {
			buf = appendVersionKey(buf[:0], v.drop.path, v.drop.rev)
			err = del(buf)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
