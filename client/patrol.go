package client

import "time"

// patrol looks after the pipe while calls are out: it ends calls whose
// deadline has passed, asks a silent node for a sign of life, and ends the
// pipe if there is none. Calls pay for no timer of their own.
func (p *pipe) patrol() {
	tick := time.NewTicker(patrolEvery)
	defer tick.Stop()
	var w watchdog
	idleSince := time.Now()
	for {
		select {
		case <-p.gone:
			return
		case <-tick.C:
		}
		now := time.Now()
		busy, busySince := p.expire(now)
		if busy {
			idleSince = now
		}
		heard := p.start.Add(time.Duration(p.heard.Load()))
		switch w.look(now, busy, heard, busySince) {
		case watchProbe:
			p.probe()
		case watchLeave:
			p.end(errSilent)
			return
		}
		if now.Sub(idleSince) < patrolIdle || !p.park() {
			continue
		}
		tick.Stop()
		select {
		case <-p.gone:
			return
		case <-p.stir:
		}
		idleSince = time.Now()
		w = watchdog{}
		tick.Reset(patrolEvery)
	}
}

// park tells callers to stir patrol, unless there are calls.
func (p *pipe) park() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.parked = p.live == 0
	return p.parked
}

// expire ends the calls whose deadline has passed, and those that a node which
// led when it got them still owes long after another leads: its disk may
// stall, and the new leader can answer. It tells whether calls are left, and
// since when.
func (p *pipe) expire(now time.Time) (busy bool, since time.Time) {
	at := p.overtaken.Load()
	overtaken := at != 0 && now.Sub(p.start)-time.Duration(at) > overtakenAfter
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, k := range p.slots {
		switch {
		case k == nil:
		case now.After(k.deadline):
			p.give(k, endExpired, nil)
		case overtaken && !k.local:
			p.give(k, endBroken, errOvertaken)
		}
	}
	return p.live > 0, p.busySince
}

// give ends a call without an answer. mu is held.
func (p *pipe) give(k *call, how end, cause error) {
	if p.remove(k) {
		k.how, k.cause = how, cause
		k.done <- struct{}{}
	}
}

// probe asks the node who it is, behind whatever is still to be sent.
func (p *pipe) probe() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dead != nil {
		return
	}
	c := chunk{buf: p.pool.Get(smallBuffer)}
	*c.buf = probeFrame(*c.buf)
	p.out = append(p.out, c)
	p.wake.Signal()
}

// watchdog decides when a silent node is asked and when it is left.
type watchdog struct {
	last   time.Time // of the look before
	grace  time.Time // silence before this does not count
	probed bool      // since something was heard
}

type watchVerdict uint8

const (
	watchFine watchVerdict = iota
	watchProbe
	watchLeave
)

// look is called about every patrolEvery. If it comes much too late, this
// process itself was held up, and the silence may be its own.
func (w *watchdog) look(now time.Time, busy bool, heard, busySince time.Time) watchVerdict {
	if !w.last.IsZero() && now.Sub(w.last) > 4*patrolEvery {
		w.grace, w.probed = now, false
	}
	w.last = now
	since := heard
	for _, t := range [...]time.Time{busySince, w.grace} {
		if t.After(since) {
			since = t
		}
	}
	quiet := now.Sub(since)
	switch {
	case !busy || quiet < probeAfter:
		w.probed = false
		return watchFine
	case quiet >= leaveAfter && w.probed:
		return watchLeave
	case !w.probed:
		w.probed = true
		return watchProbe
	}
	return watchFine
}
