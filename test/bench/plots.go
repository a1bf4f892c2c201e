package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

var colorOf = map[string]int{"doozer": 0, "etcd": 1, "zookeeper": 2, "doozer-unary": 6, "echo": 5}

// plots makes every chart that the results are enough for, by file name.
func (r *results) plots() map[string]*chart {
	out := map[string]*chart{}
	bySeries := map[string][]*info{}
	var order []string
	for _, w := range r.Works {
		if w.Series == "" {
			continue
		}
		if bySeries[w.Series] == nil {
			order = append(order, w.Series)
		}
		bySeries[w.Series] = append(bySeries[w.Series], w)
	}
	for _, series := range order {
		works := bySeries[series]
		switch {
		case slices.Contains(growthNames, series):
			r.growthPlots(out, series, works)
		case series == "fanout":
			out["fanout-rate"] = r.against(works, "events to n watchers of one directory", "watchers", "events/s")
		case series == "delivery":
			out["delivery-latency"] = r.against(works, "200 writes/s: a write to its events", "watchers", "p50 ms", "p99 ms")
		case strings.HasPrefix(series, "open loop"):
			out[fileName(series)+"-latency"] = r.against(works, series+": latency from the intended start", "calls/s", "p50 ms", "p99 ms")
		case strings.HasPrefix(series, "hand-off"):
			out["handoff-latency"] = r.against(works, series, "waiters", "p50 ms", "p99 ms")
		case series == "globs":
		default:
			out[fileName(series)+"-rate"] = r.against(works, series+": throughput", "callers", "ops/s")
			out[fileName(series)+"-latency"] = r.against(works, series+": latency", "callers", "p50 ms", "p99 ms")
			for _, w := range works {
				out[fileName(w.Name)] = r.percentiles(w)
			}
		}
	}
	return out
}

func fileName(s string) string {
	return strings.NewReplacer(", ", "-", " ", "-", "+", "-", "/", "-").Replace(s)
}

// against draws figures of works over their numbers. Works beside the line are
// points.
func (r *results) against(works []*info, title, x string, figures ...string) *chart {
	c := &chart{title: title, x: x, y: strings.Join(figures, ", ")}
	for _, s := range r.Systems {
		for k, f := range figures {
			name := s
			if len(figures) > 1 {
				name += " " + strings.TrimSuffix(f, " ms")
			}
			l := line{name: name, color: colorOf[s], dashed: k > 0}
			beside := l
			for _, w := range works {
				v, ok := r.cell(w.Name, s).spread(f)
				switch {
				case !ok || v.median <= 0:
				case w.Line != "" && len(figures) > 1: // too many labels
				case w.Line != "":
					beside.name, beside.alone = name+" "+w.Line, true
					beside.points = append(beside.points, point{float64(w.X), v})
				default:
					l.points = append(l.points, point{float64(w.X), v})
				}
			}
			c.lines = append(c.lines, l, beside)
		}
	}
	return c
}

// quantiles of a chart of latencies: the axis is logarithmic in what is above.
var quantiles = []struct {
	figure, name string
	above        float64
}{{"p50 ms", "50 %", 0.5}, {"p90 ms", "90 %", 0.1}, {"p99 ms", "99 %", 0.01}, {"p99.9 ms", "99.9 %", 0.001}, {"p99.99 ms", "99.99 %", 0.0001}}

func (r *results) percentiles(w *info) *chart {
	c := &chart{title: w.Name, x: "of all calls took at most", y: "ms", names: map[float64]string{}}
	for _, q := range quantiles {
		c.names[1/q.above] = q.name
	}
	for _, s := range r.Systems {
		l := line{name: s, color: colorOf[s]}
		for _, q := range quantiles {
			if v, ok := r.cell(w.Name, s).spread(q.figure); ok {
				l.points = append(l.points, point{1 / q.above, v})
			}
		}
		c.lines = append(c.lines, l)
	}
	return c
}

// growthAxis says what a series varies.
var growthAxis = map[string]string{
	"grow-files": "files", "grow-watchers": "watchers", "grow-nodes": "nodes", "grow-values": "bytes of a value",
	"grow-dirs": "entries of the directory", "grow-callers": "callers",
}

// figureColors are the colours of figures, by the first word that one contains.
var figureColors = []struct {
	word  string
	color int
}{
	{"one caller's set", 6}, {"one caller's get", 3}, {"on 100", 5}, {"localget", 2}, {"elsewhere", 4}, {"listed", 3}, {"list", 3}, {"writes", 1}, {"watches", 4},
	{"event", 0}, {"set", 0}, {"get", 1}, {"memory", 2}, {"disk", 3}, {"restart", 7},
}

func colorOfFigure(name string) int {
	for _, f := range figureColors {
		if strings.Contains(name, f.word) {
			return f.color
		}
	}
	return len(palette) - 1
}

// growthPlots draws, of a series, all figures of one unit together.
func (r *results) growthPlots(out map[string]*chart, series string, works []*info) {
	names := map[string]bool{}
	for _, w := range works {
		for _, n := range r.names(w.Name) {
			names[n] = true
		}
	}
	for unit, suffixes := range map[string][]string{
		"rate": {"/s"}, "bytes": {" MB/s"}, "cpu": {"server µs", "server µs/event"}, "size": {" MB"}, "latency": {"p50 ms", "p99 ms"}, "seconds": {" s"},
	} {
		c := &chart{title: strings.TrimPrefix(series, "grow-") + ": " + map[string]string{
			"rate": "how much a second", "bytes": "bytes a second", "cpu": "processor time of all servers per operation", "size": "what a node holds", "latency": "latency", "seconds": "time",
		}[unit], x: growthAxis[series], y: map[string]string{"rate": "a second", "bytes": "MB/s", "cpu": "µs", "size": "MB", "latency": "ms", "seconds": "s"}[unit]}
		sorted := []string{}
		for n := range names {
			bytes := unit == "rate" && strings.HasSuffix(n, " MB/s")
			if !bytes && slices.ContainsFunc(suffixes, func(s string) bool { return strings.HasSuffix(n, s) }) {
				sorted = append(sorted, n)
			}
		}
		slices.Sort(sorted)
		for _, n := range sorted {
			for _, s := range r.Systems {
				l := line{name: strings.TrimSpace(strings.NewReplacer("server µs/event", "an event", "server µs", "", " MB/s", "", "/s", "", " MB", "").Replace(n)), color: colorOfFigure(n), dashed: strings.Contains(n, "p99") || s != r.Systems[0]}
				if s != r.Systems[0] {
					l.name = s + ", " + l.name
				}
				for _, w := range works {
					if v, ok := r.cell(w.Name, s).spread(n); ok && v.median > 0 {
						l.points = append(l.points, point{float64(w.X), v})
					}
				}
				c.lines = append(c.lines, l)
			}
		}
		out[series+"-"+unit] = c
	}
}

// drawn writes the charts that have a line and returns their names.
func (r *results) drawn(dir string) ([]string, error) {
	var names []string
	for name, c := range r.plots() {
		text := c.svg()
		if text == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, name+".svg"), []byte(text), 0o644); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}

// growth says how a figure changes from the first to the last number of a series.
func (r *results) growth(works []*info, system, figure string) string {
	var first, last point
	for _, w := range works {
		v, ok := r.cell(w.Name, system).spread(figure)
		if !ok || v.median <= 0 {
			continue
		}
		if first.x == 0 {
			first = point{float64(w.X), v}
		}
		last = point{float64(w.X), v}
	}
	if first.x == 0 || last.x == first.x {
		return ""
	}
	times, by := last.median/first.median, last.x/first.x
	verdict := ""
	if strings.Contains(figure, "server µs") {
		// With n = 1 a logarithm says nothing: count from two on.
		logs := math.Log2(max(last.x, 2)+1) / math.Log2(max(first.x, 1)+1)
		switch {
		case times <= 1.3:
			verdict = ": does not grow"
		case times <= logs*1.1:
			verdict = ": no faster than the logarithm"
		default:
			verdict = fmt.Sprintf(": **faster than the logarithm** (× %s)", short(logs))
		}
	}
	return fmt.Sprintf("× %s over × %s%s", short(times), short(by), verdict)
}
