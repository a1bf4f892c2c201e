package consensus

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"testing/cryptotest"
)

// hubs are the nodes that a majority, themselves included, hears and is heard
// by: those that can lead.
func (l *lab) hubs() (ids []uint64) {
	n := uint64(len(l.cores))
	for a := uint64(1); a <= n; a++ {
		both := uint64(1)
		for b := uint64(1); b <= n; b++ {
			if a != b && !l.cut[[2]uint64{a, b}] && !l.cut[[2]uint64{b, a}] {
				both++
			}
		}
		if both*2 > n {
			ids = append(ids, a)
		}
	}
	return ids
}

// partition sets up a cluster with a leader and equal logs, cuts the links, and
// demands what any partition must leave: if a node can lead, one does, commits,
// and stays; the terms stop rising. When all is whole again everybody follows.
func partition(t *testing.T, n int, cut func(leader uint64) map[[2]uint64]bool) (possible bool) {
	t.Helper()
	l := newLab(t, n, nil)
	all := func() bool {
		for _, k := range l.cores {
			if k.c.leader == 0 || k.c.leader != l.cores[0].c.leader || k.entries != l.most() || k.entries == 0 {
				return false
			}
		}
		return true
	}
	if !l.after(20, all) {
		t.Fatal("no leader at the start")
	}
	l.cut = cut(l.leader())
	if len(l.hubs()) > 0 {
		possible = true
		before := l.most()
		// The first election may fail by a split vote, the second too.
		if !l.after(30, func() bool { return l.most() > before+10 }) {
			t.Errorf("%d nodes, cut %s: no progress, though %v can lead", n, links(l.cut), l.hubs())
		}
		// An old leader may have to find out, and a last candidate to give up.
		l.after(6, func() bool { return false })
		term, before := l.term(), l.most()
		l.after(20, func() bool { return false })
		if l.term() != term {
			t.Errorf("%d nodes, cut %s: the term rose from %d to %d with a leader that works", n, links(l.cut), term, l.term())
		}
		if l.most() < before+10 {
			t.Errorf("%d nodes, cut %s: progress has ended", n, links(l.cut))
		}
	} else {
		l.after(10, func() bool { return false })
	}
	clear(l.cut)
	if !l.after(30, all) {
		t.Errorf("%d nodes: not one leader of all after healing", n)
	}
	return possible
}

// links tells what is cut: 1>2 means that what 1 sends to 2 is lost.
func links(cut map[[2]uint64]bool) (s string) {
	var all []string
	for k, is := range cut {
		if is {
			all = append(all, fmt.Sprintf("%d>%d", k[0], k[1]))
		}
	}
	slices.Sort(all)
	return fmt.Sprint(all)
}

// directed is every ordered pair of n nodes.
func directed(n uint64) (pairs [][2]uint64) {
	for a := uint64(1); a <= n; a++ {
		for b := uint64(1); b <= n; b++ {
			if a != b {
				pairs = append(pairs, [2]uint64{a, b})
			}
		}
	}
	return pairs
}

// chosenCut cuts the pairs whose bits are set.
func chosenCut(pairs [][2]uint64, bits uint64) map[[2]uint64]bool {
	cut := map[[2]uint64]bool{}
	for i, p := range pairs {
		cut[p] = bits>>i&1 == 1
	}
	return cut
}

// TestEveryPartitionOfThree cuts every set of one-way links of three nodes.
func TestEveryPartitionOfThree(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 1)
	pairs, possible := directed(3), 0
	for bits := range uint64(1) << len(pairs) {
		if partition(t, 3, func(uint64) map[[2]uint64]bool { return chosenCut(pairs, bits) }) {
			possible++
		}
	}
	t.Logf("%d partitions, in %d of them a node can lead", 1<<len(pairs), possible)
}

// TestPartitionsOfFive cuts every set of two-way links of five nodes, or without
// DOOZER_TEST_LONG some; then random sets of one-way links; and those that have
// names.
func TestPartitionsOfFive(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 2)
	var edges [][2]uint64
	for _, p := range directed(5) {
		if p[0] < p[1] {
			edges = append(edges, p)
		}
	}
	both := func(edges [][2]uint64, bits uint64) map[[2]uint64]bool {
		cut := chosenCut(edges, bits)
		for _, e := range edges {
			cut[[2]uint64{e[1], e[0]}] = cut[e]
		}
		return cut
	}
	rng := rand.New(rand.NewPCG(5, 5))
	long := os.Getenv("DOOZER_TEST_LONG") == "1"
	runs, possible := 0, 0
	note := func(can bool) {
		runs++
		if can {
			possible++
		}
	}
	for bits := range uint64(1) << len(edges) {
		if long || rng.IntN(32) == 0 {
			note(partition(t, 5, func(uint64) map[[2]uint64]bool { return both(edges, bits) }))
		}
	}
	pairs, oneWay := directed(5), 30
	if long {
		oneWay = 3000
	}
	for range oneWay {
		bits := rng.Uint64() & rng.Uint64() // a quarter of the links
		note(partition(t, 5, func(uint64) map[[2]uint64]bool { return chosenCut(pairs, bits) }))
	}
	for _, named := range []struct {
		name string
		keep func(a, b, leader uint64) bool
	}{
		{"leader alone", func(a, b, l uint64) bool { return a != l && b != l }},
		{"leader hears nobody", func(_, b, l uint64) bool { return b != l }},
		{"nobody hears the leader", func(a, _, l uint64) bool { return a != l }},
		{"all meet at one follower", func(a, b, l uint64) bool { hub := l%5 + 1; return a == hub || b == hub }},
		{"all meet at the leader", func(a, b, l uint64) bool { return a == l || b == l }},
		{"ring", func(a, b, _ uint64) bool { return a%5+1 == b || b%5+1 == a }},
		{"chain", func(a, b, _ uint64) bool { return a+1 == b || b+1 == a }},
		{"bridge", func(a, b, _ uint64) bool { return a == 3 || b == 3 || (a < 3) == (b < 3) }},
		{"one link of the leader", func(a, b, l uint64) bool { x := l%5 + 1; return !(a == l && b == x || a == x && b == l) }},
	} {
		t.Log(named.name)
		note(partition(t, 5, func(leader uint64) map[[2]uint64]bool {
			cut := map[[2]uint64]bool{}
			for _, p := range directed(5) {
				cut[p] = !named.keep(p[0], p[1], leader)
			}
			return cut
		}))
	}
	t.Logf("%d partitions, in %d of them a node can lead", runs, possible)
}
