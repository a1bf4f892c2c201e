package main

import (
	"math/rand"
	"slices"
	"testing"
	"time"
)

func TestBucketsHoldWhatTheySay(t *testing.T) {
	for v := uint64(1); v < 1<<40; v = v + v/37 + 1 {
		i := bucket(v)
		hi := uint64(upper(i))
		if v > hi || bucket(hi) != i || bucket(hi+1) != i+1 {
			t.Fatalf("%d is in bucket %d, whose upper end is %d (in %d, the next in %d)", v, i, hi, bucket(hi), bucket(hi+1))
		}
		if float64(hi) > float64(v)*1.04 {
			t.Fatalf("bucket of %d reaches to %d", v, hi)
		}
	}
}

func TestQuantilesAgainstASortedList(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	var a, b histogram
	var all []time.Duration
	for i := range 20_000 {
		d := time.Duration(r.ExpFloat64() * 1e6)
		all = append(all, d)
		[]*histogram{&a, &b}[i%2].add(d)
	}
	a.merge(&b)
	slices.Sort(all)
	if a.max != all[len(all)-1] || a.n != int64(len(all)) {
		t.Errorf("max %v, %d values; want %v, %d", a.max, a.n, all[len(all)-1], len(all))
	}
	for _, q := range []float64{0, 0.5, 0.9, 0.99, 0.999} {
		want := all[int(q*float64(len(all)))]
		if got := a.quantile(q); got < want || float64(got) > float64(want)*1.04+1 {
			t.Errorf("quantile %v: %v, want %v", q, got, want)
		}
	}
}
