package main

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
)

// The size of a chart, and the room around its axes.
const (
	chartWidth, chartHeight = 720, 400
	left, right             = 78, 200
	top, bottom             = 46, 52
)

// chart is lines over two logarithmic axes.
type chart struct {
	title, x, y string
	lines       []line
	// names are what the x axis says instead of numbers, by number.
	names map[float64]string
}

// line is one series of medians with their spread.
type line struct {
	name   string
	color  int  // of palette
	dashed bool // to tell two figures of one system apart
	alone  bool // points without a line
	points []point
}

type point struct {
	x float64
	spread
}

// palette has each colour for a light and for a dark ground.
var palette = [][2]string{
	{"#0b7a75", "#3fc7bf"}, {"#c2511b", "#f0975f"}, {"#3b5bb5", "#8faaf5"}, {"#8a6d00", "#d9bd4e"},
	{"#8e3b8a", "#d98ed5"}, {"#5b6770", "#a9b4bd"}, {"#2e7d32", "#81c784"}, {"#b3261e", "#f28b82"},
}

// style is one picture for both grounds: the viewer's choice decides.
func style() string {
	var light, dark strings.Builder
	for i, c := range palette {
		fmt.Fprintf(&light, ".s%d{stroke:%s}.f%d{fill:%s}", i, c[0], i, c[0])
		fmt.Fprintf(&dark, ".s%d{stroke:%s}.f%d{fill:%s}", i, c[1], i, c[1])
	}
	return "<style>.bg{fill:#ffffff}.ink{fill:#1c2024}.soft{fill:#5a6270}.grid{stroke:#e3e6ea}" + light.String() +
		"@media (prefers-color-scheme: dark){.bg{fill:#14181d}.ink{fill:#e8eaed}.soft{fill:#a6adb8}.grid{stroke:#2d333b}" + dark.String() + "}</style>\n"
}

// axis maps values to a logarithmic axis.
type axis struct{ from, to, lo, hi float64 }

func (a axis) at(v float64) float64 {
	return a.from + (a.to-a.from)*(math.Log10(v)-a.lo)/(a.hi-a.lo)
}

// newAxis begins and ends at 1, 2 or 5 times a power of ten.
func newAxis(from, to float64, values []float64) axis {
	lo, hi := round125(slices.Min(values), false), round125(slices.Max(values), true)
	if hi <= lo {
		lo, hi = lo/2, hi*2
	}
	return axis{from, to, math.Log10(lo), math.Log10(hi)}
}

func round125(v float64, up bool) float64 {
	e := math.Floor(math.Log10(v))
	steps := []float64{1, 2, 5, 10}
	for i := range steps {
		s := steps[i] * math.Pow(10, e)
		if up && s >= v*(1-1e-9) {
			return s
		}
		if !up && (i+1 == len(steps) || steps[i+1]*math.Pow(10, e) > v*(1+1e-9)) {
			return s
		}
	}
	return v
}

// ticks are the numbers of an axis.
func (a axis) ticks() []float64 {
	steps := []float64{1}
	if a.hi-a.lo < 2.4 {
		steps = []float64{1, 2, 5}
	}
	var out []float64
	for e := math.Floor(a.lo); e <= math.Ceil(a.hi); e++ {
		for _, s := range steps {
			v := s * math.Pow(10, e)
			if l := math.Log10(v); l >= a.lo-1e-9 && l <= a.hi+1e-9 {
				out = append(out, v)
			}
		}
	}
	return out
}

// least is the smallest value that a logarithmic axis shows.
const least = 1e-3

// svg draws it; "" when it has no point.
func (c *chart) svg() string {
	var xs, ys []float64
	for _, l := range c.lines {
		for _, p := range l.points {
			xs, ys = append(xs, p.x), append(ys, max(p.min, least), max(p.max, least))
		}
	}
	if len(xs) == 0 {
		return ""
	}
	x := axis{left, chartWidth - right, math.Log10(slices.Min(xs)), math.Log10(slices.Max(xs))}
	if x.hi <= x.lo {
		x.lo, x.hi = x.lo-0.5, x.hi+0.5
	}
	y := newAxis(chartHeight-bottom, top, ys)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="system-ui, sans-serif" font-size="13">`+"\n%s", chartWidth, chartHeight, style())
	fmt.Fprintf(&b, `<rect class="bg" width="100%%" height="100%%" rx="6"/><text class="ink" x="%d" y="27" font-size="16" font-weight="600">%s</text>`+"\n", left-56, html.EscapeString(c.title))
	c.grid(&b, x, y, xs)
	slices.SortStableFunc(c.lines, func(a, b line) int { return compareEnds(a, b) })
	last := float64(top) - 16
	for _, l := range c.lines {
		if len(l.points) > 0 {
			last = l.draw(&b, x, y, last)
		}
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// compareEnds sorts lines by their right ends, the highest first: labels are put
// there one below the other.
func compareEnds(a, b line) int {
	end := func(l line) float64 {
		if len(l.points) == 0 {
			return 0
		}
		return l.points[len(l.points)-1].median
	}
	switch {
	case end(a) > end(b):
		return -1
	case end(a) < end(b):
		return 1
	}
	return 0
}

// draw draws the line, its points and its label, below the last one's.
func (l *line) draw(b *strings.Builder, x, y axis, last float64) float64 {
	dash := map[bool]string{true: ` stroke-dasharray="5 4"`}[l.dashed]
	var path []string
	for _, p := range l.points {
		px, py := x.at(p.x), y.at(max(p.median, least))
		path = append(path, fmt.Sprintf("%.1f,%.1f", px, py))
		if p.max > p.min {
			fmt.Fprintf(b, `<line class="s%d" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" opacity="0.35" stroke-width="5"/>`,
				l.color, px, px, y.at(max(p.min, least)), y.at(max(p.max, least)))
		}
		fmt.Fprintf(b, `<circle class="f%d" cx="%.1f" cy="%.1f" r="%s"><title>%s: %s [%s .. %s]</title></circle>`+"\n",
			l.color, px, py, map[bool]string{false: "3.5", true: "5"}[l.alone], html.EscapeString(l.name), short(p.median), short(p.min), short(p.max))
	}
	if !l.alone {
		fmt.Fprintf(b, `<polyline class="s%d" points="%s" fill="none" stroke-width="2"%s/>`+"\n", l.color, strings.Join(path, " "), dash)
	}
	end := l.points[len(l.points)-1]
	at := max(last+16, y.at(max(end.median, least))+4)
	fmt.Fprintf(b, `<text class="f%d" x="%d" y="%.1f">%s %s</text>`+"\n", l.color, chartWidth-right+12, at, html.EscapeString(l.name), short(end.median))
	return at
}

// grid draws a line and a number at every tick, and at every x that there is.
func (c *chart) grid(b *strings.Builder, x, y axis, xs []float64) {
	for _, v := range y.ticks() {
		at := y.at(v)
		fmt.Fprintf(b, `<line class="grid" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/><text class="soft" x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n",
			left, chartWidth-right, at, at, left-8, at+4, number(v))
	}
	slices.Sort(xs)
	last := -100.0
	for _, v := range slices.Compact(xs) {
		at := x.at(v)
		fmt.Fprintf(b, `<line class="grid" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>`, at, at, top, chartHeight-bottom)
		if at-last < 34 {
			continue
		}
		last = at
		text := number(v)
		if n, ok := c.names[v]; ok {
			text = n
		}
		fmt.Fprintf(b, `<text class="soft" x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", at, chartHeight-bottom+18, text)
	}
	fmt.Fprintf(b, `<text class="soft" x="%d" y="%d" text-anchor="middle">%s</text><text class="soft" x="%d" y="%d" text-anchor="end">%s</text>`+"\n",
		(left+chartWidth-right)/2, chartHeight-10, html.EscapeString(c.x), chartWidth-16, 27, html.EscapeString(c.y))
}

// number is a tick's: 5, 20k, 1M.
func number(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%gM", math.Round(v/1e4)/100)
	case v >= 10_000:
		return fmt.Sprintf("%gk", math.Round(v/10)/100)
	}
	return fmt.Sprintf("%g", math.Round(v*1e4)/1e4)
}
