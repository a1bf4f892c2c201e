package report

import (
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/doozer-store/doozer/drill"
)

// A chart is two panels over one axis of time: the rate of successful operations
// as an area, and below it latencies on a logarithmic scale, because an election
// is a hundred times as long as a write. Bands behind both are the time in which
// harm was done; what they were is written above. Lengths are in units of the
// viewBox.
const (
	chartWidth   = 960.0
	leftMargin   = 56.0
	rightMargin  = 44.0
	rateHeight   = 150.0
	panelGap     = 34.0
	delayHeight  = 118.0
	axisHeight   = 30.0
	topMargin    = 22.0 // the title of the first panel
	laneHeight   = 17.0
	letterWidth  = 6.3 // of a label, on average
	minBand      = 2.0 // a harm that took no time is seen all the same
	maxLanes     = 5
	maxLabel     = 80 // letters of a label; the rest is in its tooltip
	maxStems     = 16 // labels whose lines go down through the panels
	failedHeight = 5.0
)

// band is a part of the time with a name.
type band struct {
	from, to time.Duration
	label    string
}

// chart is what is drawn.
type chart struct {
	canvas
	id          string // prefix of ids, unique in the page
	title, desc string
	from, to    time.Duration // what is shown
	points      []point
	faults      []band // shaded, and labelled where there is room
	labels      []band // in place of the faults' own labels, if any
	outages     []band
	healed      []time.Duration
	lanes       []int // of the labels; -1: no room
	top         float64
}

// timeline draws the whole of r, a label for each run.
func timeline(r *drill.Report, id string) *chart {
	c := &chart{id: id, title: "Timeline of all drills", to: r.Length, labels: []band{}}
	for _, run := range r.Runs {
		c.to = max(c.to, run.To, run.Healed)
		c.labels = append(c.labels, band{run.From, run.To, run.Drill})
		c.addRun(run)
	}
	if n := len(r.Samples); n > 0 {
		c.to = max(c.to, r.Samples[n-1].At)
	}
	c.points = series(r.Samples, starts(r), c.from, c.to)
	c.desc = "Successful operations a second and their latency over " + span(c.to) + ". " +
		headline(r) + ": " + names(summarize(r.Runs)) + "."
	return c
}

// runTimeline draws one run, a label for each of its faults.
func runTimeline(r *drill.Report, run drill.Run, id string) *chart {
	c := &chart{id: id, title: "Timeline of " + run.Drill, from: run.From, to: max(run.To, run.Healed)}
	if c.to <= c.from {
		c.to = r.Length
	}
	c.addRun(run)
	c.points = series(r.Samples, starts(r), c.from, c.to)
	var what []string
	for _, f := range run.Faults {
		what = append(what, fmt.Sprintf("%s from %s to %s", f.What, clock(f.From-c.from), clock(f.To-c.from)))
	}
	c.desc = fmt.Sprintf("Successful operations a second and their latency over %s. %s. Longest time without a successful write %s, recovery %s.",
		span(c.to-c.from), strings.Join(what, "; "), span(run.Outage), span(run.Recovery))
	return c
}

// starts are when the loads of r began.
func starts(r *drill.Report) (list []time.Duration) {
	for _, run := range r.Runs {
		list = append(list, run.From)
	}
	return list
}

func (c *chart) addRun(run drill.Run) {
	for _, f := range run.Faults {
		c.faults = append(c.faults, band{f.From, max(f.From, f.To), f.What})
	}
	if run.Outage > 0 && run.OutageFrom > 0 {
		c.outages = append(c.outages, band{run.OutageFrom, run.OutageFrom + run.Outage, "no write for " + span(run.Outage)})
	}
	if run.Healed > 0 {
		c.healed = append(c.healed, run.Healed)
	}
}

// svg is the drawing, as an element for a page; with style it is a document
// that stands for itself.
func (c *chart) svg(style string) []byte {
	labels := c.labels
	if labels == nil {
		labels = c.faults
	}
	c.place(labels)
	rows := 0
	for _, l := range c.lanes {
		rows = max(rows, l+1)
	}
	c.top = topMargin + laneHeight*float64(rows)
	height := c.top + rateHeight + panelGap + delayHeight + axisHeight
	c.begin("svg", "xmlns", "http://www.w3.org/2000/svg", "viewBox", "0 0 "+num(chartWidth)+" "+num(height),
		"class", "timeline", "role", "img", "aria-labelledby", c.id+"-title "+c.id+"-desc")
	c.text("title", c.title, "id", c.id+"-title")
	c.text("desc", c.desc, "id", c.id+"-desc")
	if style != "" {
		c.text("style", style)
		c.leaf("rect", "class", "ground", "width", num(chartWidth), "height", num(height))
	}
	c.bands(labels)
	c.timeAxis()
	c.rates()
	c.latencies()
	c.notes()
	c.end()
	return c.b.Bytes()
}

// x is where a time is on the axis.
func (c *chart) x(at time.Duration) float64 {
	share := float64(at-c.from) / math.Max(1, float64(c.to-c.from))
	return leftMargin + min(1, max(0, share))*(chartWidth-leftMargin-rightMargin)
}

func (c *chart) bottom() float64 { return c.top + rateHeight + panelGap + delayHeight }

// place gives each label a lane in which it meets no other, or -1.
func (c *chart) place(labels []band) {
	var ends [maxLanes]float64
	for _, l := range labels {
		lane := -1
		x, width := c.labelAt(l)
		for i := range ends {
			if ends[i] <= x && l.label != "" {
				lane, ends[i] = i, x+width+10
				break
			}
		}
		c.lanes = append(c.lanes, lane)
	}
}

// labelAt is where a label begins and how wide it is: at its band's start, or
// as far left as it must to be seen whole.
func (c *chart) labelAt(l band) (x, width float64) {
	width = letterWidth * float64(utf8.RuneCountInString(shorten(l.label)))
	return max(leftMargin, min(c.x(l.from), chartWidth-width-4)), width
}

// shorten cuts a label to what may be seen of it.
func shorten(s string) string {
	if r := []rune(s); len(r) > maxLabel {
		return string(r[:maxLabel-1]) + "…"
	}
	return s
}

// bands draws what is behind the curves, and the labels above them.
func (c *chart) bands(labels []band) {
	for _, f := range c.faults {
		c.band(f, "fault", c.top, c.bottom())
	}
	// Many stems would hide what they point at.
	foot := c.bottom()
	if len(labels) > maxStems {
		foot = c.top - topMargin + 4
	}
	for i, l := range labels {
		if c.lanes[i] < 0 {
			continue
		}
		x, _ := c.labelAt(l)
		y := laneHeight * float64(c.lanes[i]+1)
		c.leaf("line", "class", "stem", "x1", num(c.x(l.from)), "x2", num(c.x(l.from)), "y1", num(y-10), "y2", num(foot))
		c.text("text", shorten(l.label), "class", "label", "x", num(x+4), "y", num(y-1))
	}
	for _, o := range c.outages {
		c.band(o, "outage", c.top, c.top+rateHeight)
	}
	for _, h := range c.healed {
		if c.labels == nil {
			c.leaf("line", "class", "healed", "x1", num(c.x(h)), "x2", num(c.x(h)), "y1", num(c.top), "y2", num(c.bottom()))
		}
	}
}

func (c *chart) band(b band, class string, top, bottom float64) {
	x := c.x(b.from)
	c.begin("rect", "class", class, "x", num(x), "y", num(top), "width", num(max(minBand, c.x(b.to)-x)), "height", num(bottom-top))
	c.text("title", fmt.Sprintf("%s (%s to %s)", b.label, clock(b.from-c.from), clock(b.to-c.from)))
	c.end()
}

func (c *chart) timeAxis() {
	y := c.bottom()
	step := timeStep(c.to-c.from, 10)
	for at := time.Duration(0); at <= c.to-c.from; at += step {
		x := c.x(c.from + at)
		c.leaf("line", "class", "grid", "x1", num(x), "x2", num(x), "y1", num(y), "y2", num(y+4))
		c.text("text", mark(at, step), "class", "tick", "x", num(x), "y", num(y+17), "text-anchor", "middle")
	}
}

// mark is a time on the axis, with no more digits than its step needs.
func mark(at, step time.Duration) string {
	switch {
	case step < time.Second:
		return fmt.Sprintf("%.1f s", at.Seconds())
	case step < 30*time.Second && at < time.Minute:
		return fmt.Sprintf("%d s", at/time.Second)
	}
	return fmt.Sprintf("%d:%02d", at/time.Minute, at%time.Minute/time.Second)
}

// rates is the upper panel.
func (c *chart) rates() {
	floor := c.top + rateHeight
	c.text("text", "successful operations a second", "class", "panel", "x", num(leftMargin+5), "y", num(c.top-6))
	highest := 0.0
	for _, p := range c.points {
		highest = max(highest, p.rate)
	}
	marks := ticks(highest, 4)
	y := func(rate float64) float64 { return floor - rate/marks[len(marks)-1]*rateHeight }
	for _, m := range marks {
		c.gridline(y(m), short(m))
	}
	var area, line path
	for i, p := range c.points {
		if p.afterBreak || i == 0 {
			if i > 0 {
				area.line(c.x(c.points[i-1].to), floor)
				area.shut()
			}
			area.move(c.x(p.from), floor)
			line.move(c.x(p.from), y(p.rate))
		}
		for _, l := range []*path{&area, &line} {
			l.line(c.x(p.from), y(p.rate))
			l.line(c.x(p.to), y(p.rate))
		}
	}
	if n := len(c.points); n > 0 {
		area.line(c.x(c.points[n-1].to), floor)
		area.shut()
		c.leaf("path", "class", "rate-area", "d", area.data())
		c.leaf("path", "class", "rate-line", "d", line.data())
	} else {
		c.text("text", "nothing was measured", "class", "label", "x", num(chartWidth/2), "y", num(floor-rateHeight/2), "text-anchor", "middle")
	}
	c.failures(floor)
}

// failures marks, below the rate, where operations were refused or their outcome
// stayed unknown.
func (c *chart) failures(y float64) {
	for _, p := range c.points {
		if p.failed == 0 {
			continue
		}
		x := c.x(p.from)
		c.begin("rect", "class", "failed", "x", num(x), "y", num(y+1), "width", num(max(minBand, c.x(p.to)-x)), "height", num(failedHeight))
		c.text("title", plural(p.failed, "operation", "operations")+" without success")
		c.end()
	}
}

// latencies is the lower panel.
func (c *chart) latencies() {
	floor := c.bottom()
	low, high := decades(c.points)
	c.text("text", "latency of them", "class", "panel", "x", num(leftMargin+5), "y", num(floor-delayHeight-6))
	y := func(d time.Duration) float64 {
		share := (math.Log10(max(1, float64(d))/1e6) - float64(low)) / float64(high-low)
		return floor - min(1, max(0, share))*delayHeight
	}
	for e := low; e <= high; e++ {
		d := time.Duration(math.Pow(10, float64(e)) * 1e6)
		c.gridline(y(d), decade(d))
	}
	for _, l := range []struct {
		class string
		value func(point) time.Duration
	}{
		{"p50-line", func(p point) time.Duration { return p.p50 }},
		{"p99-line", func(p point) time.Duration { return p.p99 }},
	} {
		if line := c.delayLine(l.value, y); !line.empty() {
			c.leaf("path", "class", l.class, "d", line.data())
		}
	}
	// The names stand at the ends of their lines, and never on each other.
	for i := len(c.points) - 1; i >= 0; i-- {
		if p := c.points[i]; p.ok {
			x, p99 := c.x(p.to)+6, min(y(p.p99), floor-16)
			c.text("text", "p99", "class", "name p99", "x", num(x), "y", num(p99+4))
			c.text("text", "p50", "class", "name p50", "x", num(x), "y", num(max(y(p.p50), p99+13)+4))
			break
		}
	}
}

// notes are what is written into a run's upper panel: how long writes stood
// still, and that what follows the load are checks.
func (c *chart) notes() {
	if c.labels != nil {
		return
	}
	for _, o := range c.outages {
		x, anchor := c.x(o.to)+6, "start"
		if x+letterWidth*float64(utf8.RuneCountInString(o.label)) > chartWidth {
			x, anchor = c.x(o.from)-6, "end"
		}
		c.text("text", o.label, "class", "note", "x", num(x), "y", num(c.top+14), "text-anchor", anchor)
	}
	if n := len(c.points); n > 0 {
		from, to := c.x(c.points[n-1].to), c.x(c.to)
		if to-from > 60 {
			c.text("text", "checks", "x", num((from+to)/2), "y", num(c.top+rateHeight/2+4), "text-anchor", "middle")
		}
	}
}

// delayLine has gaps where nothing succeeded.
func (c *chart) delayLine(value func(point) time.Duration, y func(time.Duration) float64) *path {
	line := &path{}
	drawn := false
	for _, p := range c.points {
		if !p.ok || value(p) <= 0 {
			drawn = false
			continue
		}
		if !drawn || p.afterBreak {
			line.move(c.x(p.from), y(value(p)))
		} else {
			line.line(c.x(p.from), y(value(p)))
		}
		line.line(c.x(p.to), y(value(p)))
		drawn = true
	}
	return line
}

// decade is a power of ten on the axis of latencies.
func decade(d time.Duration) string {
	switch {
	case d >= time.Second:
		return fmt.Sprintf("%d s", d/time.Second)
	case d >= time.Millisecond:
		return fmt.Sprintf("%d ms", d/time.Millisecond)
	}
	return fmt.Sprintf("%d µs", d/time.Microsecond)
}

func (c *chart) gridline(y float64, label string) {
	c.leaf("line", "class", "grid", "x1", num(leftMargin), "x2", num(chartWidth-rightMargin), "y1", num(y), "y2", num(y))
	c.text("text", label, "class", "tick", "x", num(leftMargin-7), "y", num(y+4), "text-anchor", "end")
}
