package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// The collector runs when the heap has grown by a part of what is alive. For
// a small tree a large part costs little memory and saves time; a million
// files are alive for years, and must not need their memory twice.
const (
	gcSmallHeap  = 64 << 20
	gcLargeHeap  = 512 << 20
	gcSmallShare = 200 // percent
	gcLargeShare = 40
)

// gcPercent returns the part for a live heap of so many bytes: from
// gcSmallShare falling to gcLargeShare.
func gcPercent(live uint64) int {
	switch {
	case live <= gcSmallHeap:
		return gcSmallShare
	case live >= gcLargeHeap:
		return gcLargeShare
	}
	return gcSmallShare - int((live-gcSmallHeap)*(gcSmallShare-gcLargeShare)/(gcLargeHeap-gcSmallHeap))
}

// tuneGC follows the live heap until stop is closed. It leaves the collector
// alone where GOGC or GOMEMLIMIT is set: then somebody has decided. What is
// alive is known anew when the collector has run, and only then does it look.
func tuneGC(env []string, stop <-chan struct{}) {
	for _, kv := range env {
		if len(kv) > 5 && (kv[:5] == "GOGC=" || len(kv) > 11 && kv[:11] == "GOMEMLIMIT=") {
			return
		}
	}
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	ran := afterGC(stop)
	last := 0
	for {
		metrics.Read(sample)
		if p := gcPercent(sample[0].Value.Uint64()); p != last {
			debug.SetGCPercent(p)
			last = p
		}
		select {
		case <-ran:
		case <-stop:
			return
		}
	}
}

// gcMark is garbage that every collection finds.
type gcMark struct{ _ *gcMark }

// afterGC returns a channel of one slot that receives when the collector has
// run, until stop is closed.
func afterGC(stop <-chan struct{}) <-chan struct{} {
	ran := make(chan struct{}, 1)
	var found func(*gcMark)
	found = func(m *gcMark) {
		select {
		case <-stop:
			return
		case ran <- struct{}{}:
		default:
		}
		runtime.SetFinalizer(m, found)
	}
	runtime.SetFinalizer(&gcMark{}, found)
	return ran
}
