package wal_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/doozer-store/doozer/consensus/wal"
	"github.com/doozer-store/doozer/consensus/wal/faultfs"
)

// The log against its twin, over random operations and restarts.
func TestTwin(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 1))
		o := small(faultfs.New())
		o.Foreground = seed%2 == 0
		o.CacheBytes = int64(1 + rng.IntN(8000))
		l, m := open(t, o), &model{}
		for i := range 150 {
			if _, err := step(rng, l, m); err != nil {
				t.Fatalf("seed %d, step %d: %v", seed, i, err)
			}
			if i%10 == 0 || rng.IntN(10) == 0 {
				same(t, l, m)
			}
			sameReads(t, rng, l, m)
			if rng.IntN(15) == 0 {
				must(t, l.Close())
				l = open(t, o)
				same(t, l, m)
			}
			if t.Failed() {
				t.Fatalf("seed %d, step %d", seed, i)
			}
		}
		must(t, l.Close())
	}
}

// The same on the real file system.
func TestTwinOnDisk(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	o := small(nil)
	o.Dir, o.Foreground = t.TempDir()+"/a/b", false
	l, m := open(t, o), &model{}
	for range 200 {
		if _, err := step(rng, l, m); err != nil {
			t.Fatal(err)
		}
		if rng.IntN(20) == 0 {
			must(t, l.Close())
			l = open(t, o)
			same(t, l, m)
		}
		sameReads(t, rng, l, m)
	}
	same(t, l, m)
}

// Power is cut before every operation of random histories. What is found must be
// the state after some step that was begun, and none before the last durable one.
func TestPowerCutAtEveryOperation(t *testing.T) {
	seeds := uint64(12)
	if testing.Short() || raced {
		seeds = 3
	}
	for seed := range seeds {
		for cut := 0; ; cut++ {
			fs := faultfs.New()
			fs.SetFault(faultfs.CutAfter(cut))
			possible, ended := history(t, fs, seed)
			if ended {
				break
			}
			for crash := range uint64(3) {
				rng := rand.New(rand.NewPCG(seed<<32|uint64(cut), crash))
				recovers(t, fs.CrashClone(rng), rng, possible)
				if t.Failed() {
					t.Fatalf("seed %d, cut after %d operations, crash %d", seed, cut, crash)
				}
			}
		}
	}
}

// Power is cut before every operation, on a disk that tears sectors, which
// doc.go assumes it does not. Then a log may be refused, with the place, for
// what it finds is no torn write; but it is never another log than one of the
// possible ones, and only a few are refused.
func TestPowerCutThatTearsSectors(t *testing.T) {
	found, refused, seeds := 0, 0, uint64(2)
	if long() {
		seeds = 200
	}
	for seed := range seeds {
		for cut := 0; ; cut++ {
			fs := faultfs.New()
			fs.SetFault(faultfs.CutAfter(cut))
			possible, ended := history(t, fs, seed)
			if ended {
				break
			}
			for crash := range uint64(3) {
				rng := rand.New(rand.NewPCG(seed<<32|uint64(cut), crash))
				torn := fs.TornClone(rng, 2)
				l, err := wal.Open(small(torn))
				if err != nil {
					refused++
					var damage *wal.CorruptError
					if !errors.As(err, &damage) || damage.Segment == "" {
						t.Fatalf("seed %d, cut %d, crash %d: %v", seed, cut, crash, err)
					}
					continue
				}
				found++
				if m := content(t, l).String(); !slices.Contains(possible, m) {
					t.Fatalf("seed %d, cut %d, crash %d: found\n%s\npossible\n%q", seed, cut, crash, m, possible)
				}
				must(t, l.Close())
			}
		}
	}
	t.Logf("%d logs found, %d refused", found, refused)
	if found < refused {
		t.Errorf("%d refused, %d found", refused, found)
	}
}

// history runs random steps until the power is cut, or to the end. It returns
// every state that may be found afterwards.
func history(t *testing.T, fs *faultfs.MemFS, seed uint64) (possible []string, ended bool) {
	rng := rand.New(rand.NewPCG(seed, 2))
	m := &model{}
	possible = []string{m.String()}
	l, err := wal.Open(small(fs))
	for range 25 {
		if err != nil {
			return possible, false
		}
		if rng.IntN(12) == 0 {
			if err = l.Close(); err == nil {
				possible = []string{m.String()}
				l, err = wal.Open(small(fs))
			}
			continue
		}
		m = m.clone()
		var durable bool
		durable, err = step(rng, l, m)
		if durable && err == nil {
			possible = nil
		}
		possible = append(possible, m.String())
	}
	if err != nil {
		return possible, false
	}
	return possible, l.Close() == nil
}

// recovers opens what a crash left, with a second crash during recovery, and
// checks that the log is one of the possible ones and goes on.
func recovers(t *testing.T, fs *faultfs.MemFS, rng *rand.Rand, possible []string) {
	t.Helper()
	fs.SetFault(faultfs.CutAfter(rng.IntN(6)))
	if l, err := wal.Open(small(fs)); err == nil {
		fs.SetFault(nil)
		l.Close()
	} else {
		fs = fs.CrashClone(rng)
	}
	l, err := wal.Open(small(fs))
	if err != nil {
		t.Errorf("open after a crash: %v", err)
		return
	}
	defer l.Close()
	m := content(t, l)
	found := false
	for _, p := range possible {
		found = found || p == m.String()
	}
	if !found {
		t.Errorf("found\n%s\npossible\n%q", m, possible)
		return
	}
	for range 5 {
		if _, err := step(rng, l, m); err != nil {
			t.Error(err)
		}
	}
	must(t, l.Close())
	l = open(t, small(fs))
	same(t, l, m)
	must(t, l.Close())
}
