package check

import (
	"fmt"
	"math/rand"
	"testing"
	"time"
)

func read(value string, rev int64, call, ret int) Op {
	return Op{Client: 9, Kind: Read, Path: "/a", Value: value, Rev: rev, Call: time.Duration(call), Return: time.Duration(ret)}
}

func cas(value string, cond, rev int64, out Outcome, call, ret int) Op {
	return Op{Kind: CAS, Path: "/a", Value: value, If: cond, Rev: rev, Outcome: out, Call: time.Duration(call), Return: time.Duration(ret)}
}

func TestLinearizable(t *testing.T) {
	const illegal = "not linearizable: /a"
	for name, c := range map[string]struct {
		ops  []Op
		want string
	}{
		"good": {[]Op{
			read("", 0, 0, 1), write("/a", "x", 3, OK, 2, 4), read("x", 3, 5, 6),
			cas("y", 3, 7, OK, 7, 8), cas("z", 3, 7, Mismatch, 9, 10), read("y", 7, 11, 12)}, ""},
		"condition on a later rev of the store": {[]Op{
			write("/a", "x", 3, OK, 0, 1), cas("y", 5, 6, OK, 2, 3)}, ""},
		"read beside a write sees either": {[]Op{
			write("/a", "x", 1, OK, 0, 9), read("", 0, 1, 2), read("x", 1, 3, 4)}, ""},
		"unknown write never seen": {[]Op{
			write("/a", "x", 1, OK, 0, 1), write("/a", "u", 0, Unknown, 2, 3), read("x", 1, 4, 5)}, ""},
		"unknown write seen late": {[]Op{
			write("/a", "x", 1, OK, 0, 1), write("/a", "u", 0, Unknown, 2, 3), read("x", 1, 4, 5), read("u", 2, 6, 7)}, ""},
		"unknown write told by a mismatch": {[]Op{
			write("/a", "x", 1, OK, 0, 1), write("/a", "u", 0, Unknown, 2, 3), cas("y", 1, 5, Mismatch, 4, 5), read("u", 5, 6, 7)}, ""},
		"failed write left out": {[]Op{
			write("/a", "x", 1, OK, 0, 1), write("/a", "f", 0, Failed, 2, 3), read("x", 1, 4, 5)}, ""},
		"canary: stale read": {[]Op{
			write("/a", "x", 1, OK, 0, 1), write("/a", "y", 2, OK, 2, 3), read("x", 1, 4, 5)}, illegal},
		"canary: read goes back beside a write": {[]Op{
			write("/a", "x", 1, OK, 0, 1), write("/a", "y", 2, OK, 2, 9), read("y", 2, 3, 4), read("x", 1, 5, 6)}, illegal},
		"canary: lost write": {[]Op{
			write("/a", "x", 1, OK, 0, 1), read("", 0, 2, 3)}, illegal},
		"canary: read of a wrong rev": {[]Op{
			write("/a", "x", 1, OK, 0, 1), read("x", 2, 2, 3)}, illegal},
		"canary: read of what nobody wrote": {[]Op{
			write("/a", "x", 1, OK, 0, 1), read("q", 2, 2, 3)}, illegal},
		"canary: two winners": {[]Op{
			write("/a", "x", 1, OK, 0, 1), cas("y", 1, 2, OK, 2, 5), cas("z", 1, 3, OK, 2, 5)}, illegal},
		"canary: mismatch that was none": {[]Op{
			write("/a", "x", 1, OK, 0, 1), cas("y", 1, 1, Mismatch, 2, 3)}, illegal},
		"canary: created twice": {[]Op{
			cas("x", 0, 1, OK, 0, 1), cas("y", 0, 2, OK, 2, 3)}, illegal},
		"canary: rev goes back": {[]Op{
			write("/a", "x", 5, OK, 0, 1), write("/a", "y", 4, OK, 2, 3)}, illegal},
		"canary: unknown write seen, then not": {[]Op{
			write("/a", "x", 1, OK, 0, 1), write("/a", "u", 0, Unknown, 2, 3), read("u", 2, 4, 5), read("x", 1, 6, 7)}, illegal},
		"canary: failed write seen": {[]Op{
			write("/a", "x", 1, OK, 0, 1), write("/a", "f", 0, Failed, 2, 3), read("f", 2, 4, 5)}, illegal},
	} {
		t.Run(name, func(t *testing.T) { must(t, Linearizable(c.ops, 5*time.Minute), c.want) })
	}
}

// history runs random operations of several callers against one atomic file
// and records them with overlapping intervals. With stale, one read in twenty
// answers with the state before the last write: a read without a majority.
func history(seed int64, stale bool) []Op {
	r := rand.New(rand.NewSource(seed))
	var ops []Op
	var now, before file
	rev := int64(0)
	for i := range 300 {
		at := time.Duration(i) * 10
		o := Op{Client: i % 5, Path: "/a", Call: at - time.Duration(r.Intn(4)), Return: at + time.Duration(r.Intn(4))}
		switch r.Intn(3) {
		case 0:
			seen := now
			if stale && r.Intn(20) == 0 {
				seen = before
			}
			o.Kind, o.Value, o.Rev = Read, seen.value, seen.rev
		case 1:
			o.Kind, o.If = CAS, max(0, now.rev-int64(r.Intn(2)))
			if !now.holds(Part{Missing: o.If == 0, If: o.If}) {
				o.Value, o.Outcome, o.Rev = fmt.Sprint("c", i), Mismatch, now.rev
				break
			}
			fallthrough
		default:
			if o.Kind != CAS {
				o.Kind = Write
			}
			rev++
			before, now = now, file{value: fmt.Sprint("v", i), rev: rev}
			o.Value, o.Rev = now.value, rev
			if r.Intn(20) == 0 {
				o.Outcome, o.Rev = Unknown, 0
			}
		}
		ops = append(ops, o)
	}
	return ops
}

func TestLinearizableOnGeneratedHistories(t *testing.T) {
	caught := 0
	for seed := range int64(20) {
		if err := Linearizable(history(seed, false), 5*time.Minute); err != nil {
			t.Errorf("seed %d: a good history was refused: %v", seed, err)
		}
		if Linearizable(history(seed, true), 5*time.Minute) != nil {
			caught++
		}
	}
	if caught < 18 {
		t.Errorf("stale reads were caught in %d of 20 histories", caught)
	}
}
