package store

// Most of what a write costs is waiting for memory: in a tree that is larger than
// the processor's cache a path, its file, the present version and the oldest one
// are each somewhere else. Apply would wait for one after the other. Loads that do
// not depend on each other overlap, so before it does many writes Apply's caller
// lets all of them load what they need, step by step. Nothing depends on it.

// warmAtOnce is how many writes load together: more than a processor overlaps,
// and so few that all of it is still in the cache when it is used.
const warmAtOnce = 32

// warm is the memory of Warm.
type warm struct {
	nodes [warmAtOnce]warmed
	sum   int64 // of what was loaded: of no meaning, but that it has to be loaded
}

// warmed is what Warm knows of the node that a write is about.
type warmed struct {
	row  *row // where it most likely is
	tag  uint32
	node *node
	head *Event
	past *past
}

// Warm prepares the Apply of commands that come next, for speed alone, and
// returns how many of them it has taken a look at.
func (s *Store) Warm(commands [][]byte) int {
	commands = commands[:min(len(commands), warmAtOnce)]
	ws := s.warm.nodes[:0]
	for _, b := range commands {
		if path := firstPath(b); path != "" {
			if row, tag := s.nodes.row(key(path)); row != nil {
				ws = append(ws, warmed{row: row, tag: tag})
			}
		}
	}
	// Every loop loads what the one before has found the address of.
	var sum int64
	for i := range ws {
		sum += int64(ws[i].row.tags[0])
	}
	for i := range ws {
		ws[i].node = ws[i].row.like(ws[i].tag)
	}
	for i := range ws {
		if w := &ws[i]; w.node != nil {
			w.head, w.past = w.node.head, w.node.past
		}
	}
	for i := range ws {
		if ws[i].head != nil {
			sum += ws[i].head.Rev
		}
	}
	for i := range ws {
		if w := &ws[i]; w.past != nil {
			sum += int64(len(w.past.list))
		}
	}
	s.warm.sum += sum
	clear(ws)
	return len(commands)
}

// firstPath returns the path of the first operation of an encoded command,
// nothing if it has none; it aliases b.
func firstPath(b []byte) string {
	d := decoder{b: b}
	d.byte()
	d.byte()
	if d.uvarint() != 0 {
		d.uvarint()
		d.uvarint()
	}
	d.bytes()
	d.bytes()
	for range d.count(MaxConds) {
		d.byte()
		d.bytes()
		d.uvarint()
	}
	if d.count(MaxOps) == 0 {
		return ""
	}
	d.byte()
	if path := d.string(); !d.bad {
		return path
	}
	return ""
}

// warmOldest does for slide what Warm does for Apply.
func (s *Store) warmOldest() {
	w := &s.window
	list := w.changes[w.first:min(w.first+maxSlack, len(w.changes))]
	var sum int64
	for _, c := range list {
		sum += c.event.Rev
		if c.node != nil {
			if c.node.past != nil {
				sum += int64(len(c.node.past.list))
			}
		}
	}
	for _, c := range list {
		if c.node != nil && c.node.past != nil {
			sum += c.node.past.list[0].Rev
		}
	}
	s.warm.sum += sum
}
