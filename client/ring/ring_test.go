package ring

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Test vectors of docs/ring.md: owners by the three algorithms.
func TestOwnerVectors(t *testing.T) {
	heavy := testFile(HRW, 10)
	heavy.Nodes["node3"] = Spec{Weight: 5 * One}
	heavy.fill()
	tests := []struct {
		name string
		f    *File
		want map[string]string
	}{
		{"md5", testFile(MD5, 10), map[string]string{"1": "node2", "5000": "node7", "user:42": "node2", "hello": "node3"}},
		{"hrw", testFile(HRW, 10), map[string]string{
			"1": "node2 node7 node5", "5000": "node7 node2 node5", "user:42": "node1 node8 node2", "hello": "node5 node9 node3",
		}},
		{"hrw, node3 with weight 5", heavy, map[string]string{
			"1": "node2 node7 node3", "5000": "node7 node2 node3", "user:42": "node1 node3 node8", "hello": "node3 node5 node9",
		}},
	}
	for _, tt := range tests {
		r := mustNew(t, tt.f)
		for key, want := range tt.want {
			got := namesOf(r.Owners(nil, key, len(strings.Fields(want))))
			if strings.Join(got, " ") != want {
				t.Errorf("%s: %q belongs to %v, want %s", tt.name, key, got, want)
			}
		}
	}
}

// The distribution test that comes with the classic ring: 10 nodes, 1000 of the
// keys "1" to "10000" drawn at random, a standard deviation of at most 20. With
// any seed it fails in 0.7 % of all runs; this one is fixed.
func TestClassicDistribution(t *testing.T) {
	r := mustNew(t, testFile(MD5, 10))
	rnd := rand.New(rand.NewPCG(10, 100))
	hits := map[string]int{}
	for range 1000 {
		hits[r.Owner(strconv.Itoa(1+rnd.IntN(10000))).Name]++
	}
	var squares float64
	for _, n := range r.Nodes() {
		squares += math.Pow(float64(hits[n.Name])-100, 2)
	}
	if sd := math.Sqrt(squares / 10); sd > 20 {
		t.Errorf("standard deviation %f: %v", sd, hits)
	}
}

// The exact shares of the classic ring of 10 nodes.
func TestClassicShares(t *testing.T) {
	least, most, sum := 1.0, 0.0, 0.0
	for _, s := range mustNew(t, testFile(MD5, 10)).Shares() {
		least, most, sum = min(least, s.Share), max(most, s.Share), sum+s.Share
		if s.Parts != 100 || s.Ideal != 0.1 {
			t.Errorf("%s: %d points, ideal %f", s.Node.Name, s.Parts, s.Ideal)
		}
	}
	if got := fmt.Sprintf("%.2f %.2f", least*100, most*100); got != "7.77 11.41" || math.Abs(sum-1) > 1e-12 {
		t.Errorf("shares are %s %%, in all %f", got, sum)
	}
}

// A lookup allocates nothing, whatever the algorithm and the number of nodes. What
// other goroutines allocate is counted too, so that one count of none is enough.
func TestAllocations(t *testing.T) {
	keys := append(testKeys(100), strings.Repeat("k", 100))
	for _, algo := range []Algo{HRW, Slots, MD5} {
		for _, n := range sizes {
			f := testFile(algo, n)
			f.Copies = 3
			f.Nodes["node2"] = Spec{State: Draining}
			if algo == HRW {
				f.Parts = 1 << 10 // a small table is soon made
			}
			r := mustNew(t, f)
			var buf [3]*Node
			calls := map[string]func(key string){
				"Owner": func(key string) { r.Owner(key) },
				"Get":   func(key string) { r.Get(key) },
				"Both":  func(key string) { r.Both(key) },
			}
			calls["Owners"] = func(key string) { r.Owners(buf[:0], key, 3) }
			calls["Others"] = func(key string) { r.Others(buf[:0], key, 3) }
			for name, call := range calls {
				i := 0
				got := 1.0
				for try := 0; got != 0 && try < 10; try++ {
					got = testing.AllocsPerRun(100, func() { call(keys[i%len(keys)]); i++ })
				}
				if got != 0 {
					t.Errorf("%s of %s with %d nodes allocates %v times", name, algo, n, got)
				}
			}
		}
	}
}

// deviation is that of the shares of the nodes that own anything.
func deviation(r *Ring) float64 {
	var list []float64
	for _, s := range r.Shares() {
		if s.Ideal > 0 {
			list = append(list, s.Share/s.Ideal)
		}
	}
	return Deviation(list)
}

// 100 nodes own the same, within 4 % (hrw) or 2 % (slots), whatever their names.
func TestShares(t *testing.T) {
	patterns := []string{"node%d", "cache-%02d", "10.0.0.%d:11211", "web%d.example.org", "redis-%03d", "%d"}
	for _, pattern := range patterns {
		for algo, most := range map[Algo]float64{HRW: 0.04, Slots: 0.02} {
			f := &File{Algo: algo}
			for i := range 100 {
				if err := f.Add(fmt.Sprintf(pattern, i+1), Spec{}); err != nil {
					t.Fatal(err)
				}
			}
			if sd := deviation(mustNew(t, f)); sd > most {
				t.Errorf("%s, %s: standard deviation %.2f %%", algo, pattern, sd*100)
			}
		}
	}
}

// Shares follow the weights.
func TestWeights(t *testing.T) {
	for algo, within := range map[Algo]float64{HRW: 0.05, Slots: 0.005, MD5: 0.35} {
		f := testFile(algo, 0)
		for i, w := range []Weight{500, 1000, 1500, 2000, 3000, 100} {
			if err := f.Add("n"+strconv.Itoa(i), Spec{Weight: w}); err != nil {
				t.Fatal(err)
			}
		}
		for _, s := range mustNew(t, f).Shares() {
			if math.Abs(s.Share/s.Ideal-1) > within+1e-9 && math.Abs(float64(s.Parts)-s.Ideal*float64(f.Parts)) > 1 {
				t.Errorf("%s: %s with weight %v owns %.4f, should %.4f", algo, s.Node.Name, s.Node.Weight, s.Share, s.Ideal)
			}
		}
	}
}

// A join moves keys to the new node only, a leave from the old node only, and a
// change of a weight to or from its node only; and a join no more than the ideal
// times 1.01: for slots each time, for hrw in the mean of many joins, whose
// shares vary as all shares do.
func TestMinimalMovement(t *testing.T) {
	for algo, joins := range map[Algo]int{HRW: 30, Slots: 5, MD5: 5} {
		for _, n := range []int{10, 100} {
			f := testFile(algo, n)
			before := mustNew(t, f)
			var sum float64
			for i := range joins {
				name := "new" + strconv.Itoa(i)
				g := f.Clone()
				if err := g.Add(name, Spec{}); err != nil {
					t.Fatal(err)
				}
				after, err := build(g, 2, before)
				if err != nil {
					t.Fatal(err)
				}
				moves, total, err := Moves(before, after)
				if err != nil {
					t.Fatal(err)
				}
				for _, m := range moves {
					if m.To != name {
						t.Fatalf("%s: a join moves %v", algo, m)
					}
				}
				if algo == Slots && total > 1.01/float64(n+1) {
					t.Errorf("slots: the join to %d nodes moves %.3f %%", n, total*100)
				}
				sum += total
				if back, _, _ := Moves(after, before); len(back) != len(moves) || back[0].From != name {
					t.Fatalf("%s: a leave moves %v", algo, back)
				}
				if algo == HRW && i < 2 {
					checkWeightMoves(t, g, name)
				}
			}
			if mean := sum / float64(joins); algo != MD5 && mean > 1.01/float64(n+1) {
				t.Errorf("%s: joins to %d nodes move %.3f %% in the mean, ideal is %.3f %%", algo, n, mean*100, 100/float64(n+1))
			}
		}
	}
}

func checkWeightMoves(t *testing.T, f *File, name string) {
	t.Helper()
	before := mustNew(t, f)
	g := f.Clone()
	if err := g.SetWeight(name, 1500, false); err != nil {
		t.Fatal(err)
	}
	moves, _, err := Moves(before, mustNew(t, g))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range moves {
		if m.To != name {
			t.Fatalf("a larger weight of %s moves %v", name, m)
		}
	}
}

// Copies are in different zones as long as there are any, then go round again.
func TestZones(t *testing.T) {
	f := testFile(HRW, 9)
	f.Spread, f.Copies = SpreadZone, 3
	for i := range 9 {
		f.Nodes["node"+strconv.Itoa(i+1)] = Spec{Zone: string(rune('a' + i%3))}
	}
	r := mustNew(t, f)
	for _, key := range testKeys(2000) {
		var zones string
		for _, n := range r.Owners(nil, key, 9) {
			zones += n.Zone
		}
		for i := 0; i < 9; i += 3 {
			round := []byte(zones[i : i+3])
			slices.Sort(round)
			if string(round) != "abc" {
				t.Fatalf("%s: zones in the order of its owners: %s", key, zones)
			}
		}
	}
}

// A node that is down is passed over: what it owned goes to the second in the
// ranking, nothing else changes, and all comes back.
func TestDown(t *testing.T) {
	for _, algo := range []Algo{HRW, Slots, MD5} {
		f := testFile(algo, 10)
		before := mustNew(t, f)
		g := f.Clone()
		if err := g.Down("node3"); err != nil {
			t.Fatal(err)
		}
		after := mustNew(t, g)
		for _, key := range testKeys(3000) {
			want := before.Owners(nil, key, 2)
			if want[0].Name == "node3" {
				want = want[1:]
			}
			if got := after.Owner(key); got.Name != want[0].Name {
				t.Fatalf("%s: %s belongs to %s, want %s", algo, key, got.Name, want[0].Name)
			}
		}
		if err := g.Up("node3"); err != nil {
			t.Fatal(err)
		}
		if _, total, _ := Moves(before, mustNew(t, g)); total != 0 {
			t.Errorf("%s: down and up moves %f", algo, total)
		}
	}
}

// While a node drains or joins, a key that moves has two owners: with hrw and md5
// the new one owns and the old one is the other, with slots the reverse.
func TestBoth(t *testing.T) {
	for _, algo := range []Algo{HRW, Slots, MD5} {
		f := testFile(algo, 10)
		old := mustNew(t, f)
		for what, edit := range map[string]func(*File) error{
			"drain": func(f *File) error { return f.Drain("node3") },
			"join":  func(f *File) error { return f.Add("extra", Spec{State: Joining}) },
		} {
			g := f.Clone()
			if err := edit(g); err != nil {
				t.Fatal(err)
			}
			end := func(f *File) error { return f.Remove("node3") }
			if what == "join" {
				end = func(f *File) error { return f.Up("extra") }
			}
			h := g.Clone()
			if err := end(h); err != nil {
				t.Fatal(err)
			}
			during, done := mustNew(t, g), mustNew(t, h)
			moved := 0
			for _, key := range testKeys(3000) {
				from, to := old.Owner(key).Name, done.Owner(key).Name
				owner, other := during.Both(key)
				want := to
				if algo == Slots {
					want = from
				}
				if owner.Name != want {
					t.Fatalf("%s, %s: %s belongs to %s, want %s", algo, what, key, owner.Name, want)
				}
				if from == to {
					if other != nil {
						t.Fatalf("%s, %s: %s stays at %s, but has another owner %s", algo, what, key, from, other.Name)
					}
					continue
				}
				moved++
				if other == nil || other.Name == owner.Name || other.Name != from && other.Name != to {
					t.Fatalf("%s, %s: %s goes from %s to %s, both are %v, %v", algo, what, key, from, to, owner, other)
				}
			}
			if moved < 100 || !during.Migrating() || done.Migrating() {
				t.Errorf("%s, %s: %d of 3000 keys moved", algo, what, moved)
			}
		}
	}
}

// A node that moves to another host moves no key; a ring without nodes that serve
// has no owners.
func TestDictionary(t *testing.T) {
	f := testFile(MD5, 10)
	before := mustNew(t, f)
	g := f.Clone()
	if err := g.SetValue("node3", "", "/redis/G2/master"); err != nil {
		t.Fatal(err)
	}
	after, err := build(g, 2, before)
	if err != nil {
		t.Fatal(err)
	}
	after = after.withTexts(map[string]string{"/redis/G2/master": "10.9.9.9:1"})
	if got := before.Get("hello"); got != "10.0.0.2:6379" {
		t.Errorf("hello is at %s", got)
	}
	if got := after.Get("hello"); got != "10.9.9.9:1" || after.Owner("hello").Name != "node3" {
		t.Errorf("hello is at %s", got)
	}
	if _, total, err := Moves(before, after); total != 0 || err != nil {
		t.Errorf("a new address moves %f, %v", total, err)
	}
	for _, algo := range []Algo{HRW, Slots, MD5} {
		r := mustNew(t, testFile(algo, 0))
		if n := r.Owner("x"); n != nil || r.Get("x") != "" || len(r.Owners(nil, "x", 3)) != 0 || r.Node("x") != nil {
			t.Errorf("%s: a ring without nodes has an owner %v", algo, n)
		}
	}
}

// What is pure imports nothing that could make two programs disagree.
func TestPure(t *testing.T) {
	live := map[string]bool{"live.go": true, "refs.go": true, "saved.go": true, "change.go": true, "limits.go": true}
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	impure := regexp.MustCompile(`^\s*(\w+ )?"(time|os|net|context|log/slog|math/rand.*|crypto/rand|hash/maphash|.*/doozer/client)"`)
	for _, file := range files {
		if live[file] || strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if impure.MatchString(line) || strings.HasPrefix(strings.TrimSpace(line), "go ") {
				t.Errorf("%s: %s", file, strings.TrimSpace(line))
			}
		}
	}
}
