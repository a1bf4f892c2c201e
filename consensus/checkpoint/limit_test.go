package checkpoint

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// inChild runs the test again in a process of its own and tells which of the
// two this is. The child's coverage goes to DOOZER_COVER_DIR, where
// test/errbranch finds it.
func inChild(t *testing.T) bool {
	t.Helper()
	if os.Getenv(againEnv) != "" {
		return true
	}
	args := []string{"-test.run=^" + t.Name() + "$", "-test.v"}
	if dir := os.Getenv("DOOZER_COVER_DIR"); dir != "" && testing.CoverMode() != "" {
		args = append(args, "-test.coverprofile="+filepath.Join(dir, t.Name()+".child"))
	}
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), againEnv+"=1")
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
	return false
}

const againEnv = "CHECKPOINT_TEST_AGAIN"

// limit lets no write of this process go beyond n bytes of a file until the
// returned function is called. What go test itself writes would fail too: it is
// for a process of its own.
func limit(t *testing.T, n int64) (restore func()) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: uint64(n), Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
			t.Error(err)
		}
		signal.Reset(syscall.SIGXFSZ)
	}
}

// stateAt10 returns the path of a closed database at index 10.
func stateAt10(t *testing.T, r records) string {
	t.Helper()
	path := tempPath(t)
	db, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range uint64(5) { // so that there are free pages, and the next commit needs no more
		commit(t, db, 6+i, r)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// Writes fail from a page of the file on, for every page: what was there before
// is there, and nothing half-made is left.
func TestWritesFailFromEveryPageOn(t *testing.T) {
	if !inChild(t) {
		return
	}
	page := int64(os.Getpagesize())
	src := open(t, tempPath(t))
	want := records{}
	for i := range 40 {
		want[fmt.Sprintf("k%03d", i)] = strings.Repeat("new", 1000)
	}
	commit(t, src, 20, want)
	stream := export(t, src)
	base := stateAt10(t, some(200, "old"))
	failures := map[string]int{}
	for pages := int64(0); pages < 64; pages += 1 + pages/12 {
		path := copyDir(t, base)
		db, err := Open(path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		lift := limit(t, pages*page)
		stage, stageErr := db.ImportFrom(bytes.NewReader(stream))
		commitErr := db.Commit(Meta{Index: 11}, want.all)
		fresh, createErr := Open(filepath.Join(t.TempDir(), "new.db"), Options{})
		lift()
		if createErr == nil {
			check(t, fresh, 0, records{})
			if err := fresh.Close(); err != nil {
				t.Error(err)
			}
		} else if failures["create"]++; !tooLarge(createErr) {
			t.Fatalf("%d pages: create: %v", pages, createErr)
		}
		if stageErr == nil {
			if err := stage.Abort(); err != nil {
				t.Error(err)
			}
		} else if failures["stage"]++; !tooLarge(stageErr) {
			t.Fatalf("%d pages: stage: %v", pages, stageErr)
		}
		if _, err := os.Stat(path + ".staged"); err == nil {
			t.Errorf("%d pages: a staged file is left", pages)
		}
		index, now := uint64(11), records{}
		for k, v := range some(200, "old") {
			now[k] = v
		}
		for k, v := range want {
			now[k] = v
		}
		if commitErr != nil {
			failures["commit"]++
			if index, now = 10, some(200, "old"); !tooLarge(commitErr) {
				t.Fatalf("%d pages: commit: %v", pages, commitErr)
			}
			if err := db.Commit(Meta{Index: 12}, want.all); err == nil {
				t.Errorf("%d pages: a commit after a failed one", pages)
			}
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		again, err := Open(path, Options{})
		if err != nil {
			t.Fatalf("%d pages: %v", pages, err)
		}
		check(t, again, index, now)
		transfer(t, again)
		if err := again.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Logf("failed: %v", failures)
	if failures["create"] == 0 || failures["stage"] < 3 || failures["commit"] == 0 {
		t.Error("too little failed: the test tests nothing")
	}
}

// tooLarge: bbolt does not wrap all errors.
func tooLarge(err error) bool {
	return errors.Is(err, syscall.EFBIG) || strings.Contains(err.Error(), syscall.EFBIG.Error())
}
