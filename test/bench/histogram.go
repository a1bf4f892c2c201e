package main

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// subBits is the precision of a histogram: each power of two of nanoseconds is
// cut in 1<<subBits, so that a quantile is at most 3 % too high.
const subBits = 5

// slots is how many intervals a histogram has.
const slots = (64 - subBits) << subBits

// slotOf is the interval of a latency.
func slotOf(d time.Duration) int {
	shift := max(0, bits.Len64(uint64(d))-subBits-1)
	return shift<<subBits + int(uint64(d)>>shift)
}

// histogram counts latencies. It belongs to one goroutine.
type histogram struct {
	counts [slots]uint32
	n      int64
	max    time.Duration
}

func (h *histogram) add(d time.Duration) {
	d = max(d, 0)
	h.counts[slotOf(d)]++
	h.n++
	h.max = max(h.max, d)
}

func (h *histogram) merge(o *histogram) {
	for i, c := range o.counts {
		h.counts[i] += c
	}
	h.n += o.n
	h.max = max(h.max, o.max)
}

// quantile is a latency that the fraction q of all does not exceed.
func (h *histogram) quantile(q float64) time.Duration {
	rank := int64(q * float64(h.n))
	for i, c := range h.counts {
		if rank -= int64(c); rank < 0 {
			shift := max(0, i>>subBits-1)
			return min(time.Duration((uint64(i-shift<<subBits)+1)<<shift-1), h.max)
		}
	}
	return h.max
}

// latencies are the figures that every work on many calls has.
func latencies(h *histogram) figures {
	return figures{
		"p50 ms": ms(h.quantile(0.5)), "p90 ms": ms(h.quantile(0.9)), "p99 ms": ms(h.quantile(0.99)),
		"p99.9 ms": ms(h.quantile(0.999)), "p99.99 ms": ms(h.quantile(0.9999)), "max ms": ms(h.max),
	}
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// tally is a histogram that many goroutines count in.
type tally struct {
	counts [slots]atomic.Uint32
	max    atomic.Int64
}

func (t *tally) add(d time.Duration) {
	d = max(d, 0)
	t.counts[slotOf(d)].Add(1)
	raise(&t.max, int64(d))
}

// into adds what was counted so far to h.
func (t *tally) into(h *histogram) {
	for i := range t.counts {
		c := t.counts[i].Load()
		h.counts[i] += c
		h.n += int64(c)
	}
	h.max = max(h.max, time.Duration(t.max.Load()))
}

// raise makes a no less than v.
func raise(a *atomic.Int64, v int64) {
	for old := a.Load(); v > old && !a.CompareAndSwap(old, v); old = a.Load() {
	}
}
