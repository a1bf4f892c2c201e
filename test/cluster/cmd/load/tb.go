package main

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// tb lets the cluster harness run outside of a test: what would fail a test
// ends the program. Its methods may be called from any goroutine.
type tb struct {
	dir string // for data; empty: a temporary directory

	mu       sync.Mutex
	failed   bool     // guarded by mu
	cleanups []func() // guarded by mu
}

func (t *tb) Helper()      {}
func (t *tb) Name() string { return "load" }

func (t *tb) Logf(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

func (t *tb) Errorf(format string, args ...any) {
	t.Logf(format, args...)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failed = true
}

// Fatalf ends the program after its clean-up.
func (t *tb) Fatalf(format string, args ...any) {
	t.Errorf(format, args...)
	t.finish()
}

func (t *tb) Failed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failed
}

func (t *tb) Cleanup(fn func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cleanups = append(t.cleanups, fn)
}

// TempDir is a directory that the clean-up removes, inside -dir if that was
// given.
func (t *tb) TempDir() string {
	if t.dir != "" {
		if err := os.MkdirAll(t.dir, 0o755); err != nil {
			t.Fatalf("%v", err)
		}
	}
	dir, err := os.MkdirTemp(t.dir, "doozer-load-")
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	abs, err := filepath.Abs(dir)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return abs
}

// finish cleans up, last things first, and ends the program with status 2 when
// something failed.
func (t *tb) finish() {
	for {
		t.mu.Lock()
		n := len(t.cleanups)
		if n == 0 {
			t.mu.Unlock()
			break
		}
		fn := t.cleanups[n-1]
		t.cleanups = t.cleanups[:n-1]
		t.mu.Unlock()
		fn()
	}
	if t.Failed() {
		os.Exit(2)
	}
}
