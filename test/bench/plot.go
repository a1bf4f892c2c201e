package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The size of a plot, and the room around its axes.
const (
	plotWidth, plotHeight = 720, 420
	left, right           = 80, 150
	top, bottom           = 40, 50
)

var colors = map[string]string{
	"doozer": "#0b7a75", "doozer-unary": "#59b3ae", "etcd": "#b5532d", "zookeeper": "#7a6a2f", "echo": "#8a8a8a",
}

// point is one median with its spread.
type point struct {
	x float64
	spread
}

// plots writes, for every kind of throughput work, the rate and the p99 against
// the number of callers.
func (r *results) plots(dir string) error {
	kinds := map[string]bool{}
	for _, name := range r.Works {
		if op, _, ok := strings.Cut(name, ", "); ok && strings.Contains(name, " callers on ") {
			kinds[op] = true
		}
	}
	for op := range kinds {
		for _, figure := range []string{"ops/s", "p50 ms", "p99 ms"} {
			lines := map[string][]point{}
			for _, name := range r.Works {
				var callers, conns int
				rest, ok := strings.CutPrefix(name, op+", ")
				if n, _ := fmt.Sscanf(rest, "%d callers on %d", &callers, &conns); !ok || n != 2 {
					continue
				}
				for _, s := range r.Systems {
					if v, ok := r.cell(name, s).spread(figure); ok {
						lines[s] = append(lines[s], point{float64(callers), v})
					}
				}
			}
			file := filepath.Join(dir, op+"-"+strings.NewReplacer("/", "-per-", " ", "-").Replace(figure)+".svg")
			if err := os.WriteFile(file, []byte(r.plot(op+": "+figure, lines)), 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// axis maps values to a logarithmic axis.
type axis struct{ from, to, lo, hi float64 }

func (a axis) at(v float64) float64 {
	return a.from + (a.to-a.from)*(math.Log10(v)-a.lo)/(a.hi-a.lo)
}

// newAxis spans whole decades.
func newAxis(from, to float64, values []float64) axis {
	lo, hi := math.Floor(math.Log10(slices.Min(values))), math.Ceil(math.Log10(slices.Max(values)))
	if hi <= lo {
		hi = lo + 1
	}
	return axis{from, to, lo, hi}
}

// plot draws lines with the spread of every point, both axes logarithmic.
func (r *results) plot(title string, lines map[string][]point) string {
	var xs, ys []float64
	for _, l := range lines {
		for _, p := range l {
			xs, ys = append(xs, p.x), append(ys, max(p.min, 1e-3), max(p.max, 1e-3))
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13">`+"\n", plotWidth, plotHeight)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="white"/><text x="%d" y="24" font-size="16">%s</text>`+"\n", left, title)
	if len(xs) == 0 {
		b.WriteString("</svg>\n")
		return b.String()
	}
	x, y := newAxis(left, plotWidth-right, xs), newAxis(plotHeight-bottom, top, ys)
	grid(&b, x, y)
	last := float64(top)
	for _, s := range r.Systems {
		l := lines[s]
		if len(l) == 0 {
			continue
		}
		slices.SortFunc(l, func(a, b point) int { return int(a.x - b.x) })
		var path []string
		for _, p := range l {
			px, py := x.at(p.x), y.at(max(p.median, 1e-3))
			path = append(path, fmt.Sprintf("%.1f,%.1f", px, py))
			fmt.Fprintf(&b, `<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" stroke="%s" opacity="0.4" stroke-width="4"/><circle cx="%.1f" cy="%.1f" r="3.5" fill="%s"><title>%s, %g callers: %s</title></circle>`+"\n",
				px, px, y.at(max(p.min, 1e-3)), y.at(max(p.max, 1e-3)), colors[s], px, py, colors[s], s, p.x, short(p.median))
		}
		end := l[len(l)-1]
		fmt.Fprintf(&b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(path, " "), colors[s])
		last = max(last+16, y.at(max(end.median, 1e-3))+4)
		fmt.Fprintf(&b, `<text x="%d" y="%.1f" fill="%s">%s %s</text>`+"\n", plotWidth-right+10, last, colors[s], s, short(end.median))
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// grid draws a line and a number at every power of ten.
func grid(b *strings.Builder, x, y axis) {
	for e := y.lo; e <= y.hi; e++ {
		at := y.at(math.Pow(10, e))
		fmt.Fprintf(b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n",
			left, plotWidth-right, at, at, left-8, at+4, power(e))
	}
	for e := x.lo; e <= x.hi; e++ {
		at := x.at(math.Pow(10, e))
		fmt.Fprintf(b, `<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="#ddd"/><text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n",
			at, at, top, plotHeight-bottom, at, plotHeight-bottom+18, power(e))
	}
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="middle">callers</text>`+"\n", (left+plotWidth-right)/2, plotHeight-8)
}

func power(e float64) string {
	if e < 0 {
		return fmt.Sprintf("%g", math.Pow(10, e))
	}
	return thousands(fmt.Sprintf("%.0f", math.Pow(10, e)))
}
