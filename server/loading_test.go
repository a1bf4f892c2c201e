package server

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/doozer-store/doozer/store"
)

// recordsOf returns the records of a store of files, in order, whose window is
// their newest change alone.
func recordsOf(t *testing.T, paths []string) (recs [][2][]byte, st *store.Store) {
	t.Helper()
	st = store.New()
	cmds := []store.Command{{Kind: store.Configure, Config: &store.Config{History: 1}}}
	for _, path := range paths {
		cmds = append(cmds, store.Command{Kind: store.Write, Ops: []store.Op{{Path: path, Value: []byte(path)}}})
	}
	for i := range cmds {
		if res, _ := st.Apply(uint64(i+1), 1, cmds[i].Append(nil)); res.Err != nil {
			t.Fatal(res.Err)
		}
	}
	if err := st.Snapshot(func(k, v []byte) error {
		recs = append(recs, [2][]byte{bytes.Clone(k), bytes.Clone(v)})
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return recs, st
}

// load gives recs to a loading, and returns what came of it.
func load(recs [][2][]byte) (*store.Store, error) {
	p := newLoading()
	for _, r := range recs {
		if err := p.add(r[0], r[1]); err != nil {
			_ = p.end()
			return nil, err
		}
	}
	return p.finish(7)
}

func TestLoading(t *testing.T) {
	for _, n := range []int{1, loadBatch, loadBatch + 1, 10 * loadBatch} {
		var paths []string
		for i := range n {
			paths = append(paths, fmt.Sprintf("/f/%05d", i))
		}
		recs, want := recordsOf(t, paths)
		st, err := load(recs)
		if err != nil || st.Hash() != want.Hash() || st.Files() != int64(n) || st.Rev() != want.Rev() {
			t.Fatalf("%d files: %v, %v", n, st, err)
		}
		// A file below a file, which only the tree can tell.
		other, _ := recordsOf(t, []string{"/f/00000/x", "/newest"})
		at := slices.IndexFunc(other, func(r [2][]byte) bool { return bytes.HasPrefix(r[0], []byte("v/f/00000/x")) })
		bad := slices.Concat(recs, other[at:at+1])
		slices.SortFunc(bad, func(a, b [2][]byte) int { return bytes.Compare(a[0], b[0]) })
		if _, err := load(bad); !errors.Is(err, store.ErrDamaged) {
			t.Errorf("%d files and one below one: %v", n, err)
		}
		if _, err := load(recs[:len(recs)-1]); !errors.Is(err, store.ErrDamaged) {
			t.Errorf("%d files, without the last record: %v", n, err)
		}
		if n > 1 {
			bad = slices.Clone(recs)
			bad[1], bad[len(bad)-1] = bad[len(bad)-1], bad[1]
			if _, err := load(bad); !errors.Is(err, store.ErrDamaged) {
				t.Errorf("%d files, out of order: %v", n, err)
			}
		}
	}
}
