package store

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// TestInOrder sorts versions of paths that begin alike for as long as it may
// happen, and compares with a sort that only compares.
func TestInOrder(t *testing.T) {
	long := "/" + strings.Repeat("x", 200)
	words := []string{"/a", "/b", "/abcdefg", "/abcdefgh", "/abcdefghi", "/12345678", "/12345679", "/\u00ff", long, long + "y"}
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 0))
		n := r.IntN(4 * fewVersions)
		drops := make([]drop, n)
		vs := make([]capturedVersion, n)
		deep, wide := 1+r.IntN(4), 1+r.IntN(len(words))
		for i := range vs {
			var path strings.Builder
			for range 1 + r.IntN(deep) {
				path.WriteString(words[r.IntN(wide)])
			}
			rev := r.Int64N(int64(4*n)) * 4
			if r.IntN(2) == 0 {
				vs[i] = capturedVersion{event: Version{Path: path.String(), Rev: rev}.Event()}
			} else {
				drops[i] = drop{path.String(), rev}
				vs[i] = capturedVersion{drop: &drops[i]}
			}
		}
		want := slices.Clone(vs)
		slices.SortStableFunc(want, func(a, b capturedVersion) int {
			return cmp.Or(cmp.Compare(a.path(), b.path()), cmp.Compare(a.rev(), b.rev()))
		})
		inOrder(vs, make([]capturedVersion, n))
		for i := range vs {
			if vs[i].path() != want[i].path() || vs[i].rev() != want[i].rev() {
				t.Fatalf("seed %d: of %d versions the one at %d is %s at %d, want %s at %d",
					seed, n, i, vs[i].path(), vs[i].rev(), want[i].path(), want[i].rev())
			}
		}
	}
}
