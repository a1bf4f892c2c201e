package report

import (
	"math"
	"slices"
	"time"

	"github.com/doozer-store/doozer/drill"
)

// maxPoints is how many points of a series are drawn: one for two units of the
// chart's width. More would not be seen.
const maxPoints = 420

// point is one interval of a series.
type point struct {
	from, to   time.Duration
	rate       float64 // successful operations a second
	failed     int     // operations that were not
	ok         bool    // there were successful ones, so that the latencies mean something
	p50, p99   time.Duration
	afterBreak bool // nothing was measured right before it
}

// pause is how many intervals without a sample are a pause between loads; fewer
// are a machine that was busy, and belong to the sample after them.
const pause = 10

// series are the samples that touch the time between from and to, as at most
// maxPoints points. A load begins at each of starts, which rise.
func series(samples []drill.Sample, starts []time.Duration, from, to time.Duration) []point {
	step := interval(samples)
	if step <= 0 {
		return nil
	}
	var points []point
	for i, s := range samples {
		p := point{from: max(0, s.At-step), to: s.At, failed: s.Failed, ok: s.OK > 0, p50: s.P50, p99: s.P99, afterBreak: true}
		begun := false
		for len(starts) > 0 && starts[0] <= s.At {
			begun, starts = true, starts[1:]
		}
		if i > 0 && !begun {
			if before := samples[i-1].At; s.At-before < pause*step {
				p.from, p.afterBreak = before, false
			}
		}
		if p.to <= from || p.from >= to || p.to <= p.from {
			continue
		}
		p.rate = float64(s.OK) / (p.to - p.from).Seconds()
		points = append(points, p)
	}
	return gather(points)
}

// interval is the usual distance between samples: the median, as loads pause
// between drills.
func interval(samples []drill.Sample) time.Duration {
	if len(samples) == 1 {
		return samples[0].At
	}
	var steps []time.Duration
	for i := 1; i < len(samples); i++ {
		steps = append(steps, samples[i].At-samples[i-1].At)
	}
	return median(steps)
}

// gather joins neighbours until few enough are left. A point after a break
// begins a group of its own.
func gather(points []point) []point {
	size := (len(points) + maxPoints - 1) / maxPoints
	if size <= 1 {
		return points
	}
	var out []point
	for len(points) > 0 {
		n := min(size, len(points))
		if i := slices.IndexFunc(points[1:n], func(p point) bool { return p.afterBreak }); i >= 0 {
			n = i + 1
		}
		out = append(out, join(points[:n]))
		points = points[n:]
	}
	return out
}

// join makes one point of neighbours: the mean rate, the worst latencies.
func join(group []point) point {
	all := group[0]
	all.to = group[len(group)-1].to
	var ops float64
	for i, p := range group {
		ops += p.rate * (p.to - p.from).Seconds()
		if i > 0 {
			all.failed += p.failed
			all.ok = all.ok || p.ok
			all.p50, all.p99 = max(all.p50, p.p50), max(all.p99, p.p99)
		}
	}
	all.rate = ops / (all.to - all.from).Seconds()
	return all
}

// ticks are round numbers from 0 to at least top, about n of them; the last
// one is the end of the axis.
func ticks(top float64, n int) []float64 {
	if top <= 0 || math.IsInf(top, 0) || math.IsNaN(top) {
		return []float64{0, 1}
	}
	step := math.Pow(10, math.Floor(math.Log10(top/float64(n))))
	for _, m := range []float64{1, 2, 2.5, 5, 10} {
		if step*m*float64(n) >= top {
			step *= m
			break
		}
	}
	var list []float64
	for i := 0; ; i++ {
		list = append(list, float64(i)*step)
		if list[i] >= top {
			return list
		}
	}
}

// timeStep is a round distance between the marks of a time axis, for at most n
// of them over length.
func timeStep(length time.Duration, n int) time.Duration {
	steps := []time.Duration{
		100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second,
		5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute,
		5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour,
	}
	for _, s := range steps {
		if length/s <= time.Duration(n) {
			return s
		}
	}
	return (length/time.Duration(n) + time.Hour).Truncate(time.Hour)
}

// decades are the powers of ten, of milliseconds, that enclose the latencies of
// points: at least one decade.
func decades(points []point) (low, high int) {
	least, most := math.Inf(1), math.Inf(-1)
	for _, p := range points {
		if p.ok && p.p50 > 0 {
			least = min(least, float64(p.p50)/1e6)
		}
		if p.ok && p.p99 > 0 {
			least, most = min(least, float64(p.p99)/1e6), max(most, float64(p.p99)/1e6)
		}
	}
	if math.IsInf(most, 0) {
		return 0, 1
	}
	low = int(math.Floor(math.Log10(least)))
	return low, max(low+1, int(math.Ceil(math.Log10(most))))
}
