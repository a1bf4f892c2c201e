package drill

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/doozer-store/doozer/drill/check"
	"github.com/doozer-store/doozer/drill/cluster"
)

// directions counts those that a shape cuts.
func directions(s shape, n int) int {
	cut := 0
	for i := range n {
		for j := range n {
			if i != j && s.cut(i, j) {
				cut++
			}
		}
	}
	return cut
}

func TestShapes(t *testing.T) {
	x := &scene{r: rand.New(rand.NewPCG(1, 2))}
	for _, n := range []int{3, 5} {
		for name, c := range map[string]struct {
			s    shape
			want int
		}{
			"leader alone":     {leaderAlone, 2 * (n - 1)},
			"leader mute":      {leaderMute, n - 1},
			"leader deaf":      {leaderDeaf, n - 1},
			"leader and one":   {leaderAndOne, 2},
			"one cannot hear":  {oneCantHear, 1},
			"all apart":        {allApart, n * (n - 1)},
			"ring":             {ring(x, n), n * (n - 3)},
			"one-way ring":     {oneWayRing(x, n), n * (n - 2)},
			"chain":            {chain(x, n), (n - 1) * (n - 2)},
			"star":             {star(x, n), (n - 1) * (n - 2)},
			"bridge":           {bridge(x, n), (n - 1) * (n - 1) / 2},
			"nothing":          {shapeOf(n, 0, false), 0},
			"every direction":  {shapeOf(n, 1<<20-1, false), n * (n - 1)},
			"every link":       {shapeOf(n, 1<<10-1, true), n * (n - 1)},
			"one link":         {shapeOf(n, 1, true), 2},
			"one direction":    {shapeOf(n, 1, false), 1},
			"follower can't":   {followerDeaf, n - 1},
			"follower is mute": {followerMute, n - 1},
		} {
			if got := directions(c.s, n); got != c.want {
				t.Errorf("%s of %d nodes cuts %d directions, want %d", name, n, got, c.want)
			}
		}
	}
}

func TestHalvesLeaveAMajority(t *testing.T) {
	x := &scene{r: rand.New(rand.NewPCG(1, 2))}
	for range 50 {
		for _, n := range []int{3, 5} {
			s := halves(x, n)
			most := 0
			for i := range n {
				with := 1
				for j := range n {
					if i != j && !s.cut(i, j) && !s.cut(j, i) {
						with++
					}
				}
				most = max(most, with)
			}
			if most <= n/2 || most == n {
				t.Errorf("%s of %d leaves %d together", s.name, n, most)
			}
		}
	}
}

// TestEveryShape counts them: rooted graphs, as OEIS has them, without the one
// that cuts nothing.
func TestEveryShape(t *testing.T) {
	for n, want := range map[int]int{
		3: 36 - 1, // rooted digraphs of 3 nodes
		5: 90 - 1, // rooted graphs of 5 nodes
	} {
		if got := len(everyShape(n)); got != want {
			t.Errorf("%d nodes: %d shapes, want %d", n, got, want)
		}
	}
}

func TestDrillsAreWellFormed(t *testing.T) {
	seen := map[string]bool{}
	for _, d := range Drills() {
		if d.Name == "" || d.Summary == "" || len(d.harm) == 0 || seen[d.Name] {
			t.Errorf("drill %+v", d)
		}
		seen[d.Name] = true
	}
	for _, name := range []string{"kill-leader", "kill-all", "partition", "pause", "slow-disk", "full-disk", "rolling-restart"} {
		if !seen[name] {
			t.Errorf("there is no drill %s", name)
		}
	}
}

func TestMeter(t *testing.T) {
	m := newMeter()
	m.drill("d", true)
	for i := range 100 {
		m.count(true, i%2 == 0, time.Duration(i+1)*time.Millisecond)
	}
	m.count(false, true, time.Second)
	m.fault("harm")
	m.finished(Run{Checks: []Check{{OK: true}, {OK: true}, {}}})
	p := m.sample()
	if p.Drill != "d" || p.Fault != "harm" || p.Rate != 100 || p.P99 != 100*time.Millisecond || p.Runs != 1 || p.Checks != 2 || p.Failed != 1 {
		t.Errorf("%+v", p)
	}
	s := m.all()
	if len(s) != 1 || s[0].OK != 100 || s[0].Failed != 1 || s[0].P50 != 51*time.Millisecond || s[0].Max != 100*time.Millisecond {
		t.Errorf("%+v", s)
	}
	for range int(time.Second / sampleEvery) {
		p = m.sample()
	}
	if p.Rate != 0 {
		t.Errorf("after a second without operations: %+v", p)
	}
	if l := latency(nil); l != (Latency{}) {
		t.Errorf("%+v", l)
	}
}

func TestSeedsDiffer(t *testing.T) {
	seen := map[uint64]bool{}
	for s := uint64(1); len(seen) < 1000; s = nextSeed(s) {
		if seen[s] || s == 0 {
			t.Fatalf("seed %d comes again after %d", s, len(seen))
		}
		seen[s] = true
	}
}

// TestVerdictNeedsEveryRev: what nobody watched is no evidence, neither good nor
// bad.
func TestVerdictNeedsEveryRev(t *testing.T) {
	at := func(rev int64) check.Event { return check.Event{Path: "/h/1", Value: "v", Rev: rev, ID: "0.1"} }
	e := &evidence{stretches: []check.Stretch{{From: "a", Events: []check.Event{at(1)}}, {From: "b", Events: []check.Event{at(3)}}}, rev: 3}
	if checks, holes := e.verdict(); len(holes) != 1 || len(checks) != 0 {
		t.Errorf("%v, %v", checks, holes)
	}
	// A write that nobody made fails the run.
	e.stretches = []check.Stretch{{From: "a", Events: []check.Event{at(1)}}}
	e.rev, e.trees = 1, map[string][]check.Event{"a": {at(1)}}
	checks, _ := e.verdict()
	failed := map[string]bool{}
	for _, c := range checks {
		failed[c.Name] = !c.OK
	}
	if !failed["exactly once"] || failed["equal nodes"] || failed["one history"] {
		t.Errorf("%+v", checks)
	}
}

// TestWidened: a run that proved nothing is made again with a longer window, up
// to one that no observer falls out of.
func TestWidened(t *testing.T) {
	for _, c := range []struct {
		history int64
		try     int
		want    int64
	}{{40, 1, 40}, {40, 2, 320}, {40, 3, 2560}, {2000, 3, 128_000}, {100_000, 3, 100_000}} {
		if got := widened(c.history, c.try); got != c.want {
			t.Errorf("%d, attempt %d: %d, want %d", c.history, c.try, got, c.want)
		}
	}
}

// TestServes: a majority that can all hear each other has to serve.
func TestServes(t *testing.T) {
	for name, c := range map[string]struct {
		nodes int
		s     shape
		down  []int
		want  bool
	}{
		"nothing cut":           {3, shapeOf(3, 0, false), nil, true},
		"one down":              {3, shapeOf(3, 0, false), []int{1}, true},
		"two down":              {3, shapeOf(3, 0, false), []int{1, 2}, false},
		"leader alone":          {3, leaderAlone, nil, true},
		"leader alone, another": {3, leaderAlone, []int{1}, false},
		"leader mute":           {3, leaderMute, nil, true},
		"two followers apart":   {3, twoFollowers, nil, true},
		"every link":            {5, allApart, nil, false},
		"ring of five":          {5, ring(nil, 5), nil, false},
		"chain of three":        {3, chain(nil, 3), nil, true},
		"chain of five":         {5, chain(nil, 5), nil, false},
		"star of three":         {3, star(nil, 3), nil, true},
		"star of five":          {5, star(nil, 5), nil, false},
	} {
		x := &scene{c: cluster.Named(c.nodes), down: map[string]bool{}, cut: map[[2]string]bool{}}
		nodes := x.c.Nodes()
		for i, n := range nodes {
			for j, m := range nodes {
				x.cut[[2]string{n.Name, m.Name}] = i != j && c.s.cut(i, j)
			}
		}
		for _, i := range c.down {
			x.lose(nodes[i])
		}
		if got := x.serves(); got != c.want {
			t.Errorf("%s: serves = %v", name, got)
		}
	}
}
