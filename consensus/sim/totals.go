package sim

import (
	"fmt"
	"strings"
	"time"
)

// totals adds up results.
type totals struct {
	runs int
	sum  Result
	heal time.Duration // the longest
}

func (t *totals) add(r Result) {
	t.runs++
	s := &t.sum
	s.Simulated += r.Simulated
	s.Events += r.Events
	s.Writes += r.Writes
	s.Reads += r.Reads
	s.Unknown += r.Unknown
	s.Retries += r.Retries
	s.WatchEvents += r.WatchEvents
	s.Resyncs += r.Resyncs
	s.Forgotten += r.Forgotten
	s.LeftOut += r.LeftOut
	s.Entries += r.Entries
	s.Messages += r.Messages
	s.Snapshots += r.Snapshots
	s.Checkpoints += r.Checkpoints
	s.Leaders += r.Leaders
	for k, n := range r.Faults {
		s.Faults[k] += n
	}
	t.heal = max(t.heal, r.Healed)
}

// report says what was done in took, with used of a processor's time.
func (t *totals) report(took, used time.Duration) string {
	var b strings.Builder
	s := &t.sum
	runs := float64(t.runs)
	fmt.Fprintf(&b, "%d seeds in %v: %.2f seeds/s; %v of processor time: %.0f an hour and core\n",
		t.runs, took.Round(time.Millisecond), runs/took.Seconds(), used.Round(time.Millisecond), 3600*runs/used.Seconds())
	fmt.Fprintf(&b, "%v simulated, %.0f times as fast as the clock\n", s.Simulated.Round(time.Second), s.Simulated.Seconds()/took.Seconds())
	fmt.Fprintf(&b, "%d events, %d messages, %d entries, %d terms with a leader, %d checkpoints, %d snapshots installed\n",
		s.Events, s.Messages, s.Entries, s.Leaders, s.Checkpoints, s.Snapshots)
	ops := s.Writes + s.Reads + s.Unknown
	fmt.Fprintf(&b, "%d operations, %d a seed: %d writes, %d reads, %d of unknown outcome; %d retries; %d watched changes, %d resyncs\n",
		ops, ops/max(t.runs, 1), s.Writes, s.Reads, s.Unknown, s.Retries, s.WatchEvents, s.Resyncs)
	fmt.Fprintf(&b, "%d rewrites of volatile files forgotten, %d of them left out of watches that resumed\n", s.Forgotten, s.LeftOut)
	n := 0
	for _, c := range s.Faults {
		n += c
	}
	fmt.Fprintf(&b, "%d faults:", n)
	for k, c := range s.Faults {
		fmt.Fprintf(&b, " %v %d,", faultKind(k), c)
	}
	fmt.Fprintf(&b, "\nlongest way back to a whole cluster: %v", t.heal.Round(time.Millisecond))
	return b.String()
}
