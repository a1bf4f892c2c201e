package checkpoint

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
	"golang.org/x/sys/unix"
)

// redirect makes what this process writes to the file at path go to a device
// until the returned function is called: /dev/full has no space, /dev/null
// swallows writes and refuses to be synced. What is mapped stays mapped.
func redirect(t *testing.T, path, device string) (restore func()) {
	t.Helper()
	to, err := os.OpenFile(device, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	saved := map[int]int{}
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("needs /proc: %v", err)
	}
	// All are found before any is saved: a copy may get the number of one that
	// was listed and is closed by now, as the list itself.
	var files []int
	for _, e := range fds {
		if name, _ := os.Readlink("/proc/self/fd/" + e.Name()); name == path {
			fd, err := strconv.Atoi(e.Name())
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, fd)
		}
	}
	for _, fd := range files {
		if saved[fd], err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0); err == nil {
			err = unix.Dup3(int(to.Fd()), fd, unix.O_CLOEXEC)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(saved) == 0 {
		t.Fatalf("%s is not open", path)
	}
	return func() {
		for fd, old := range saved {
			if err := errors.Join(unix.Dup3(old, fd, unix.O_CLOEXEC), unix.Close(old)); err != nil {
				t.Error(err)
			}
		}
		clear(saved)
	}
}

// commitTo commits index 11 while the file is another.
func commitTo(t *testing.T, db *DB, device string) error {
	t.Helper()
	restore := func() {}
	err := db.Commit(Meta{Index: 11}, func(put func(k, v []byte) error, del func(k []byte) error) error {
		restore = redirect(t, db.path, device) // bbolt has looked at the file
		return some(100, "new").all(put, del)
	})
	restore()
	return err
}

// A disk that is full refuses a commit, and takes the next when it has room.
func TestDiskIsFull(t *testing.T) {
	path := stateAt10(t, some(100, "old"))
	db := open(t, path)
	err := commitTo(t, db, "/dev/full")
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("got %v", err)
	}
	check(t, db, 10, some(100, "old"))
	commit(t, db, 12, some(100, "newer"))
	check(t, open(t, copyDir(t, path)), 12, some(100, "newer"))
}

// After a sync that failed nothing is tried again: neither a commit nor an
// install, though the disk is well. The file holds what was committed before.
func TestFailedSyncIsFinal(t *testing.T) {
	path := stateAt10(t, some(100, "old"))
	db := open(t, path)
	other := open(t, tempPath(t))
	commit(t, other, 30, some(5, "snapshot"))
	stage, err := db.ImportFrom(bytes.NewReader(export(t, other)))
	if err != nil {
		t.Fatal(err)
	}
	err = commitTo(t, db, "/dev/null")
	if !errors.Is(err, syscall.EINVAL) {
		t.Fatalf("got %v", err)
	}
	for what, again := range map[string]error{
		"commit":  db.Commit(Meta{Index: 11}, some(100, "new").all),
		"install": db.Install(stage),
	} {
		if !errors.Is(again, syscall.EINVAL) || !strings.Contains(again.Error(), "earlier failure") {
			t.Errorf("%s after the failure: %v", what, again)
		}
	}
	if err := stage.Abort(); err != nil {
		t.Error(err)
	}
	check(t, open(t, copyDir(t, path)), 10, some(100, "old"))
}

// What the names in the directory can do to Open, create, Stage and Install.
func TestNamesThatCannotBe(t *testing.T) {
	mkdir := func(path string) {
		if err := os.MkdirAll(filepath.Join(path, "in the way"), 0o700); err != nil {
			t.Error(err)
		}
	}
	t.Run("no directory", func(t *testing.T) {
		if _, err := Open(filepath.Join(t.TempDir(), "none", "db"), Options{}); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("got %v", err)
		}
		if err := syncDir(filepath.Join(t.TempDir(), "none", "db")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("sync: %v", err)
		}
	})
	t.Run("a leftover that stays", func(t *testing.T) {
		path := tempPath(t)
		mkdir(path + ".staged")
		if _, err := Open(path, Options{}); !errors.Is(err, syscall.ENOTEMPTY) {
			t.Errorf("open: %v", err)
		}
		path = tempPath(t)
		db := open(t, path)
		mkdir(path + ".staged")
		if _, err := db.Stage(Meta{Index: 1}); !errors.Is(err, syscall.ENOTEMPTY) {
			t.Errorf("stage: %v", err)
		}
	})
	t.Run("a name that leads to itself", func(t *testing.T) {
		path := tempPath(t)
		if err := os.Symlink(path, path); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path, Options{}); !errors.Is(err, syscall.ELOOP) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("created, not renamed", func(t *testing.T) {
		path := tempPath(t)
		_, err := Open(path, Options{step: func(name string) {
			if name == "created" {
				mkdir(path)
			}
		}})
		if !errors.Is(err, syscall.EISDIR) && !errors.Is(err, fs.ErrExist) && !errors.Is(err, syscall.ENOTEMPTY) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("the directory is gone", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "d")
		mkdir(dir)
		path := filepath.Join(dir, "db")
		db := open(t, path)
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Stage(Meta{Index: 1}); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("stage: %v", err)
		}
		if db.Size() != 0 {
			t.Errorf("size %d", db.Size())
		}
		if _, err := readMeta(db.cur.b, path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("meta: %v", err)
		}
	})
}

// staged returns a database at index 10 and a committed stage of index 20.
func staged(t *testing.T, o Options) (path string, db *DB, s *Stage) {
	t.Helper()
	path = stateAt10(t, some(10, "old"))
	db = openWith(t, path, o)
	s, err := db.Stage(Meta{Index: 20})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Put([]byte("k"), []byte("new")), s.Commit()); err != nil {
		t.Fatal(err)
	}
	return path, db, s
}

// A rename that failed has changed nothing, and can be done again once the
// reason is gone.
func TestInstallWhoseRenameFails(t *testing.T) {
	path, db, s := staged(t, Options{})
	aside := path + ".aside"
	if err := errors.Join(os.Rename(path, aside), os.MkdirAll(path+"/x", 0o700)); err != nil {
		t.Fatal(err)
	}
	if err := db.Install(s); err == nil {
		t.Fatal("installed in the place of a directory")
	}
	check(t, db, 10, some(10, "old"))
	if err := errors.Join(os.RemoveAll(path), os.Rename(aside, path)); err != nil {
		t.Fatal(err)
	}
	commit(t, db, 11, some(10, "older"))
	if err := db.Install(s); err != nil {
		t.Fatal(err)
	}
	check(t, db, 20, records{"k": "new"})
}

// A rename that may not be on the disk is final, whatever follows.
func TestInstallWhoseSyncFails(t *testing.T) {
	var dir string
	path, db, s := staged(t, Options{step: func(name string) {
		if name == "renamed" {
			if err := os.Rename(dir, dir+".away"); err != nil {
				t.Error(err)
			}
		}
	}})
	dir = filepath.Dir(path)
	t.Cleanup(func() { _ = os.RemoveAll(dir + ".away") })
	if err := db.Install(s); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("got %v", err)
	}
	if err := os.Rename(dir+".away", dir); err != nil {
		t.Fatal(err)
	}
	check(t, db, 20, records{"k": "new"})
	if err := db.Commit(Meta{Index: 21}, some(1, "x").all); err == nil {
		t.Error("a commit followed")
	}
}

// A stage whose own file fails leaves the state as it is.
func TestStageWhoseDiskFails(t *testing.T) {
	path := stateAt10(t, some(10, "old"))
	whole := func() {}
	db := openWith(t, path, Options{step: func(name string) {
		if name == "whole" {
			whole()
		}
	}})
	begin := func() *Stage {
		s, err := db.Stage(Meta{Index: 20})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := begin()
	if _, err := db.ImportFrom(bytes.NewReader(export(t, db))); !errors.Is(err, ErrStaging) {
		t.Errorf("a second stage: %v", err)
	}
	restore := func() {}
	whole = func() { restore = redirect(t, path+".staged", "/dev/null") }
	if err := s.Commit(); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("sync: %v", err)
	}
	restore()
	whole = func() {}
	if err := db.Install(s); err == nil {
		t.Error("installed without a sync")
	}
	if err := s.Abort(); err != nil {
		t.Error(err)
	}
	s = begin()
	if err := s.Put(make([]byte, maxKey+1), nil); !errors.Is(err, berrors.ErrKeyTooLarge) {
		t.Errorf("put: %v", err)
	}
	if err := s.Abort(); err != nil {
		t.Error(err)
	}
	s = begin()
	if err := s.b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Put([]byte("k"), nil); !errors.Is(err, berrors.ErrDatabaseNotOpen) {
		t.Errorf("put into a closed file: %v", err)
	}
	s.committed = true
	if err := s.Load(func(_, _ []byte) error { return nil }); !errors.Is(err, berrors.ErrDatabaseNotOpen) {
		t.Errorf("load of a closed file: %v", err)
	}
	if err := s.Abort(); err != nil {
		t.Error(err)
	}
	s = begin()
	restore = redirect(t, path+".staged", "/dev/full")
	err := errors.Join(s.Put([]byte("k"), nil), s.Commit())
	restore()
	if !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("flush: %v", err)
	}
	if err := s.Abort(); err != nil {
		t.Error(err)
	}
	s = begin()
	restore = redirect(t, path+".staged", "/dev/full")
	err = s.Commit() // of no records: its meta alone
	restore()
	if !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("meta: %v", err)
	}
	if err := s.Abort(); err != nil {
		t.Error(err)
	}
	check(t, db, 10, some(10, "old"))
}

// change spoils a database by bbolt's own means.
func change(t *testing.T, db *DB, fn func(tx *bbolt.Tx) error) {
	t.Helper()
	if err := db.cur.b.Update(fn); err != nil {
		t.Fatal(err)
	}
}

// What is damaged under an open database is told by whoever reads it.
func TestDamageUnderAnOpenDatabase(t *testing.T) {
	members := binary.BigEndian.AppendUint32(nil, Format)
	members = append(append(members, make([]byte, 16)...), 0xff, 0xff) // no protobuf
	members = binary.BigEndian.AppendUint32(members, crc32.Checksum(members, castagnoli))
	for name, spoil := range map[string]func(tx *bbolt.Tx) error{
		"meta too short":     func(tx *bbolt.Tx) error { return tx.Bucket([]byte(metaBucket)).Put([]byte(metaKey), []byte("x")) },
		"unreadable members": func(tx *bbolt.Tx) error { return tx.Bucket([]byte(metaBucket)).Put([]byte(metaKey), members) },
		"no meta":            func(tx *bbolt.Tx) error { return tx.DeleteBucket([]byte(metaBucket)) },
		"no records":         func(tx *bbolt.Tx) error { return tx.DeleteBucket([]byte(recordsBucket)) },
	} {
		t.Run(name, func(t *testing.T) {
			path := stateAt10(t, some(10, "old"))
			db := open(t, path)
			change(t, db, spoil)
			var corrupt *CorruptError
			if _, err := db.Export(); !errors.As(err, &corrupt) {
				t.Errorf("export: %v", err)
			}
			if err := db.Load(func(_, _ []byte) error { return nil }); name == "no records" && !errors.As(err, &corrupt) {
				t.Errorf("load: %v", err)
			}
			if _, err := readMeta(db.cur.b, path); !errors.As(err, &corrupt) {
				t.Errorf("meta: %v", err)
			}
		})
	}
}

// Pages that are spoiled while an export reads them end it with an error; so
// does a value whose length leads out of the file.
func TestDamageUnderAnExport(t *testing.T) {
	for name, spoil := range map[string]func(page []byte){
		"a page number": func(p []byte) {
			if p[8] == 1 { // a branch: flags; elements follow the header: pos, ksize, page
				for i := 16 + 8; i < 16+16*int(binary.LittleEndian.Uint16(p[10:])); i += 16 {
					binary.LittleEndian.PutUint64(p[i:], 1<<30)
				}
			}
		},
		"a length": func(p []byte) {
			if p[8] == 2 { // a leaf: flags; elements of 16 bytes follow the header: flags, pos, ksize, vsize
				binary.LittleEndian.PutUint32(p[16+12:], 64<<20)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := stateAt10(t, some(5000, strings.Repeat("v", 100)))
			db := open(t, path)
			e, err := db.Export()
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			page := make([]byte, os.Getpagesize())
			for off := int64(2 * len(page)); ; off += int64(len(page)) {
				if _, err := f.ReadAt(page, off); err != nil {
					break
				}
				spoil(page)
				if _, err := f.WriteAt(page, off); err != nil {
					t.Fatal(err)
				}
			}
			var corrupt *CorruptError
			for range 2 {
				if _, err := io.Copy(io.Discard, struct{ io.Reader }{e}); !errors.As(err, &corrupt) {
					t.Errorf("got %v", err)
				}
			}
		})
	}
}

// Readers and writers that fail, and files that were closed.
func TestOthersFail(t *testing.T) {
	path := stateAt10(t, some(5, "old"))
	db := open(t, path)
	broken := errors.New("broken")
	if err := db.Load(func(_, _ []byte) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("load: %v", err)
	}
	e, err := db.Export()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.WriteTo(iotestWriter{broken}); !errors.Is(err, broken) {
		t.Errorf("export: %v", err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	if _, err := e.WriteTo(io.Discard); !errors.Is(err, ErrClosed) {
		t.Errorf("a closed export: %v", err)
	}
	stream := export(t, db)
	d, err := NewReader(io.MultiReader(bytes.NewReader(stream), iotest.ErrReader(broken)))
	for err == nil {
		_, _, err = d.Next()
	}
	if !errors.Is(err, broken) {
		t.Errorf("an error instead of the end: %v", err)
	}
	if err := db.cur.b.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Export(); !errors.Is(err, berrors.ErrDatabaseNotOpen) {
		t.Errorf("export of a closed file: %v", err)
	}
	if err := db.Load(func(_, _ []byte) error { return nil }); !errors.Is(err, berrors.ErrDatabaseNotOpen) {
		t.Errorf("load of a closed file: %v", err)
	}
}

// iotestWriter is a writer that fails.
type iotestWriter struct{ err error }

func (w iotestWriter) Write([]byte) (int, error) { return 0, w.err }
