package store

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestRevNeverGoesBack: with a window of one change nearly every write forgets
// one, and the newest is often a deletion. A node that crashes at any time, and
// goes on from its last checkpoint and the log, is at the same rev again; none
// it has told comes a second time.
func TestRevNeverGoesBack(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 17))
		r := newRig(t)
		r.configure(Config{History: 1 + int64(seed%3)})
		saved, savedRev, savedIndex := records{}, int64(0), r.s.index
		var log []Command // since saved
		save(t, r.s, saved)
		last := int64(0)
		for i := range 120 {
			c := Command{Kind: Write, Author: "t", Ops: parseOps(fmt.Sprintf("/%d=%d", rng.IntN(3), i))}
			if rng.IntN(2) == 0 {
				c.Ops = parseOps(fmt.Sprintf("-/%d", rng.IntN(3)))
			}
			res, _ := r.apply(c)
			log = append(log, c)
			if res.Err == nil && res.Rev <= last {
				t.Fatalf("seed %d: rev %d after rev %d", seed, res.Rev, last)
			}
			last = max(last, res.Rev)
			if rng.IntN(4) == 0 {
				save(t, r.s, saved)
				savedRev, savedIndex, log = r.s.Rev(), r.s.index, nil
			}
			crashed, err := saved.load(savedIndex)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if crashed.Rev() < savedRev {
				t.Fatalf("seed %d: rev %d after rev %d: a checkpoint that is read back", seed, crashed.Rev(), savedRev)
			}
			again := &rig{t: t, s: crashed, index: savedIndex, now: int64(savedIndex) * 1e9}
			for _, c := range log {
				again.apply(c)
			}
			if crashed.Rev() != last || crashed.Hash() != r.s.Hash() {
				t.Fatalf("seed %d: rev %d after rev %d: the log was applied again", seed, crashed.Rev(), last)
			}
		}
	}
}
