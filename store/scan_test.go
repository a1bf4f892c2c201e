package store

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// TestScanVisits scans a tree in which next to nothing matches, and checks that
// no part looks at more than it may, that parts are few, and that together they
// find what one call does.
func TestScanVisits(t *testing.T) {
	const files = 20_000
	s, _ := filled(t, files)
	past := s.Rev()
	c := Command{Kind: Write}
	for i := range 100 {
		c.Ops = parseOps(fmt.Sprintf("-/bench/0000/file-%07d", i))
		s.Apply(s.Index()+1, 0, c.Append(nil))
	}
	for _, rev := range []int64{past, s.Rev()} {
		for _, pattern := range []string{"/**/x", "/**-0000050", "/bench/*/file-??1?000", "/bench/0003/**", "/bench/0003/*9", "/*"} {
			g := mustGlob(t, pattern)
			var want []string
			if more, err := s.Find(g, &Scan{Rev: rev}, func(e *Event) bool { want = append(want, e.Path()); return true }); more || err != nil {
				t.Fatal(more, err)
			}
			for _, visits := range []int{1, 7, 1000} {
				parts, got := 0, []string(nil)
				for sc, more := (Scan{Rev: rev, Visits: visits}), true; more; parts++ {
					before, seen := sc.After, 0
					more, _ = s.Find(g, &sc, func(e *Event) bool { seen++; got = append(got, e.Path()); return true })
					if seen > visits || more && sc.After <= before {
						t.Fatalf("%s: a part of %d found %d, from %s to %s", pattern, visits, seen, before, sc.After)
					}
				}
				if !slices.Equal(got, want) || parts > (files+100)/visits+1 {
					t.Fatalf("%s in %d parts of %d: %d files, want %d", pattern, parts, visits, len(got), len(want))
				}
			}
		}
	}
}

// TestScanBound finds the places where the parts of a scan of everything end:
// between two of them there are no more nodes than a part may visit.
func TestScanBound(t *testing.T) {
	const visits = 50
	s, _ := filled(t, 5_000)
	var all []string // nodes below the root in order of path
	for n := range s.nodes.all() {
		all = append(all, n.path())
	}
	slices.Sort(all)
	g := mustGlob(t, "/**/none")
	for sc, more := (Scan{Visits: visits}), true; more; {
		from := slices.Index(all, sc.After)
		more, _ = s.Find(g, &sc, func(*Event) bool { return true })
		if n := slices.Index(all, sc.After) - from; n > visits || more && n < visits {
			t.Fatalf("%d nodes visited up to %s", n, sc.After)
		}
	}
	for sc, more := (Scan{Visits: visits}), true; more; {
		from := slices.Index(all, sc.After)
		if sc.After == "" {
			from = slices.Index(all, "/bench/0003")
		}
		more, _ = s.List("/bench/0003", &sc, func(Info, *Event) bool { return true })
		if n := slices.Index(all, sc.After) - from; n > visits {
			t.Fatalf("%d nodes visited up to %s", n, sc.After)
		}
	}
}

// TestScanWhileApplying scans one rev in parts while files come and go around
// it. The scan must show that rev, or say that it is gone.
func TestScanWhileApplying(t *testing.T) {
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 2))
		r := newRig(t)
		names := strings.Fields("a a-b a-b-c a.c b b/x b/x-y b/x-y/z c/d c/d/e")
		scribble := func(n int) {
			for range n {
				spec := "/" + names[rng.IntN(len(names))] + "=" + fmt.Sprint(rng.IntN(99))
				if rng.IntN(2) == 0 {
					spec = "-" + spec[:strings.IndexByte(spec, '=')]
				}
				r.write(spec)
			}
		}
		scribble(30)
		r.configure(Config{History: 1 + rng.Int64N(30)})
		g := mustGlob(t, twinGlobs[rng.IntN(len(twinGlobs))])
		var want, got []string
		sc := Scan{}
		r.s.Find(g, &sc, func(e *Event) bool { want = append(want, e.Path()); return true })
		sc = Scan{Rev: sc.Rev}
		for more := true; more; {
			sc.Visits = 1 + rng.IntN(3)
			var err *Error
			more, err = r.s.Find(g, &sc, func(e *Event) bool { got = append(got, e.Path()); return true })
			if err != nil {
				if err.Code != TooLate || sc.Rev >= r.s.Oldest() || err.Rev != r.s.Oldest() {
					t.Fatalf("seed %d: %v at rev %d of %d", seed, err, sc.Rev, r.s.Oldest())
				}
				want = want[:len(got)]
				break
			}
			scribble(rng.IntN(3))
		}
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d: %s at %d: %q, want %q", seed, g, sc.Rev, got, want)
		}
	}
}

// TestScanWeight matches long paths against a pattern whose automaton is large:
// a part's bound holds for the work, not only for the nodes.
func TestScanWeight(t *testing.T) {
	r := newRig(t)
	long := strings.Repeat("/"+strings.Repeat("n", 250), 14)
	for i := range 50 {
		r.must(fmt.Sprintf("%s/%d=1", long, i))
	}
	g := mustGlob(t, "/**"+strings.Repeat("/?n", MaxGlobTail/3-2))
	parts := 0
	for sc, more := (Scan{Visits: 4096}), true; more; parts++ {
		more, _ = r.s.Find(g, &sc, func(*Event) bool { return true })
	}
	if words := len(long) * g.tail.words * 50; parts < words/64/4096 || parts < 10 {
		t.Fatalf("%d parts for %d words", parts, words)
	}
}

// TestEventsParts reads changes in parts that are less than a rev.
func TestEventsParts(t *testing.T) {
	r := newRig(t)
	for i := range 10 {
		r.must(fmt.Sprintf("/a=%d", i), fmt.Sprintf("/b=%d", i), fmt.Sprintf("/c=%d", i))
	}
	sp := Span{Visits: 1}
	for rev := int64(1); rev <= 10; rev++ {
		var got []*Event
		more, err := r.s.Events(nil, &sp, func(e *Event) bool { got = append(got, e); return true })
		if err != nil || more != (rev < 10) || sp.From != rev+1 || len(got) != 3 || got[0].Rev != rev || !got[2].Last() {
			t.Fatalf("part %d: more %v, from %d, %d events, %v", rev, more, sp.From, len(got), err)
		}
	}
	if more, err := r.s.Events(nil, &sp, nil); more || err != nil || sp.From != 11 {
		t.Fatalf("after the end: %v %v %d", more, err, sp.From)
	}
	sp = Span{From: 20}
	if more, err := r.s.Events(nil, &sp, nil); more || err != nil || sp.From != 20 {
		t.Fatalf("in the future: %v %v %d", more, err, sp.From)
	}
	sp = Span{From: 3, To: 5}
	more, _ := r.s.Events(mustGlob(t, "/b"), &sp, func(e *Event) bool { return e.Rev < 4 })
	if !more || sp.From != 4 {
		t.Fatalf("ended by its caller: %v, from %d", more, sp.From)
	}
}

// TestPastLength reads the length of a directory at every rev of the window,
// while files come and go in it, also several in one write.
func TestPastLength(t *testing.T) {
	r := newRig(t)
	r.configure(Config{History: 40})
	rng := rand.New(rand.NewPCG(7, 7))
	lens := map[int64]int64{}
	present := map[string]bool{}
	for range 300 {
		var ops []string
		for _, name := range []string{"/d/a", "/d/b", "/d/c/x", "/d/c/y"} {
			switch {
			case rng.IntN(2) == 0:
			case present[name]:
				ops = append(ops, "-"+name)
				delete(present, name)
			default:
				ops = append(ops, name+"=1")
				present[name] = true
			}
		}
		if len(ops) == 0 {
			continue
		}
		rev := r.must(ops...)
		if rng.IntN(4) == 0 {
			r.write("/d/new=1", "/d/a/below=1", "-/none") // refused, and undone
		}
		for _, name := range []string{"/d/a", "/d/b"} {
			if present[name] {
				lens[rev]++
			}
		}
		if present["/d/c/x"] || present["/d/c/y"] {
			lens[rev]++
		}
		for at := max(1, r.s.Oldest()); at <= r.s.Rev(); at++ {
			info, err := r.s.Stat("/d", at)
			if (err == nil) != (lens[at] > 0) || info.Len != lens[at] {
				t.Fatalf("at %d: %+v %v, want %d entries", at, info, err, lens[at])
			}
		}
		checkInvariants(t, r.s)
	}
}
