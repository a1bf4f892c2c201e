package main

import (
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// The collector runs when the heap has grown by a part of what is alive. For
// a small tree a large part costs little memory and saves time; a million
// files are alive for years, and must not need their memory twice.
const (
	gcEvery      = 2 * time.Second
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
// alone where GOGC or GOMEMLIMIT is set: then somebody has decided.
func tuneGC(env []string, stop <-chan struct{}) {
	for _, kv := range env {
		if len(kv) > 5 && (kv[:5] == "GOGC=" || len(kv) > 11 && kv[:11] == "GOMEMLIMIT=") {
			return
		}
	}
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	tick := time.NewTicker(gcEvery)
	defer tick.Stop()
	last := 0
	for {
		metrics.Read(sample)
		if p := gcPercent(sample[0].Value.Uint64()); p != last {
			debug.SetGCPercent(p)
			last = p
		}
		select {
		case <-tick.C:
		case <-stop:
			return
		}
	}
}
