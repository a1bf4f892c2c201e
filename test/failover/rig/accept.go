package rig

import (
	"context"
	"slices"
	"sync"
	"time"
)

// moment is one question to a server whether it takes writes, by a probe or by a
// client's write.
type moment struct {
	sent, done time.Time
	ok         bool
}

// Acceptance is when each server took writes, as seen by probes that ask every few
// milliseconds. A probe is a DEL of a key that is not there: Redis treats it as any
// write, and it changes nothing, not even an offset. It is safe for concurrent use.
type Acceptance struct {
	mu  sync.Mutex
	all map[string][]moment // by server; guarded by mu
}

const probeLimit = 10 * time.Second

// Probe asks a server until ctx ends.
func (a *Acceptance) Probe(ctx context.Context, r *Redis, p *pace) {
	var c *Conn
	defer func() {
		if c != nil {
			c.Close()
		}
	}()
	for ; ctx.Err() == nil; p.wait(ctx, probeEvery) {
		if c == nil {
			nc, err := DialLimit(r.Addr, probeLimit)
			if err != nil {
				continue
			}
			c = nc
			context.AfterFunc(ctx, nc.Close) // a server that is stopped answers nothing
		}
		m := moment{sent: time.Now()}
		_, err := c.Do("DEL", "no such key")
		m.done, m.ok = time.Now(), err == nil
		if err != nil && !isReply(err) {
			c.Close()
			c = nil
		}
		a.add(r.Name, m)
	}
}

func (a *Acceptance) add(server string, m moment) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.all == nil {
		a.all = map[string][]moment{}
	}
	a.all[server] = append(a.all[server], m)
}

// take adds what writes tell.
func (a *Acceptance) take(writes []Write) {
	for _, w := range writes {
		if w.Server != "" {
			a.add(w.Server, moment{sent: w.Sent, done: w.Done, ok: true})
		}
	}
}

// first is when a server other than but first took a write after t; zero
// when none did.
func (a *Acceptance) first(t time.Time, but string) (server string, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for name, ms := range a.all {
		if name == but {
			continue
		}
		for _, m := range ms {
			if m.ok && m.done.After(t) && (server == "" || m.done.Before(at)) {
				server, at = name, m.done
			}
		}
	}
	return server, at
}

// last is when a server took its last write, any server if it is "".
func (a *Acceptance) last(server string) (by string, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for name, ms := range a.all {
		if server != "" && name != server {
			continue
		}
		for _, m := range ms {
			if m.ok && m.done.After(at) {
				by, at = name, m.done
			}
		}
	}
	return by, at
}

// quiet is how long a server may leave nobody an answer and still be said to take
// writes all the time.
const quiet = 100 * time.Millisecond

// span is a time for which a server took writes without any doubt: from the answer
// to the first to the sending of the last, none refused in between.
type span struct {
	server   string
	from, to time.Time
}

func (a *Acceptance) spans() []span {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []span
	for name, ms := range a.all {
		ms = slices.Clone(ms)
		slices.SortFunc(ms, func(a, b moment) int { return a.done.Compare(b.done) })
		var run []moment
		end := func() {
			if len(run) > 0 {
				s := span{name, run[0].done, run[0].sent}
				for _, m := range run {
					if m.sent.After(s.to) {
						s.to = m.sent
					}
				}
				if s.to.After(s.from) {
					all = append(all, s)
				}
			}
			run = nil
		}
		for _, m := range ms {
			if !m.ok || len(run) > 0 && m.done.Sub(run[len(run)-1].done) > quiet {
				end()
			}
			if m.ok {
				run = append(run, m)
			}
		}
		end()
	}
	return all
}

// Two is how long two servers both took writes, from t on.
func (a *Acceptance) Two(t time.Time) time.Duration {
	type edge struct {
		at time.Time
		by int
	}
	var edges []edge
	for _, s := range a.spans() {
		if s.from.Before(t) {
			s.from = t
		}
		if s.to.After(s.from) {
			edges = append(edges, edge{s.from, 1}, edge{s.to, -1})
		}
	}
	slices.SortFunc(edges, func(a, b edge) int { return a.at.Compare(b.at) })
	n, sum := 0, time.Duration(0)
	for i, e := range edges {
		if n >= 2 {
			sum += e.at.Sub(edges[i-1].at)
		}
		n += e.by
	}
	return sum
}

// Gap is the longest time from t on in which no server took a write, as longest is.
func (a *Acceptance) Gap(t, slow time.Time) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	var done []time.Time
	for _, ms := range a.all {
		for _, m := range ms {
			if m.ok && m.done.After(t) {
				done = append(done, m.done)
			}
		}
	}
	return longest(t, slow, done)
}

// longest is the longest time between two of the moments, or t and the first. From slow
// on nobody asks often enough for short ones to mean something.
func longest(t, slow time.Time, moments []time.Time) time.Duration {
	slices.SortFunc(moments, time.Time.Compare)
	var gap time.Duration
	for _, m := range moments {
		if d := m.Sub(t); d > quiet || t.Before(slow) {
			gap = max(gap, d)
		}
		t = m
	}
	return gap
}
