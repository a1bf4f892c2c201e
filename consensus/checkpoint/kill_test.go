package checkpoint

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"google.golang.org/protobuf/proto"
)

// TestKill kills -9 a process that commits, at random moments, and finds
// each time one whole commit, no older than the last one reported.
func TestKill(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	for _, large := range []string{"", "1"} {
		t.Run("large="+large, func(t *testing.T) {
			t.Setenv(largeEnv, large)
			testKill(t)
		})
	}
}

func testKill(t *testing.T) {
	path := tempPath(t)
	for round := range 12 {
		reported := runAndKill(t, path, 1+rand.IntN(40))
		db, err := Open(path, Options{})
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		m := db.Meta()
		if m.Index < reported || m.Term != m.Index || !proto.Equal(m.ConfState, voters(m.Index)) {
			t.Fatalf("round %d: meta %+v, reported %d", round, m, reported)
		}
		n := 0
		err = db.Load(func(k, v []byte) error {
			n++
			if got := binary.BigEndian.Uint64(v); got != m.Index {
				return fmt.Errorf("%s is of %d, meta of %d", k, got, m.Index)
			}
			return nil
		})
		if err != nil || n != 200+int(m.Index%2) {
			t.Fatalf("round %d: %d records at index %d: %v", round, n, m.Index, err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// runAndKill runs a child until it has reported n commits and a random moment
// more, and returns the last index it reported.
func runAndKill(t *testing.T, path string, n int) uint64 {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	last := uint64(0)
	lines := bufio.NewScanner(out)
	for i := 0; lines.Scan(); i++ {
		if last, err = strconv.ParseUint(lines.Text(), 10, 64); err != nil {
			t.Errorf("the child said %q", lines.Text())
		}
		if i == n {
			if err := cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
		}
	}
	_ = cmd.Wait() // killed
	return last
}
