package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// callLimit is how long a call may take; one that takes longer ends the work.
const callLimit = 30 * time.Second

// caller is one who waits for each answer before it asks again. It belongs to
// its goroutine, but for since.
//
// What a caller does for each call is part of what is measured, on a machine
// that the servers share. So it makes no context, timer, key or value for one:
// those are made before, and a watchdog looks at all callers once a second.
type caller struct {
	ctx   context.Context // ends when a call takes longer than callLimit
	stop  context.CancelCauseFunc
	conn  conn
	rand  *rand.Rand
	name  []byte // the name of a new key is put together here
	h     histogram
	tries int64
	// since is when the present call began, on the clock of its callers; 0
	// while there is none. The watchdog reads it.
	since atomic.Int64
	_     [64]byte // the next one's is another goroutine's
}

// callers are all of one piece of work.
type callers struct {
	gauge
	list  []*caller
	base  time.Time // of their clock
	all   sync.WaitGroup
	dog   sync.WaitGroup // of the watchdog
	ended chan struct{}  // closed when all have ended
	bad   chan struct{}  // closed when one failed
	once  sync.Once
}

// gauge is what those share who are measured.
type gauge struct {
	phase atomic.Int32
	fail  atomic.Pointer[error] // the first
}

// The phases of a measurement.
const (
	warming = iota
	measuring
	over
)

func (g *gauge) failed(err error) { g.fail.CompareAndSwap(nil, &err) }

// newCallers are n, on the connections in turn.
func newCallers(cs []conn, n int) *callers {
	g := &callers{base: time.Now().Add(-time.Second), ended: make(chan struct{}), bad: make(chan struct{})}
	for i := range n {
		c := &caller{conn: cs[i%len(cs)], rand: rand.New(rand.NewPCG(uint64(i), 1))}
		c.ctx, c.stop = context.WithCancelCause(context.Background())
		g.list = append(g.list, c)
	}
	return g
}

// now is the time on the callers' clock, above 0.
func (g *callers) now() int64 { return int64(time.Since(g.base)) }

// broke ends the work with an error.
func (g *callers) broke(err error) {
	g.failed(err)
	g.phase.Store(over)
	g.once.Do(func() { close(g.bad) })
}

func (g *callers) err() error {
	if err := g.fail.Load(); err != nil {
		return *err
	}
	return nil
}

// start has every caller do loop once.
func (g *callers) start(loop func(*caller)) {
	for _, c := range g.list {
		g.all.Go(func() { loop(c) })
	}
	g.dog.Go(g.watchdog)
}

// wait returns when all have ended, with what they counted.
func (g *callers) wait() (total *histogram, tries int64, err error) {
	g.all.Wait()
	close(g.ended)
	g.dog.Wait()
	total = &histogram{}
	for _, c := range g.list {
		c.stop(nil)
		total.merge(&c.h)
		tries += c.tries
	}
	return total, tries, g.err()
}

// watchdog ends calls that take too long, until all have ended.
func (g *callers) watchdog() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-g.ended:
			return
		case <-tick.C:
		}
		for _, c := range g.list {
			if s := c.since.Load(); s != 0 && g.now()-s > int64(callLimit) {
				c.stop(fmt.Errorf("a call took longer than %v", callLimit))
			}
		}
	}
}

// pause waits, or less when a caller failed.
func (g *callers) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-g.bad:
	}
}
