package sim

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/cespare/xxhash/v2"

	"github.com/doozer-store/doozer/consensus"
	"github.com/doozer-store/doozer/server"
	"github.com/doozer-store/doozer/store"
)

// truth is what the cluster has committed, as the first node that applied it
// showed it, and what clients were told.
type truth struct {
	w       *world
	entries []entry          // by index; those without commands are empty
	last    uint64           // highest index in entries
	changes [][]*store.Event // by rev
	files   map[string][]*store.Event
	terms   map[uint64]uint64 // who led
	// ops is the rev at which a client's write was applied, by its name.
	ops map[string]int64
	// never are writes whose clients were told that nothing was done.
	never map[string]string
	// past is which changes must be left of them.
	past *past
	// acked is the highest rev that somebody was told of: every read and write
	// that begins later must see it.
	acked int64
}

// entry is one of the log, and what it leads to.
type entry struct {
	sum uint64
	end
}

// end is what a store comes to: the hash of its tree, its rev, and how far back
// its window reaches.
type end struct {
	tree                uint64
	rev, oldest, window int64
}

func endOf(m *server.Machine) (e end) {
	m.View(func(st *store.Store) { e = end{st.Hash(), st.Rev(), st.Oldest(), st.HistoryBytes()} })
	return e
}

func newTruth(w *world) *truth {
	t := &truth{
		w: w, changes: make([][]*store.Event, 1), files: map[string][]*store.Event{},
		terms: map[uint64]uint64{}, ops: map[string]int64{}, never: map[string]string{},
	}
	t.past = newPast(t)
	return t
}

func (t *truth) rev() int64 { return int64(len(t.changes)) - 1 }

// leads notes who leads a term.
func (t *truth) leads(n *node, term uint64) {
	switch before, ok := t.terms[term]; {
	case !ok:
		t.terms[term] = n.id
		t.w.result.Leaders++
		t.w.mix(6, n.id, term)
		t.w.tracef("node %d leads term %d", n.id, term)
	case before != n.id:
		t.w.fail("nodes %d and %d both lead term %d", before, n.id, term)
	}
}

// ack notes that somebody knows of rev.
func (t *truth) ack(rev int64) { t.acked = max(t.acked, rev) }

// applied compares an entry that n has applied with what others applied.
func (t *truth) applied(n *node, index uint64, now int64, commands [][]byte, results []any, before int64) {
	var d xxhash.Digest
	d.Reset()
	var b [8]byte
	put := func(v uint64) {
		binary.LittleEndian.PutUint64(b[:], v)
		_, _ = d.Write(b[:])
	}
	put(uint64(now))
	for _, c := range commands {
		put(uint64(len(c)))
		_, _ = d.Write(c)
	}
	e := entry{d.Sum64() | 1, endOf(n.machine.Machine)}
	t.w.mix(7, n.id, index, e.sum, e.tree)
	for uint64(len(t.entries)) <= index {
		t.entries = append(t.entries, entry{})
	}
	switch have := t.entries[index]; {
	case have.sum == 0 && index <= t.last:
		t.w.fail("node %d applies commands at index %d, where others have none", n.id, index)
	case have.sum == 0:
		t.first(n, index, e, before)
		if t.w.violation == nil {
			t.learned(n, index, before, now, commands, results)
		}
	case have.sum != e.sum:
		t.w.fail("node %d applies another entry at index %d", n.id, index)
	case have.end != e.end:
		t.w.fail("node %d has %v after index %d, others have %v", n.id, e.end, index, have.end)
	}
}

// first learns from the first node that applies an entry.
func (t *truth) first(n *node, index uint64, e entry, before int64) {
	t.entries[index], t.last = e, index
	t.w.result.Entries++
	term, err := n.log.Term(index)
	if err != nil {
		t.w.fail("node %d applies entry %d, which its log lacks: %v", n.id, index, err)
		return
	}
	have := 0
	for _, p := range t.w.nodes {
		if index <= p.disk.image.meta.Index || p.disk.promised.has(index, term) {
			have++
		}
	}
	if have*2 <= len(t.w.nodes) {
		t.w.fail("node %d applies entry %d of term %d, which %d of %d nodes have synced", n.id, index, term, have, len(t.w.nodes))
		return
	}
	if before != t.rev() {
		t.w.fail("node %d was at rev %d before index %d, others at %d", n.id, before, index, t.rev())
		return
	}
}

// learned makes of an entry the changes that it must lead to, and compares them
// with those of the first node that applied it.
func (t *truth) learned(n *node, index uint64, before, now int64, commands [][]byte, results []any) {
	p, e := t.past, t.entries[index].end
	p.replay(now, commands, results)
	if t.rev() != e.rev || p.oldest != e.oldest || p.bytes != e.window {
		t.w.fail("index %d leads node %d to %v, and its changes to rev %d, oldest %d and %d bytes", index, n.id, e, t.rev(), p.oldest, p.bytes)
		return
	}
	n.machine.View(func(st *store.Store) {
		if why := p.compare(st, before); why != "" {
			t.w.fail("node %d, after index %d and rev %d: %s", n.id, index, before, why)
		}
	})
}

// String tells what a store has come to.
func (e end) String() string {
	return fmt.Sprintf("tree %x at rev %d, %d bytes of changes after rev %d", e.tree, e.rev, e.window, e.oldest)
}

// learn takes a change of a rev that is the last known, or the one after it.
func (t *truth) learn(e *store.Event) {
	if e.Rev == t.rev()+1 {
		t.changes = append(t.changes, nil)
	}
	t.changes[e.Rev] = append(t.changes[e.Rev], e)
	t.files[e.Path()] = append(t.files[e.Path()], e)
	if e.Message() == "" {
		return
	}
	if rev, ok := t.ops[e.Message()]; ok && rev != e.Rev {
		t.w.fail("write %s is applied at rev %d and again at rev %d", e.Message(), rev, e.Rev)
	}
	if why, ok := t.never[e.Message()]; ok {
		t.w.fail("write %s is applied at rev %d, but its client was told: %s", e.Message(), e.Rev, why)
	}
	t.ops[e.Message()] = e.Rev
}

// neverApplied notes that a write is not, and will not be, applied.
func (t *truth) neverApplied(name, why string) {
	t.never[name] = why
	if rev, ok := t.ops[name]; ok {
		t.w.fail("write %s was applied at rev %d, but its client is told: %s", name, rev, why)
	}
}

// at returns the last entry with commands up to index.
func (t *truth) at(index uint64) entry {
	for i := min(index, t.last); i > 0; i-- {
		if t.entries[i].sum != 0 {
			return t.entries[i]
		}
	}
	return entry{}
}

// version returns the file at path as of rev, nil if there is none.
func (t *truth) version(path string, rev int64) *store.Event {
	vs := t.files[path]
	for i := len(vs) - 1; i >= 0; i-- {
		if vs[i].Rev <= rev {
			if vs[i].Del() {
				return nil
			}
			return vs[i]
		}
	}
	return nil
}

// holds tells whether fn is true of a file at some rev from lo to hi.
func (t *truth) holds(path string, lo, hi int64, fn func(*store.Event) bool) bool {
	if fn(t.version(path, lo)) {
		return true
	}
	for _, e := range t.files[path] {
		if e.Rev > lo && e.Rev <= hi {
			if e.Del() {
				e = nil
			}
			if fn(e) {
				return true
			}
		}
	}
	return false
}

// recorder is a node's state machine; it shows the truth what is applied.
type recorder struct {
	*server.Machine
	n       *node
	entries int
}

func newRecorder(n *node, m *server.Machine) *recorder {
	r := &recorder{Machine: m, n: n}
	r.compare(n.disk.image.meta.Index, "its checkpoint")
	return r
}

// compare checks a whole state that n has taken.
func (r *recorder) compare(index uint64, what string) {
	if have, want := endOf(r.Machine), r.n.w.truth.at(index).end; have != want {
		r.n.w.fail("node %d has %v after index %d from %s, others had %v", r.n.id, have, index, what, want)
	}
}

// Apply implements consensus.StateMachine.
func (r *recorder) Apply(index uint64, now int64, commands [][]byte, results []any) {
	before := r.Rev()
	at := now
	if r.entries++; r.n.w.cfg.Wrong.OtherTime && r.n.id == 2 && r.entries%20 == 0 {
		at++
	}
	r.Machine.Apply(index, at, commands, results)
	r.n.w.truth.applied(r.n, index, now, commands, results, before)
}

// StageSnapshot implements consensus.StateMachine.
func (r *recorder) StageSnapshot(m consensus.Meta, stream io.Reader) (install func() error, discard func(), err error) {
	put, discard, err := r.Machine.StageSnapshot(m, stream)
	if err != nil {
		return nil, nil, err
	}
	return func() error {
		before := r.Rev()
		if err := put(); err != nil {
			return err
		}
		r.n.w.result.Snapshots++
		r.n.w.tracef("node %d installed a snapshot at %d", r.n.id, m.Index)
		r.compare(m.Index, "a snapshot")
		if r.Rev() < before {
			r.n.w.fail("node %d went from rev %d back to %d", r.n.id, before, r.Rev())
		}
		return nil
	}, discard, nil
}
