package report

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/doozer-store/doozer/drill"
)

func samples(every time.Duration, ats ...int) []drill.Sample {
	var list []drill.Sample
	for _, at := range ats {
		list = append(list, drill.Sample{At: time.Duration(at) * every, OK: 10, P50: msec, P99: 2 * msec})
	}
	return list
}

func TestSeries(t *testing.T) {
	tests := []struct {
		name     string
		samples  []drill.Sample
		starts   []time.Duration
		from, to time.Duration
		want     string // begin-end of each point in steps of 100 ms, / after a break
	}{
		{"none", nil, nil, 0, time.Second, ""},
		{"one", samples(100*msec, 1), nil, 0, time.Second, "/0-1"},
		{"late ones", samples(100*msec, 1, 2, 4, 9, 10), []time.Duration{0}, 0, time.Second, "/0-1 1-2 2-4 4-9 9-10"},
		{"a pause", samples(100*msec, 1, 2, 13, 14), nil, 0, time.Minute, "/0-1 1-2 /12-13 13-14"},
		{"a start", samples(100*msec, 1, 2, 4, 5), []time.Duration{0, 330 * msec}, 0, time.Second, "/0-1 1-2 /3-4 4-5"},
		{"a part", samples(100*msec, 1, 2, 3, 4), nil, 100 * msec, 300 * msec, "1-2 2-3"},
		{"twice the same", samples(100*msec, 1, 2, 2, 3), nil, 0, time.Second, "/0-1 1-2 2-3"},
	}
	for _, tt := range tests {
		got := ""
		for _, p := range series(tt.samples, tt.starts, tt.from, tt.to) {
			if got != "" {
				got += " "
			}
			if p.afterBreak {
				got += "/"
			}
			got += fmt.Sprintf("%d-%d", p.from/(100*msec), p.to/(100*msec))
		}
		if got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

// Many points become few, which keep the sum of the operations, the worst
// latency and the breaks.
func TestGather(t *testing.T) {
	var list []drill.Sample
	want := 0
	for i := range 10000 {
		s := drill.Sample{At: time.Duration(i+1) * 10 * msec, OK: i % 7, Failed: i % 2, P50: msec, P99: 2 * msec}
		if i > 5000 {
			s.At += time.Second
		}
		if i == 7777 {
			s.P99 = time.Second
		}
		want += s.OK
		list = append(list, s)
	}
	points := series(list, nil, 0, time.Hour)
	if n := len(points); n > maxPoints+1 || n < maxPoints/2 {
		t.Errorf("%d points", n)
	}
	sum, failed, breaks, worst := 0.0, 0, 0, time.Duration(0)
	for _, p := range points {
		sum += p.rate * (p.to - p.from).Seconds()
		failed += p.failed
		worst = max(worst, p.p99)
		if p.afterBreak {
			breaks++
		}
	}
	if int(sum+0.5) != want || failed != 5000 || breaks != 2 || worst != time.Second {
		t.Errorf("%v operations, want %d; %d failed, %d breaks, worst %v", sum, want, failed, breaks, worst)
	}
}

func TestTicks(t *testing.T) {
	tests := []struct {
		top  float64
		want string
	}{
		{0, "[0 1]"}, {1, "[0 0.25 0.5 0.75 1]"}, {7, "[0 2 4 6 8]"}, {4321, "[0 2000 4000 6000]"}, {98000, "[0 25000 50000 75000 100000]"},
	}
	for _, tt := range tests {
		if got := fmt.Sprint(ticks(tt.top, 4)); got != tt.want {
			t.Errorf("%v: %s, want %s", tt.top, got, tt.want)
		}
	}
	for _, length := range []time.Duration{0, time.Second, time.Minute, time.Hour, 100 * time.Hour} {
		if step := timeStep(length, 10); step <= 0 || length/step > 11 {
			t.Errorf("%v: a mark every %v", length, step)
		}
	}
}

func TestFormats(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "–", 20 * time.Microsecond: "<0.1 ms", 400 * time.Microsecond: "0.4 ms", 9960 * time.Microsecond: "10 ms", 512 * msec: "512 ms", 999700 * time.Microsecond: "1.00 s",
		1320 * msec: "1.32 s", 42 * time.Second: "42.0 s", math.MaxInt64: "never", 125 * time.Second: "2 min 05 s", 2*time.Hour + 3*time.Minute: "2 h 03 min",
	} {
		if got := span(d); got != want {
			t.Errorf("span %v: %q, want %q", d, got, want)
		}
	}
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1000: "-1,000", -100: "-100"} {
		if got := count(n); got != want {
			t.Errorf("count %d: %q", n, got)
		}
	}
	for f, want := range map[float64]string{0: "0", 250: "250", 2500: "2.5k", 100000: "100k", 1.5e6: "1.5M"} {
		if got := short(f); got != want {
			t.Errorf("short %v: %q", f, got)
		}
	}
	for s, want := range map[string]string{"a": "a", "a\nb\n": "a\nb", "a\nb\nc": "a\nb\nc", "a\nb\nc\nd": "a\nb\n… 2 lines more"} {
		if got := firstLines(s, 2); got != want {
			t.Errorf("the first lines of %q: %q", s, got)
		}
	}
	for d, want := range map[time.Duration]string{4200 * msec: "4.2 s", 187 * time.Second: "3:07"} {
		if got := clock(d); got != want {
			t.Errorf("clock %v: %q", d, got)
		}
	}
}
