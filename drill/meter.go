package drill

import (
	"slices"
	"sync"
	"time"
)

// sampleEvery is the interval of samples and of progress.
const sampleEvery = 100 * time.Millisecond

// meter gathers what happens in each interval. Its methods may be called from
// any goroutine.
type meter struct {
	start time.Time

	mu        sync.Mutex
	ok        []time.Duration // latencies of this interval; guarded by mu
	failed    int             // guarded by mu
	samples   []Sample        // guarded by mu
	recent    []time.Duration // latencies of the last second, oldest interval first; guarded by mu
	lens      []int           // how many of recent are of each interval; guarded by mu
	lastWrite time.Time       // guarded by mu
	state     Progress        // guarded by mu
	loaded    bool            // guarded by mu
}

func newMeter() *meter { return &meter{start: time.Now()} }

func (m *meter) now() time.Duration { return time.Since(m.start) }

// count takes in one operation.
func (m *meter) count(ok, write bool, took time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !ok {
		m.failed++
		return
	}
	m.ok = append(m.ok, took)
	if write {
		m.lastWrite = time.Now()
	}
}

// drill tells which drill runs, and whether there is load.
func (m *meter) drill(name string, loaded bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state.Drill, m.loaded = name, loaded
	m.lastWrite = time.Now()
}

func (m *meter) fault(what string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state.Fault = what
}

// finished takes in the checks of one run.
func (m *meter) finished(r Run) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state.Runs++
	for _, c := range r.Checks {
		if c.OK {
			m.state.Checks++
		} else {
			m.state.Failed++
		}
	}
}

// sample ends an interval and tells the state.
func (m *meter) sample() Progress {
	m.mu.Lock()
	defer m.mu.Unlock()
	const second = int(time.Second / sampleEvery)
	l := latency(m.ok)
	s := Sample{At: m.now(), OK: len(m.ok), Failed: m.failed, P50: l.P50, P99: l.P99, Max: l.Max}
	if m.loaded {
		m.samples = append(m.samples, s)
	}
	m.recent, m.lens = append(m.recent, m.ok...), append(m.lens, len(m.ok))
	if len(m.lens) > second {
		m.recent, m.lens = slices.Clone(m.recent[m.lens[0]:]), m.lens[1:]
	}
	m.ok, m.failed = nil, 0
	p := m.state
	p.At = s.At
	p.Rate = float64(len(m.recent))
	p.P99 = latency(m.recent).P99
	if gap := time.Since(m.lastWrite); m.loaded && gap > 2*sampleEvery {
		p.Outage = gap
	}
	return p
}

func (m *meter) all() []Sample {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.samples
}

// latency sums up.
func latency(all []time.Duration) Latency {
	if len(all) == 0 {
		return Latency{}
	}
	s := slices.Sorted(slices.Values(all))
	at := func(share float64) time.Duration { return s[min(len(s)-1, int(share*float64(len(s))))] }
	return Latency{P50: at(0.5), P99: at(0.99), Max: s[len(s)-1]}
}
