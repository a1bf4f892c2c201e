package checkpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// inParts are options by which a commit of 100 records is a large one.
var inParts = Options{inOne: 30, inPart: 20}

// Wherever a crash happens in a large commit, and in the completion of one that
// was interrupted, what is found is the old state or from the commit point on
// the new one.
func TestCrashAtEveryStepOfALargeCommit(t *testing.T) {
	old, want := some(100, "old"), some(150, "new")
	path := tempPath(t)
	var images, names []string
	o := inParts
	o.step = func(name string) {
		images, names = append(images, copyDir(t, path)), append(names, name)
	}
	db := openWith(t, path, inParts)
	commit(t, db, 10, old)
	db.o.step = o.step
	commit(t, db, 20, want)
	check(t, db, 20, want)
	steps := strings.Join(names, ", ")
	if steps != "redo, redo written, redo synced, redo renamed, part, part, part, part, part, part, part, part, redo removed" {
		t.Errorf("steps: %s", steps)
	}
	after := false // the commit point
	for i, image := range images {
		after = after || names[i] == "redo renamed"
		index, state := uint64(10), old
		if after {
			index, state = 20, want
		}
		// A second crash comes while Open completes the commit.
		var again []string
		got, err := Open(image, Options{inPart: 20, step: func(string) { again = append(again, copyDir(t, image)) }})
		if err != nil {
			t.Fatalf("%s: %v", names[i], err)
		}
		check(t, got, index, state)
		if names[i] == "redo renamed" && len(again) != 9 {
			t.Errorf("%d steps of completion", len(again))
		}
		commit(t, got, 21, records{"goes": "on"})
		if err := got.Close(); err != nil {
			t.Fatal(err)
		}
		for _, image := range append(again, image) {
			twice := open(t, image)
			if image != images[i] {
				check(t, twice, index, state)
			}
			if left, _ := filepath.Glob(image + ".redo*"); len(left) > 0 {
				t.Errorf("%s: left %v", names[i], left)
			}
		}
	}
}

// halfDone returns the directory of a database at 10 with a large commit to 20
// of which the redo file and so many parts are done.
func halfDone(t *testing.T, parts int) (image string) {
	t.Helper()
	path := tempPath(t)
	o := inParts
	o.step = func(name string) {
		switch {
		case image != "":
		case name == "redo renamed" && parts == 0:
			image = copyDir(t, path)
		case name == "part":
			if parts--; parts == 0 {
				image = copyDir(t, path)
			}
		}
	}
	db := openWith(t, path, o)
	commit(t, db, 10, some(5, "old"))
	commit(t, db, 20, some(150, "new"))
	if image == "" {
		t.Fatal("there are fewer parts")
	}
	return image
}

// A redo file that is damaged anywhere is told of, and nothing is made of it.
func TestDamagedRedo(t *testing.T) {
	for _, parts := range []int{0, 2} {
		image := halfDone(t, parts)
		whole, err := os.ReadFile(image + ".redo")
		if err != nil {
			t.Fatal(err)
		}
		state, err := os.ReadFile(image)
		if err != nil {
			t.Fatal(err)
		}
		refused := func(what string, redo []byte) {
			t.Helper()
			if err := errors.Join(os.WriteFile(image+".redo", redo, 0o600), os.WriteFile(image, state, 0o600)); err != nil {
				t.Fatal(err)
			}
			var corrupt *CorruptError
			db, err := Open(image, Options{})
			if err == nil {
				t.Errorf("%s: opened at index %d", what, db.Meta().Index)
				_ = db.Close()
			} else if !errors.As(err, &corrupt) && !errors.Is(err, ErrNewerFormat) {
				t.Errorf("%s: %v", what, err)
			}
		}
		for i := 0; i < len(whole); i += 1 + i/16 {
			bad := append([]byte(nil), whole...)
			bad[i] ^= 0x81
			refused("changed", bad)
			refused("cut", whole[:i])
		}
		for name, block := range map[string]string{
			"no operation": "o1234567", "a key too long": "o\x00\x00\x00\x09\x00\x00\x00\x00key", "an empty key": "o\x00\x00\x00\x00\x00\x00\x00\x00",
			"no kind": "x", "an end too early": "e\x00\x00\x00\x00\x00\x00\x00\x07",
		} {
			head := len(whole[:8]) + int(whole[3])
			refused(name, appendBlock(append([]byte(nil), whole[:head]...), block))
		}
		refused("no header", appendBlock(nil, "o"))
		refused("a short header", appendBlock(nil, "hDOOZERRD"))
		refused("a header without meta", appendBlock(nil, "hDOOZERRD12345678123456781234567812345678"))
		refused("a header whose meta has no checksum", appendBlock(nil, "hDOOZERRD12345678\x00\x00\x00\x0112345678123456781234"))
		refused("a newer format", appendBlock(nil, "hDOOZERRD\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x09"+strings.Repeat("x", 30)))
		m := Meta{Index: 21}
		refused("a later transaction", appendBlock(nil, "hDOOZERRD\x00\x00\x00\x00\x00\x00\x10\x00"+string(m.encode())))
		if err := errors.Join(os.WriteFile(image+".redo", whole, 0o600), spoilMeta(image)); err != nil {
			t.Fatal(err)
		}
		var corrupt *CorruptError
		if _, err := Open(image, Options{}); !errors.As(err, &corrupt) {
			t.Errorf("a database without meta: %v", err)
		}
		if err := os.WriteFile(image, state, 0o600); err != nil {
			t.Fatal(err)
		}
		check(t, open(t, image), 20, some(150, "new"))
	}
}

func spoilMeta(path string) error {
	b, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		return err
	}
	return errors.Join(b.Update(func(tx *bbolt.Tx) error { return tx.DeleteBucket([]byte(metaBucket)) }), b.Close())
}

func appendBlock(b []byte, body string) []byte {
	w := redoWriter{buf: append(make([]byte, 8), body...)}
	w.seal()
	return append(b, w.buf...)
}

// Half a commit without the file that has the rest is damage.
func TestMissingRedo(t *testing.T) {
	image := halfDone(t, 1)
	if err := os.Remove(image + ".redo"); err != nil {
		t.Fatal(err)
	}
	var corrupt *CorruptError
	if _, err := Open(image, Options{}); !errors.As(err, &corrupt) || !strings.Contains(err.Error(), ".redo") {
		t.Errorf("got %v", err)
	}
}

// The names in the directory can be in the way of a redo file too. Before the
// commit point nothing has happened; from it on the next Open goes on.
func TestRedoNamesThatCannotBe(t *testing.T) {
	inTheWay := func(path string) error { return os.MkdirAll(filepath.Join(path, "x"), 0o700) }
	path := tempPath(t)
	db := openWith(t, path, inParts)
	commit(t, db, 10, some(10, "old"))
	large := some(100, "new")
	if err := inTheWay(path + ".redo.new"); err != nil {
		t.Fatal(err)
	}
	if err := db.Commit(Meta{Index: 11}, large.all); !errors.Is(err, syscall.EISDIR) {
		t.Errorf("no new file: %v", err)
	}
	if _, err := Open(copyDir(t, path), Options{}); !errors.Is(err, syscall.ENOTEMPTY) {
		t.Errorf("open: %v", err)
	}
	if err := os.RemoveAll(path + ".redo.new"); err != nil {
		t.Fatal(err)
	}
	commit(t, db, 12, large)
	check(t, db, 12, large)
	if err := inTheWay(path + ".redo"); err != nil {
		t.Fatal(err)
	}
	if err := db.Commit(Meta{Index: 13}, some(100, "newer").all); err == nil || db.Commit(Meta{Index: 13}, some(1, "x").all) == nil {
		t.Error("what can't be renamed is final")
	}
	if _, err := Open(copyDir(t, path), Options{}); !errors.Is(err, syscall.EISDIR) {
		t.Errorf("open: %v", err)
	}
	check(t, open(t, copyOf(t, path)), 12, large)
}

// A disk that is full before the commit point leaves everything as it was.
func TestRedoOnAFullDisk(t *testing.T) {
	for _, step := range []string{"redo", "redo last"} {
		path := tempPath(t)
		db := openWith(t, path, inParts)
		commit(t, db, 10, some(10, "old"))
		restore := func() {}
		db.o.step = func(name string) {
			if name == "redo" && step == name {
				restore = redirect(t, path+".redo.new", "/dev/full")
			}
		}
		err := db.Commit(Meta{Index: 11}, func(put func(k, v []byte) error, _ func(k []byte) error) error {
			value := make([]byte, 3000)
			for i := range 100 {
				if i == 99 && step == "redo last" {
					restore = redirect(t, path+".redo.new", "/dev/full")
				}
				if err := put(fmt.Appendf(nil, "k%d", i), value); err != nil {
					return err
				}
			}
			return nil
		})
		restore()
		db.o.step = func(string) {}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%s: %v", step, err)
		}
		check(t, db, 10, some(10, "old"))
		if left, _ := filepath.Glob(path + ".redo*"); len(left) > 0 {
			t.Errorf("%s: left %v", step, left)
		}
		commit(t, db, 12, some(100, "new"))
		check(t, db, 12, some(100, "new"))
	}
}

// A commit into a file that was closed fails, small or large.
func TestCommitWithoutAFile(t *testing.T) {
	db := openWith(t, tempPath(t), inParts)
	if err := db.cur.b.Close(); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1, 100} {
		if err := db.Commit(Meta{Index: 1}, some(n, "v").all); !errors.Is(err, berrors.ErrDatabaseNotOpen) {
			t.Errorf("%d records: %v", n, err)
		}
	}
}

// copyOf is copyDir without redo files.
func copyOf(t *testing.T, path string) string {
	t.Helper()
	image := copyDir(t, path)
	for _, end := range []string{".redo", ".redo.new"} {
		if err := os.RemoveAll(image + end); err != nil {
			t.Fatal(err)
		}
	}
	return image
}

// From the commit point on an error is final, and the next Open completes the
// commit; before it, a disk that is full is not.
func TestLargeCommitWhoseDiskFails(t *testing.T) {
	want := some(2000, strings.Repeat("new", 100))
	for _, c := range []struct {
		name, step string
		does       func(db *DB) error
		index      uint64 // found by the next Open
	}{
		{"the file is gone before its rename", "redo synced", func(db *DB) error { return os.Remove(db.redoPath() + ".new") }, 10},
		{"it can't be read", "redo renamed", func(db *DB) error { return os.Truncate(db.redoPath(), 3) }, 0},
		{"it ends too early", "redo renamed", func(db *DB) error { return os.Truncate(db.redoPath(), 100_000) }, 0},
		{"no room for the first part", "redo renamed", func(db *DB) error { db.cur.b.MaxSize = 1 << 15; return nil }, 20},
		{"no room for a later part", "part", func(db *DB) error { db.cur.b.MaxSize = 1 << 15; return nil }, 20},
		{"bbolt is closed", "redo renamed", func(db *DB) error { return db.cur.b.Close() }, 20},
		{"what is done can't be removed", "part", func(db *DB) error { return os.Remove(db.redoPath()) }, 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := tempPath(t)
			db, err := Open(path, inParts)
			if err != nil {
				t.Fatal(err)
			}
			commit(t, db, 10, some(10, "old"))
			armed := true
			db.o.step = func(name string) {
				if armed && name == c.step {
					armed = false
					if err := c.does(db); err != nil {
						t.Error(err)
					}
				}
			}
			err = db.Commit(Meta{Index: 20}, want.all)
			again := db.Commit(Meta{Index: 21}, records{"k": "v"}.all)
			if err == nil || again == nil || db.Meta().Index != 10 {
				t.Fatalf("got %v, and then %v, at index %d", err, again, db.Meta().Index)
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
			var corrupt *CorruptError
			got, err := Open(path, inParts)
			switch {
			case c.index == 0:
				if !errors.As(err, &corrupt) {
					t.Errorf("opened: %v", err)
				}
			case err != nil:
				t.Fatal(err)
			case c.index == 20:
				check(t, got, 20, want)
			default:
				check(t, got, 10, some(10, "old"))
			}
			if err == nil {
				if err := got.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// Who begins to read while a large commit is brought in waits, and sees all of
// it; who began before sees nothing.
func TestReadersOfALargeCommit(t *testing.T) {
	path := tempPath(t)
	old, want := some(100, "old"), some(150, "new")
	var db *DB
	began := make(chan struct{})
	seen := make(chan records, 1)
	first := true
	o := inParts
	o.step = func(name string) {
		if name != "part" || db == nil || !first {
			return
		}
		first = false
		go func() {
			close(began)
			r := records{}
			if err := db.Load(func(k, v []byte) error { r[string(k)] = string(v); return nil }); err != nil {
				t.Error(err)
			}
			seen <- r
		}()
		<-began
		time.Sleep(10 * time.Millisecond) // it may begin; nothing depends on it
	}
	opened := openWith(t, path, inParts)
	commit(t, opened, 10, old)
	e, err := opened.Export()
	if err != nil {
		t.Fatal(err)
	}
	opened.o.step, db = o.step, opened
	commit(t, db, 20, want)
	if got := <-seen; !maps.Equal(got, want) {
		t.Errorf("a reader saw %d records", len(got))
	}
	other := open(t, tempPath(t))
	s, err := other.ImportFrom(e)
	if err := errors.Join(err, e.Close()); err != nil {
		t.Fatal(err)
	}
	if err := other.Install(s); err != nil {
		t.Fatal(err)
	}
	check(t, other, 10, old)
}

// A large commit leaves no more in the file than its records need: the parts use
// each other's free pages, and pages that are filled in order are full.
func TestSizeAfterLargeCommits(t *testing.T) {
	db := openWith(t, tempPath(t), Options{inPart: 500})
	value := strings.Repeat("v", 300)
	n := 3 * oneOps
	for i := range uint64(4) {
		commit(t, db, i+1, some(n, value))
	}
	if err := db.cur.b.View(func(tx *bbolt.Tx) error {
		if net := int64(n * (300 + 7)); tx.Size() > net*3/2 {
			t.Errorf("%d bytes for %d", tx.Size(), net)
		}
		for err := range tx.Check() {
			t.Error(err)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(db.redoPath()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the redo file: %v", err)
	}
}
