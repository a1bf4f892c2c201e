package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/doozer-store/doozer/consensus/checkpoint"
	"github.com/doozer-store/doozer/store"
)

// snapshotAt returns a small state's stream and its meta.
func snapshotAt(t testing.TB, index uint64) (Meta, []byte) {
	t.Helper()
	db, m := openMachine(t, filepath.Join(t.TempDir(), "source.db"), Limits{})
	defer db.Close()
	for i := uint64(1); i <= index; i++ {
		applyAll(t, m, i, setCmd(fmt.Sprintf("/a/%d", i%3), fmt.Sprint(i)))
	}
	meta := Meta{Index: index, Term: 2, ConfState: &raftpb.ConfState{Voters: []uint64{1, 2, 3}}}
	if err := m.Checkpoint(meta)(); err != nil {
		t.Fatal(err)
	}
	return meta, snapshotOf(t, m)
}

// forged is a stream whose sums are right and whose records are not a state.
func forged(t testing.TB, meta Meta, change func(records map[string][]byte)) []byte {
	t.Helper()
	_, stream := snapshotAt(t, meta.Index)
	db, err := checkpoint.Open(filepath.Join(t.TempDir(), "forged.db"), checkpoint.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	in, err := checkpoint.NewReader(bytes.NewReader(stream))
	if err != nil {
		t.Fatal(err)
	}
	records := map[string][]byte{}
	for {
		k, v, err := in.Next()
		if err != nil {
			break
		}
		records[string(k)] = bytes.Clone(v)
	}
	change(records)
	err = db.Commit(checkpoint.Meta(meta), func(put func(k, v []byte) error, _ func(k []byte) error) error {
		for k, v := range records {
			if err := put([]byte(k), v); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	e, err := db.Export()
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	var b bytes.Buffer
	if _, err := e.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// What can't be staged, or not be installed, leaves the present state, and
// room for a snapshot that can.
func TestSnapshotsThatFail(t *testing.T) {
	meta, stream := snapshotAt(t, 20)
	db, m := openMachine(t, filepath.Join(t.TempDir(), "state.db"), Limits{})
	applyAll(t, m, 1, setCmd("/old", "x"))
	if err := m.Checkpoint(Meta{Index: 1, Term: 1})(); err != nil {
		t.Fatal(err)
	}
	want := digest(m)
	for name, stream := range map[string][]byte{
		"a record is missing": forged(t, meta, func(r map[string][]byte) {
			for k := range r {
				if k[0] == 'v' {
					delete(r, k)
					return
				}
			}
		}),
		"a record too many": forged(t, meta, func(r map[string][]byte) { r["x"] = []byte("y") }),
		"no records":        forged(t, meta, func(r map[string][]byte) { clear(r) }),
	} {
		if _, _, err := m.StageSnapshot(meta, bytes.NewReader(stream)); !errors.Is(err, store.ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	install, _, err := m.StageSnapshot(meta, bytes.NewReader(stream))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := m.StageSnapshot(meta, bytes.NewReader(stream)); !errors.Is(err, checkpoint.ErrStaging) {
		t.Errorf("a second at a time: %v", err)
	}
	if got := digest(m); got != want {
		t.Errorf("the state has changed: %s\nwas %s", got, want)
	}
	if err := install(); err != nil {
		t.Fatal(err)
	}
	want = digest(m)
	if err := install(); err == nil {
		t.Error("installed twice")
	}
	install, _, err = m.StageSnapshot(meta, bytes.NewReader(stream))
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := install(); !errors.Is(err, checkpoint.ErrClosed) {
		t.Errorf("install into a closed database: %v", err)
	}
	if _, _, err := m.OpenSnapshot(); !errors.Is(err, checkpoint.ErrClosed) {
		t.Errorf("snapshot of a closed database: %v", err)
	}
	if err := m.Checkpoint(Meta{Index: 30, Term: 2})(); !errors.Is(err, checkpoint.ErrClosed) {
		t.Errorf("checkpoint into a closed database: %v", err)
	}
	if got := digest(m); got != want {
		t.Errorf("the state has changed: %s\nwas %s", got, want)
	}
}

// FuzzStageSnapshot stages arbitrary streams, as they are and with their sums
// made right: a stream is refused and changes nothing, or it is a state that
// loads again as the same.
func FuzzStageSnapshot(f *testing.F) {
	meta, stream := snapshotAt(f, 20)
	f.Add(stream)
	f.Add(stream[:len(stream)-1])
	f.Add(forged(f, meta, func(r map[string][]byte) { r["x"] = nil }))
	f.Add(forged(f, meta, func(r map[string][]byte) { clear(r) }))
	dir, err := os.MkdirTemp("/dev/shm", "doozer-fuzz") // syncs would take most of the time
	if err != nil {
		dir = f.TempDir()
	}
	db, m := openMachine(f, filepath.Join(dir, "state.db"), Limits{})
	f.Cleanup(func() { db.Close(); os.RemoveAll(dir) })
	f.Fuzz(func(t *testing.T, b []byte) {
		before := digest(m)
		for _, b := range [][]byte{b, resummed(b)} {
			install, discard, err := m.StageSnapshot(meta, bytes.NewReader(b))
			if err != nil {
				if got := digest(m); got != before {
					t.Fatalf("a refused stream changed the state: %s\nwas %s", got, before)
				}
				continue
			}
			if len(b)%2 == 0 {
				discard()
				continue
			}
			if err := install(); err != nil {
				t.Fatal(err)
			}
			st, err := loadStore(onDisk{db})
			if err != nil {
				t.Fatalf("it was installed and does not load: %v", err)
			}
			if st.Hash() != m.Stats().Hash || st.Rev() != m.Rev() {
				t.Fatalf("it loads as rev %d, %x; it was rev %d, %x", st.Rev(), st.Hash(), m.Rev(), m.Stats().Hash)
			}
			before = digest(m)
		}
	})
}

// resummed is b with the trailer's count of records and SHA-256 made right, as
// far as its records can be read.
func resummed(b []byte) []byte {
	in, err := checkpoint.NewReader(bytes.NewReader(b))
	if err != nil {
		return b
	}
	be := binary.BigEndian
	end, count := uint64(12+be.Uint32(b[8:])), uint64(0)
	for {
		if _, _, err := in.Next(); err != nil {
			break
		}
		end += 8 + uint64(be.Uint32(b[end:])) + uint64(be.Uint32(b[end+4:]))
		count++
	}
	out := be.AppendUint64(append(bytes.Clone(b[:end]), 0, 0, 0, 0), count)
	sum := sha256.Sum256(out)
	return append(out, sum[:]...)
}
