package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
)

// Solo is a TB outside of tests. Its methods may be called from any goroutine.
type Solo struct {
	name string
	dir  string // for data
	logf func(format string, args ...any)

	mu       sync.Mutex
	errs     []string // guarded by mu
	cleanups []func() // guarded by mu
	dirs     int      // guarded by mu
}

// RunSolo calls fn on a goroutine of its own, as a test is, cleans up as a test
// does, and returns what fn reported with Errorf and Fatalf. Data goes below
// dir, which stays; logf, if not nil, is given every message.
func RunSolo(name, dir string, logf func(format string, args ...any), fn func(TB)) error {
	t := &Solo{name: name, dir: dir, logf: logf}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer t.cleanUp()
		fn(t)
	}()
	<-done
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.errs) == 0 {
		return nil
	}
	return errors.New(strings.Join(t.errs, "\n"))
}

// Helper does nothing.
func (t *Solo) Helper() {}

// Name is that given to RunSolo.
func (t *Solo) Name() string { return t.name }

// Logf tells.
func (t *Solo) Logf(format string, args ...any) {
	if t.logf != nil {
		t.logf(format, args...)
	}
}

// Errorf tells, and makes it fail.
func (t *Solo) Errorf(format string, args ...any) {
	t.Logf(format, args...)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.errs = append(t.errs, fmt.Sprintf(format, args...))
}

// Fatalf tells, makes it fail, and ends the goroutine that calls it.
func (t *Solo) Fatalf(format string, args ...any) {
	t.Errorf(format, args...)
	runtime.Goexit()
}

// Failed tells whether there was an error.
func (t *Solo) Failed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.errs) > 0
}

// Cleanup has fn called at the end, the last one first.
func (t *Solo) Cleanup(fn func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cleanups = append(t.cleanups, fn)
}

// TempDir is a further directory for data.
func (t *Solo) TempDir() string {
	t.mu.Lock()
	t.dirs++
	dir := filepath.Join(t.dir, fmt.Sprint("data", t.dirs))
	t.mu.Unlock()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatalf("%v", err)
	}
	return dir
}

func (t *Solo) cleanUp() {
	for {
		t.mu.Lock()
		n := len(t.cleanups)
		if n == 0 {
			t.mu.Unlock()
			return
		}
		fn := t.cleanups[n-1]
		t.cleanups = t.cleanups[:n-1]
		t.mu.Unlock()
		fn()
	}
}
