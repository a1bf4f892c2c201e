package faultfs_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/doozer-store/doozer/consensus/wal"
	"github.com/doozer-store/doozer/consensus/wal/faultfs"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func create(t *testing.T, m *faultfs.MemFS, name string) wal.File {
	t.Helper()
	f, err := m.Create(name)
	must(t, err)
	return f
}

func write(t *testing.T, f wal.File, off int64, s string) {
	t.Helper()
	_, err := f.WriteAt([]byte(s), off)
	must(t, err)
}

// crashes calls fn with the file systems of many power cuts.
func crashes(m *faultfs.MemFS, fn func(m *faultfs.MemFS)) {
	for seed := range uint64(64) {
		fn(m.CrashClone(rand.New(rand.NewPCG(seed, 0))))
	}
}

func TestWhatWasSyncedSurvives(t *testing.T) {
	m := faultfs.New()
	f := create(t, m, "/d/a")
	must(t, f.Allocate(2048))
	write(t, f, 500, "across a sector boundary")
	must(t, f.Datasync())
	must(t, m.SyncDir("/d"))
	must(t, m.Rename("/d/a", "/d/b"))
	must(t, m.SyncDir("/d/"))
	want, err := m.ReadFile("/d/b")
	must(t, err)
	crashes(m, func(m *faultfs.MemFS) {
		got, err := m.ReadFile("/d/b")
		if err != nil || !bytes.Equal(got, want) || !slices.Equal(m.Files(), []string{"/d/b"}) {
			t.Fatalf("%q, %v, %q", got, err, m.Files())
		}
	})
}

func TestUnsyncedSectorsAreEachKeptOrLost(t *testing.T) {
	m := faultfs.New()
	f := create(t, m, "/d/a")
	must(t, f.Allocate(1024))
	write(t, f, 0, "old")
	must(t, f.Sync())
	must(t, m.SyncDir("/d"))
	write(t, f, 0, "new")
	write(t, f, 512, "two")
	seen := map[string]int{}
	crashes(m, func(m *faultfs.MemFS) {
		b, err := m.ReadFile("/d/a")
		must(t, err)
		seen[string(b[:3])+string(bytes.Trim(b[512:515], "\x00"))]++
	})
	if len(seen) != 4 || seen["old"] == 0 || seen["new"] == 0 || seen["oldtwo"] == 0 || seen["newtwo"] == 0 {
		t.Errorf("saw %v", seen)
	}
	if b, _ := m.ReadFile("/d/a"); string(b[:3]) != "new" {
		t.Error("a clone changed its origin")
	}
}

func TestUnsyncedNamesAreEachKeptOrLost(t *testing.T) {
	m := faultfs.New()
	create(t, m, "/d/a")
	must(t, m.SyncDir("/d"))
	create(t, m, "/d/b")
	must(t, m.Remove("/d/a"))
	must(t, m.SyncDir("/other"))
	seen := map[string]int{}
	crashes(m, func(m *faultfs.MemFS) {
		key := ""
		for _, name := range m.Files() {
			key += name[3:]
		}
		seen[key]++
	})
	if len(seen) != 4 || seen[""] == 0 || seen["ab"] == 0 {
		t.Errorf("saw %v", seen)
	}
}

func TestTornSectors(t *testing.T) {
	m := faultfs.New()
	f := create(t, m, "/d/a")
	write(t, f, 0, string(bytes.Repeat([]byte{'o'}, 512)))
	must(t, f.Sync())
	must(t, m.SyncDir("/d"))
	write(t, f, 0, string(bytes.Repeat([]byte{'n'}, 512)))
	seen := map[byte]int{}
	for seed := range uint64(100) {
		b, err := m.TornClone(rand.New(rand.NewPCG(seed, 0)), 1).ReadFile("/d/a")
		must(t, err)
		if n := bytes.Count(b, []byte("n")); n == 0 || n == 512 || n != bytes.Count(b[:n], []byte("n")) && n != bytes.Count(b[512-n:], []byte("n")) {
			t.Fatalf("%q", b)
		}
		seen[b[0]]++
	}
	if len(seen) != 2 {
		t.Errorf("sectors begin with %v", seen)
	}
}

func TestFaults(t *testing.T) {
	m := faultfs.New()
	f := create(t, m, "/d/a")
	boom := errors.New("boom")
	m.SetFault(faultfs.FailNth(faultfs.OpWrite, 2, boom))
	write(t, f, 0, "1")
	if _, err := f.WriteAt([]byte("2"), 1); err != boom {
		t.Errorf("second write: %v", err)
	}
	write(t, f, 2, "3")
	m.SetFault(faultfs.CutAfter(1))
	write(t, f, 3, "4")
	if _, err := m.ReadDir("/d"); err != nil {
		t.Errorf("a look before the cut: %v", err)
	}
	if err := f.Datasync(); err != faultfs.ErrPower {
		t.Errorf("sync after the cut: %v", err)
	}
	if _, err := m.Open("/d/a"); err != faultfs.ErrPower {
		t.Errorf("open after the cut: %v", err)
	}
	m.SetFault(nil)
	if b, err := m.ReadFile("/d/a"); string(b) != "1\x0034" || err != nil {
		t.Errorf("content %q, %v", b, err)
	}
}

func TestErrorsAreThoseOfTheOperatingSystem(t *testing.T) {
	m := faultfs.New()
	f := create(t, m, "/d/a")
	write(t, f, 0, "abc")
	buf := make([]byte, 5)
	if n, err := f.ReadAt(buf, 1); n != 2 || err != io.EOF {
		t.Errorf("read past the end: %d, %v", n, err)
	}
	if n, err := f.ReadAt(buf, 9); n != 0 || err != io.EOF {
		t.Errorf("read behind the end: %d, %v", n, err)
	}
	must(t, f.Close())
	if _, err := f.ReadAt(buf, 0); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("read after close: %v", err)
	}
	_, openErr := m.Open("/d/x")
	for what, err := range map[string]error{
		"open": openErr, "remove": m.Remove("/d/x"), "rename": m.Rename("/d/x", "/d/y"),
	} {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := m.Rename("/d/a", "/e/a"); err == nil {
		t.Error("renamed into another directory")
	}
}

func TestForgottenSectorsAreLostUnlessWrittenAgain(t *testing.T) {
	m := faultfs.New()
	f := create(t, m, "/d/a")
	must(t, f.Allocate(1024))
	must(t, f.Sync())
	must(t, m.SyncDir("/d"))
	write(t, f, 0, "one")
	write(t, f, 512, "two")
	m.ForgetDirty()
	write(t, f, 512, "two")
	must(t, f.Datasync())
	if b, _ := m.ReadFile("/d/a"); string(b[:3]) != "one" {
		t.Errorf("a program reads %q", b[:3])
	}
	crashes(m, func(m *faultfs.MemFS) {
		if b, err := m.ReadFile("/d/a"); err != nil || b[0] != 0 || string(b[512:515]) != "two" {
			t.Fatalf("after a power cut: %q and %q, %v", b[:3], b[512:515], err)
		}
	})
}
