package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// stamp puts the time of sending into a value, for delivery times.
func stamp(value []byte) []byte {
	v := make([]byte, max(len(value), 8))
	binary.BigEndian.PutUint64(v, uint64(time.Now().UnixNano()))
	return v
}

func stampOf(value []byte) time.Duration {
	if len(value) < 8 {
		return 0
	}
	return time.Since(time.Unix(0, int64(binary.BigEndian.Uint64(value))))
}

// watchers are n watches, on dirs in turn.
type watchers struct {
	conns  []conn
	stop   context.CancelFunc
	all    sync.WaitGroup
	events atomic.Int64
	fail   atomic.Pointer[error]

	mu    sync.Mutex
	total histogram // guarded by mu
}

// startWatchers returns once all watches miss nothing any more.
func startWatchers(s system, n, conns int, one bool, dir func(i int) string) (*watchers, error) {
	cs, err := dialAll(s, min(conns, n))
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	w := &watchers{conns: cs, stop: stop}
	var ready sync.WaitGroup
	for i := range n {
		ready.Add(1)
		var once sync.Once
		w.all.Go(func() {
			var h histogram
			err := cs[i%len(cs)].watch(ctx, dir(i), one, func() { once.Do(ready.Done) }, func(v []byte) {
				w.events.Add(1)
				h.add(stampOf(v))
			})
			if ctx.Err() == nil {
				w.fail.CompareAndSwap(nil, &err)
			}
			once.Do(ready.Done)
			w.mu.Lock()
			defer w.mu.Unlock()
			w.total.merge(&h)
		})
	}
	ready.Wait()
	if err := w.fail.Load(); err != nil {
		w.close()
		return nil, *err
	}
	return w, nil
}

func (w *watchers) close() {
	w.stop()
	w.all.Wait()
	closeAll(w.conns)
}

// fanout tells how many events a second reach n watchers of one directory that
// 16 writers write to as fast as they can; every event must arrive.
func fanout(s system, o *options, n int) (figures, error) {
	w, err := startWatchers(s, n, 16, false, func(int) string { return "/fan" })
	if err != nil {
		return nil, err
	}
	defer w.close()
	var writes atomic.Int64
	var writers sync.WaitGroup
	var fail atomic.Pointer[error]
	end := time.Now().Add(o.span)
	start := time.Now()
	for i := range 16 {
		writers.Go(func() {
			for time.Now().Before(end) {
				ctx, cancel := context.WithTimeout(context.Background(), callLimit)
				err := w.conns[i%len(w.conns)].set(ctx, fmt.Sprintf("/fan/%d", i), stamp(make([]byte, o.value)))
				cancel()
				if err != nil {
					fail.CompareAndSwap(nil, &err)
					return
				}
				writes.Add(1)
			}
		})
	}
	writers.Wait()
	if err := fail.Load(); err != nil {
		return nil, *err
	}
	want := writes.Load() * int64(n)
	if err := until(2*time.Minute, "every event arrives", func() (bool, error) {
		return w.events.Load() >= want, fmt.Errorf("%d of %d", w.events.Load(), want)
	}); err != nil {
		return nil, err
	}
	took := time.Since(start)
	return figures{"events/s": float64(want) / took.Seconds(), "writes/s": float64(writes.Load()) / took.Seconds()}, nil
}

// delivery tells how long events take to reach n watchers of one directory at a
// steady 200 writes a second.
func delivery(s system, o *options, n int) (figures, error) {
	w, err := startWatchers(s, n, 16, false, func(int) string { return "/steady" })
	if err != nil {
		return nil, err
	}
	const rate = 200
	tick := time.NewTicker(time.Second / rate)
	defer tick.Stop()
	writes := int64(o.span.Seconds() * rate)
	for i := range writes {
		<-tick.C
		ctx, cancel := context.WithTimeout(context.Background(), callLimit)
		err := w.conns[0].set(ctx, fmt.Sprintf("/steady/%d", i%16), stamp(make([]byte, o.value)))
		cancel()
		if err != nil {
			w.close()
			return nil, err
		}
	}
	err = until(time.Minute, "every event arrives", func() (bool, error) { return w.events.Load() >= writes*int64(n), nil })
	w.close()
	if err != nil {
		return nil, err
	}
	return latencies(&w.total), nil
}

// globs tells what n watches on distinct places cost writes that concern none
// of them: the rate with, and without, and what is lost.
func globs(s system, o *options, n int) (figures, error) {
	without, err := throughput(s, o, "set", 64, 16)
	if err != nil {
		return nil, err
	}
	w, err := startWatchers(s, n, 16, true, func(i int) string { return fmt.Sprintf("/apart/%d/%d", i%100, i) })
	if err != nil {
		return nil, err
	}
	defer w.close()
	with, err := throughput(s, o, "set", 64, 16)
	if err != nil {
		return nil, err
	}
	if got := w.events.Load(); got != 0 {
		return nil, errors.New("a watch saw a change that was not its own")
	}
	return figures{
		"ops/s": with["ops/s"], "without/s": without["ops/s"],
		"lost %": 100 * (1 - with["ops/s"]/without["ops/s"]),
	}, nil
}
