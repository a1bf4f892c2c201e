package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// short has three digits, or all before the point.
func short(v float64) string {
	switch {
	case v >= 1000:
		return thousands(strconv.FormatFloat(v, 'f', 0, 64))
	case v >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	default:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
}

func thousands(digits string) string {
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// brief is one round's figures on one line, without what the tables add.
func brief(f figures, err error) string {
	if err != nil {
		return err.Error()
	}
	var parts []string
	r := &results{Cells: map[string]map[string]*cell{"": {"": {Rounds: []figures{f}}}}}
	for _, n := range r.names("") {
		if !slices.Contains([]string{"p90 ms", "p99.9 ms", "p99.99 ms", "max ms", "client µs/op"}, n) {
			parts = append(parts, n+" "+short(f[n]))
		}
	}
	return strings.Join(parts, "  ")
}

// table prints medians with their least and greatest, and how the first system
// compares to each other one: above 1 it is better.
func (r *results) table(out io.Writer) {
	for _, s := range r.Systems {
		fmt.Fprintf(out, "%s: %s\n", s, r.Settings[s])
	}
	for _, i := range r.Works {
		work := i.Name
		fmt.Fprintf(out, "\n%s\n", work)
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintf(w, "  \t%s", strings.Join(r.Systems, "\t"))
		for _, s := range r.Systems[1:] {
			fmt.Fprintf(w, "\tagainst %s", s)
		}
		fmt.Fprintln(w)
		for _, name := range r.names(work) {
			fmt.Fprintf(w, "  %s", name)
			for _, s := range r.Systems {
				if v, ok := r.cell(work, s).spread(name); ok {
					fmt.Fprintf(w, "\t%s", v)
				} else {
					fmt.Fprint(w, "\t-")
				}
			}
			for _, s := range r.Systems[1:] {
				fmt.Fprintf(w, "\t%s", r.ratio(work, name, s))
			}
			fmt.Fprintln(w)
		}
		w.Flush()
		for _, s := range r.Systems {
			if why := r.cell(work, s).Missing; why != "" {
				fmt.Fprintf(out, "  %s: %s\n", s, why)
			}
		}
	}
}

// ratio says how many times better the first system's median is.
func (r *results) ratio(work, name, system string) string {
	a, ok1 := r.cell(work, r.Systems[0]).spread(name)
	b, ok2 := r.cell(work, system).spread(name)
	if !ok1 || !ok2 || a.median <= 0 || b.median <= 0 {
		return "-"
	}
	if better(name) {
		return short(a.median/b.median) + "x"
	}
	return short(b.median/a.median) + "x"
}
