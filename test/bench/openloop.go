package main

import (
	"errors"
	"fmt"
	"syscall"
	"time"
)

// openLoop makes calls at a fixed rate, whether or not earlier ones have ended:
// as many clients do that know nothing of each other. A latency is counted from
// the moment at which the call was meant to begin, so that a stall counts for
// all that would have begun during it. What could not begin by the end counts
// with the time that it has waited.
func openLoop(s system, o *options, op string, rate, n, conns int) (figures, error) {
	cs, err := dialAll(s, conns)
	if err != nil {
		return nil, err
	}
	defer closeAll(cs)
	b := &bout{place: o.at, call: calls[op], run: fmt.Sprint("/new/", time.Now().UnixNano())}
	all := newCallers(cs, n)
	p := newPacer(all, rate, o.warm, o.span)
	all.start(func(c *caller) { b.pacedLoop(all, c, p) })
	before, own := usedCPU(s), ownCPU()
	p.run()
	cpu, own := usedCPU(s)-before, ownCPU()-own
	total, waiting, err := all.wait()
	if err != nil {
		return nil, err
	}
	end := all.now()
	for at := range p.due { // it is closed
		if at >= p.from {
			total.add(time.Duration(end - at))
			waiting++
		}
	}
	if total.n == waiting {
		return nil, errors.New("no call ended in time")
	}
	f := latencies(total)
	f["ops/s"] = float64(total.n-waiting) / o.span.Seconds()
	f["not begun %"] = 100 * float64(waiting) / float64(total.n)
	f["pacer late p99 ms"] = ms(p.late.quantile(0.99))
	calls := float64(rate) * (o.warm + o.span).Seconds()
	f["server µs/op"], f["client µs/op"] = float64(cpu.Microseconds())/calls, float64(own.Microseconds())/calls
	return f, nil
}

// pacedLoop does what is due until nothing more comes.
func (b *bout) pacedLoop(all *callers, c *caller, p *pacer) {
	for at := range p.due {
		if all.phase.Load() == over {
			if at >= p.from {
				c.h.add(time.Duration(all.now() - at))
				c.tries++ // those that did not begin
			}
			return
		}
		c.since.Store(all.now())
		_, err := b.call(c, b)
		end := all.now()
		c.since.Store(0)
		if err != nil {
			all.broke(err)
			return
		}
		if at >= p.from {
			c.h.add(time.Duration(end - at))
		}
	}
}

// pacer says when calls are to begin. It sleeps in the kernel, because a timer of
// the runtime can be a millisecond late on a machine with nothing to do.
type pacer struct {
	all         *callers
	due         chan int64 // when a call is to begin, on the callers' clock
	from, until int64      // what is due from then until then is counted
	step        float64    // nanoseconds
	begun       int64
	late        histogram // how late it told; what it adds to every latency
}

func newPacer(all *callers, rate int, warm, span time.Duration) *pacer {
	begun := all.now()
	return &pacer{
		all: all, due: make(chan int64, int((warm+span).Seconds()*float64(rate))+1), begun: begun,
		from: begun + int64(warm), until: begun + int64(warm+span), step: float64(time.Second) / float64(rate),
	}
}

// run returns when all is told, with due closed, or when a caller has failed.
func (p *pacer) run() {
	defer p.all.phase.Store(over)
	defer close(p.due)
	for i := 0; p.all.phase.Load() != over; i++ {
		at := p.begun + int64(float64(i)*p.step)
		if at >= p.until {
			return
		}
		if wait := at - p.all.now(); wait > 0 {
			t := syscall.NsecToTimespec(wait)
			_ = syscall.Nanosleep(&t, nil) // a signal may end it early
		}
		p.late.add(time.Duration(p.all.now() - at))
		p.due <- at // it has room for all
	}
}
