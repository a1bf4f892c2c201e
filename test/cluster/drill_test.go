package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/doozer-store/doozer/drill"
	"github.com/doozer-store/doozer/drill/cluster"
	"github.com/doozer-store/doozer/test/cluster/build"
	"github.com/doozer-store/doozer/test/need"
)

// shortDrills are one or two of every kind of harm, on the size of cluster that
// has more to it.
var shortDrills = []struct {
	name  string
	nodes int
}{
	{"kill-leader", 3},
	{"kill-minority", 5},
	{"kill-all", 3},
	{"pause-kill", 3},
	{"pause-majority", 5},
	{"partition", 5},
	{"cut-one-way", 3},
	{"cut-ring", 5},
	{"cut-any", 5},
	{"slow-leader", 3},
	{"client-resets", 3},
	{"lost-replies", 3},
	{"lag", 3},
	{"lag-install", 3},
	{"slow-disk", 3},
	{"bad-disk", 3},
	{"no-space", 5},
	{"full-disk", 3},
	{"wiped", 3},
	{"swapped", 3},
	{"rolling-restart", 3},
	{"terms", 3},
	{"random", 5},
}

// TestDrills is the campaign in short: each drill once, with seeds of their own.
// The long form does every drill on both sizes of cluster.
func TestDrills(t *testing.T) {
	bin, err := build.Doozerd()
	if err != nil {
		t.Fatal(err)
	}
	r := cluster.Rand(t)
	if cluster.Long() {
		for _, d := range drill.Drills() {
			for _, n := range []int{3, 5} {
				t.Run(d.Name, func(t *testing.T) { drillOnce(t, bin, d.Name, n, r.Uint64()|1) })
			}
		}
		return
	}
	for _, d := range shortDrills {
		t.Run(d.name, func(t *testing.T) { drillOnce(t, bin, d.name, d.nodes, r.Uint64()|1) })
	}
}

// TestEveryShape goes through all ways to cut 3 and 5 nodes; TestDrills picks some.
func TestEveryShape(t *testing.T) {
	if !cluster.Long() {
		t.Skip("the long form does it: DOOZER_TEST_LONG=1")
	}
	bin, err := build.Doozerd()
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{3, 5} {
		for part := range uint64(drill.ShapeParts(n)) {
			t.Run(fmt.Sprintf("%d nodes, part %d", n, part), func(t *testing.T) { drillOnce(t, bin, "cut-every", n, part+uint64(drill.ShapeParts(n))) })
		}
	}
}

// tries is how often a drill is done anew, with another seed, when it proved
// nothing; each makes attempts of its own.
const tries = 3

// drillOnce does a drill until it proves something. On a machine that is too busy
// for that it is skipped, or failed where everything has to be proved.
func drillOnce(t *testing.T, bin, name string, nodes int, seed uint64) {
	for try := 1; ; try++ {
		why := conduct(t, bin, name, nodes, seed)
		if why == "" {
			return
		}
		t.Logf("nothing was proved: %s", why)
		if try == tries {
			need.Skip(t, "nothing was proved: "+why)
		}
		seed += 2
	}
}

// conduct does a drill and fails the test for every check that failed; it tells
// why the drill proved nothing, if so.
func conduct(t *testing.T, bin, name string, nodes int, seed uint64) (invalid string) {
	rep, err := drill.Conduct(context.Background(), drill.Options{
		Binary: bin, Dir: scratch(t, name), Nodes: nodes, Seed: seed, Drills: []string{name},
		MinRate: 6, // of a machine that has other things to do
		Log:     func(line string) { t.Log(line) },
	})
	if err != nil && !errors.Is(err, drill.ErrNothing) {
		t.Fatal(err)
	}
	for _, s := range rep.Skipped {
		if name == "full-disk" {
			t.Logf("full-state is done in its place: %s", s.Why)
			return conduct(t, bin, "full-state", nodes, seed)
		}
		need.Skip(t, s.Why)
	}
	for _, run := range rep.Runs {
		for _, c := range run.Checks {
			switch {
			case c.OK:
			case c.Name == "valid":
				invalid = c.Detail
			default:
				t.Errorf("%s: %s", c.Name, c.Detail)
			}
		}
		t.Logf("%d nodes, seed %d: %d operations, %d of unknown outcome; outage %v, recovery %v",
			run.Nodes, run.Seed, run.OK+run.Unknown+run.Refused, run.Unknown, run.Outage, run.Recovery)
	}
	if t.Failed() {
		return ""
	}
	return invalid
}

// scratch is where a drill works; DOOZER_TEST_KEEP names one that is kept.
func scratch(t *testing.T, name string) string {
	t.Helper()
	keep := os.Getenv("DOOZER_TEST_KEEP")
	if keep == "" {
		return t.TempDir()
	}
	if err := os.MkdirAll(keep, 0o755); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp(keep, name+"-")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestDrillsAreRefused: what can't be run is told before anything is started.
func TestDrillsAreRefused(t *testing.T) {
	bin, err := build.Doozerd()
	if err != nil {
		t.Fatal(err)
	}
	full := t.TempDir()
	if err := os.WriteFile(full+"/file", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]drill.Options{
		"four nodes":          {Binary: bin, Nodes: 4},
		"no such drill":       {Binary: bin, Drills: []string{"earthquake"}},
		"no such program":     {Binary: full + "/doozerd"},
		"directory not empty": {Binary: bin, Dir: full},
	} {
		if rep, err := drill.Conduct(context.Background(), o); err == nil {
			t.Errorf("%s: %+v", name, rep)
		}
	}
}
