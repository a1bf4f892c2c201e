package main

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestQuantilesAreAtMostThreePercentTooHigh(t *testing.T) {
	h, tl := &histogram{}, &tally{}
	for i := 1; i <= 100_000; i++ {
		h.add(time.Duration(i) * time.Microsecond)
		tl.add(time.Duration(i) * time.Microsecond)
	}
	both := &histogram{}
	tl.into(both)
	for _, q := range []float64{0.01, 0.5, 0.9, 0.99, 0.999} {
		want := q * float64(100*time.Millisecond)
		for _, got := range []time.Duration{h.quantile(q), both.quantile(q)} {
			if f := float64(got); f < want || f > want*1.04 {
				t.Errorf("quantile %v is %v, want %v to 4 %% more", q, got, time.Duration(want))
			}
		}
	}
	if h.max != 100*time.Millisecond || both.n != h.n || both.max != h.max {
		t.Errorf("max %v and %v, n %d and %d", h.max, both.max, h.n, both.n)
	}
}

func TestAxesBeginAndEndAtRoundNumbers(t *testing.T) {
	for _, c := range []struct {
		values []float64
		lo, hi float64
	}{{[]float64{3, 40}, 2, 50}, {[]float64{1, 1000}, 1, 1000}, {[]float64{0.07, 0.07}, 0.05, 0.1}, {[]float64{5, 5}, 2.5, 10}} {
		a := newAxis(0, 1, c.values)
		if math.Abs(math.Pow(10, a.lo)/c.lo-1) > 1e-9 || math.Abs(math.Pow(10, a.hi)/c.hi-1) > 1e-9 {
			t.Errorf("%v: an axis from %g to %g, want %g to %g", c.values, math.Pow(10, a.lo), math.Pow(10, a.hi), c.lo, c.hi)
		}
	}
}

// example is a run of two rounds of a few works on two systems.
func example() *results {
	r := &results{Machine: "a machine", Load: "the load", Settings: map[string]string{}, Systems: []string{"doozer", "etcd"}, Cells: map[string]map[string]*cell{}}
	c := &choice{pairs: [][2]int{{1, 1}, {1000, 100}, {1000, 16}}, quick: true}
	works, err := c.works("set,kill,grow-files")
	if err != nil {
		panic(err)
	}
	for _, w := range works {
		for k, s := range r.Systems {
			for round := range 2 {
				r.add(w, s, figures{"ops/s": float64(1000*w.x + k + round + 1), "p50 ms": 1, "p99 ms": 2, "set server µs": 10}, nil)
			}
		}
	}
	r.add(works[0], "etcd", nil, errors.New("out of order"))
	return r
}

func TestEveryBlockOfAPageIsWritten(t *testing.T) {
	r, o := example(), &options{out: t.TempDir(), docs: t.TempDir()}
	page := filepath.Join(o.docs, "cost.md")
	text := "# Prose\n<!-- bench grow-files -->\nold\n<!-- /bench -->\nmore\n<!-- bench get -->\nkept\n<!-- /bench -->\nend\n"
	if err := os.WriteFile(page, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time nothing changes
		if err := r.show(o); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"# Prose\n<!-- bench grow-files -->\n| doozer, files | 1,000 |", "| set server µs | 10.0 |", "cost/grow-files-cpu.svg", "<!-- /bench -->\nmore\n", "\nkept\n", "end\n"} {
			if !strings.Contains(string(got), want) {
				t.Errorf("no %q in:\n%s", want, got)
			}
		}
		if strings.Contains(string(got), "old") {
			t.Errorf("the block was not replaced:\n%s", got)
		}
		if _, err := os.Stat(filepath.Join(o.docs, "cost", "grow-files-cpu.svg")); err != nil {
			t.Error(err)
		}
	}
	if all, err := os.ReadFile(filepath.Join(o.out, "results.md")); err != nil || !strings.Contains(string(all), "etcd: out of order") || !strings.Contains(string(all), "set-rate.svg") {
		t.Errorf("results.md: %v\n%s", err, all)
	}
}

func TestResultsAreReadAsTheyWereSaved(t *testing.T) {
	r, path := example(), filepath.Join(t.TempDir(), "results.json")
	if err := r.save(path); err != nil {
		t.Fatal(err)
	}
	again, err := read(path)
	if err != nil {
		t.Fatal(err)
	}
	var a, b strings.Builder
	r.table(&a)
	again.table(&b)
	if a.String() != b.String() || !strings.Contains(a.String(), "ops/s") {
		t.Errorf("as saved:\n%s\nas read:\n%s", a.String(), b.String())
	}
}

func TestTheCommandSaysNothingOfTheMachine(t *testing.T) {
	r := &results{Args: []string{"-out", "/a/b", "-work", "set", "--docs=/c", "-quick", "-profile", "/d"}}
	if got, want := r.command(), "go run . -work set -quick"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestWorkThatIsNoneIsRefused(t *testing.T) {
	for _, args := range [][]string{{"-work", "sets"}, {"-systems", "consul"}, {"-callers", "16:64"}, {"-rates", "0"}, {"-rounds", "0"}} {
		if _, err := parse(args); err == nil {
			t.Errorf("%v is taken", args)
		}
	}
	o, err := parse([]string{"-work", "all"})
	if err != nil {
		t.Fatal(err)
	}
	if groups := grouped(o.works, false); len(groups) < 10 || len(grouped(o.works, true)) != 1 {
		t.Errorf("%d groups", len(groups))
	}
}
