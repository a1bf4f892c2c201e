package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"
)

func TestGCPercent(t *testing.T) {
	for _, c := range []struct {
		live uint64
		want int
	}{
		{0, 200}, {96 << 20, 200}, {272 << 20, 46}, {448 << 20, 14}, {64 << 30, 14},
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
	for _, env := range []string{"GOGC=50", "GOMEMLIMIT=1GiB"} {
		tuneGC([]string{"A=b", env})()
		if p := debug.SetGCPercent(77); p != 77 {
			t.Errorf("with %s it was set to %d", env, p)
		}
	}
	stop := tuneGC([]string{"HOME=/"})
	if p := debug.SetGCPercent(77); p == 77 {
		t.Error("without GOGC it was not set")
	}
	stop()
}

// It is tuned again after collections, and no more when it was stopped.
func TestTuneGCFollowsTheHeap(t *testing.T) {
	before := debug.SetGCPercent(77)
	defer debug.SetGCPercent(before)
	percent := func() uint64 {
		sample := []metrics.Sample{{Name: "/gc/gogc:percent"}}
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
	stop := tuneGC(nil)
	first := percent()
	alive := make([]byte, 200<<20)
	for percent() == first {
		runtime.GC()
		time.Sleep(time.Millisecond) // cleanups run on a goroutine of their own
	}
	runtime.KeepAlive(alive)
	stop()
}
