package server

import (
	"time"

	doozerpb "github.com/doozer-store/doozer/proto"
	"github.com/doozer-store/doozer/store"
)

// read is one read of a Do stream.
type read struct {
	tag      uint64
	verb     verb
	size     int
	start    int64 // by Server.clock
	deadline int64 // by Server.clock

	path string  // get, stat
	rev  int64   // get, stat, list: 0 is the latest
	list *lister // of a list only
}

func (r *read) answer() answer {
	return answer{tag: r.tag, verb: r.verb, size: r.size, start: r.start}
}

// readGroup is reads of one stream that are done together.
type readGroup struct {
	d        *doStream
	reads    []read
	deadline int64 // the latest of them
}

// add returns g, or a first group with room for expect reads where there is
// none, with r in it.
func (g *readGroup) add(d *doStream, r read, expect int) *readGroup {
	if g == nil {
		g = &readGroup{d: d, reads: make([]read, 0, expect)}
	}
	g.reads = append(g.reads, r)
	g.deadline = max(g.deadline, r.deadline)
	return g
}

// confirmed is called by consensus once the local state includes what the
// reads must see, or with the reason why that can't be known.
func (g *readGroup) confirmed(err error) {
	if err == nil {
		g.d.readable(g)
		return
	}
	age := g.d.s.age()
	for i := range g.reads {
		a := g.reads[i].answer()
		a.err = consensusError(err, age)
		g.d.deliver(a)
	}
}

// writeReads does reads and puts what they came to into messages. The state's
// lock is held for a few reads at a time, or a part of a list, and never while
// sending.
func (d *doStream) writeReads(reads []read) error {
	results := d.results[:]
	for len(reads) > 0 {
		n := 1
		if reads[0].list != nil {
			results[0] = d.readPage(&reads[0])
		} else {
			n = d.readSome(reads, results)
		}
		for i := range n {
			if results[i].err == errParked {
				d.park(reads[i])
				continue
			}
			if err := d.add(&results[i]); err != nil {
				return err
			}
		}
		clear(results[:n])
		reads = reads[n:]
	}
	return nil
}

// errParked marks the answer of a read whose rev does not exist yet.
var errParked = &doozerpb.Error{Message: "parked"}

// readPage does r, a list, which may take many holds of the lock.
func (d *doStream) readPage(r *read) answer {
	a := r.answer()
	if r.rev > d.s.machine.Rev() {
		a.err = errParked
		return a
	}
	m, _, e := d.s.page(r.list, func() *doozerpb.Error {
		if d.ctx.Err() != nil || d.s.clock() > r.deadline {
			return fail(doozerpb.Code_DEADLINE, "the deadline passed before the list was read")
		}
		return d.s.quarantine()
	})
	a.msg, a.err = m, e
	return a
}

// readSome does the first n of reads, those before the next list, in one hold
// of the lock.
func (d *doStream) readSome(reads []read, results []answer) (n int) {
	if e := d.s.quarantine(); e != nil {
		n = min(len(reads), len(results))
		for i := range n {
			results[i] = reads[i].answer()
			results[i].err = e
		}
		return n
	}
	d.s.machine.View(func(st *store.Store) {
		for n < min(len(reads), len(results)) && reads[n].list == nil {
			results[n] = reads[n].answer()
			reads[n].do(st, &results[n])
			n++
		}
	})
	return n
}

// do puts what r, which is no list, comes to into a.
func (r *read) do(st *store.Store, a *answer) {
	if r.rev > st.Rev() {
		a.err = errParked
		return
	}
	switch r.verb {
	case verbGet:
		a.event, a.err = get(st, r.path, r.rev)
	case verbStat:
		f, e := stat(st, r.path, r.rev)
		a.msg, a.err = &doozerpb.StatResponse{File: f}, e
	case verbRev:
		a.msg = &doozerpb.RevResponse{Rev: st.Rev(), Oldest: st.Oldest()}
	}
}

// parkedRead is a read that waits for its rev.
type parkedRead struct {
	read
	cancel func() bool // set before it is in doStream.parked
	ended  bool        // guarded by doStream.mu
}

// park lets r wait until its rev exists.
func (d *doStream) park(r read) {
	p := &parkedRead{read: r}
	p.cancel = d.s.machine.waitRev(r.rev, time.Duration(r.deadline-d.s.clock()), func(err error) {
		d.mu.Lock()
		p.ended = true
		delete(d.parked, p)
		d.mu.Unlock()
		if err == nil {
			d.readable(&readGroup{d: d, reads: []read{r}})
			return
		}
		a := r.answer()
		a.err = d.s.revWaitError(err, r.rev)
		d.deliver(a)
	})
	d.mu.Lock()
	defer d.mu.Unlock()
	if !p.ended {
		d.parked[p] = struct{}{}
	}
}

// unpark ends all waits for a rev, with the error that reason makes, or
// unanswered if it is nil.
func (d *doStream) unpark(reason func() *doozerpb.Error) {
	d.mu.Lock()
	parked := d.parked
	d.parked = map[*parkedRead]struct{}{}
	d.mu.Unlock()
	for p := range parked {
		if p.cancel() && reason != nil {
			a := p.answer()
			a.err = reason()
			d.deliver(a)
		}
	}
}
