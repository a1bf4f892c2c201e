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

// stamp puts the time of sending into a new value, for delivery times.
func stamp(size int) []byte {
	v := make([]byte, max(size, 8))
	binary.BigEndian.PutUint64(v, uint64(time.Now().UnixNano()))
	return v
}

func stampOf(value []byte) time.Duration {
	if len(value) < 8 {
		return 0
	}
	return time.Since(time.Unix(0, int64(binary.BigEndian.Uint64(value))))
}

// watchConns is how many connections watchers share.
const watchConns = 16

// watchers are n watches, on dirs in turn.
type watchers struct {
	n     int
	conns []conn
	seen  []seen // by the watches of a connection
	stop  context.CancelFunc
	all   sync.WaitGroup
	fail  atomic.Pointer[error]
}

// seen is what the watches of one connection saw.
type seen struct {
	events atomic.Int64
	late   tally // only if the watches are timed
	_      [64]byte
}

// startWatchers returns once all watches miss nothing any more. Those that are
// timed say how long events took to them.
func startWatchers(s system, n int, one, timed bool, dir func(i int) string) (*watchers, error) {
	cs, err := dialAll(s, min(watchConns, n))
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	w := &watchers{n: n, conns: cs, seen: make([]seen, len(cs)), stop: stop}
	var ready sync.WaitGroup
	for i := range n {
		ready.Add(1)
		var once sync.Once
		at := &w.seen[i%len(cs)]
		each := func([]byte) { at.events.Add(1) }
		if timed {
			each = func(v []byte) {
				at.late.add(stampOf(v))
				at.events.Add(1)
			}
		}
		w.all.Go(func() {
			err := cs[i%len(cs)].watch(ctx, dir(i), one, func() { once.Do(ready.Done) }, each)
			if ctx.Err() == nil {
				w.fail.CompareAndSwap(nil, &err)
			}
			once.Do(ready.Done)
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

// events is how many all have seen.
func (w *watchers) events() (sum int64) {
	for i := range w.seen {
		sum += w.seen[i].events.Load()
	}
	return sum
}

// arrived returns once all watches have seen so many writes.
func (w *watchers) arrived(writes int64) error {
	want := writes * int64(w.n)
	if err := until(2*time.Minute, "every event arrives", func() (bool, error) {
		if err := w.fail.Load(); err != nil {
			return false, *err
		}
		return w.events() >= want, fmt.Errorf("%d of %d", w.events(), want)
	}); err != nil {
		return err
	}
	if got := w.events(); got > want {
		return fmt.Errorf("%d events of %d", got, want)
	}
	return nil
}

// How far writers may be ahead of the watches: events, and writes at least. What
// is measured is the rate at which events arrive, not that at which they can be
// put off.
const aheadEvents, aheadWrites = 1_000_000, 32

// fanout tells how many events a second reach n watchers of one directory that
// 16 writers write to as fast as they can, up to a bound; every event must
// arrive once.
func fanout(s system, o *options, n int) (figures, error) {
	before, err := usedMemory(s)
	if err != nil {
		return nil, err
	}
	o.say.note("%d watches begin", n)
	w, err := startWatchers(s, n, false, false, func(int) string { return "/fan" })
	if err != nil {
		return nil, err
	}
	defer w.close()
	after, err := usedMemory(s)
	if err != nil {
		return nil, err
	}
	var writes atomic.Int64
	ahead := max(aheadEvents, int64(aheadWrites*n))
	all := newCallers(w.conns, 16)
	value, next := make([]byte, o.value), atomic.Int64{}
	all.start(func(c *caller) {
		key := fmt.Sprintf("/fan/%d", next.Add(1))
		for all.phase.Load() != over {
			if writes.Load()*int64(n)-w.events() > ahead {
				time.Sleep(200 * time.Microsecond)
				continue
			}
			c.since.Store(all.now())
			if err := c.conn.set(c.ctx, key, value); err != nil {
				all.broke(err)
				return
			}
			c.since.Store(0)
			writes.Add(1)
		}
	})
	all.pause(o.warm)
	start, events, written := time.Now(), w.events(), writes.Load()
	cpu, own := usedCPU(s), ownCPU()
	all.pause(o.span)
	took := time.Since(start).Seconds()
	cpu, own = usedCPU(s)-cpu, ownCPU()-own
	events, written = w.events()-events, writes.Load()-written
	all.phase.Store(over)
	if _, _, err := all.wait(); err != nil {
		return nil, err
	}
	o.say.note("the last of %d events arrive", writes.Load()*int64(n))
	if err := w.arrived(writes.Load()); err != nil {
		return nil, err
	}
	if events == 0 {
		return nil, errors.New("no event in time")
	}
	return figures{
		"events/s": float64(events) / took, "writes/s": float64(written) / took,
		"server µs/event": float64(cpu.Microseconds()) / float64(events), "client µs/event": float64(own.Microseconds()) / float64(events),
		"watches MB": float64(after-before) / 1e6,
	}, nil
}

// delivery tells how long events take to reach n watchers of one directory, from
// the call that writes on, at a steady 200 writes a second.
func delivery(s system, o *options, n int) (figures, error) {
	w, err := startWatchers(s, n, false, true, func(int) string { return "/steady" })
	if err != nil {
		return nil, err
	}
	defer w.close()
	const rate = 200
	all := newCallers(w.conns, 16)
	p := newPacer(all, rate, 0, o.warm+o.span)
	var writes atomic.Int64
	all.start(func(c *caller) {
		for range p.due {
			c.since.Store(all.now())
			if err := c.conn.set(c.ctx, fmt.Sprintf("/steady/%d", writes.Load()%16), stamp(o.value)); err != nil {
				all.broke(err)
				return
			}
			c.since.Store(0)
			writes.Add(1)
		}
	})
	p.run()
	if _, _, err := all.wait(); err != nil {
		return nil, err
	}
	if err := w.arrived(writes.Load()); err != nil {
		return nil, err
	}
	total := &histogram{}
	for i := range w.seen {
		w.seen[i].late.into(total)
	}
	f := latencies(total)
	f["writes/s"] = float64(writes.Load()) / (o.warm + o.span).Seconds()
	return f, nil
}

// globs tells what n watches on distinct globs cost writes that concern none of
// them: the rate without, with, and without again, so that a machine that
// changes its speed meanwhile does not decide; and what is lost.
func globs(s system, o *options, n int) (figures, error) {
	const callers, conns = 64, 16
	before, err := throughput(s, o, "set", callers, conns)
	if err != nil {
		return nil, err
	}
	o.say.note("%d watches begin", n)
	w, err := startWatchers(s, n, false, false, func(i int) string { return fmt.Sprintf("/apart/%d/%d", i%100, i) })
	if err != nil {
		return nil, err
	}
	with, err := throughput(s, o, "set", callers, conns)
	got := w.events()
	w.close()
	if err != nil {
		return nil, err
	}
	if got != 0 {
		return nil, errors.New("a watch saw a change that was not its own")
	}
	after, err := throughput(s, o, "set", callers, conns)
	if err != nil {
		return nil, err
	}
	without := (before["ops/s"] + after["ops/s"]) / 2
	return figures{
		"ops/s": with["ops/s"], "without/s": without, "lost %": 100 * (1 - with["ops/s"]/without),
		"p99 ms": with["p99 ms"], "server µs/op": with["server µs/op"],
	}, nil
}
