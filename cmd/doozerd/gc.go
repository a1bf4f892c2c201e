package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"sync"
)

// The collector runs when the heap has grown by a part of what is alive. For a
// small tree a large part costs little memory and saves time; a million files are
// alive for years, and must not need their memory twice. So the room to grow is
// gcSmallShare of a small heap, gcLargeShare of a large one, and in between it
// falls from what the first gives to what the second gives.
const (
	gcSmallHeap  = 96 << 20
	gcLargeHeap  = 448 << 20
	gcSmallShare = 200 // percent
	gcLargeShare = 14
)

// gcPercent returns the part for a live heap of so many bytes.
func gcPercent(live uint64) int {
	const most, least = gcSmallHeap * gcSmallShare, gcLargeHeap * gcLargeShare
	switch {
	case live <= gcSmallHeap:
		return gcSmallShare
	case live >= gcLargeHeap:
		return gcLargeShare
	}
	room := most - (live-gcSmallHeap)*(most-least)/(gcLargeHeap-gcSmallHeap)
	return int(room / live)
}

// gcTuner follows the live heap: after each collection it says when the next one
// is due. It has no goroutine, and an idle process does not wake for it.
type gcTuner struct {
	mu      sync.Mutex
	stopped bool
	last    int
}

// tuneGC tunes the collector until stop is called. It leaves it alone where GOGC
// or GOMEMLIMIT is set: then somebody has decided.
func tuneGC(env []string) (stop func()) {
	for _, kv := range env {
		if strings.HasPrefix(kv, "GOGC=") || strings.HasPrefix(kv, "GOMEMLIMIT=") {
			return func() {}
		}
	}
	g := new(gcTuner)
	g.tune()
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.stopped = true
	}
}

// tune sets the part for what is alive, and comes again after the next
// collection, which finds the garbage that it leaves.
func (g *gcTuner) tune() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopped {
		return
	}
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	if p := gcPercent(sample[0].Value.Uint64()); p != g.last {
		debug.SetGCPercent(p)
		g.last = p
	}
	garbage := new([64]byte) // large enough to lie alone
	runtime.AddCleanup(garbage, (*gcTuner).tune, g)
}
