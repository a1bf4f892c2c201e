package server

import (
	"fmt"
	"slices"
	"testing"

	doozerpb "github.com/doozer-store/doozer/proto"
	"github.com/doozer-store/doozer/store"
)

// bigTree is a machine with n files, a hundred to a directory, of which three
// are called x.
func bigTree(t testing.TB, n *node, files int) {
	t.Helper()
	var cmds [][]byte
	for i := range files {
		name := fmt.Sprintf("f%07d", i)
		if i%(files/3) == 1 {
			name = "x"
		}
		cmds = append(cmds, setCmd(fmt.Sprintf("/big/%05d/%s", i/100, name), "v"))
	}
	n.machine.Apply(1, 1, cmds, make([]any, len(cmds)))
}

// A list of next to nothing in a big tree lets Apply in again and again: what
// is applied in between is not in it, and each hold of the lock is bounded.
func TestListLetsApplyIn(t *testing.T) {
	const files, visits = 30_000, 500
	n := start(t, Limits{Visits: visits})
	bigTree(t, n, files)
	index := uint64(1)
	for _, req := range []*doozerpb.ListRequest{{Glob: "/**/x"}, {Glob: "/big/*/?"}, {Glob: "/**/none"}} {
		l, e := n.newLister(req)
		if e != nil {
			t.Fatal(e)
		}
		rev := n.machine.Rev()
		holds := 0
		m, ended, e := n.page(l, func() *doozerpb.Error {
			if holds++; holds > 1 {
				index++
				cmd := setCmd(fmt.Sprintf("/big/%05d/y/x", holds), "new")
				n.machine.Apply(index, 1, [][]byte{cmd}, make([]any, 1))
			}
			return nil
		})
		want := 3
		if req.Glob == "/**/none" {
			want = 0
		}
		if e != nil || !ended || m.More || m.Rev != rev || len(m.Files) < want || want == 0 && len(m.Files) > 0 {
			t.Fatalf("%v: %d files at %d, %v", req, len(m.Files), m.GetRev(), e)
		}
		for _, f := range m.Files {
			if f.Rev > rev {
				t.Fatalf("%v: %s is of rev %d, after %d", req, f.Path, f.Rev, rev)
			}
		}
		if holds < files/visits {
			t.Fatalf("%v: %d holds for %d files", req, holds, files)
		}
	}
}

// A list, a snapshot and a log whose rev leaves the window between two holds
// say so, and show nothing else.
func TestRevLeavesTheWindow(t *testing.T) {
	n := start(t, Limits{Visits: 10})
	bigTree(t, n, 300)
	n.c.set(func(f *fakeConsensus) { f.index = 1 })
	n.configure(t, store.Config{History: 2})
	l, _ := n.newLister(&doozerpb.ListRequest{Glob: "/**/none"})
	holds := 0
	_, _, e := n.page(l, func() *doozerpb.Error {
		if holds++; holds > 1 {
			n.set(t, "/z", "v")
		}
		return nil
	})
	if e.GetCode() != doozerpb.Code_TOO_LATE || e.Rev != n.machine.Oldest() || holds != 4 {
		t.Errorf("list: %v in hold %d", e, holds)
	}
	scan := store.Scan{Rev: n.machine.Oldest() - 1, Visits: 1}
	w := &watcher{s: n.Server, glob: l.glob}
	if _, _, err := w.chunk(&scan); err == nil || err.Code != store.TooLate {
		t.Errorf("snapshot: %v", err)
	}
	w.cursor = n.machine.Oldest() - 1
	if err := w.window(n.machine.Rev()); err != errTooLate {
		t.Errorf("window: %v", err)
	}
	c := &changes{glob: l.glob, span: store.Span{From: n.machine.Oldest()}}
	if _, _, e := n.changes(c); e.GetCode() != doozerpb.Code_TOO_LATE || e.Rev != n.machine.Oldest() {
		t.Errorf("log: %v", e)
	}
}

// Alive ends a page between two holds.
func TestListEnds(t *testing.T) {
	n := start(t, Limits{Visits: 10})
	bigTree(t, n, 300)
	l, _ := n.newLister(&doozerpb.ListRequest{Glob: "/**/none"})
	holds := 0
	_, _, e := n.page(l, func() *doozerpb.Error {
		if holds++; holds > 2 {
			return fail(doozerpb.Code_DEADLINE, "enough")
		}
		return nil
	})
	if e.GetCode() != doozerpb.Code_DEADLINE || holds != 3 {
		t.Errorf("%v in hold %d", e, holds)
	}
}

// A snapshot of a store that had no change yet has no files, whatever is
// written before it is read.
func TestSnapshotOfNothing(t *testing.T) {
	n := start(t, Limits{})
	n.set(t, "/a", "1")
	g, _ := store.CompileGlob("/**")
	w := &watcher{s: n.Server, glob: g, ctx: t.Context(), tell: n.tellAlone(func(*encoded) error {
		t.Error("a message with files that are newer than the snapshot")
		return nil
	})}
	if err := w.files(0); err != nil {
		t.Error(err)
	}
}

// Machine.Tree is the sums of what is below each entry, at any rev.
func TestTree(t *testing.T) {
	n := start(t, Limits{Visits: 2})
	for _, path := range []string{"/d/a", "/d/x/1", "/d/x/y/2", "/d/x-y", "/d/x-z/3", "/e"} {
		n.set(t, path, "v")
	}
	past := n.machine.Rev()
	before, err := n.machine.Tree("/d", past)
	if err != nil {
		t.Fatal(err)
	}
	names := func(entries []TreeEntry) (out []string) {
		for _, e := range entries {
			out = append(out, fmt.Sprintf("%s %s %d", e.Name, map[bool]string{true: "dir", false: "file"}[e.IsDir], e.Rev))
		}
		slices.Sort(out)
		return out
	}
	if got := fmt.Sprint(names(before)); got != "[a file 1 x dir 0 x-y file 4 x-z dir 0]" {
		t.Errorf("tree: %v", got)
	}
	n.machine.View(func(st *store.Store) {
		for _, e := range before {
			if hash, ok := st.DirHash("/d/" + e.Name); ok != e.IsDir || ok && hash != e.Hash {
				t.Errorf("%s: hash %x, want %x", e.Name, e.Hash, hash)
			}
		}
	})
	n.set(t, "/d/x/y/2", "w")
	if again, _ := n.machine.Tree("/d", past); !slices.Equal(again, before) {
		t.Errorf("the same rev later: %v, want %v", again, before)
	}
	if present, _ := n.machine.Tree("/d", past+100); slices.Equal(present, before) || len(present) != len(before) {
		t.Errorf("the present rev: %v", present)
	}
	for dir, want := range map[string]int{"/": 2, "/none": 0, "/e": 0, "/d/x": 2} {
		if got, err := n.machine.Tree(dir, past); err != nil || len(got) != want {
			t.Errorf("%s: %v, %v", dir, got, err)
		}
	}
	if _, err := n.machine.Tree("bad", past); err == nil {
		t.Error("a bad path is not refused")
	}
	n.configure(t, store.Config{History: 1})
	n.set(t, "/e", "2")
	n.set(t, "/e", "3")
	if _, err := n.machine.Tree("/d", past); err == nil {
		t.Error("a rev below the window is not refused")
	}
}
