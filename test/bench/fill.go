package main

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// How many write when files are loaded.
const fillCallers, fillConns = 1000, 100

// fill writes the files from..n below prefix, once each, and tells how that
// went. gap is the longest time in which no write was done.
func fill(s system, o *options, prefix string, from, n, value int) (figures, error) {
	return load(s, o, prefix, n-from, make([]byte, value), func(c *caller, k int) string {
		c.name = appendKey(c.name[:0], prefix, from+k)
		return string(c.name)
	})
}

// fill writes every file of the place.
func (p *place) fill(s system, o *options) error {
	_, err := load(s, o, p.dirs[0], len(p.paths), p.value, func(_ *caller, k int) string { return p.paths[k] })
	return err
}

// load writes n files.
func load(s system, o *options, what string, n int, value []byte, path func(*caller, int) string) (figures, error) {
	cs, err := dialAll(s, min(fillConns, n))
	if err != nil {
		return nil, err
	}
	defer closeAll(cs)
	var next, last, gap atomic.Int64
	all := newCallers(cs, min(fillCallers, n))
	start := time.Now()
	last.Store(all.now())
	all.start(func(c *caller) {
		began := all.now()
		for k := int(next.Add(1) - 1); k < n && all.phase.Load() != over; k = int(next.Add(1) - 1) {
			if k%1000 == 0 {
				o.say.note("%s of %s files below %s", thousands(fmt.Sprint(k)), thousands(fmt.Sprint(n)), what)
			}
			c.since.Store(began)
			if err := c.conn.set(c.ctx, path(c, k), value); err != nil {
				all.broke(err)
				return
			}
			end := all.now()
			c.h.add(time.Duration(end - began))
			raise(&gap, end-last.Swap(end))
			began = end
		}
		c.since.Store(0)
	})
	total, _, err := all.wait()
	if err != nil {
		return nil, fmt.Errorf("loading %s: %w", what, err)
	}
	f := latencies(total)
	f["ops/s"] = float64(n) / time.Since(start).Seconds()
	f["gap ms"] = float64(gap.Load()) / 1e6
	return f, nil
}

// million loads many files, tells what they take up, how writes do while the
// state is stored, then how long a server takes to serve again, and how fast one
// that was away catches up.
func million(s system, o *options) (figures, error) {
	f, err := fill(s, o, "/million", 0, o.files, o.value)
	if err != nil {
		return nil, err
	}
	mem, err := usedMemory(s)
	if err != nil {
		return nil, err
	}
	var disk int64
	for _, p := range s.nodes() {
		d, err := p.disk()
		if err != nil {
			return nil, err
		}
		disk = max(disk, d)
	}
	f["memory MB"], f["disk MB"] = float64(mem)/1e6, float64(disk)/1e6
	if err := checkpoints(s, o, f); err != nil {
		return nil, err
	}
	lead, err := s.leader()
	if err != nil {
		return nil, err
	}
	i := (lead + 1) % len(s.nodes())
	o.say.note("a server with %d files starts again", o.files)
	s.nodes()[i].kill()
	start := time.Now()
	if err := s.restart(i); err != nil {
		return nil, err
	}
	f["restart s"] = time.Since(start).Seconds()
	if m, err := s.nodes()[i].rss(); err == nil {
		f["memory after restart MB"] = float64(m) / 1e6
	}
	s.nodes()[i].kill()
	n := o.files / 5
	if _, err := fill(s, o, "/away", 0, n, o.value); err != nil {
		return nil, err
	}
	f["lagging, files/s"], err = catchUp(s, o, i, n)
	return f, err
}

// checkpoints writes to the files that million made while the systems store
// what has changed: every one does so several times in this span, without being
// told to.
func checkpoints(s system, o *options, f figures) error {
	before := stored(s)
	o.say.note("writes while the state is stored")
	p := places("/million", o.files, o.value)
	g, err := p.measure(s, o, "set", 64, 16, max(30*time.Second, o.span))
	if err != nil {
		return err
	}
	f["p99 storing ms"], f["p99.9 storing ms"] = g["p99 ms"], g["p99.9 ms"]
	f["p99.9 / p99 storing"] = g["p99.9 ms"] / g["p99 ms"]
	f["sets storing/s"] = g["ops/s"]
	if n := stored(s) - before; n > 0 {
		f["checkpoints"] = float64(n)
	}
	return nil
}

// stored is how many checkpoints the servers have made, of a system that tells.
func stored(s system) int {
	if d, ok := s.(*doozer); ok {
		return d.checkpoints()
	}
	return 0
}

// catchUp starts server i and tells how many of n files a second it gets.
func catchUp(s system, o *options, i, n int) (float64, error) {
	o.say.note("a server catches up with %d files", n)
	start := time.Now()
	err := s.restart(i)
	return float64(n) / time.Since(start).Seconds(), err
}

// newcomer tells how fast a server gets all there is: one that was away from
// before the first file on, and, where a system lets one come back that has lost
// its data, such a one.
func newcomer(s system, o *options) (figures, error) {
	lead, err := s.leader()
	if err != nil {
		return nil, err
	}
	i := (lead + 1) % len(s.nodes())
	s.nodes()[i].kill()
	if _, err := fill(s, o, "/all", 0, o.files, o.value); err != nil {
		return nil, err
	}
	f := figures{}
	if f["away for all, files/s"], err = catchUp(s, o, i, o.files); err != nil {
		return nil, err
	}
	s.nodes()[i].kill()
	switch err := s.wipe(i); {
	case errors.Is(err, errNotDone):
		return f, nil
	case err != nil:
		return nil, err
	}
	rate, err := catchUp(s, o, i, o.files)
	if err != nil {
		// The figure before it holds all the same.
		o.say.line(fmt.Sprintf("%s: the server that lost its data: %v", s.name(), err))
		return f, nil
	}
	f["wiped, files/s"] = rate
	return f, nil
}
