package main

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// fill writes n files below prefix, once each, and tells how that went. gap is
// the longest time in which no write was done.
func fill(s system, prefix string, n, callers, conns, valueSize int) (figures, error) {
	cs, err := dialAll(s, conns)
	if err != nil {
		return nil, err
	}
	defer closeAll(cs)
	var next, last, gap atomic.Int64
	var fail atomic.Pointer[error]
	var all sync.WaitGroup
	hists := make([]histogram, callers)
	start := time.Now()
	for i := range callers {
		all.Go(func() {
			value := make([]byte, valueSize)
			for k := next.Add(1) - 1; k < int64(n) && fail.Load() == nil; k = next.Add(1) - 1 {
				ctx, cancel := context.WithTimeout(context.Background(), callLimit)
				called := time.Now()
				err := cs[i%conns].set(ctx, keyPath(prefix, int(k)), value)
				cancel()
				if err != nil {
					fail.CompareAndSwap(nil, &err)
					return
				}
				hists[i].add(time.Since(called))
				now := int64(time.Since(start))
				pause := now - last.Swap(now)
				for old := gap.Load(); pause > old && !gap.CompareAndSwap(old, pause); old = gap.Load() {
				}
			}
		})
	}
	all.Wait()
	if err := fail.Load(); err != nil {
		return nil, *err
	}
	took := time.Since(start)
	total := &histogram{}
	for i := range hists {
		total.merge(&hists[i])
	}
	f := latencies(total)
	f["ops/s"] = float64(n) / took.Seconds()
	f["gap ms"] = float64(gap.Load()) / 1e6
	return f, nil
}

// million loads many files, tells what they take up, then how long a server
// takes to serve again, and how fast one that was away, or lost all, catches
// up.
func million(s system, o *options) (figures, error) {
	f, err := fill(s, "/million", o.files, 1000, 100, o.value)
	if err != nil {
		return nil, err
	}
	var mem, disk int64
	for _, p := range s.nodes() {
		m, err1 := p.rss()
		d, err2 := p.disk()
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		mem, disk = max(mem, m), max(disk, d)
	}
	f["memory MB"], f["disk MB"] = float64(mem)/1e6, float64(disk)/1e6
	lead, err := s.leader()
	if err != nil {
		return nil, err
	}
	i := (lead + 1) % len(s.nodes())
	s.nodes()[i].kill()
	start := time.Now()
	if err := s.restart(i); err != nil {
		return nil, err
	}
	f["restart s"] = time.Since(start).Seconds()
	if m, err := s.nodes()[i].rss(); err == nil {
		f["memory after restart MB"] = float64(m) / 1e6
	}
	return f, catchUp(s, o, i, f)
}

// catchUp tells how fast server i catches up: with what was written while it
// was away, and with everything after it lost its data.
func catchUp(s system, o *options, i int, f figures) error {
	s.nodes()[i].kill()
	n := o.files / 5
	if _, err := fill(s, "/away", n, 1000, 100, o.value); err != nil {
		return err
	}
	start := time.Now()
	if err := s.restart(i); err != nil {
		return err
	}
	f["catch-up files/s"] = float64(n) / time.Since(start).Seconds()
	s.nodes()[i].kill()
	switch err := s.wipe(i); {
	case errors.Is(err, errNotDone):
		return nil
	case err != nil:
		return err
	}
	start = time.Now()
	if err := s.restart(i); err != nil {
		return err
	}
	f["wiped files/s"] = float64(o.files+n) / time.Since(start).Seconds()
	return nil
}
