package consensus

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// proposal is a command that waits for its result. A fields' owner is the
// core; from hand to the answer also pending's mutex.
type proposal struct {
	data     []byte
	deadline time.Time
	done     func(result any, err error)

	// id is the command's number while a leader has it, given when it is
	// handed over; 0 while none has.
	id uint64
	// term is that of the leader it was handed to.
	term uint64
	// resend is set while the proposal is in the queue and a leader may have
	// it already.
	resend bool
	// finished is set when an answer was given.
	finished bool
}

// pending holds the proposals that a leader has: the core puts them in, the
// applier takes them out when it meets their command. Its mutex is held for
// batches, never over a call.
type pending struct {
	// commit is raft's commit index, for status.
	commit atomic.Uint64

	mu     sync.Mutex
	lastID uint64
	byID   map[uint64]*proposal
	// soonest is no later than the first deadline in byID.
	soonest time.Time
	// oldest is no later than the lowest term in byID, so that takeBelow,
	// called after every apply, has nothing to look for as long as a leader
	// stays.
	oldest uint64
}

func newPending() *pending { return &pending{byID: map[uint64]*proposal{}} }

// hand notes that ps go to the leader of term. It numbers those that no leader
// has and returns ps without those that were answered meanwhile.
func (p *pending) hand(ps []*proposal, term uint64) []*proposal {
	p.mu.Lock()
	defer p.mu.Unlock()
	live := ps
	for i, q := range ps {
		if q.finished {
			if len(live) == len(ps) {
				live = slices.Clone(ps[:i])
			}
			continue
		}
		if len(live) != len(ps) {
			live = append(live, q)
		}
		if q.id != 0 {
			continue
		}
		p.lastID++
		q.id, q.term = p.lastID, term
		if len(p.byID) == 0 {
			p.oldest = term
		}
		p.byID[q.id] = q
		if p.soonest.IsZero() || q.deadline.Before(p.soonest) {
			p.soonest = q.deadline
		}
	}
	return live
}

// unhand undoes hand: the leader did not get ps.
func (p *pending) unhand(ps []*proposal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, q := range ps {
		if !q.resend {
			delete(p.byID, q.id)
			q.id = 0
		}
	}
}

// forwarded notes that ps are on their way and no longer in the queue.
func (p *pending) forwarded(ps []*proposal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, q := range ps {
		q.resend = false
	}
}

// take removes and returns the proposals with the given numbers; nil for a
// number that nobody waits for.
func (p *pending) take(ids []uint64, into []*proposal) []*proposal {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range ids {
		q := p.byID[id]
		if q != nil {
			delete(p.byID, id)
			q.finished = true
		}
		into = append(into, q)
	}
	return into
}

// takeBelow removes and returns those handed over in a term below the given
// one, in order, without a number.
func (p *pending) takeBelow(term uint64) []*proposal {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.oldest >= term {
		return nil
	}
	p.oldest = term
	out := p.collect(func(q *proposal) bool { return q.term < term })
	for _, q := range out {
		delete(p.byID, q.id)
		q.id, q.resend = 0, false
	}
	return out
}

// takeSkipped removes and returns those handed over in a term up to the given
// one, in order: their answer is that nobody knows.
func (p *pending) takeSkipped(term uint64) []*proposal {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := p.collect(func(q *proposal) bool { return q.term <= term })
	for _, q := range out {
		delete(p.byID, q.id)
		q.finished = true
	}
	return out
}

// resend returns those handed over in term, in order, and keeps them.
func (p *pending) resend(term uint64) []*proposal {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := p.collect(func(q *proposal) bool { return q.term == term })
	for _, q := range out {
		q.resend = true
	}
	return out
}

// lastHanded returns the last number given.
func (p *pending) lastHanded() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lastID
}

// waits tells whether a proposal with a number up to the given one waits for
// the leader of term.
func (p *pending) waits(number, term uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, q := range p.byID {
		if id <= number && q.term == term {
			return true
		}
	}
	return false
}

// takeExpired removes and returns those past their deadline.
func (p *pending) takeExpired(now time.Time) []*proposal {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.soonest.IsZero() || p.soonest.After(now) {
		return nil
	}
	out := p.collect(func(q *proposal) bool { return !q.deadline.After(now) })
	for _, q := range out {
		delete(p.byID, q.id)
		q.finished = true
	}
	p.soonest = time.Time{}
	for _, q := range p.byID {
		if p.soonest.IsZero() || q.deadline.Before(p.soonest) {
			p.soonest = q.deadline
		}
	}
	return out
}

// empty tells that no leader has anything of this node's.
func (p *pending) empty() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.byID) == 0
}

// takeAll removes and returns all, in order.
func (p *pending) takeAll() []*proposal {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := p.collect(func(*proposal) bool { return true })
	clear(p.byID)
	for _, q := range out {
		q.finished = true
	}
	return out
}

// collect returns the matching proposals in order of their numbers. The mutex
// is held.
func (p *pending) collect(match func(*proposal) bool) []*proposal {
	var out []*proposal
	for _, q := range p.byID {
		if match(q) {
			out = append(out, q)
		}
	}
	slices.SortFunc(out, func(a, b *proposal) int { return cmp.Compare(a.id, b.id) })
	return out
}
