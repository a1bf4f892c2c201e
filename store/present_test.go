package store

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestPresent: directories of which most entries are past list what is there,
// and what was, while files and whole directories come and go and the window
// forgets them.
func TestPresent(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	r := newRig(t)
	r.configure(Config{History: 400})
	there := map[string]bool{}
	was := map[int64][]string{}
	kept, lifted := 0, 0
	for i := range 6000 {
		limit := 10
		if i/1000%3 == 2 {
			limit = 300 // most are present
		}
		path := fmt.Sprintf("/d/%d/x%d", rnd.IntN(3), rnd.IntN(2000))
		if rnd.IntN(4) == 0 {
			path = fmt.Sprintf("/d/e%d/y", rnd.IntN(2000))
		}
		if names := sortedPaths(there); len(names) > limit || i > 5500 && len(names) > 0 {
			path = names[rnd.IntN(len(names))]
		}
		if there[path] {
			r.must("-" + path)
			delete(there, path)
		} else {
			r.must(path + "=v")
			there[path] = true
		}
		if i%50 == 0 {
			was[r.s.Rev()] = sortedPaths(there)
			checkInvariants(t, r.s)
		}
		if n := r.s.lookup("/d/0"); n != nil && n.dir != nil && n.dir.present != nil {
			kept++
		} else if kept > 0 {
			lifted++
		}
		if i%200 == 0 {
			presentAt(t, r.s, was)
		}
	}
	if kept == 0 || lifted == 0 {
		t.Errorf("kept apart %d times, not any more %d times", kept, lifted)
	}
}

// presentAt compares what Find and List give at past revs and now, in parts.
func presentAt(t *testing.T, s *Store, was map[int64][]string) {
	t.Helper()
	for rev, want := range was {
		if rev <= s.Oldest() {
			delete(was, rev)
			continue
		}
		var got []string
		sc := &Scan{Rev: rev, Visits: 7}
		for more := true; more; {
			var err *Error
			if more, err = s.Find(mustGlob(t, "/d/**"), sc, func(e *Event) bool { got = append(got, e.Path()); return true }); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("rev %d of %d: found %d, want %d", rev, s.Rev(), len(got), len(want))
		}
	}
}

func sortedPaths(set map[string]bool) (list []string) {
	for p := range set {
		list = append(list, p)
	}
	slices.Sort(list)
	return list
}

// BenchmarkPastEntries lists ten files where 50,000 were.
func BenchmarkPastEntries(b *testing.B) {
	r := newRig(b)
	for i := range 50_000 {
		path := fmt.Sprintf("/lock/x/e/%x", rand.Uint64())
		r.must(path + "=v")
		if i >= 10 {
			r.must("-" + path)
		}
	}
	g := mustGlob(b, "/lock/x/e/*")
	for b.Loop() {
		n := 0
		if _, err := r.s.Find(g, new(Scan), func(*Event) bool { n++; return true }); err != nil || n != 10 {
			b.Fatal(n, err)
		}
	}
}
