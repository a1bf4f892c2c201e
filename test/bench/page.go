package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// pages are the documents with figures of this program, which it can write anew:
// what is between "<!-- bench NAME -->" and "<!-- /bench -->" is its own, NAME a
// series or the name of a work. A page's plots are in a directory beside it.
var pages = []string{"benchmark.md", "cost.md"}

const markEnd = "<!-- /bench -->"

// show prints the table and writes results.md, the plots, and documents where
// that is asked for.
func (r *results) show(o *options) error {
	if o.say != nil {
		o.say.close()
	}
	r.table(os.Stdout)
	drawn, err := r.drawn(o.out)
	if err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# doozer's benchmark\n\n%s\n", r.where())
	seen := map[string]bool{}
	for _, w := range r.Works {
		name := w.Series
		if name == "" {
			name = w.Name
		}
		if !seen[name] {
			fmt.Fprintf(&b, "\n## %s\n\n%s\n", name, r.block(name, "", drawn))
		}
		seen[name] = true
	}
	if err := os.WriteFile(filepath.Join(o.out, "results.md"), []byte(b.String()), 0o644); err != nil {
		return err
	}
	fmt.Printf("\nresults.md, results.json and %d plots are in %s\n", len(drawn), o.out)
	if o.docs == "" {
		return nil
	}
	for _, page := range pages {
		if err := r.rewrite(o, page, drawn); err != nil {
			return err
		}
	}
	return nil
}

// where says what one must know to judge the figures.
func (r *results) where() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s. %s. Medians of %d rounds, [least .. greatest].\n\n", r.Machine, strings.ToUpper(r.Load[:1])+r.Load[1:], r.rounds())
	for _, s := range r.Systems {
		fmt.Fprintf(&b, "- %s: %s\n", s, r.Settings[s])
	}
	fmt.Fprintf(&b, "\n`cd test/bench && %s`, %s\n", r.command(), r.Started.UTC().Format("2006-01-02"))
	return b.String()
}

// rounds is how many the run got through.
func (r *results) rounds() int {
	most := 0
	for _, w := range r.Works {
		for _, s := range r.Systems {
			most = max(most, len(r.cell(w.Name, s).Rounds))
		}
	}
	return most
}

// rewrite puts figures into a document, with plots beside it. Blocks that these
// results do not have stay as they are.
func (r *results) rewrite(o *options, page string, drawn []string) error {
	path := filepath.Join(o.docs, page)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	text, dir := string(data), strings.TrimSuffix(page, ".md")
	var out strings.Builder
	any := false // a block but that of the machine, which these results have
	for {
		before, rest, ok := strings.Cut(text, "<!-- bench ")
		out.WriteString(before)
		if !ok {
			break
		}
		name, rest, ok1 := strings.Cut(rest, " -->")
		old, rest, ok2 := strings.Cut(rest, markEnd)
		if !ok1 || !ok2 {
			return fmt.Errorf("%s: a block of figures has no end", path)
		}
		text = rest
		block := r.block(name, dir+"/", drawn)
		any = any || (block != "" && name != "machine")
		if block == "" {
			block = strings.Trim(old, "\n") + "\n"
		}
		fmt.Fprintf(&out, "<!-- bench %s -->\n%s%s", name, block, markEnd)
	}
	if !any || out.String() == string(data) {
		return nil
	}
	if err := r.copyPlots(o.out, filepath.Join(o.docs, dir), out.String(), drawn); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(out.String()), 0o644)
}

// copyPlots copies those plots that a page shows.
func (r *results) copyPlots(from, to, page string, drawn []string) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for _, name := range drawn {
		if !strings.Contains(page, "/"+name+".svg") {
			continue
		}
		data, err := os.ReadFile(filepath.Join(from, name+".svg"))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, name+".svg"), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// block is what a page shows of a series or a work; "" when there is nothing of
// it. at is where plots are.
func (r *results) block(name, at string, drawn []string) string {
	if name == "machine" {
		return r.where()
	}
	var works []*info
	for _, w := range r.Works {
		if w.Series == name || w.Name == name {
			works = append(works, w)
		}
	}
	if len(works) == 0 {
		return ""
	}
	var b strings.Builder
	if slices.Contains(growthNames, name) {
		r.growthTable(&b, name, works)
	} else {
		for _, w := range works {
			r.workTable(&b, w.Name)
		}
	}
	for _, p := range drawn {
		if belongs(p, name, works) {
			fmt.Fprintf(&b, `<img src="%s%s.svg" alt="%s" width="49%%">`+"\n", at, p, p)
		}
	}
	fmt.Fprintf(&b, "\n<sub>%d rounds, %s, doozerd %s</sub>\n", r.rounds(), r.Started.UTC().Format("2006-01-02"), r.Revision)
	return b.String()
}

// belongs tells whether a plot is one of this block.
func belongs(plot, name string, works []*info) bool {
	base := fileName(name)
	for _, kind := range []string{"-rate", "-latency", "-cpu", "-size", "-bytes", "-seconds"} {
		if plot == base+kind {
			return true
		}
	}
	return slices.ContainsFunc(works, func(w *info) bool { return plot == fileName(w.Name) })
}

// workTable has a row for each figure and a column for each system.
func (r *results) workTable(b *strings.Builder, work string) {
	fmt.Fprintf(b, "| %s | %s |", work, strings.Join(r.Systems, " | "))
	for _, s := range r.Systems[1:] {
		fmt.Fprintf(b, " against %s |", s)
	}
	fmt.Fprintf(b, "\n|---%s|\n", strings.Repeat("|---:", 2*len(r.Systems)-1))
	for _, figure := range r.names(work) {
		fmt.Fprintf(b, "| %s |", figure)
		for _, s := range r.Systems {
			if v, ok := r.cell(work, s).spread(figure); ok {
				fmt.Fprintf(b, " %s |", v)
			} else {
				b.WriteString(" – |")
			}
		}
		for _, s := range r.Systems[1:] {
			fmt.Fprintf(b, " %s |", r.ratio(work, figure, s))
		}
		b.WriteString("\n")
	}
	for _, s := range r.Systems {
		if why := r.cell(work, s).Missing; why != "" {
			fmt.Fprintf(b, "\n%s: %s\n", s, why)
		}
	}
	b.WriteString("\n")
}

// growthTable has a row for each figure and a column for each number.
func (r *results) growthTable(b *strings.Builder, series string, works []*info) {
	for _, s := range r.Systems {
		fmt.Fprintf(b, "| %s, %s |", s, growthAxis[series])
		for _, w := range works {
			fmt.Fprintf(b, " %s |", thousands(fmt.Sprint(w.X)))
		}
		fmt.Fprintf(b, " first to last |\n|---%s|---|\n", strings.Repeat("|---:", len(works)))
		seen := map[string]bool{}
		for _, w := range works {
			for _, figure := range r.names(w.Name) {
				if seen[figure] {
					continue
				}
				seen[figure] = true
				fmt.Fprintf(b, "| %s |", figure)
				for _, w := range works {
					if v, ok := r.cell(w.Name, s).spread(figure); ok {
						fmt.Fprintf(b, " %s |", short(v.median))
					} else {
						b.WriteString(" – |")
					}
				}
				fmt.Fprintf(b, " %s |\n", r.growth(works, s, figure))
			}
		}
		for _, w := range works {
			if why := r.cell(w.Name, s).Missing; why != "" {
				fmt.Fprintf(b, "\n%s, %s: %s\n", s, w.Name, why)
			}
		}
		b.WriteString("\n")
	}
}

// String is the median with the least and the greatest.
func (v spread) String() string {
	if v.min == v.max {
		return short(v.median)
	}
	return fmt.Sprintf("%s [%s .. %s]", short(v.median), short(v.min), short(v.max))
}
