package checkpoint

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"os"
	"testing"
)

func TestStageOrder(t *testing.T) {
	db := open(t, tempPath(t))
	for _, keys := range [][]string{{"b", "a"}, {"a", "a"}, {""}} {
		s, err := db.Stage(Meta{Index: 1})
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range keys {
			err = s.Put([]byte(k), nil)
		}
		if err == nil || s.Commit() == nil {
			t.Errorf("%q was accepted", keys)
		}
		if err := errors.Join(s.Abort(), s.Abort()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestStageLife(t *testing.T) {
	db := open(t, tempPath(t))
	s, err := db.Stage(Meta{Index: 5})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Stage(Meta{}); !errors.Is(err, ErrStaging) {
		t.Fatalf("a second stage: %v", err)
	}
	if err := db.Install(s); err == nil {
		t.Fatal("installed before commit")
	}
	if err := errors.Join(s.Put([]byte("a"), []byte("1")), s.Commit()); err != nil {
		t.Fatal(err)
	}
	if err := s.Put([]byte("b"), nil); !errors.Is(err, ErrClosed) {
		t.Fatalf("put after commit: %v", err)
	}
	if err := db.Install(s); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Abort(), s.Abort()); err != nil {
		t.Fatal(err)
	}
	if err := db.Install(s); err == nil {
		t.Fatal("installed twice")
	}
	check(t, db, 5, records{"a": "1"})
	if s, err = db.Stage(Meta{Index: 6}); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := db.Install(s); err == nil {
		t.Fatal("installed into a closed database")
	}
	if err := s.Abort(); err != nil {
		t.Fatal(err)
	}
}

// Wherever a crash happens, what is found is the old state or the new one.
func TestCrashAtEveryStep(t *testing.T) {
	src := open(t, tempPath(t))
	want := some(stageRecords+100, "new")
	commit(t, src, 20, want)
	stream := export(t, src)

	path := tempPath(t)
	images := map[string]string{}
	seen := map[string]bool{}
	var order []string
	db := openWith(t, path, Options{step: func(name string) {
		if !seen[name] {
			seen[name] = true
			order = append(order, name)
			images[name] = copyDir(t, path)
		}
	}})
	old := some(100, "old")
	commit(t, db, 10, old)
	s, err := db.ImportFrom(bytes.NewReader(stream))
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Install(s); err != nil {
		t.Fatal(err)
	}

	for _, name := range order {
		got := open(t, images[name])
		switch name {
		case "create", "created":
			check(t, got, 0, records{})
		case "stage", "batch", "whole", "synced":
			check(t, got, 10, old)
		case "renamed", "installed":
			check(t, got, 20, want)
		default:
			t.Errorf("unknown step %s", name)
		}
		if _, err := os.Stat(images[name] + ".staged"); err == nil {
			t.Errorf("%s: the staged file was left", name)
		}
		commit(t, got, 21, records{"goes": "on"})
	}
	if len(order) != 8 {
		t.Errorf("steps %v", order)
	}
}

// A staged file that a crash cut off anywhere does not matter.
func TestLeftoverStage(t *testing.T) {
	path := tempPath(t)
	db := open(t, path)
	commit(t, db, 1, some(10, "a"))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for _, junk := range []string{"", "junk", string(make([]byte, 1<<16))} {
		if err := os.WriteFile(path+".staged", []byte(junk), 0o600); err != nil {
			t.Fatal(err)
		}
		db := open(t, path)
		check(t, db, 1, some(10, "a"))
		transfer(t, db)
		check(t, db, 1, some(10, "a"))
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Load and Export run beside Commit and Install, under the race detector.
func TestConcurrent(t *testing.T) {
	db := open(t, tempPath(t))
	commit(t, db, 1, some(500, "x"))
	stop := make(chan struct{})
	done := make(chan error, 2)
	go func() {
		for {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			n := 0
			err := db.Load(func(_, _ []byte) error { n++; return nil })
			if err == nil && n != 500 {
				err = errors.New("not all records")
			}
			if err != nil {
				done <- err
				return
			}
		}
	}()
	go func() {
		for {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			e, err := db.Export()
			if err == nil {
				_, err = io.Copy(io.Discard, e)
				err = errors.Join(err, e.Close())
			}
			if err != nil {
				done <- err
				return
			}
		}
	}()
	for i := range uint64(30) {
		commit(t, db, 2+i, some(500, "y"))
		transfer(t, db)
	}
	close(stop)
	if err := errors.Join(<-done, <-done); err != nil {
		t.Fatal(err)
	}
	if got := load1(t, db); !maps.Equal(got, some(500, "y")) {
		t.Fatal("differs")
	}
}
