package store

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
)

// TestTable adds and removes nodes beside a map of Go's: with a good hash, with
// one that gives few places, and with one that gives all paths the same.
func TestTable(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 0))
	for name, hash := range map[string]func(string) uint64{
		"xxhash": xxhash.Sum64String,
		"few":    func(p string) uint64 { return xxhash.Sum64String(p) % 7 * (1<<61 + 1<<29) },
		"high":   func(p string) uint64 { return 1<<31 - 1 - xxhash.Sum64String(p)%3 },
		"one":    func(string) uint64 { return 0 },
	} {
		t.Run(name, func(t *testing.T) {
			tab, twin := newTable(), map[string]*node{}
			tab.hash = hash
			for step := range 8_000 {
				path := fmt.Sprint("/", r.IntN(2000))
				n := twin[path]
				if got := tab.get(path); got != n {
					t.Fatalf("seed %d step %d: %q is %p, not %p", seed, step, path, got, n)
				}
				switch grows := step/2000%2 == 0; {
				case n == nil && (grows || r.IntN(3) == 0):
					twin[path] = &node{head: Version{Path: path}.Event()}
					tab.add(path, twin[path])
				case n != nil && (!grows || r.IntN(3) == 0):
					tab.remove(path)
					delete(twin, path)
				}
			}
			seen := 0
			for n := range tab.all() {
				seen++
				if twin[n.path()] != n || tab.get(n.path()) != n {
					t.Fatalf("seed %d: %q is not what it was", seed, n.path())
				}
			}
			if seen != len(twin) || tab.n != seen {
				t.Fatalf("seed %d: %d of %d nodes, counted %d", seed, seen, len(twin), tab.n)
			}
		})
	}
}

// TestTableHostile: paths that all have one place cost no more than maxProbe.
func TestTableHostile(t *testing.T) {
	tab := newTable()
	tab.hash = func(string) uint64 { return 0 }
	for i := range 3 * maxProbe * rowNodes {
		path := fmt.Sprint("/", i)
		tab.add(path, &node{head: Version{Path: path}.Event()})
	}
	if in := tab.pieces[0].n; in > maxProbe*rowNodes || len(tab.apart) != 3*maxProbe*rowNodes-in {
		t.Errorf("%d in the table, %d apart", in, len(tab.apart))
	}
}
