package ring

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// edits is a script: each line is a change, and what is to come of it.
func edits(t *testing.T, f *File, script string) {
	t.Helper()
	for line := range strings.Lines(script) {
		line, want, _ := strings.Cut(strings.TrimSpace(line), " => ")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		before := f.Clone()
		err := applyEdit(f, words)
		if err != nil {
			*f = *before
		}
		got := "ok"
		if err != nil {
			got = err.Error()
		} else if f.Algo == Slots {
			got = brief(f)
		}
		if want != "" && !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
		if _, err := f.Encode(); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
}

func applyEdit(f *File, words []string) error {
	name := ""
	if len(words) > 1 {
		name = words[1]
	}
	staged := slices.Contains(words, "staged")
	switch words[0] {
	case "add":
		return f.Add(name, Spec{Addr: name})
	case "join":
		return f.Add(name, Spec{Addr: name, State: Joining})
	case "rm":
		return f.Remove(name)
	case "addr":
		return f.SetValue(name, words[2], "")
	case "weight":
		w, err := ParseWeight(words[2])
		if err != nil {
			return err
		}
		return f.SetWeight(name, w, staged)
	case "drain":
		return f.Drain(name)
	case "up":
		return f.Up(name)
	case "down":
		return f.Down(name)
	case "take":
		ranges := ""
		if len(words) > 2 {
			ranges = words[2]
		}
		return f.Take(name, ranges)
	case "balance":
		return f.Balance(staged)
	}
	panic(words[0])
}

// brief is a ring of slots as the letters of its owners and, where any move, of
// their successors.
func brief(f *File) string {
	var owners, next strings.Builder
	for i, owner := range f.Slots {
		owners.WriteString((owner + "-")[:1])
		next.WriteString((f.next(i) + "-")[:1])
	}
	if strings.Trim(next.String(), "-") == "" {
		return owners.String()
	}
	return owners.String() + "/" + next.String()
}

func TestEditSlots(t *testing.T) {
	edits(t, &File{Algo: Slots, Parts: 12}, `
		join a => cannot join: the ring has no other node
		add a => aaaaaaaaaaaa
		add b => aaaaaabbbbbb
		add c => aaaaccbbbbcc
		add c => has that node already
		take c => no slot is on its way to it
		join d => aaaaccbbbbcc/---d-----d-d
		take d 3 => aaadccbbbbcc/---------d-d
		take d 0-2 => no slot is on its way
		take d 12 => "12" is not a slot
		take d => aaadccbbbdcd
		drain d => aaadccbbbdcd/---a-----b-c
		up d => aaadccbbbdcd
		drain d => aaadccbbbdcd/---a-----b-c
		take b 9 => aaadccbbbbcd/---a-------c
		down d => aaadccbbbbcd/---a-------c
		rm d => aaaaccbbbbcc
		weight a 2 staged => aaaaccbbbbcc/---------a-a
		take a 9 => aaaaccbbbacc/-----------a
		up c => aaaaccbbbacc
		balance => aaaaccbbbaca
		rm nobody => no such node
		drain a
		drain b
		drain c => no other node is left
		down c => no other node is left
		rm c => no other node is left
	`)
}

func TestEditOthers(t *testing.T) {
	for _, algo := range []Algo{HRW, MD5} {
		edits(t, &File{Algo: algo}, `
			add a => ok
			add b/c => a name is
			drain a => no other node is left
			down a => no other node is left
			join b => ok
			drain b => only a node that is up can drain
			drain a => no other node is left
			up b => ok
			drain a => ok
			drain a => ok
			rm b => no other node is left
			up a => ok
			weight a 2 => ok
			weight a 2 staged => only a ring of slots
			weight z 2 => no such node
			addr b elsewhere => ok
			take b => only a ring of slots
			balance => only a ring of slots
			down b => ok
			rm a => no other node is left
			rm b => ok
			rm a => ok
		`)
	}
}

func TestEditErrors(t *testing.T) {
	f := &File{}
	if err := f.Add("a", Spec{State: Draining}); err == nil {
		t.Error("a node was added as draining")
	}
	if err := f.Add("a", Spec{Addr: "x", Ref: "/y"}); err == nil {
		t.Error("a node was added with addr and ref")
	}
	if err := f.Add("a", Spec{}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ got, want error }{
		{f.Add("a", Spec{}), ErrNodeExists}, {f.Remove("b"), ErrNoNode}, {f.SetValue("b", "", ""), ErrNoNode}, {f.Up("b"), ErrNoNode},
		{f.Drain("a"), ErrLastNode},
	} {
		if !errors.Is(tt.got, tt.want) {
			t.Errorf("%v, want %v", tt.got, tt.want)
		}
	}
}

// Any run of changes of a ring of slots leaves a good file that is even to within
// one slot, and each moves as few slots as can be.
func TestEditProperties(t *testing.T) {
	for seed := range uint64(40) {
		rnd := rand.New(rand.NewPCG(3, seed))
		f := &File{Algo: Slots, Parts: 1 + rnd.IntN(200)}
		if err := f.Add("n0", Spec{}); err != nil {
			t.Fatal(err)
		}
		for step := range 60 {
			name := "n" + strconv.Itoa(rnd.IntN(10))
			words := [][]string{
				{"add", name}, {"add", name}, {"join", name}, {"rm", name}, {"weight", name, strconv.Itoa(1 + rnd.IntN(4))},
				{"weight", name, "2", "staged"}, {"drain", name}, {"up", name}, {"down", name}, {"take", name}, {"take", name, "0"}, {"balance"},
			}[rnd.IntN(12)]
			g := f.Clone()
			if err := applyEdit(g, words); err != nil {
				continue
			}
			text, err := g.Encode()
			if err != nil {
				t.Fatalf("seed %d, step %d, %v: %v\n%s", seed, step, words, err, brief(f))
			}
			if back, err := Decode(text); err != nil || brief(back) != brief(g) {
				t.Fatalf("seed %d, step %d, %v: %s came back as %v, %v", seed, step, words, brief(g), back, err)
			}
			if before, err := f.Encode(); err != nil || !bytes.Equal(before, text) {
				checkEven(t, g, f, words)
			}
			f = g
		}
	}
}

// checkEven looks at changes that balance: every node has its part to within one,
// and no more was moved than that needs.
func checkEven(t *testing.T, after, before *File, words []string) {
	t.Helper()
	switch words[0] {
	case "up", "down", "take":
		return
	}
	have, had := map[string]int{}, map[string]int{}
	moved := 0
	for i, owner := range after.after() {
		have[owner]++
		was := before.after()[i]
		had[was]++
		if was != owner {
			moved++
		}
	}
	var total, gained int
	for _, s := range after.Nodes {
		if s.State != Draining {
			total += int(s.Weight)
		}
	}
	for name, s := range after.Nodes {
		weight := int(s.Weight)
		if s.State == Draining {
			weight = 0
		}
		if d := have[name]*total - after.Parts*weight; d <= -total || d >= total {
			t.Fatalf("%v: %s has %d of %d slots for weight %d of %d: %s", words, name, have[name], after.Parts, weight, total, brief(after))
		}
		gained += max(0, have[name]-had[name])
	}
	if len(after.Nodes) == 0 || words[0] == "rm" && strings.Contains(strings.Join(before.Next, " "), words[1]) {
		return // what was on its way to the node stays where it is: no move, but counted above
	}
	if moved != gained {
		t.Fatalf("%v: %d slots move, %d would do: %s to %s", words, moved, gained, brief(before), brief(after))
	}
}

// Settled is what Up, Take and Remove come to.
func TestSettled(t *testing.T) {
	for _, algo := range []Algo{HRW, Slots, MD5} {
		f := testFile(algo, 5)
		edits(t, f, "join extra => \n drain node2 => ")
		want := f.Clone()
		if algo == Slots {
			for _, name := range want.names() {
				if err := want.Take(name, ""); err != nil && !errors.Is(err, errNothing) {
					t.Fatal(err)
				}
			}
		}
		edits(t, want, "up extra => \n rm node2 => ")
		got := f.Settled()
		a, err := got.Encode()
		if err != nil {
			t.Fatal(err)
		}
		b, err := want.Encode()
		if err != nil || !bytes.Equal(a, b) {
			t.Errorf("%s: settled is\n%s, want\n%s, %v", algo, a, b, err)
		}
		if f.Nodes["extra"].State != Joining {
			t.Error("Settled changed the file")
		}
		if again := mustNew(t, got).File(); again == got || len(again.Nodes) != 5 {
			t.Errorf("the ring's file is %+v", again)
		}
	}
}
