package checkpoint

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
	"google.golang.org/protobuf/proto"
)

func TestEmpty(t *testing.T) {
	path := tempPath(t)
	db := open(t, path)
	check(t, db, 0, records{})
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	check(t, open(t, path), 0, records{})
}

func TestCommitSurvivesReopen(t *testing.T) {
	path := tempPath(t)
	db := open(t, path)
	m := Meta{Index: 7, Term: 3, ConfState: voters(1, 2, 3)}
	if err := db.Commit(m, some(1000, "x").all); err != nil {
		t.Fatal(err)
	}
	m.ConfState.Voters[0] = 99 // ours again after Commit
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, path)
	check(t, db, 7, some(1000, "x"))
	if got := db.Meta(); got.Term != 3 || !proto.Equal(got.ConfState, voters(1, 2, 3)) {
		t.Fatalf("meta %+v", got)
	}
}

// Random commits, failed commits, reopens and transfers against a plain map.
func TestTwin(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	rnd := rand.New(rand.NewPCG(seed, 0))
	defer func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	}()
	// Some commits are small, some take a redo file and several transactions.
	o := Options{inOne: 10 + rnd.IntN(200), inPart: 10 + rnd.IntN(100)}
	path := tempPath(t)
	db := openWith(t, path, o)
	want := records{}
	index := uint64(0)
	for range 120 {
		switch op := rnd.IntN(10); {
		case op < 6:
			index += uint64(rnd.IntN(3))
			next := maps.Clone(want)
			commitRandom(t, db, rnd, index, next)
			want = next
		case op < 7:
			err := db.Commit(Meta{Index: index + 5}, func(put func(k, v []byte) error, del func([]byte) error) error {
				_ = put([]byte("never"), nil)
				_ = del([]byte("k0001"))
				return syscall.EIO
			})
			if !errors.Is(err, syscall.EIO) {
				t.Fatalf("got %v", err)
			}
		case op < 8:
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			db = openWith(t, path, o)
		default:
			transfer(t, db)
		}
		check(t, db, index, want)
	}
}

func commitRandom(t *testing.T, db *DB, rnd *rand.Rand, index uint64, state records) {
	t.Helper()
	var scratch []byte // reused: Commit must not keep it
	err := db.Commit(Meta{Index: index}, func(put func(k, v []byte) error, del func([]byte) error) error {
		for i := range 400 {
			k := fmt.Sprintf("k%04d", i)
			switch rnd.IntN(8) {
			case 0, 1:
				scratch = append(scratch[:0], strings.Repeat(string(rune('a'+rnd.IntN(26))), 1<<rnd.IntN(14))...)
				state[k] = string(scratch)
				if err := put([]byte(k), scratch); err != nil {
					return err
				}
				clear(scratch)
			case 2:
				delete(state, k)
				if err := del([]byte(k)); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// transfer replaces the database by its own export.
func transfer(t *testing.T, db *DB) {
	t.Helper()
	e, err := db.Export()
	if err != nil {
		t.Fatal(err)
	}
	s, err := db.ImportFrom(e)
	if err := errors.Join(err, e.Close()); err != nil {
		t.Fatal(err)
	}
	if err := db.Install(s); err != nil {
		t.Fatal(err)
	}
}

func TestCallbackFails(t *testing.T) {
	db := open(t, tempPath(t))
	commit(t, db, 1, some(10, "a"))
	eio := &os.PathError{Op: "read", Path: "x", Err: syscall.EIO}
	for name, fn := range map[string]func(put func(k, v []byte) error) error{
		"error":         func(put func(k, v []byte) error) error { return errors.Join(put([]byte("b"), nil), eio) },
		"empty key":     func(put func(k, v []byte) error) error { return put(nil, nil) },
		"ignored error": func(put func(k, v []byte) error) error { _ = put(make([]byte, maxKey+1), nil); return nil },
		"put again":     func(put func(k, v []byte) error) error { _ = put(nil, nil); return put([]byte("b"), nil) },
	} {
		err := db.Commit(Meta{Index: 2}, func(put func(k, v []byte) error, _ func([]byte) error) error { return fn(put) })
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		check(t, db, 1, some(10, "a"))
	}
	func() {
		defer func() { _ = recover() }()
		_ = db.Commit(Meta{Index: 2}, func(func(k, v []byte) error, func([]byte) error) error { panic("callback") })
	}()
	commit(t, db, 2, some(20, "b"))
	check(t, db, 2, some(20, "b"))
}

func TestIndexMayNotFall(t *testing.T) {
	db := open(t, tempPath(t))
	commit(t, db, 5, some(1, "a"))
	if err := db.Commit(Meta{Index: 4}, some(1, "b").all); err == nil {
		t.Fatal("no error")
	}
	commit(t, db, 5, some(1, "c"))
	check(t, db, 5, some(1, "c"))
}

// After a failure of the disk bbolt may show a state that is not on it, so
// nothing more is accepted. A read-only descriptor stands for the disk.
func TestFailureOfDiskIsFinal(t *testing.T) {
	path := tempPath(t)
	db := open(t, path)
	commit(t, db, 1, some(1000, "a"))
	db.cur.b.MaxSize = int(db.Size()) // growing fails inside bbolt's commit
	big := records{"big": strings.Repeat("x", 64<<20)}
	if err := db.Commit(Meta{Index: 2}, big.all); !errors.Is(err, berrors.ErrMaxSizeReached) {
		t.Fatalf("got %v", err)
	}
	db.cur.b.MaxSize = 0
	if err := db.Commit(Meta{Index: 2}, some(1, "b").all); !errors.Is(err, berrors.ErrMaxSizeReached) {
		t.Fatalf("the failure was forgotten: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	check(t, open(t, path), 1, some(1000, "a"))
}

func TestDiskFullIsNotFinal(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{&os.PathError{Op: "write", Err: syscall.ENOSPC}, true},
		{fmt.Errorf("w: %w", &os.PathError{Op: "write", Err: syscall.EDQUOT}), true},
		{&os.PathError{Op: "write", Err: syscall.EIO}, false},
		{&os.PathError{Op: "truncate", Err: syscall.ENOSPC}, false},
		{syscall.ENOSPC, false}, // fdatasync
	} {
		if got := diskFull(c.err); got != c.want {
			t.Errorf("%v: %v", c.err, got)
		}
	}
}

func TestInUse(t *testing.T) {
	path := tempPath(t)
	db := open(t, path)
	if _, err := Open(path, Options{LockTimeout: time.Millisecond}); !errors.Is(err, ErrInUse) {
		t.Fatalf("got %v", err)
	}
	// A tool that knows nothing of our lock file is kept out by bbolt's.
	if _, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: time.Millisecond}); err == nil {
		t.Fatal("opened behind our back")
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if _, err := Open(path, Options{}); !errors.Is(err, ErrInUse) {
		t.Fatalf("got %v", err)
	}
}

func TestNewerFormat(t *testing.T) {
	path := tempPath(t)
	db := open(t, path)
	commit(t, db, 1, some(1, "a"))
	err := db.cur.b.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte(metaBucket)).Put([]byte(metaKey), append([]byte{0, 0, 0, Format + 1}, make([]byte, 30)...))
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, Options{}); !errors.Is(err, ErrNewerFormat) || !strings.Contains(err.Error(), path) {
		t.Fatalf("got %v", err)
	}
}

// Whatever is done to the file, Open or Load name it, and do not crash; or
// they do not notice, bbolt having no checksums.
func TestCorrupt(t *testing.T) {
	path := tempPath(t)
	db := open(t, path)
	commit(t, db, 3, some(5000, "value"))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	page := os.Getpagesize()
	zero := func(b []byte, from int) []byte { clear(b[from : from+page]); return b }
	cases := map[string]func(b []byte) []byte{
		"empty":          func(b []byte) []byte { return nil },
		"short":          func(b []byte) []byte { return b[:100] },
		"cut":            func(b []byte) []byte { return b[:page*5] },
		"not a database": func(b []byte) []byte { return bytes.Repeat([]byte("x"), len(b)) },
		"zero metas":     func(b []byte) []byte { return zero(zero(b, 0), page) },
		"zero pages": func(b []byte) []byte {
			for i := 2 * page; i+page <= len(b); i += page {
				zero(b, i)
			}
			return b
		},
		"wild pages": func(b []byte) []byte {
			for i := 2*page + 16; i+8 <= len(b); i += 64 {
				binary.LittleEndian.PutUint64(b[i:], 1<<40)
			}
			return b
		},
	}
	for name, damage := range cases {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "state.db")
			if err := os.WriteFile(path, damage(bytes.Clone(good)), 0o600); err != nil {
				t.Fatal(err)
			}
			db, err := Open(path, Options{})
			if err == nil {
				defer db.Close()
				err = db.Load(func(_, _ []byte) error { return nil })
			}
			var corrupt *CorruptError
			if !errors.As(err, &corrupt) || corrupt.Path != path {
				t.Fatalf("got %v", err)
			}
			if db == nil { // the lock was given back, so the answer is the same
				if _, err := Open(path, Options{}); !errors.As(err, &corrupt) {
					t.Fatalf("the second time: %v", err)
				}
			}
		})
	}
}

func TestClosed(t *testing.T) {
	db := open(t, tempPath(t))
	if err := errors.Join(db.Close(), db.Close()); err != nil {
		t.Fatal(err)
	}
	_, exportErr := db.Export()
	_, stageErr := db.Stage(Meta{})
	for i, err := range []error{
		exportErr, stageErr,
		db.Commit(Meta{}, records{}.all), db.Load(func(_, _ []byte) error { return nil }),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%d: %v", i, err)
		}
	}
}
