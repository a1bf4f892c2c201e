package main

import (
	"runtime"
	"runtime/debug"
	"testing"
)

func TestGCPercent(t *testing.T) {
	for _, c := range []struct {
		live uint64
		want int
	}{
		{0, 200}, {64 << 20, 200}, {288 << 20, 120}, {512 << 20, 40}, {64 << 30, 40},
	} {
		if got := gcPercent(c.live); got != c.want {
			t.Errorf("gcPercent(%d) = %d, want %d", c.live, got, c.want)
		}
	}
	for live := uint64(0); live < 600<<20; live += 1 << 20 {
		if p, q := gcPercent(live), gcPercent(live+1<<20); q > p || q < gcLargeShare {
			t.Fatalf("gcPercent(%d) = %d, but %d for a larger heap", live, p, q)
		}
	}
}

func TestTuneGCRespectsTheEnvironment(t *testing.T) {
	before := debug.SetGCPercent(77)
	defer debug.SetGCPercent(before)
	stop := make(chan struct{})
	close(stop)
	for _, env := range []string{"GOGC=50", "GOMEMLIMIT=1GiB"} {
		tuneGC([]string{"A=b", env}, stop)
		if p := debug.SetGCPercent(77); p != 77 {
			t.Errorf("with %s it was set to %d", env, p)
		}
	}
	tuneGC([]string{"HOME=/"}, stop)
	if p := debug.SetGCPercent(77); p == 77 {
		t.Error("without GOGC it was not set")
	}
}

// Each collection is told of, and not only the first.
func TestAfterGC(t *testing.T) {
	stop := make(chan struct{})
	defer close(stop)
	ran := afterGC(stop)
	for range 3 {
		runtime.GC()
		<-ran
	}
}
