package ring

import (
	"fmt"
	"strconv"
	"testing"
)

// testFile is a ring of n nodes, node1 to noden.
func testFile(algo Algo, n int) *File {
	f := &File{Algo: algo, Nodes: map[string]Spec{}}
	for i := range n {
		f.Nodes["node"+strconv.Itoa(i+1)] = Spec{Addr: fmt.Sprintf("10.0.%d.%d:6379", i/256, i%256)}
	}
	f.fill()
	if algo == Slots {
		f.balance(false)
	}
	return f
}

func mustNew(t testing.TB, f *File) *Ring {
	t.Helper()
	r, err := New(f, 1)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func testKeys(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = "user:" + strconv.Itoa(i)
	}
	return keys
}

var sizes = []int{10, 100, 1000}

func BenchmarkOwner(b *testing.B) {
	keys := testKeys(1 << 16)
	for _, algo := range []Algo{HRW, Slots, MD5} {
		for _, n := range sizes {
			b.Run(fmt.Sprintf("%s/%d", algo, n), func(b *testing.B) {
				r := mustNew(b, testFile(algo, n))
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					if r.Owner(keys[i&(1<<16-1)]) == nil {
						b.Fatal("nobody")
					}
					i++
				}
			})
		}
	}
}

func BenchmarkOwners(b *testing.B) {
	keys := testKeys(1 << 16)
	for _, n := range sizes {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			f := testFile(HRW, n)
			f.Copies = 3
			r := mustNew(b, f)
			var buf [3]*Node
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if len(r.Owners(buf[:0], keys[i&(1<<16-1)], 3)) != 3 {
					b.Fatal("not three")
				}
				i++
			}
		})
	}
}

// BenchmarkNew is what a change costs each client: one table.
func BenchmarkNew(b *testing.B) {
	for _, n := range sizes {
		for _, copies := range []int{1, 3} {
			b.Run(fmt.Sprintf("%d/copies=%d", n, copies), func(b *testing.B) {
				f := testFile(HRW, n)
				f.Copies = copies
				for b.Loop() {
					mustNew(b, f)
				}
			})
		}
	}
	b.Run("100/weights", func(b *testing.B) {
		f := testFile(HRW, 100)
		f.Nodes["node7"] = Spec{Weight: 2 * One}
		for b.Loop() {
			mustNew(b, f)
		}
	})
}

// BenchmarkJoin is what a change costs a client that has the ring before it.
func BenchmarkJoin(b *testing.B) {
	for _, n := range sizes {
		for _, copies := range []int{1, 3} {
			b.Run(fmt.Sprintf("%d/copies=%d", n, copies), func(b *testing.B) {
				f := testFile(HRW, n)
				f.Copies = copies
				old := mustNew(b, f)
				g := f.Clone()
				g.Nodes["another"] = Spec{}
				for b.Loop() {
					if _, err := build(g, 2, old); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
