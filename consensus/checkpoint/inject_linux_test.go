package checkpoint

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/doozer-store/doozer/test/need"
)

// injected is what became of a script that was hit.
type injected struct {
	hit     bool   // the fault came
	file    string // base name of the file it came to
	after   int    // writes and syncs of that file which followed
	last    uint64 // index last said to be committed
	err     bool
	refused bool
	out     string
}

// inject runs the script with the nth call failing, or killed.
func inject(t *testing.T, path, call, fault string, n int) injected {
	t.Helper()
	log := filepath.Join(t.TempDir(), "strace")
	cmd := exec.Command("strace", "-f", "-y", "-o", log, "-e", "trace=pwrite64,fdatasync,fsync,ftruncate,renameat",
		"-e", "signal=none", "-e", fmt.Sprintf("inject=%s:%s:when=%d", call, fault, n), os.Args[0])
	cmd.Env = append(os.Environ(), scriptEnv+"="+path)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%v\n%s", err, out)
	}
	traced, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	r := injected{out: string(out), err: bytes.Contains(out, []byte("error ")), refused: bytes.Contains(out, []byte("refused "))}
	for line := range strings.Lines(string(traced)) {
		switch name := fileOf(line); {
		case strings.Contains(line, "INJECTED"):
			r.hit, r.file = true, name
		case r.hit && name == r.file && !strings.Contains(line, "renameat"):
			r.after++
		}
	}
	if exit != nil && !exit.Exited() { // strace ends as what it traces did
		r.hit = true
	}
	for line := range strings.Lines(r.out) {
		if index, ok := strings.CutPrefix(line, "committed "); ok {
			if r.last, err = strconv.ParseUint(strings.TrimSpace(index), 10, 64); err != nil {
				t.Fatal(err)
			}
		}
	}
	return r
}

// fileOf returns the base name of the first file in a line of a trace.
func fileOf(line string) string {
	_, rest, _ := strings.Cut(line, "<")
	if strings.Contains(line, "renameat(") {
		_, rest, _ = strings.Cut(line, `"`)
	}
	if i := strings.IndexAny(rest, `>"`); i >= 0 {
		rest = rest[:i]
	}
	return filepath.Base(rest)
}

// TestRealFaults kills a process with a real bbolt at the nth call of each kind,
// and makes that call fail. What is found afterwards is the state that was last
// said to be committed, or the one being committed; an error that leaves the
// file in doubt is the last thing that happens to it.
func TestRealFaults(t *testing.T) {
	need.Strace(t)
	src := open(t, tempPath(t))
	if err := src.Commit(Meta{Index: snapshotIndex, Term: 1}, stateOf(snapshotIndex).all); err != nil {
		t.Fatal(err)
	}
	stream := export(t, src)
	const kill, eio, enospc = "signal=SIGKILL", "error=EIO", "error=ENOSPC"
	for _, c := range []struct {
		large       bool
		call, fault string
		short       []int // which of them the short form hits
	}{
		{false, "pwrite64", kill, []int{5, 18, 40}}, {false, "fdatasync", kill, []int{4, 13}}, {false, "renameat", kill, []int{2}},
		{false, "fsync", kill, []int{3}}, {false, "ftruncate", kill, []int{2}},
		{false, "pwrite64", eio, []int{9, 31}}, {false, "fdatasync", eio, []int{6, 7, 15}}, {false, "renameat", eio, []int{2}},
		{false, "fsync", eio, []int{3, 5}}, {false, "ftruncate", eio, []int{2}},
		{false, "pwrite64", enospc, []int{12, 28}}, {false, "ftruncate", enospc, []int{2}},
		{true, "pwrite64", kill, []int{9, 50, 120}}, {true, "fdatasync", kill, []int{5, 14, 30}}, {true, "renameat", kill, []int{2, 3}},
		{true, "fsync", kill, []int{3, 4, 5}},
		{true, "pwrite64", eio, []int{14, 61}}, {true, "fdatasync", eio, []int{6, 9, 16}}, {true, "renameat", eio, []int{2, 3}},
		{true, "fsync", eio, []int{3, 4, 5, 6}}, {true, "pwrite64", enospc, []int{14, 61}},
	} {
		hits := 0
		for i, n := 0, 0; ; i++ {
			if n++; os.Getenv("DOOZER_TEST_LONG") == "" {
				if i == len(c.short) {
					break
				}
				n = c.short[i]
			}
			t.Setenv(largeEnv, map[bool]string{true: "1"}[c.large])
			path := tempPath(t)
			if err := os.WriteFile(path+".stream", stream, 0o600); err != nil {
				t.Fatal(err)
			}
			r := inject(t, path, c.call, c.fault, n)
			if !r.hit {
				break // it has fewer calls
			}
			hits++
			judge(t, path, r, c.fault != kill, c.call == "pwrite64" && c.fault == enospc && !c.large)
			if t.Failed() {
				t.Fatalf("large=%v: %s %s at the %dth, of %s, which said\n%s", c.large, c.call, c.fault, n, r.file, r.out)
			}
		}
		if hits == 0 {
			t.Errorf("no %s was ever hit", c.call)
		}
		t.Logf("large=%v: %s %s: %d times", c.large, c.call, c.fault, hits)
	}
}

// judge looks at what a script left. full: what failed was a write for want of
// space, of a small commit.
func judge(t *testing.T, path string, r injected, fails, full bool) {
	t.Helper()
	staged := strings.HasSuffix(r.file, ".staged")
	opened := r.refused || r.last > 0
	switch {
	case fails && !r.err:
		t.Error("it did not notice")
	case fails && opened && (full || staged) && r.refused && r.last < snapshotIndex:
		t.Error("a stage that failed, or a full disk, was final")
	case fails && opened && !full && !staged && (!r.refused || r.after > 0):
		t.Errorf("refused: %v, and the file was written or synced %d times after the failure", r.refused, r.after)
	}
	db, err := Open(path, Options{})
	if err != nil {
		t.Errorf("it does not open: %v", err)
		return
	}
	defer db.Close()
	index := db.Meta().Index
	next := map[uint64]uint64{6: snapshotIndex, snapshotIndex + 4: 90}[r.last]
	if next == 0 {
		next = r.last + 1
	}
	if index != r.last && index != next {
		t.Errorf("it holds index %d, %d was the last committed", index, r.last)
	}
	want := stateOf(index)
	if index == 0 {
		want = records{}
	}
	check(t, db, index, want)
	if _, err := os.Stat(path + ".staged"); err == nil {
		t.Error("a staged file is left")
	}
	commit(t, db, 100, stateOf(100))
}
