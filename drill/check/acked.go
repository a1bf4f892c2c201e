package check

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Acked checks writes against the log and the final tree. The log must hold
// every change from the empty store on; tree is the store's own view of its
// files, read after the last write, restricted like the log to paths the ops
// wrote.
func Acked(ops []Op, log []Event, tree map[string]Event) error {
	var p Problems
	applied := make(map[string][]Event, len(log)) // by value
	for i, e := range log {
		if i > 0 && e.Rev < log[i-1].Rev {
			p.addf("log goes back: %v after %v", e, log[i-1])
		}
		if !e.Del {
			applied[e.Value] = append(applied[e.Value], e)
		}
	}
	written := make(map[string]bool, len(ops))
	for _, o := range ops {
		if !o.Writes() {
			continue
		}
		written[o.Value] = true
		at := applied[o.Value]
		switch {
		case len(at) > 1:
			p.addf("applied twice: %v is in the log as %v", o, at)
		case o.Outcome == OK && len(at) == 0:
			p.addf("lost: %v is not in the log", o)
		case o.Outcome == OK && (at[0].Rev != o.Rev || at[0].Path != o.Path):
			p.addf("acknowledged as one thing, applied as another: %v is in the log as %v", o, at[0])
		case (o.Outcome == Mismatch || o.Outcome == Failed) && len(at) > 0:
			p.addf("refused but applied: %v is in the log as %v", o, at[0])
		}
	}
	for v, at := range applied {
		if !written[v] {
			p.addf("nobody wrote %v", at[0])
		}
	}
	p = append(p, sameTree("the tree", tree, Tree(log, maxRev))...)
	return p.err()
}

const maxRev = int64(1<<63 - 1)

// sameTree compares a tree with the one that replaying the log gives.
func sameTree(what string, got, want map[string]Event) Problems {
	var p Problems
	for path, w := range want {
		if g, ok := got[path]; !ok {
			p.addf("%s lacks %v", what, w)
		} else if g != w {
			p.addf("%s has %v, want %v", what, g, w)
		}
	}
	for path, g := range got {
		if _, ok := want[path]; !ok {
			p.addf("%s has %v, which the log does not", what, g)
		}
	}
	slices.Sort(p)
	return p
}

// Revs checks the revs of successful operations against time: what returned
// before another was called has the lower rev; no two writes share one. (Each
// op of a history is a write of one file; transactions do not belong here.)
func Revs(ops []Op) error {
	var p Problems
	var done []Op
	for _, o := range ops {
		if o.Outcome == OK && o.Writes() {
			done = append(done, o)
		}
	}
	seen := map[int64]Op{}
	for _, o := range done {
		if o.Rev <= 0 {
			p.addf("no rev: %v", o)
		}
		if other, ok := seen[o.Rev]; ok {
			p.addf("one rev twice: %v and %v", other, o)
		}
		seen[o.Rev] = o
	}
	byReturn := slices.Clone(done)
	slices.SortFunc(byReturn, func(a, b Op) int { return cmp.Compare(a.Return, b.Return) })
	slices.SortFunc(done, func(a, b Op) int { return cmp.Compare(a.Call, b.Call) })
	var highest Op
	for _, o := range done {
		for len(byReturn) > 0 && byReturn[0].Return < o.Call {
			if byReturn[0].Rev > highest.Rev {
				highest = byReturn[0]
			}
			byReturn = byReturn[1:]
		}
		if o.Rev <= highest.Rev {
			p.addf("rev goes back: %v came after %v", o, highest)
		}
	}
	return p.err()
}

// CounterValue is the n-th value of a counter: the number, and what makes it
// unique.
func CounterValue(n int64, unique string) string {
	return strconv.FormatInt(n, 10) + ":" + unique
}

// CounterOf is the number in a counter's value; 0 for a missing file's.
func CounterOf(value string) (int64, error) {
	if value == "" {
		return 0, nil
	}
	head, _, _ := strings.Cut(value, ":")
	return strconv.ParseInt(head, 10, 64)
}

// Counters checks every file of the log below prefix that was written only by
// compare-and-set increments: it goes 1, 2, 3, ... without a step lost or
// taken twice. It returns the sum of all counters.
func Counters(prefix string, log []Event) (sum int64, err error) {
	var p Problems
	last := map[string]int64{}
	for _, e := range log {
		if !strings.HasPrefix(e.Path, prefix) {
			continue
		}
		n, err := CounterOf(e.Value)
		if err != nil || e.Del || n != last[e.Path]+1 {
			p.addf("counter at %d followed by %v", last[e.Path], e)
		}
		last[e.Path] = n
	}
	for _, n := range last {
		sum += n
	}
	return sum, p.err()
}

// MaxGap is the longest time between from and to in which no write succeeded.
func MaxGap(ops []Op, from, to time.Duration) time.Duration {
	_, gap := WidestGap(ops, from, to)
	return gap
}

// WidestGap is MaxGap, and when it began.
func WidestGap(ops []Op, from, to time.Duration) (began, gap time.Duration) {
	var at []time.Duration
	for _, o := range ops {
		if o.Outcome == OK && o.Writes() && o.Return >= from && o.Return <= to {
			at = append(at, o.Return)
		}
	}
	slices.Sort(at)
	last := from
	for _, t := range append(at, to) {
		if t-last > gap {
			began, gap = last, t-last
		}
		last = t
	}
	return began, gap
}

// Whole checks that a log of every path begins with rev 1 and leaves no rev
// out.
func Whole(log []Event) error {
	var p Problems
	last := int64(0)
	for _, e := range log {
		if e.Rev != last && e.Rev != last+1 {
			p.addf("rev %d is followed by %v", last, e)
		}
		last = e.Rev
	}
	return p.err()
}
