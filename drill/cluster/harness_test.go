package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// fakeTB records what a test would say; Fatalf ends its goroutine as in a test.
type fakeTB struct {
	*testing.T
	said     strings.Builder
	failed   bool
	cleanups []func()
}

func (f *fakeTB) Logf(format string, args ...any) { fmt.Fprintf(&f.said, format+"\n", args...) }
func (f *fakeTB) Errorf(format string, args ...any) {
	f.failed = true
	f.Logf(format, args...)
}
func (f *fakeTB) Fatalf(format string, args ...any) {
	f.Errorf(format, args...)
	runtime.Goexit()
}
func (f *fakeTB) Failed() bool      { return f.failed }
func (f *fakeTB) Cleanup(fn func()) { f.cleanups = append(f.cleanups, fn) }

// as runs fn as a test of its own, clean-up included.
func as(t *testing.T, fn func(f *fakeTB)) *fakeTB {
	f := &fakeTB{T: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			for i := len(f.cleanups) - 1; i >= 0; i-- {
				f.cleanups[i]()
			}
		}()
		fn(f)
	}()
	<-done
	return f
}

func (f *fakeTB) expect(failed bool, words ...string) {
	f.T.Helper()
	if f.failed != failed {
		f.T.Errorf("failed = %v, want %v; it said: %s", f.failed, failed, f.said.String())
	}
	for _, w := range words {
		if !strings.Contains(f.said.String(), w) {
			f.T.Errorf("it did not say %q but: %s", w, f.said.String())
		}
	}
}

func TestEventually(t *testing.T) {
	n := 0
	as(t, func(f *fakeTB) {
		Eventually(f, time.Minute, "three", func() (bool, string) { n++; return n == 3, "" })
	}).expect(false)
	as(t, func(f *fakeTB) {
		Eventually(f, time.Millisecond, "the moon is blue", func() (bool, string) { return false, "it is white" })
	}).expect(true, "the moon is blue", "it is white")
}

func TestSeedIsToldOnFailure(t *testing.T) {
	t.Setenv("DOOZER_TEST_SEED", "42")
	var a, b int64
	as(t, func(f *fakeTB) { a = Rand(f).Int63(); f.Errorf("no") }).expect(true, "DOOZER_TEST_SEED=42")
	as(t, func(f *fakeTB) { b = Rand(f).Int63() }).expect(false)
	if a != b {
		t.Error("one seed gave two sequences")
	}
}

func TestFreeAddrsDiffer(t *testing.T) {
	p, err := NewPorts()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	other, err := NewPorts()
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if other.end == p.end {
		t.Errorf("two clusters have the ports below %d", p.end)
	}
	seen := map[string]bool{}
	for range 50 {
		addr, err := p.FreeAddr()
		if err != nil || seen[addr] {
			t.Fatalf("%s, %v", addr, err)
		}
		seen[addr] = true
	}
}

// node returns a node whose program is sh.
func shNode(t TB, script string) *Node {
	dir := t.TempDir()
	c := &Cluster{t: t, bin: "/bin/sh"}
	n := &Node{Name: "a", c: c, dataDir: filepath.Join(dir, "a"), logPath: filepath.Join(dir, "a.log")}
	c.nodes = []*Node{n}
	p, err := startProcess(c.bin, []string{"-c", script}, n.logPath, nil)
	if err != nil {
		t.Fatalf("%v", err)
	}
	n.proc = p
	return n
}

func TestProcessControl(t *testing.T) {
	n := shNode(t, "echo one; echo two >&2; trap 'exit 7' TERM; while :; do sleep 0.01; done")
	Eventually(t, time.Minute, "it prints", func() (bool, string) { return n.Output() == "one\ntwo\n", n.Output() })
	if !n.Running() {
		t.Fatal("it does not run")
	}
	if rss := n.RSS(); rss < 100<<10 || rss > 1<<30 {
		t.Errorf("RSS of a shell: %d", rss)
	}
	n.Pause()
	n.Resume()
	if status := n.Term(); status != 7 || n.Running() {
		t.Errorf("status %d after SIGTERM, running %v", status, n.Running())
	}
	n.Term() // of one that has ended: nothing
	n = shNode(t, "exec sleep 1000")
	n.Kill()
	if status := n.ExitStatus(); status != -1 {
		t.Errorf("status %d after SIGKILL", status)
	}
}

func TestStrayEndIsTold(t *testing.T) {
	stray := func(n *Node) {
		if err := syscall.Kill(n.process().cmd.Process.Pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		<-n.process().done
	}
	const told = "node a ended, and not by this test: signal: killed at "
	as(t, func(f *fakeTB) {
		n := shNode(f, "exec sleep 1000")
		stray(n)
		n.c.Stop()
	}).expect(true, told)
	as(t, func(f *fakeTB) { // the test's own kill comes too late
		n := shNode(f, "exec sleep 1000")
		stray(n)
		n.Kill()
		n.c.Stop()
	}).expect(true, told)
	as(t, func(f *fakeTB) { // it is started again, by a name that sh refuses
		n := shNode(f, "exec sleep 1000")
		stray(n)
		n.Start()
		n.ExitStatus()
		n.c.Stop()
	}).expect(true, told)
	as(t, func(f *fakeTB) { // the test asks for it
		n := shNode(f, "exit 3")
		if status := n.ExitStatus(); status != 3 {
			t.Errorf("status %d of exit 3", status)
		}
		n.c.Stop()
	}).expect(false)
	as(t, func(f *fakeTB) {
		n := shNode(f, "exec sleep 1000")
		n.Pause()
		n.Kill()
		n.c.Stop()
	}).expect(false)
}

func TestStopReadsTheLogs(t *testing.T) {
	for text, isBad := range map[string]bool{
		"all is well":                            false,
		"panic: runtime error: index":            true,
		"WARNING: DATA RACE":                     true,
		"fatal error: concurrent map writes":     true,
		"level=warn msg=\"no panic, just slow\"": false,
	} {
		f := as(t, func(f *fakeTB) {
			n := shNode(f, "exec sleep 1000")
			if err := os.WriteFile(n.logPath, []byte("first line\n"+text+"\n"), 0o644); err != nil {
				f.Fatalf("%v", err)
			}
			n.c.Stop()
		})
		if isBad {
			f.expect(true, text)
		} else {
			f.expect(false)
		}
	}
}
