package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/doozer-store/doozer/test/failover/rig"
)

// record is what has been found so far, on disk after each trial. It is safe for
// concurrent use.
type record struct {
	o     options
	total int

	mu     sync.Mutex
	done   map[key][]rig.Outcome // guarded by mu, as is what follows
	asked  map[key]int
	took   map[key]time.Duration // the sum over done
	n      int
	broken error // the first that kept results from the disk
}

// key is a row of the report.
type key struct{ system, name string }

func newRecord(o options, todo []round) *record {
	r := &record{o: o, done: map[key][]rig.Outcome{}, asked: map[key]int{}, took: map[key]time.Duration{}}
	for _, t := range todo {
		for _, system := range t.systems {
			r.asked[key{system, t.c.Name}]++
			r.total++
		}
	}
	return r
}

// add takes the outcome of a trial.
func (r *record) add(rigN int, c rig.Case, out rig.Outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := key{out.System, c.Name}
	r.done[k] = append(r.done[k], out)
	r.took[k] += time.Duration(out.TookMs * float64(time.Millisecond))
	r.n++
	fmt.Printf("%s %d/%d rig %d %s %s: %s; %v left\n", time.Now().Format("15:04:05"), r.n, r.total, rigN, c.Name, out.System, out.Brief(), r.left().Round(time.Minute))
	if err := r.save(); err != nil && r.broken == nil {
		r.broken = err
	}
}

// left is about how long the rest takes.
func (r *record) left() time.Duration {
	var sum time.Duration
	for _, c := range r.o.cases {
		for _, system := range r.o.systems {
			k := key{system, c.Name}
			each := guess(system, c)
			if n := len(r.done[k]); n > 0 && r.took[k] > 0 {
				each = r.took[k] / time.Duration(n)
			}
			sum += time.Duration(r.asked[k]-len(r.done[k])) * each
		}
	}
	return sum / time.Duration(r.o.par)
}

// guess is how long a trial took when this was written.
func guess(system string, c rig.Case) time.Duration {
	down, err := downAfter(system)
	switch {
	case err != nil:
		return 3 * time.Second
	case c.Alone:
		return down + 18*time.Second
	}
	return down + 6*time.Second
}

// rows are the table's, in the order of the cases.
func (r *record) rows() (rows []rig.Row, all []rig.Outcome) {
	for _, c := range r.o.cases {
		for _, system := range r.o.systems {
			k := key{system, c.Name}
			if outs := r.done[k]; len(outs) > 0 {
				rows = append(rows, rig.Sum(c, r.asked[k], outs))
				all = append(all, outs...)
			}
		}
	}
	return rows, all
}

// save writes results.json and table.md.
func (r *record) save() error {
	rows, all := r.rows()
	return errors.Join(
		replace(filepath.Join(r.o.out, "results.json"), func(w io.Writer) error { return rig.Save(w, rows, all) }),
		replace(filepath.Join(r.o.out, "table.md"), func(w io.Writer) error { return rig.Table(w, rows) }))
}

// replace writes a file so that there is a whole one at any time.
func replace(path string, write func(io.Writer) error) error {
	var text strings.Builder
	if err := write(&text); err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", []byte(text.String()), 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// end prints the table. failed: a trial came to no end.
func (r *record) end() (failed bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rows, _ := r.rows()
	fmt.Println()
	if err := rig.Table(os.Stdout, rows); err != nil {
		return false, err
	}
	fmt.Println("\nresults are in", r.o.out)
	for _, row := range rows {
		failed = failed || row.Problems > 0
	}
	return failed, r.broken
}
