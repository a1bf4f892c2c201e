package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// figures are what one piece of work on one system in one round gave, by name:
// "ops/s", "p50 ms", ...
type figures map[string]float64

// better tells whether more of a figure is better.
func better(name string) bool { return strings.HasSuffix(name, "/s") }

// cell is a system's figures of one piece of work over the rounds.
type cell struct {
	Rounds []figures `json:"rounds"`
	// Missing says why there are none.
	Missing string `json:"missing,omitempty"`
}

// results are all cells of a run, with what one must know to repeat it.
type results struct {
	Started  time.Time                   `json:"started"`
	Machine  string                      `json:"machine"`
	Load     string                      `json:"load"`
	Revision string                      `json:"revision"` // of doozer
	Args     []string                    `json:"args"`
	Settings map[string]string           `json:"settings"`
	Systems  []string                    `json:"systems"`
	Works    []*info                     `json:"works"`
	Cells    map[string]map[string]*cell `json:"cells"` // by work, then system
}

// filePlaces are the flags that say where files are: of the machine, not of the run.
var filePlaces = []string{"-out", "-docs", "-dir", "-profile", "-render"}

// command is how to do the run again.
func (r *results) command() string {
	words := []string{"go run ."}
	for i := 0; i < len(r.Args); i++ {
		flag := "-" + strings.TrimLeft(r.Args[i], "-")
		name, _, joined := strings.Cut(flag, "=")
		switch {
		case !slices.Contains(filePlaces, name):
			words = append(words, r.Args[i])
		case !joined:
			i++ // its value
		}
	}
	return strings.Join(words, " ")
}

// info is what is kept of a work.
type info struct {
	Name   string `json:"name"`
	Series string `json:"series,omitempty"`
	X      int    `json:"x,omitempty"`
	Line   string `json:"line,omitempty"`
}

func newResults(systems []string, machine string) *results {
	return &results{
		Started: time.Now(), Machine: machine, Load: loadSettings(), Revision: revision(), Args: os.Args[1:],
		Settings: map[string]string{}, Systems: systems, Cells: map[string]map[string]*cell{},
	}
}

// cell is that of a work and a system.
func (r *results) cell(work, system string) *cell {
	if r.Cells[work] == nil {
		r.Cells[work] = map[string]*cell{}
	}
	c := r.Cells[work][system]
	if c == nil {
		c = &cell{}
		r.Cells[work][system] = c
	}
	return c
}

func (r *results) add(w *work, system string, f figures, err error) {
	if r.Cells[w.name] == nil {
		r.Works = append(r.Works, &info{w.name, w.series, w.x, w.line})
	}
	c := r.cell(w.name, system)
	if err != nil {
		c.Missing = err.Error()
		return
	}
	c.Rounds = append(c.Rounds, f)
}

// spread is the least, the median and the greatest of one figure.
type spread struct{ min, median, max float64 }

func (c *cell) spread(name string) (spread, bool) {
	var all []float64
	for _, f := range c.Rounds {
		if v, ok := f[name]; ok {
			all = append(all, v)
		}
	}
	if len(all) == 0 {
		return spread{}, false
	}
	slices.Sort(all)
	return spread{all[0], (all[(len(all)-1)/2] + all[len(all)/2]) / 2, all[len(all)-1]}, true
}

// names are the figures that the work has, in the order of columns.
func (r *results) names(work string) []string {
	seen := map[string]bool{}
	var names []string
	for _, c := range r.Cells[work] {
		for _, f := range c.Rounds {
			for n := range f {
				if !seen[n] {
					seen[n] = true
					names = append(names, n)
				}
			}
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(columnOf(a), columnOf(b)), cmp.Compare(a, b))
	})
	return names
}

var columns = []string{"ops/s", "events/s", "hand-offs/s", "done %", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "p99.99 ms", "max ms"}

// columnOf is the place of a figure; those of one work alone come last.
func columnOf(name string) int {
	if i := slices.Index(columns, name); i >= 0 {
		return i
	}
	return len(columns)
}

func (r *results) save(path string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}

func read(path string) (*results, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r := &results{}
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}
