package checkpoint

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"go.etcd.io/raft/v3/raftpb"
)

// childEnv, set, makes the test binary a process that commits until it is
// killed, see TestKill.
const childEnv = "CHECKPOINT_TEST_CHILD"

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		fmt.Fprintln(os.Stderr, child(path))
		os.Exit(1)
	}
	if path := os.Getenv(scriptEnv); path != "" {
		os.Exit(script(path))
	}
	os.Exit(m.Run())
}

// records is what a DB should contain.
type records map[string]string

// all commits every record of r.
func (r records) all(put func(k, v []byte) error, _ func(k []byte) error) error {
	for _, k := range slices.Sorted(maps.Keys(r)) {
		if err := put([]byte(k), []byte(r[k])); err != nil {
			return err
		}
	}
	return nil
}

type loader interface {
	Load(fn func(k, v []byte) error) error
}

func load1(t *testing.T, db loader) records {
	t.Helper()
	r := records{}
	last := ""
	err := db.Load(func(k, v []byte) error {
		if string(k) <= last {
			return fmt.Errorf("key %q after %q", k, last)
		}
		last = string(k)
		r[last] = string(v)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func check(t *testing.T, db *DB, index uint64, want records) {
	t.Helper()
	if got := db.Meta().Index; got != index {
		t.Fatalf("index %d, want %d", got, index)
	}
	if got := load1(t, db); !maps.Equal(got, want) {
		t.Fatalf("have %d records, want %d, or they differ: %.200v; want %.200v", len(got), len(want), got, want)
	}
}

func open(t *testing.T, path string) *DB {
	t.Helper()
	return openWith(t, path, Options{})
}

func openWith(t *testing.T, path string, o Options) *DB {
	t.Helper()
	db, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return db
}

func commit(t *testing.T, db *DB, index uint64, r records) {
	t.Helper()
	if err := db.Commit(Meta{Index: index, Term: 1}, r.all); err != nil {
		t.Fatal(err)
	}
}

func some(n int, v string) records {
	r := records{}
	for i := range n {
		r[fmt.Sprintf("k%06d", i)] = v
	}
	return r
}

func voters(ids ...uint64) *raftpb.ConfState { return &raftpb.ConfState{Voters: ids} }

func tempPath(t *testing.T) string { return filepath.Join(t.TempDir(), "state.db") }

// copyDir is what a crash would leave of the directory of path.
func copyDir(t *testing.T, path string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Dir(path))); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, filepath.Base(path))
}

// child commits for ever: at index i, key j of 200 has the value i, and one
// more key exists only at odd indexes.
func child(path string) error {
	db, err := Open(path, childOptions())
	if err != nil {
		return err
	}
	for i := db.Meta().Index + 1; ; i++ {
		err := db.Commit(Meta{Index: i, Term: i, ConfState: voters(i)}, func(put func(k, v []byte) error, del func([]byte) error) error {
			v := binary.BigEndian.AppendUint64(nil, i)
			for j := range 200 {
				if err := put(fmt.Appendf(nil, "k%03d", j), v); err != nil {
					return err
				}
			}
			if i%2 == 1 {
				return put([]byte("odd"), v)
			}
			return del([]byte("odd"))
		})
		if err != nil {
			return err
		}
		if _, err := fmt.Println(i); err != nil {
			return errors.Join(errors.New("the parent is gone"), err)
		}
	}
}
