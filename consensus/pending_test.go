package consensus

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestPendingTwin drives the queue and the table of a core as the core does,
// against a leader that is a list, and checks what a caller would see:
// numbers rise in what the leader of a term is given, nothing is lost, and
// each proposal has one answer.
func TestPendingTwin(t *testing.T) {
	for seed := range uint64(300) {
		w := &pendingTwin{t: t, seed: seed, rand: rand.New(rand.NewPCG(seed, 3)), p: newPending(), term: 1, answers: map[*proposal]string{}}
		for range 200 {
			w.step()
		}
		w.end()
		if t.Failed() {
			return
		}
	}
}

// pendingTwin is a follower's queue and table, and what a leader made of it.
type pendingTwin struct {
	t       *testing.T
	seed    uint64
	rand    *rand.Rand
	p       *pending
	c       core
	term    uint64
	now     time.Time
	made    []*proposal
	answers map[*proposal]string

	taken  uint64      // the leader's highest number of this term
	onWire []*proposal // forwarded, as it was numbered then
}

func (w *pendingTwin) step() {
	w.c.pending, w.c.term = w.p, w.term
	w.now = w.now.Add(time.Millisecond)
	switch w.rand.IntN(10) {
	case 0, 1, 2:
		q := &proposal{data: []byte(fmt.Sprint(len(w.made))), deadline: w.now.Add(time.Duration(w.rand.IntN(300)+1) * time.Millisecond)}
		w.made = append(w.made, q)
		w.c.propose(w.now, []*proposal{q})
	case 3, 4:
		w.forward(w.rand.IntN(4) != 0)
	case 5:
		w.apply()
	case 6:
		w.c.requeueForwarded()
	case 7:
		w.c.now = w.now
		w.c.reads = readQueue{}
		w.c.expire()
		w.collect()
	case 8:
		if w.rand.IntN(3) == 0 {
			w.newTerm()
		}
	case 9:
		if w.rand.IntN(5) == 0 { // a snapshot of this term, or of the next
			if w.rand.IntN(2) == 0 {
				w.newTerm()
			}
			w.c.skipped(w.now, w.term)
			w.collect()
		}
	}
}

func (w *pendingTwin) newTerm() {
	w.term++
	w.c.term, w.taken = w.term, 0
	w.c.dropResends()
}

// forward hands over a part of the queue; the transport may refuse it.
func (w *pendingTwin) forward(accepted bool) {
	if len(w.c.queue) == 0 {
		return
	}
	n := 1 + w.rand.IntN(len(w.c.queue))
	live := w.p.hand(w.c.queue[:n], w.term)
	for i, q := range live {
		if q.finished || w.answers[q] != "" {
			w.fail("%s was handed over after its answer", q.data)
		}
		if i > 0 && q.id <= live[i-1].id {
			w.fail("number %d after %d", q.id, live[i-1].id)
		}
	}
	if !accepted {
		w.p.unhand(live)
		return
	}
	w.p.forwarded(live)
	for _, q := range live {
		if q.id > w.taken { // the leader drops what it has
			w.taken = q.id
			w.onWire = append(w.onWire, &proposal{id: q.id, term: w.term, data: q.data})
		}
	}
	w.c.queue = dropFront(w.c.queue, n)
}

// apply answers some of what the leader of this term has taken, in order.
func (w *pendingTwin) apply() {
	for n := w.rand.IntN(3); n > 0 && len(w.onWire) > 0; n-- {
		e := w.onWire[0]
		w.onWire = w.onWire[1:]
		if e.term != w.term {
			continue // never committed
		}
		q := w.p.take([]uint64{e.id}, nil)[0]
		if q == nil {
			continue // expired, or in a snapshot
		}
		if string(q.data) != string(e.data) {
			w.fail("number %d is of %s, the log has %s", e.id, q.data, e.data)
		}
		w.answer(q, "applied")
	}
	w.c.requeue(w.term)
}

func (w *pendingTwin) collect() {
	for _, e := range w.c.out.expired {
		w.answer(e.proposal, e.err.Error())
	}
	w.c.out.expired = nil
}

func (w *pendingTwin) answer(q *proposal, what string) {
	if old := w.answers[q]; old != "" {
		w.fail("%s is answered %q after %q", q.data, what, old)
	}
	w.answers[q] = what
}

// end stops the node: what is in the queue or the table is answered.
func (w *pendingTwin) end() {
	for _, q := range w.c.queue {
		if !q.resend {
			w.answer(q, "stopped")
		}
	}
	for _, q := range w.p.takeAll() {
		w.answer(q, "unknown")
	}
	for _, q := range w.made {
		if w.answers[q] == "" {
			w.fail("%s has no answer", q.data)
		}
	}
}

func (w *pendingTwin) fail(format string, args ...any) {
	w.t.Helper()
	w.t.Errorf("seed %d: %s", w.seed, fmt.Sprintf(format, args...))
}

// TestHand: what is numbered, and what is left out.
func TestHand(t *testing.T) {
	p := newPending()
	qs := []*proposal{{}, {finished: true}, {id: 7, term: 1, resend: true}, {finished: true, id: 8}, {}}
	p.lastID = 20
	live := p.hand(qs, 3)
	if !slices.Equal(live, []*proposal{qs[0], qs[2], qs[4]}) {
		t.Fatalf("%v", live)
	}
	if qs[0].id != 21 || qs[2].id != 7 || qs[2].term != 1 || qs[4].id != 22 || qs[4].term != 3 {
		t.Errorf("numbers %d %d %d", qs[0].id, qs[2].id, qs[4].id)
	}
	p.unhand(live)
	if qs[0].id != 0 || qs[2].id != 7 || len(p.byID) != 0 {
		t.Errorf("after unhand: %d %d, %d in the table", qs[0].id, qs[2].id, len(p.byID))
	}
	if got := p.takeBelow(9); got != nil {
		t.Errorf("below: %v", got)
	}
}

func TestTakeBelow(t *testing.T) {
	p := newPending()
	for term := uint64(1); term <= 3; term++ {
		p.hand([]*proposal{{}, {}}, term)
	}
	for i, want := range []int{0, 2, 0, 2, 2, 0} {
		term := []uint64{1, 2, 2, 3, 4, 9}[i]
		if got := p.takeBelow(term); len(got) != want {
			t.Errorf("below %d: %d, want %d", term, len(got), want)
		}
	}
	p.hand([]*proposal{{}}, 9)
	if got := p.takeBelow(9); len(got) != 0 {
		t.Errorf("below its own term: %v", got)
	}
	if got := p.takeBelow(10); len(got) != 1 || got[0].id != 0 {
		t.Errorf("below the next: %v", got)
	}
}
