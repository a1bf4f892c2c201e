package sim

import (
	"testing"
	"time"
)

// TestCanaries: each way in which the environment can be wrong is found within
// a few seeds. A check that has never failed proves nothing.
func TestCanaries(t *testing.T) {
	for _, c := range []struct {
		name  string
		wrong Wrong
		nodes int
	}{
		{"a disk that lies about syncs", Wrong{LyingDisk: true}, 0},
		{"an answer before the log is synced", Wrong{EarlyAck: true}, 0},
		{"a vote that is not stored", Wrong{ForgetVote: true}, 3},
		{"a read that asks nobody", Wrong{StaleReads: true}, 3},
		{"a retry without its number", Wrong{RetryWithoutID: true}, 0},
		{"a watch that loses a change", Wrong{DropEvent: true}, 0},
		{"a watch that repeats a change", Wrong{RepeatEvent: true}, 0},
		{"a watch that splits a rev", Wrong{SplitRev: true}, 0},
		{"a mark that is too high", Wrong{EarlyMark: true}, 0},
		{"a watch that misses a heartbeat", Wrong{DropBeat: true}, 0},
		{"a state machine that reads a clock", Wrong{OtherTime: true}, 3},
		{"a checkpoint that is lost", Wrong{LostCheckpoint: true}, 0},
		{"a node that stays cut off", Wrong{NeverHeal: true}, 3},
	} {
		if raceEnabled && c.wrong != (Wrong{StaleReads: true}) {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			const seeds = 100
			for seed := range uint64(seeds) {
				_, err := try(t, Config{Seed: seed + 1, Nodes: c.nodes, For: 20 * time.Second, Wrong: c.wrong})
				if err != nil {
					t.Logf("seed %d: %.300v", seed+1, err)
					return
				}
			}
			t.Errorf("not found in %d seeds", seeds)
		})
	}
}
