package ring

import (
	"crypto/md5"
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"sort"
	"strconv"
	"testing"
)

// rendezvous is the dumb twin of the tables: it ranks all nodes for a part by the
// definition, with numbers of any size, and then chooses.
func rendezvous(f *File, serves func(State) bool, owner string, part int) []string {
	type ranked struct {
		name string
		cost *big.Rat
		draw uint64
	}
	var list []ranked
	for name, s := range f.Nodes {
		if serves(s.State) {
			u := draw(nodeHash(name), partHash(part))
			list = append(list, ranked{name, big.NewRat(int64(cost(u, logTable())), int64(s.Weight)), u})
		}
	}
	sort.Slice(list, func(i, j int) bool {
		a, b := list[i], list[j]
		if c := a.cost.Cmp(b.cost); c != 0 {
			return c < 0
		}
		return a.draw > b.draw || a.draw == b.draw && a.name < b.name
	})
	var names []string
	if s, ok := f.Nodes[owner]; ok && s.State != Down {
		names = append(names, owner)
	}
	for _, r := range list {
		if r.name != owner {
			names = append(names, r.name)
		}
	}
	return spreadOut(f, names)
}

// spreadOut takes of a ranking the best of each zone in turn, round by round.
func spreadOut(f *File, ranking []string) []string {
	if f.Spread == "" {
		return ranking
	}
	var chosen []string
	for len(ranking) > 0 {
		var later []string
		seen := map[string]bool{}
		for _, name := range ranking {
			zone := f.Nodes[name].Zone
			if zone != "" && seen[zone] {
				later = append(later, name)
				continue
			}
			seen[zone] = true
			chosen = append(chosen, name)
		}
		ranking = later
	}
	return chosen
}

// randomFile is a membership with a little of everything.
func randomFile(rnd *rand.Rand, algo Algo) *File {
	f := &File{Algo: algo, Copies: 1 + rnd.IntN(3), Nodes: map[string]Spec{}}
	if algo != MD5 {
		f.Parts = 1 + rnd.IntN(500)
	}
	if rnd.IntN(2) == 0 {
		f.Spread = SpreadZone
	}
	even := rnd.IntN(2) == 0
	for i := range rnd.IntN(12) {
		s := Spec{State: []State{Up, Up, Up, Joining, Draining, Down}[rnd.IntN(6)], Zone: []string{"", "a", "b", "c"}[rnd.IntN(4)]}
		if !even {
			s.Weight = Weight(1 + rnd.IntN(3000))
		}
		f.Nodes["n"+strconv.Itoa(i)] = s
	}
	f.fill()
	if names := f.names(); algo == Slots && len(names) > 0 {
		f.Next = make([]string, f.Parts)
		for i := range f.Slots {
			f.Slots[i] = names[rnd.IntN(len(names))]
			if next := names[rnd.IntN(len(names))]; next != f.Slots[i] && rnd.IntN(3) == 0 {
				f.Next[i] = next
			}
		}
	}
	return f
}

func namesOf(nodes []*Node) (names []string) {
	for _, n := range nodes {
		names = append(names, n.Name)
	}
	return names
}

// Owner, Owners, Others and Both say what plain rendezvous hashing says.
func TestTwinOfTables(t *testing.T) {
	rnd := rand.New(rand.NewPCG(2, 1))
	for round := range 150 {
		f := randomFile(rnd, []Algo{HRW, Slots}[round%2])
		r := mustNew(t, f)
		for range 100 {
			key := strconv.Itoa(rnd.IntN(1 << 30))
			part := Part(key, f.Parts)
			owner, next := "", ""
			owns, others := toBe, is
			if f.Algo == Slots {
				owns, others = is, toBe
				owner, next = f.Slots[part], f.after()[part]
			}
			want := rendezvous(f, owns, owner, part)
			for _, n := range []int{0, 1, f.Copies, f.Copies + 1, 20} {
				got := namesOf(r.Owners(nil, key, n))
				if !slices.Equal(got, want[:min(n, len(want))]) {
					t.Fatalf("round %d: %d owners of %s are %v, want %v\n%+v", round, n, key, got, want, f)
				}
			}
			wantOther := rendezvous(f, others, next, part)
			if !r.Migrating() {
				wantOther = nil
			}
			if got := namesOf(r.Others(nil, key, 20)); !slices.Equal(got, wantOther) {
				t.Fatalf("round %d: others of %s are %v, want %v\n%+v", round, key, got, wantOther, f)
			}
			checkBoth(t, r, key, want, wantOther)
		}
	}
}

// checkBoth compares Both with the first of two rankings.
func checkBoth(t *testing.T, r *Ring, key string, owners, others []string) {
	t.Helper()
	owner, other := r.Both(key)
	first := func(list []string) string {
		if len(list) == 0 {
			return ""
		}
		return list[0]
	}
	name := func(n *Node) string {
		if n == nil {
			return ""
		}
		return n.Name
	}
	wantOther := first(others)
	if wantOther == first(owners) {
		wantOther = ""
	}
	if name(owner) != first(owners) || name(other) != wantOther || name(r.Owner(key)) != first(owners) {
		t.Fatalf("%s belongs to %q and %q, want %q and %q\n%+v", key, name(owner), name(other), first(owners), wantOther, r.file)
	}
}

// classicTwin is the classic ring as the textbooks write it.
func classicTwin(f *File, serves func(State) bool, key string) []string {
	number := func(s string) *big.Int {
		sum := md5.Sum([]byte(s))
		return new(big.Int).SetBytes(sum[:])
	}
	type mark struct {
		at   *big.Int
		name string
	}
	var marks []mark
	for name, s := range f.Nodes {
		for i := range max(1, f.Points*int(s.Weight)/1000) {
			if serves(s.State) {
				marks = append(marks, mark{number(fmt.Sprintf("%s:%d", name, i)), name})
			}
		}
	}
	sort.Slice(marks, func(i, j int) bool { return marks[i].at.Cmp(marks[j].at) < 0 })
	at := number(key)
	start := sort.Search(len(marks), func(i int) bool { return marks[i].at.Cmp(at) > 0 })
	var names []string
	for i := range marks {
		if name := marks[(start+i)%len(marks)].name; !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return spreadOut(f, names)
}

func TestTwinOfClassic(t *testing.T) {
	rnd := rand.New(rand.NewPCG(2, 2))
	for round := range 40 {
		f := randomFile(rnd, MD5)
		f.Points = 1 + rnd.IntN(40)
		r := mustNew(t, f)
		for range 20 {
			key := strconv.Itoa(rnd.IntN(1 << 30))
			want := classicTwin(f, toBe, key)
			for _, n := range []int{1, 2, 20} {
				if got := namesOf(r.Owners(nil, key, n)); !slices.Equal(got, want[:min(n, len(want))]) {
					t.Fatalf("round %d: %d owners of %s are %v, want %v", round, n, key, got, want)
				}
			}
			others := classicTwin(f, is, key)
			if !r.Migrating() {
				others = nil
			}
			checkBoth(t, r, key, want, others)
		}
	}
}

// A table made from the one before is the table made from nothing.
func TestTwinOfUpdates(t *testing.T) {
	rnd := rand.New(rand.NewPCG(2, 3))
	for round := range 60 {
		f := randomFile(rnd, HRW)
		if round%3 > 0 {
			f.Spread = ""
		}
		old := mustNew(t, f)
		for step := range 30 {
			g := f.Clone()
			change(rnd, g)
			got, err := build(g, int64(step), old)
			if err != nil {
				t.Fatal(err)
			}
			want := mustNew(t, g.Clone())
			if !slices.Equal(got.first, want.first) || !slices.Equal(got.rows, want.rows) || !slices.Equal(got.otherFirst, want.otherFirst) ||
				got.Migrating() != want.Migrating() {
				t.Fatalf("round %d, step %d: the tables differ\nfrom %+v\nto %+v", round, step, f, g)
			}
			f, old = g, got
		}
	}
}

// change makes one change that a file of any algorithm can have.
func change(rnd *rand.Rand, f *File) {
	name := "n" + strconv.Itoa(rnd.IntN(14))
	s, there := f.Nodes[name]
	switch rnd.IntN(6) {
	case 0:
		f.Copies = 1 + rnd.IntN(3)
	case 1:
		delete(f.Nodes, name)
	case 2:
		s.Addr = strconv.Itoa(rnd.IntN(1000))
		if there {
			f.Nodes[name] = s
		}
	case 3:
		s.Weight = Weight(1 + rnd.IntN(3000))
		f.Nodes[name] = s
	default:
		s.State = []State{Up, Up, Joining, Draining, Down}[rnd.IntN(5)]
		f.Nodes[name] = s
	}
	f.fill()
}
