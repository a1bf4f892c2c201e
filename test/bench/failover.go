package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// killLeader kills the leader and tells how long no write was done, over 12
// writers on 4 connections: the longest time between two successful writes.
func killLeader(s system, o *options) (figures, error) {
	cs, err := dialAll(s, 4)
	if err != nil {
		return nil, err
	}
	defer closeAll(cs)
	ctx, stop := context.WithCancel(context.Background())
	var writers sync.WaitGroup
	defer func() { stop(); writers.Wait() }()
	var done, last, gap atomic.Int64
	start := time.Now()
	for i := range 12 {
		writers.Go(func() {
			for ctx.Err() == nil {
				call, cancel := context.WithTimeout(ctx, 2*time.Second)
				err := cs[i%len(cs)].set(call, fmt.Sprintf("/kill/%d", i), make([]byte, o.value))
				cancel()
				if err != nil {
					continue // what is measured is when it works again
				}
				now := int64(time.Since(start))
				pause := now - last.Swap(now)
				for old := gap.Load(); pause > old && !gap.CompareAndSwap(old, pause); old = gap.Load() {
				}
				done.Add(1)
			}
		})
	}
	more := func(n int64) error {
		from := done.Load()
		return until(time.Minute, "writes go on", func() (bool, error) { return done.Load() >= from+n, nil })
	}
	if err := more(1000); err != nil {
		return nil, err
	}
	lead, err := s.leader()
	if err != nil {
		return nil, err
	}
	gap.Store(0)
	s.nodes()[lead].kill()
	if err := more(1000); err != nil {
		return nil, err
	}
	f := figures{"outage ms": float64(gap.Load()) / 1e6}
	return f, s.restart(lead)
}

// idle tells what the servers use when nobody asks anything of them.
func idle(s system, _ *options) (figures, error) {
	const span = 10 * time.Second
	before := usedCPU(s)
	time.Sleep(span)
	used := usedCPU(s) - before
	var mem int64
	for _, p := range s.nodes() {
		m, err := p.rss()
		if err != nil {
			return nil, err
		}
		mem = max(mem, m)
	}
	return figures{"all nodes, % of a core": 100 * float64(used) / float64(span), "memory MB": float64(mem) / 1e6}, nil
}
