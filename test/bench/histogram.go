package main

import (
	"math/bits"
	"time"
)

// subBits is the precision of a histogram: each power of two of nanoseconds is
// cut in 1<<subBits, so that a quantile is at most 3 % too high.
const subBits = 5

// histogram counts latencies. It belongs to one goroutine.
type histogram struct {
	counts [(64 - subBits) << subBits]uint32
	n      int64
	max    time.Duration
}

func (h *histogram) add(d time.Duration) {
	d = max(d, 0)
	shift := max(0, bits.Len64(uint64(d))-subBits-1)
	h.counts[shift<<subBits+int(uint64(d)>>shift)]++
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
