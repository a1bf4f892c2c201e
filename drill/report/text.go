package report

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/doozer-store/doozer/drill"
)

// maxLines is how much is printed of what a check found; the other forms have
// all of it.
const maxLines = 12

// Text writes r for a terminal: the verdict, a row for each drill, what failed
// and what was not run.
func Text(w io.Writer, r *drill.Report) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "%s: %s\n", strings.ToUpper(string(Judge(r))), headline(r))
	fmt.Fprintf(out, "%d nodes, seed %d, %s; doozerd %s\n", r.Nodes, r.Seed, span(r.Length), plain(orUnknown(r.Version)))
	if rows := summarize(r.Runs); len(rows) > 0 {
		fmt.Fprintln(out)
		writeRows(out, rows)
	}
	for _, run := range r.Runs {
		for _, c := range run.Checks {
			if !c.OK {
				fmt.Fprintf(out, "\nfailed: %s: %s: %s\n", plain(run.Drill), plain(c.Name), indent(c.Detail))
			}
		}
		if failed(run) {
			fmt.Fprintf(out, "again:  %s\n", plain(again(r, run)))
		}
	}
	if len(r.Skipped)+len(r.Invalid) > 0 {
		fmt.Fprintln(out)
	}
	for _, s := range r.Skipped {
		fmt.Fprintf(out, "not run: %s: %s\n", plain(s.Drill), plain(s.Why))
	}
	for _, s := range r.Invalid {
		fmt.Fprintf(out, "made again: %s: %s\n", plain(s.Drill), plain(s.Why))
	}
	return out.Flush()
}

// indent is a text of one or more lines, each safe for a terminal.
func indent(s string) string {
	lines := strings.Split(firstLines(s, maxLines), "\n")
	for i := range lines {
		lines[i] = plain(strings.ReplaceAll(lines[i], "\t", "    "))
	}
	return strings.Join(lines, "\n  ")
}

// Line is one run in a line, for a log of the progress.
func Line(run drill.Run) string {
	word := "ok    "
	switch {
	case failed(run):
		word = "FAILED"
	case len(run.Checks) == 0:
		word = "ended "
	}
	passed, total := checks([]drill.Run{run})
	return fmt.Sprintf("%s %-18s  %d of %d checks, outage %s, recovery %s, p99 %s", word, plain(run.Drill),
		passed, total, span(run.Outage), span(run.Recovery), span(run.During.P99))
}

func orUnknown(version string) string {
	if version == "" {
		return "of unknown version"
	}
	return version
}

// writeRows is the table: names to the left, figures to the right.
func writeRows(out *bufio.Writer, rows []row) {
	cells := [][]string{{"DRILL", "RUNS", "CHECKS", "OUTAGE", "RECOVERY", "P99 BEFORE", "P99 DURING", "SLOWEST", "DONE", "REFUSED", "UNKNOWN"}}
	for _, r := range rows {
		cells = append(cells, []string{
			plain(r.drill), count(r.runs), fmt.Sprintf("%d of %d", r.passed, r.checks), span(r.outage), span(r.recovery),
			span(r.before.P99), span(r.during.P99), span(r.during.Max), count(r.ok), count(r.refused), count(r.unknown),
		})
	}
	widths := make([]int, len(cells[0]))
	for _, line := range cells {
		for i, cell := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, line := range cells {
		for i, cell := range line {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i == 0 {
				out.WriteString(cell + pad)
				continue
			}
			out.WriteString("  " + pad + cell)
		}
		out.WriteByte('\n')
	}
}
