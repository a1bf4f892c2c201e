package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

// TestReadErrors asks for what is not there, in every way of reading.
func TestReadErrors(t *testing.T) {
	r := newRig(t)
	r.configure(Config{History: 2})
	for i := range 5 {
		r.must(fmt.Sprintf("/d/f=%d", i)) // revs 1 to 5, oldest 3
	}
	g := mustGlob(t, "/**")
	reads := map[string]func(path string, rev int64) *Error{
		"get":  func(path string, rev int64) *Error { _, err := r.s.Get(path, rev); return err },
		"stat": func(path string, rev int64) *Error { _, err := r.s.Stat(path, rev); return err },
		"list": func(path string, rev int64) *Error {
			_, err := r.s.List(path, &Scan{Rev: rev}, func(Info, *Event) bool { return true })
			return err
		},
		"find": func(_ string, rev int64) *Error {
			_, err := r.s.Find(g, &Scan{Rev: rev}, func(*Event) bool { return true })
			return err
		},
	}
	for _, row := range []struct {
		path string
		rev  int64
		only string // the reads it is about; all if empty
		want error
	}{
		{"/d", 6, "", ErrBadRequest},
		{"/d", -1, "", ErrBadRequest},
		{"/d", 2, "", ErrTooLate},
		{"/x", 0, "get stat list", ErrNoEnt},
		{"/x", 3, "get stat list", ErrNoEnt},
		{"/d/f/x", 0, "get stat list", ErrNoEnt},
		{"/d/f", 0, "list", ErrNotDir},
		{"/d/f", 3, "list", ErrNotDir},
		{"/d", 0, "get", ErrIsDir},
		{"/", 3, "get", ErrIsDir},
		{"", 0, "get stat list", ErrBadPath},
		{"/d/", 0, "get stat list", ErrBadPath},
		{"d", 0, "get stat list", ErrBadPath},
	} {
		for name, read := range reads {
			if row.only != "" && !strings.Contains(row.only, name) {
				continue
			}
			err := read(row.path, row.rev)
			if err == nil || !errors.Is(err, row.want) {
				t.Errorf("%s %q at %d: %v, want %v", name, row.path, row.rev, err, row.want)
			}
		}
	}
	if _, ok := r.s.DirHash("/d/f"); ok {
		t.Error("a file has the hash of a directory")
	}
}

// TestOrder lists and finds names that sort around the slash.
func TestOrder(t *testing.T) {
	r := newRig(t)
	for _, path := range []string{"/a/z", "/a-b/y", "/a-b-c", "/a.d", "/a0", "/a!/x/w", "/b", "/a-b/y-/q"} {
		r.must(path + "=1")
	}
	var list, found []string
	r.s.List("/", new(Scan), func(i Info, _ *Event) bool { list = append(list, i.Path); return true })
	r.s.Find(mustGlob(t, "/**"), new(Scan), func(e *Event) bool { found = append(found, e.Path()); return true })
	if want := strings.Fields("/a /a! /a-b /a-b-c /a.d /a0 /b"); !slices.Equal(list, want) {
		t.Errorf("list: %q, want %q", list, want)
	}
	want := strings.Fields("/a!/x/w /a-b-c /a-b/y /a-b/y-/q /a.d /a/z /a0 /b")
	slices.Sort(want)
	if !slices.Equal(found, want) {
		t.Errorf("find: %q, want %q", found, want)
	}
	for i, after := range want {
		var rest []string
		r.s.Find(mustGlob(t, "/**"), &Scan{After: after}, func(e *Event) bool { rest = append(rest, e.Path()); return true })
		if !slices.Equal(rest, want[i+1:]) {
			t.Errorf("find after %s: %q", after, rest)
		}
	}
}

// TestStop ends every walk early, in every place.
func TestStop(t *testing.T) {
	r := newRig(t)
	for i := range 4 {
		r.must(fmt.Sprintf("/d/%d/x=1", i), fmt.Sprintf("/d/%d-=1", i))
	}
	for limit := 1; limit <= 8; limit++ {
		count := 0
		stop := func() bool { count++; return count < limit }
		check := func(what string) func(bool, *Error) {
			return func(more bool, err *Error) {
				t.Helper()
				if err != nil || count != limit || !more {
					t.Errorf("%s: %d of %d, %v", what, count, limit, err)
				}
				count = 0
			}
		}
		check("list")(r.s.List("/d", new(Scan), func(Info, *Event) bool { return stop() }))
		check("find")(r.s.Find(mustGlob(t, "/d/**"), new(Scan), func(*Event) bool { return stop() }))
		check("events")(r.s.Events(nil, new(Span), func(*Event) bool { return stop() }))
		full := errors.New("full")
		if err := r.s.Snapshot(func(_, _ []byte) error {
			if !stop() {
				return full
			}
			return nil
		}); err != full || count != limit {
			t.Errorf("snapshot: %d of %d, %v", count, limit, err)
		}
	}
	full := errors.New("full")
	c := r.s.Capture()
	if err := c.Records(func(k, _ []byte) error { return full }, nil); err != full {
		t.Errorf("records: %v", err)
	}
}

// TestLongChain reads a file of many versions at each of them, while they
// leave the window from one end and enter it at the other.
func TestLongChain(t *testing.T) {
	r := newRig(t)
	r.configure(Config{History: 100})
	for i := range 500 {
		r.must(fmt.Sprintf("/hot=%d", i+1))
		for rev := max(1, r.s.Oldest()); rev <= r.s.Rev(); rev += 1 + rev%7 {
			e, err := r.s.Get("/hot", rev)
			if err != nil || e.Rev != rev || string(e.Value()) != fmt.Sprint(rev) {
				t.Fatalf("at %d: %+v %v", rev, e, err)
			}
		}
	}
	if n := r.s.lookup("/hot"); len(n.old()) != 100 {
		t.Fatalf("%d old versions", len(n.old()))
	}
	r.configure(Config{History: 1})
	checkInvariants(t, r.s)
}

// TestConcurrentReads has readers share a lock that Apply has alone; it is for
// the race detector.
func TestConcurrentReads(t *testing.T) {
	r := newRig(t)
	r.configure(Config{History: 20})
	var mu sync.RWMutex
	var wg sync.WaitGroup
	g := mustGlob(t, "/d/*/?**")
	done := make(chan struct{})
	for range 3 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				mu.RLock()
				rev := r.s.Oldest()
				r.s.Get("/d/1/x", rev)
				r.s.Stat("/d", rev)
				r.s.List("/d", &Scan{Rev: rev}, func(Info, *Event) bool { return true })
				r.s.Find(g, &Scan{After: "/d/1", Rev: rev}, func(*Event) bool { return true })
				r.s.Events(g, new(Span), func(*Event) bool { return true })
				r.s.Snapshot(func(_, _ []byte) error { return nil })
				mu.RUnlock()
			}
		})
	}
	for i := range 300 {
		mu.Lock()
		r.must(fmt.Sprintf("/d/%d/x=%d", i%5, i))
		if i%3 == 0 {
			r.must(fmt.Sprintf("-/d/%d/x", i%5))
		}
		mu.Unlock()
	}
	close(done)
	wg.Wait()
}
