package store

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"testing"
)

// rig applies commands to a store, one log entry each, a second apart.
type rig struct {
	t     testing.TB
	s     *Store
	index uint64
	now   int64
}

func newRig(t testing.TB) *rig { return &rig{t: t, s: New()} }

func (r *rig) apply(c Command) (Result, []*Event) {
	r.t.Helper()
	r.index++
	r.now += 1e9
	res, events := r.s.Apply(r.index, r.now, c.Append(nil))
	if res.Err != nil && res.Rev != 0 || res.Err == nil && res.Rev == 0 && r.s.Rev() != 0 {
		r.t.Fatalf("a result with a rev and an error, or neither: %+v", res)
	}
	return res, events
}

// write applies a write of ops; a path with a leading "-" is a deletion.
func (r *rig) write(ops ...string) (Result, []*Event) {
	r.t.Helper()
	return r.apply(Command{Kind: Write, Ops: parseOps(ops...), Author: "me"})
}

// must is write for writes that have to succeed.
func (r *rig) must(ops ...string) int64 {
	r.t.Helper()
	res, _ := r.write(ops...)
	if res.Err != nil {
		r.t.Fatalf("%v: %v", ops, res.Err)
	}
	return res.Rev
}

func (r *rig) configure(c Config) {
	r.t.Helper()
	if res, _ := r.apply(Command{Kind: Configure, Config: &c}); res.Err != nil {
		r.t.Fatal(res.Err)
	}
}

// parseOps makes operations of "path=value" and "-path".
func parseOps(specs ...string) []Op {
	var ops []Op
	for _, spec := range specs {
		if spec[0] == '-' {
			ops = append(ops, Op{Path: spec[1:], Del: true})
			continue
		}
		path, value, _ := bytes.Cut([]byte(spec), []byte("="))
		ops = append(ops, Op{Path: string(path), Value: value})
	}
	return ops
}

// records is a set of records, as a checkpoint holds it.
type records map[string]string

func (d records) put(key, value []byte) error {
	d[string(key)] = string(value)
	return nil
}

func (d records) del(key []byte) error {
	delete(d, string(key))
	return nil
}

func (d records) keys() []string { return slices.Sorted(maps.Keys(d)) }

// load makes a store of d.
func (d records) load(index uint64) (*Store, error) {
	l := NewLoader()
	for _, k := range d.keys() {
		key, value := []byte(k), []byte(d[k])
		if err := l.Add(key, value); err != nil {
			return nil, err
		}
		clear(key) // Add copies what it keeps
		clear(value)
	}
	return l.Finish(index)
}

// snapshot returns all records of s, and fails if they are out of order.
func snapshot(t testing.TB, s *Store) records {
	t.Helper()
	d := records{}
	last := ""
	err := s.Snapshot(func(key, value []byte) error {
		if string(key) <= last {
			return fmt.Errorf("%q comes behind %q", key, last)
		}
		last = string(key)
		return d.put(key, value)
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// save writes a Capture of s to d, and fails if it is out of order.
func save(t testing.TB, s *Store, d records) {
	t.Helper()
	last := ""
	in := func(key []byte) error {
		if string(key) <= last {
			return fmt.Errorf("%q comes behind %q", key, last)
		}
		last = string(key)
		return nil
	}
	err := s.Capture().Records(func(key, value []byte) error {
		d.put(key, value)
		return in(key)
	}, func(key []byte) error {
		d.del(key)
		return in(key)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// sameRecords fails unless a and b are equal.
func sameRecords(t testing.TB, what string, got, want records) {
	t.Helper()
	if maps.Equal(got, want) {
		return
	}
	for _, k := range want.keys() {
		if v, ok := got[k]; !ok || v != want[k] {
			t.Errorf("%s: %q: got %q (%v), want %q", what, k, v, ok, want[k])
		}
	}
	for _, k := range got.keys() {
		if _, ok := want[k]; !ok {
			t.Errorf("%s: %q is too many", what, k)
		}
	}
	t.FailNow()
}

// checkInvariants fails if what the comments on Store, node and directory
// promise does not hold.
func checkInvariants(t testing.TB, s *Store) {
	t.Helper()
	var files, versions int64
	nodes := 0
	var sum uint64
	for n := range s.nodes.all() {
		path := n.path()
		if s.nodes.get(path) != n {
			t.Fatalf("node %q is not found", path)
		}
		nodes++
		if (n.parent == nil) != (path == "") || n != s.root && n.head == nil && n.dir == nil {
			t.Fatalf("node %q is an orphan, or empty", path)
		}
		for i, e := range append(slices.Clone(n.old()), n.head) {
			if e == nil {
				continue
			}
			versions++
			sum += e.hash
			if e.hash != e.sum() || e.Path() != path {
				t.Fatalf("version %+v of %q: wrong hash or path", e, path)
			}
			if e.Rev <= s.oldest && (i > 0 || e.Del()) {
				t.Fatalf("version %d of %q is not in the window and no base", e.Rev, path)
			}
		}
		if n.file() != nil {
			files++
		}
		if n.dir != nil {
			checkDirectory(t, s, n)
		}
	}
	if nodes != s.nodes.n {
		t.Fatalf("%d nodes, counted %d", s.nodes.n, nodes)
	}
	if files != s.files || versions != s.versions || sum != s.sum {
		t.Fatalf("files %d versions %d, counted %d %d", s.files, s.versions, files, versions)
	}
	for n := s.pool.free; n != nil; n = n.parent {
		if n.head != nil || n.past != nil || n.dir != nil {
			t.Fatalf("a node was given back, and is used as %q", n.path())
		}
	}
	for _, c := range s.window.changes[s.window.first:] {
		if !c.forgotten() && c.node.version(c.event.Rev) != c.event {
			t.Fatalf("the window has another node of %q", c.event.Path())
		}
	}
	results := 0
	for _, c := range s.clients.byID {
		results += len(c.results)
	}
	if results != s.clients.results || len(s.clients.byID) > s.config.MaxClients {
		t.Fatalf("%d results of %d clients, counted %d", s.clients.results, len(s.clients.byID), results)
	}
	if s.rev > 0 && s.oldest >= s.rev || s.window.revs > max(s.config.History, 1) {
		t.Fatalf("oldest %d at rev %d", s.oldest, s.rev)
	}
}

func checkDirectory(t testing.TB, s *Store, n *node) {
	t.Helper()
	var hash uint64
	var entries int64
	kids, last := 0, ""
	var present []*node
	for cur := n.dir.kids.seek(""); ; {
		kid := cur.next()
		if kid == nil {
			break
		}
		kids++
		if kid.path() <= last || kid.parent != n || s.nodes.get(kid.path()) != kid {
			t.Fatalf("child %q of %q is out of order or place", kid.path(), n.path())
		}
		last = kid.path()
		if f := kid.file(); f != nil {
			hash += f.hash
			entries++
		}
		if kid.dir != nil {
			hash += kid.dir.hash
		}
		if kid.isDir() {
			entries++
		}
		if kid.isDir() || kid.file() != nil {
			present = append(present, kid)
		}
		if kid.isDir() && kid.file() != nil {
			t.Fatalf("%q is a file and a directory", kid.path())
		}
	}
	if kids == 0 && n != s.root || hash != n.dir.hash || entries != n.dir.entries {
		t.Fatalf("directory %q: %d of %d entries, or another hash", n.path(), n.dir.entries, entries)
	}
	if d := n.dir; d.kids.n != kids {
		t.Fatalf("directory %q: %d children, counted %d", n.path(), kids, d.kids.n)
	} else if d.present != nil {
		var kept []*node
		for cur := d.present.seek(""); ; {
			kid := cur.next()
			if kid == nil {
				break
			}
			kept = append(kept, kid)
		}
		if !slices.Equal(kept, present) || d.present.n != len(present) {
			t.Fatalf("directory %q: %d present, kept %d", n.path(), len(present), len(kept))
		}
	}
	for i, c := range n.dir.past {
		if c.rev <= s.oldest || i > 0 && c.rev <= n.dir.past[i-1].rev {
			t.Fatalf("directory %q: counts %v, oldest %d", n.path(), n.dir.past, s.oldest)
		}
	}
}
