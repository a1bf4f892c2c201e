package ring

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
)

// However uneven the keys, no node has more than the factor times its part.
func TestLoadBound(t *testing.T) {
	for _, algo := range []Algo{HRW, Slots, MD5} {
		f := testFile(algo, 10)
		if err := f.SetWeight("node4", 3*One, false); err != nil {
			t.Fatal(err)
		}
		r := mustNew(t, f)
		l := NewLoad(1.25)
		busy := map[string]int{}
		var picked []*Node
		rnd := rand.New(rand.NewPCG(4, 1))
		for i := range 3000 {
			if len(picked) > 0 && rnd.IntN(3) == 0 {
				k := rnd.IntN(len(picked))
				l.Done(picked[k])
				busy[picked[k].Name]--
				picked = slices.Delete(picked, k, k+1)
			}
			n := l.Pick(r, fmt.Sprintf("key%d", rnd.IntN(3))) // three hot keys
			limit := math.Ceil(1.25 * float64(len(picked)+1) * float64(n.Weight) / 12000)
			picked = append(picked, n)
			if busy[n.Name]++; float64(busy[n.Name]) > limit {
				t.Fatalf("%s: after %d picks %s has %d, its limit is %f", algo, i, n.Name, busy[n.Name], limit)
			}
		}
		for _, n := range picked {
			l.Done(n)
		}
		if l.total != 0 || len(l.byNode) != 0 {
			t.Errorf("%s: %d left, %v", algo, l.total, l.byNode)
		}
	}
}

// Without much load the owner is picked; then the others by rank.
func TestLoadOrder(t *testing.T) {
	r := mustNew(t, testFile(HRW, 5))
	l := NewLoad(1)
	want := r.Owners(nil, "hello", 5)
	for i := range 10 {
		if n := l.Pick(r, "hello"); n != want[i%5] {
			t.Errorf("pick %d is %s, want %s", i, n.Name, want[i%5].Name)
		}
	}
	if n := NewLoad(1.25).Pick(mustNew(t, testFile(HRW, 0)), "x"); n != nil {
		t.Errorf("a ring without nodes: %v", n)
	}
	l.Done(&Node{Name: "nobody"}) // is no harm
}

// Goroutines share a Load.
func TestLoadShared(t *testing.T) {
	r := mustNew(t, testFile(HRW, 10))
	l := NewLoad(1.25)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 500 {
				l.Done(l.Pick(r, "hot"))
			}
		})
	}
	wg.Wait()
	if l.total != 0 {
		t.Errorf("%d left", l.total)
	}
}

// The textbook's ways to share keys out, over a small list of words: first letters
// are uneven, hashes even.
func TestMethods(t *testing.T) {
	tests := []struct {
		method, key string
		n, want     int
	}{
		{"first letter", "apple", 4, 0}, {"first letter", "fig", 4, 0}, {"first letter", "grape", 4, 1}, {"first letter", "mango", 4, 1},
		{"first letter", "nut", 4, 2}, {"first letter", "strawberry", 4, 2}, {"first letter", "tomato", 4, 3}, {"first letter", "Zucchini", 4, 3},
		{"first letter", "0", 4, 0}, {"first letter", "", 4, 0}, {"first letter", "éclair", 4, 3}, {"first letter", "x", 1, 0}, {"first letter", "b", 40, 3},
		{"crc32", "apple", 4, 0xa92ed050 % 4}, {"crc32", "123456789", 1000, 0xcbf43926 % 1000},
		{"md5", "", 1000, 366}, {"md5", "hello", 10, 4},
	}
	for _, tt := range tests {
		for _, m := range Methods() {
			if got := m.Pick(tt.key, tt.n); m.Name == tt.method && got != tt.want {
				t.Errorf("%s of %q, %d: %d, want %d", tt.method, tt.key, tt.n, got, tt.want)
			}
		}
	}
}

func TestDeviation(t *testing.T) {
	if got := Deviation([]float64{2, 4, 4, 4, 5, 5, 7, 9}); got != 0.4 {
		t.Errorf("%f", got)
	}
	if got := Deviation(nil); got != 0 {
		t.Errorf("of none: %f", got)
	}
}

func TestMovesShape(t *testing.T) {
	if _, _, err := Moves(mustNew(t, testFile(HRW, 2)), mustNew(t, testFile(MD5, 2))); err != ErrShape {
		t.Error(err)
	}
	moves, total, err := Moves(mustNew(t, testFile(MD5, 0)), mustNew(t, testFile(MD5, 1)))
	if err != nil || math.Abs(total-1) > 1e-9 || len(moves) != 1 || moves[0].From != "" || moves[0].To != "node1" {
		t.Errorf("%v, %f, %v", moves, total, err)
	}
}
