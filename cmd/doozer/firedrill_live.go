package main

import (
	"bufio"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/doozer-store/doozer/drill"
	"github.com/doozer-store/doozer/drill/report"
)

const (
	// sparkWidth is how many of the last rates are drawn.
	sparkWidth = 40
	// sparkEvery is the time of one of them.
	sparkEvery = 250 * time.Millisecond
)

// live shows how drills go: on a terminal in a few lines that are painted again
// and again, below a line for each drill that is over; elsewhere only that line
// and one for each drill that begins. It is used by one goroutine at a time.
//
// What goes wrong with the writing is nobody's concern here: the drills go on,
// and the report tells all.
type live struct {
	out      *bufio.Writer
	terminal bool
	title    string
	total    int // drills to do; 0: until the time is over

	drill   string // that runs
	painted int    // lines to go up before painting again
	spark   []float64
	sparkAt time.Duration
}

// newLive shows on stdout, or on stderr where stdout is for JSON.
func (c *command) newLive(flags *drillFlags) *live {
	l := &live{out: c.stdout, title: fmt.Sprintf("%d nodes", flags.nodes)}
	to := c.out
	if c.format == formatJSON {
		l.out, to = bufio.NewWriter(c.stderr), c.stderr
	}
	if f, ok := to.(*os.File); ok {
		l.terminal = isTerminal(f) && c.getenv("TERM") != "dumb"
	}
	if flags.seed != 0 {
		l.title += ", seed " + flags.seed.String()
	}
	switch {
	case flags.period != 0:
		l.title += ", for " + flags.period.String()
	case len(flags.names) > 0:
		// A name that is given twice is run once.
		l.total = len(slices.Compact(slices.Sorted(slices.Values(flags.names))))
	default:
		for _, d := range c.drills.List() {
			if d.Missing == "" {
				l.total++
			}
		}
	}
	return l
}

// progress takes the present state; it is drill.Options.Progress.
func (l *live) progress(p drill.Progress) {
	if p.Drill != l.drill {
		l.drill = p.Drill
		if !l.terminal && p.Drill != "" {
			fmt.Fprintf(l.out, "       %-18s  %s\n", plain(p.Drill), l.position(p.Runs))
		}
	}
	if l.terminal {
		l.note(p)
		l.paint(p)
	}
	l.out.Flush()
}

// finished takes a run that is over; it is drill.Options.Finished.
func (l *live) finished(run drill.Run) {
	l.wipe()
	fmt.Fprintln(l.out, report.Line(run))
	l.out.Flush()
	// The same drill may begin again.
	l.drill = ""
}

// end takes the painted lines away.
func (l *live) end() {
	l.wipe()
	fmt.Fprintln(l.out)
	l.out.Flush()
}

// position is where a run is among all.
func (l *live) position(before int) string {
	if l.total == 0 {
		return fmt.Sprintf("run %d", before+1)
	}
	return fmt.Sprintf("%d of %d", before+1, max(l.total, before+1))
}

// note keeps the rate for the spark line.
func (l *live) note(p drill.Progress) {
	if p.At < l.sparkAt {
		return
	}
	l.sparkAt = p.At + sparkEvery
	l.spark = append(l.spark, p.Rate)
	l.spark = l.spark[max(0, len(l.spark)-sparkWidth):]
}

// paint puts the state over the one that was painted before. While it writes,
// the terminal does not wrap lines: one that is too long is cut at the edge, and
// the number of lines to go up stays right.
func (l *live) paint(p drill.Progress) {
	name, harm, outage := p.Drill, p.Fault, "none"
	if name == "" {
		name = "starting a cluster"
	} else {
		name += ", " + l.position(p.Runs)
	}
	if harm == "" {
		harm = "none"
	}
	if p.Outage > 0 {
		outage = span(p.Outage)
	}
	checks := fmt.Sprintf("%d passed", p.Checks)
	if p.Failed > 0 {
		checks += fmt.Sprintf(", %d FAILED", p.Failed)
	}
	lines := []string{
		fmt.Sprintf("%s  %s (%s)", clock(p.At), plain(name), l.title),
		"  harm    " + plain(harm),
		"  outage  " + outage,
		fmt.Sprintf("  rate    %.0f/s, p99 %.1f ms  %s", p.Rate, float64(p.P99)/float64(time.Millisecond), sparkline(l.spark)),
		"  checks  " + checks,
	}
	l.wipe()
	l.out.WriteString("\x1b[?7l" + strings.Join(lines, "\n") + "\x1b[?7h\n")
	l.painted = len(lines)
}

// wipe goes back to where painting began, and clears what is there.
func (l *live) wipe() {
	if l.painted > 0 {
		fmt.Fprintf(l.out, "\r\x1b[%dA\x1b[J", l.painted)
		l.painted = 0
	}
}

// sparkline draws rates as blocks, the highest as a full one, none as a space.
func sparkline(rates []float64) string {
	blocks := []rune("▁▂▃▄▅▆▇█")
	highest := 0.0
	for _, r := range rates {
		highest = max(highest, r)
	}
	var b strings.Builder
	for _, r := range rates {
		if r <= 0 || highest <= 0 {
			b.WriteByte(' ')
			continue
		}
		b.WriteRune(blocks[min(len(blocks)-1, int(math.Floor(r/highest*float64(len(blocks)))))])
	}
	return strings.TrimRight(b.String(), " ")
}

// clock is a time since the start, as minutes and seconds.
func clock(d time.Duration) string {
	s := int(d.Seconds())
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}
