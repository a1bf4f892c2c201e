//go:build !race

// The traced process is slow enough; races are other tests' matter.

package boot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/doozer-store/doozer/consensus/wal/faultfs"
	"github.com/doozer-store/doozer/store"
	"github.com/doozer-store/doozer/test/need"
)

// tracedEnv, set, makes TestPowerCutOfARealNode the process that is traced; it
// names the directory of its nodes.
const tracedEnv = "BOOT_TEST_TRACED"

// traced are the writes of the traced cluster: number i sets one of 7 paths.
func tracedPath(i int) string  { return fmt.Sprintf("/k/%d", i%7) }
func tracedValue(i int) string { return fmt.Sprintf("write-%05d-%s", i, strings.Repeat("v", i%5*200)) }

// TestPowerCutOfARealNode runs three nodes under strace and takes from the
// trace what node b did to its disk: identity, log, checkpoints, a snapshot
// staged and installed, each with the real bbolt. Then it builds b's directory
// as a power cut after any of these calls may leave it, without what was not
// synced, and starts a node on it: it must start, and hold what b had shown to
// hold before the cut.
func TestPowerCutOfARealNode(t *testing.T) {
	if dir := os.Getenv(tracedEnv); dir != "" {
		tracedCluster(t, dir)
		return
	}
	dir := t.TempDir()
	ops := trace(t, dir)
	b := filepath.Join(dir, "b")
	points, crashes := 24, 1
	if os.Getenv("DOOZER_TEST_LONG") != "" {
		points, crashes = len(ops), 3
	}
	var own []int // calls that change b's disk
	installed := false
	for i, op := range ops {
		if strings.HasPrefix(op.Path, b+"/") || op.Path == b {
			own = append(own, i)
			installed = installed || op.Call == "rename" && strings.HasSuffix(op.Path, "state.db.staged") && len(own) > 100
		}
	}
	if len(own) < 100 || !installed {
		t.Fatalf("only %d calls, snapshot installed: %v: the test tests nothing", len(own), installed)
	}
	chosen := map[int]bool{}
	rng := rand.New(rand.NewPCG(1, 3))
	for i, at := range own {
		op := ops[at]
		// Names change seldom: those moments are taken first.
		rare := op.Call == "rename" || (op.Call == "unlink" || op.Call == "openat") && i%4 == 0
		chosen[at] = points >= len(own) || rare || rng.IntN(len(own)) < points
	}
	fs, mark, cuts, kinds := faultfs.New(), 0, 0, map[string]int{}
	for i, op := range ops {
		if n, ok := strings.CutPrefix(string(op.Data), "mark "); ok && op.Call == "write" {
			fmt.Sscan(n, &mark)
		}
		if err := fs.Replay(op, b); err != nil {
			t.Fatal(err)
		}
		for crash := 0; chosen[i] && crash < crashes; crash++ {
			cuts++
			kinds[op.Call]++
			if err := startsAfter(t, fs.CrashClone(rng), b, mark); err != nil {
				t.Fatalf("power cut after call %d, %v, after write %d was shown: %v", i, op, mark, err)
			}
		}
	}
	t.Logf("%d power cuts at %d calls of node b's disk: %v", cuts, len(own), kinds)
}

// startsAfter starts node b on what is left of its directory, and looks for the
// writes up to mark.
func startsAfter(t *testing.T, fs *faultfs.MemFS, dir string, mark int) error {
	to, err := os.MkdirTemp(t.TempDir(), "cut")
	if err != nil {
		return err
	}
	defer os.RemoveAll(to)
	// The directories themselves were made long before.
	if err := errors.Join(fs.Restore(dir, to), os.MkdirAll(to, 0o700)); err != nil {
		return err
	}
	n, err := Start(Config{
		Name: "b", DataDir: to, Listen: "127.0.0.1:0", PeerListen: "127.0.0.1:0", Web: "false", Version: "test",
		Cluster: "a=127.0.0.1:1,b=127.0.0.1:2,c=127.0.0.1:3", CheckpointBytes: minCheckpointBytes,
	})
	if err != nil {
		return err
	}
	defer StopAll(context.Background(), []*Node{n})
	// Up to the last write that is in the state, all are.
	have := 0
	err = nil
	n.machine.View(func(s *store.Store) {
		for k := range 7 {
			if f, missing := s.Get(fmt.Sprintf("/k/%d", k), 0); missing == nil {
				i := 0
				fmt.Sscanf(string(f.Value()), "write-%05d", &i)
				if string(f.Value()) != tracedValue(i) || i%7 != k {
					err = fmt.Errorf("/k/%d is %.30q", k, f.Value())
				}
				have = max(have, i)
			}
		}
		for i := max(1, have-6); i <= have; i++ {
			if f, missing := s.Get(tracedPath(i), 0); missing != nil || string(f.Value()) != tracedValue(i) {
				err = errors.Join(err, fmt.Errorf("the state has write %d and not %d", have, i))
			}
		}
	})
	if err != nil {
		return err
	}
	// The rest is in the log, committed or not.
	first, firstErr := n.log.FirstIndex()
	last, lastErr := n.log.LastIndex()
	entries, err := n.log.Entries(max(first, 1), last+1, 1<<40)
	if err := errors.Join(firstErr, lastErr, err); err != nil && last >= first {
		return err
	}
	for i := have + 1; i <= mark; i++ {
		found := false
		for _, e := range entries {
			found = found || bytes.Contains(e.GetData(), []byte(tracedValue(i)))
		}
		if !found {
			return fmt.Errorf("write %d, which b had applied, is neither in its state, which ends with %d, nor in its log, %d to %d", i, have, first, last)
		}
	}
	return nil
}

// trace runs the traced process.
func trace(t *testing.T, dir string) []faultfs.TraceOp {
	t.Helper()
	need.Strace(t)
	log := filepath.Join(t.TempDir(), "trace")
	cmd := exec.Command("strace", "-f", "-y", "-xx", "-s", "67108864", "-o", log, "-e", "trace="+faultfs.TraceCalls, "-e", "signal=none",
		os.Args[0], "-test.run=^TestPowerCutOfARealNode$", "-test.v")
	cmd.Env = append(os.Environ(), tracedEnv+"="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("the traced nodes: %v\n%s", err, out)
	}
	f, err := os.Open(log)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ops, err := faultfs.ReadTrace(f)
	if err != nil {
		t.Fatal(err)
	}
	return ops
}

// tracedCluster makes b do all there is to do. What b has applied is told on
// standard output.
func tracedCluster(t *testing.T, dir string) {
	c := newTestCluster(t)
	c.dir = dir
	start := func(names ...string) {
		for _, name := range names {
			cfg := c.config(name)
			cfg.CheckpointBytes = minCheckpointBytes
			n, err := Start(cfg)
			if err != nil {
				t.Fatal(err)
			}
			c.nodes[name] = n
		}
	}
	i := 0
	write := func(count int, show bool) {
		for range count {
			i++
			c.set("a", tracedPath(i), tracedValue(i))
			if !show {
				continue
			}
			eventually(t, "the write at b", func() (err error) {
				c.nodes["b"].machine.View(func(s *store.Store) {
					if f, getErr := s.Get(tracedPath(i), 0); getErr != nil || string(f.Value()) != tracedValue(i) {
						err = fmt.Errorf("not there: %v", getErr)
					}
				})
				return err
			})
			fmt.Fprintf(os.Stdout, "mark %d\n", i)
		}
	}
	start("a", "b", "c")
	c.settled()
	write(30, true)
	last, err := c.nodes["b"].log.LastIndex()
	if err != nil {
		t.Fatal(err)
	}
	c.stop("b")
	behind := func(name string) bool {
		first, err := c.nodes[name].log.FirstIndex()
		return err == nil && first > last+1
	}
	for i < 80 || !behind("a") || !behind("c") {
		write(1, false)
	}
	start("b")
	eventually(t, "a snapshot at b", func() error {
		if !strings.Contains(c.logs.String(), "snapshot installed") {
			return errors.New("none was installed")
		}
		return nil
	})
	write(20, true)
}
