package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// kills is how often the leader dies in a round.
const kills = 3

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
			value := make([]byte, o.value)
			for ctx.Err() == nil {
				call, cancel := context.WithTimeout(ctx, 2*time.Second)
				err := cs[i%len(cs)].set(call, fmt.Sprintf("/kill/%d", i), value)
				cancel()
				if err != nil {
					continue // what is measured is when it works again
				}
				now := int64(time.Since(start))
				raise(&gap, now-last.Swap(now))
				done.Add(1)
			}
		})
	}
	more := func(n int64) error {
		from := done.Load()
		return until(time.Minute, "writes go on", func() (bool, error) { return done.Load() >= from+n, nil })
	}
	var outages []float64
	for range kills {
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
		outages = append(outages, float64(gap.Load())/1e6)
		o.say.note("kill %d of %d: %.1f ms", len(outages), kills, outages[len(outages)-1])
		if err := s.restart(lead); err != nil {
			return nil, err
		}
	}
	slices.Sort(outages)
	return figures{"outage p50 ms": outages[len(outages)/2], "outage max ms": outages[len(outages)-1]}, nil
}

// idle tells what servers use when nothing is in them and nobody asks anything.
func idle(s system, o *options) (figures, error) {
	time.Sleep(2 * time.Second) // what the start set going comes to rest
	span := max(4*o.span, 10*time.Second)
	before := usedCPU(s)
	time.Sleep(span)
	used := usedCPU(s) - before
	mem, err := usedMemory(s)
	return figures{"all nodes, % of a core": 100 * float64(used) / float64(span), "memory MB": float64(mem) / 1e6}, err
}
