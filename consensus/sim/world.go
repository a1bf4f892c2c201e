package sim

import (
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/doozer-store/doozer/server"
)

// world is one run: everything that is still to happen, and everything there
// is. One goroutine owns all of it.
type world struct {
	cfg Config
	set settings
	rng *rand.Rand

	now    int64 // nanoseconds since the start
	queue  queue
	events uint64 // popped so far
	hash   uint64 // of everything that happened

	nodes   []*node
	net     *net
	truth   *truth
	clients []*client
	watches []*watch
	faults  *faults
	metrics *server.Metrics

	result    Result
	violation error
}

// event is something that will happen; among those of one time the one made
// first comes first.
type event struct {
	at  int64
	seq uint64
	fn  func()
}

// queue is a heap of events.
type queue struct {
	heap []event
	seq  uint64
}

func (q *queue) less(i, j int) bool {
	a, b := &q.heap[i], &q.heap[j]
	return a.at < b.at || a.at == b.at && a.seq < b.seq
}

func (q *queue) push(at int64, fn func()) {
	q.seq++
	q.heap = append(q.heap, event{at, q.seq, fn})
	for i := len(q.heap) - 1; i > 0; {
		parent := (i - 1) / 2
		if !q.less(i, parent) {
			return
		}
		q.heap[i], q.heap[parent] = q.heap[parent], q.heap[i]
		i = parent
	}
}

func (q *queue) pop() event {
	top, last := q.heap[0], len(q.heap)-1
	q.heap[0] = q.heap[last]
	q.heap[last] = event{}
	q.heap = q.heap[:last]
	for i := 0; ; {
		least := i
		for _, child := range [2]int{2*i + 1, 2*i + 2} {
			if child < last && q.less(child, least) {
				least = child
			}
		}
		if least == i {
			return top
		}
		q.heap[i], q.heap[least] = q.heap[least], q.heap[i]
		i = least
	}
}

// after makes fn happen in d.
func (w *world) after(d time.Duration, fn func()) { w.queue.push(w.now+int64(d), fn) }

// every makes fn happen again and again, until it returns false.
func (w *world) every(d func() time.Duration, fn func() bool) {
	w.after(d(), func() {
		if fn() {
			w.every(d, fn)
		}
	})
}

// runUntil lets happen what is due up to a time, or until done says so.
func (w *world) runUntil(at int64, done func() bool) {
	for w.violation == nil && len(w.queue.heap) > 0 && w.queue.heap[0].at <= at {
		if done != nil && done() {
			return
		}
		e := w.queue.pop()
		w.now = e.at
		w.events++
		w.mix(uint64(e.at))
		e.fn()
	}
	if w.violation == nil && (done == nil || !done()) {
		w.now = at
	}
}

// mix puts what happened into the run's hash.
func (w *world) mix(vs ...uint64) {
	for _, v := range vs {
		w.hash = (w.hash ^ v) * 0x9e3779b97f4a7c15
		w.hash ^= w.hash >> 29
	}
}

func (w *world) mixBytes(b []byte) { w.mix(xxhash.Sum64(b)) }

// tracef tells what happens, if anybody wants to know.
func (w *world) tracef(format string, args ...any) {
	if w.cfg.Trace != nil {
		w.cfg.Trace(fmt.Sprintf("%10.6f ", float64(w.now)/1e9) + fmt.Sprintf(format, args...))
	}
}

// fail ends the run: a promise was broken.
func (w *world) fail(format string, args ...any) {
	if w.violation == nil {
		w.violation = fmt.Errorf("at %.6f s: %s", float64(w.now)/1e9, fmt.Sprintf(format, args...))
		w.tracef("VIOLATION %v", w.violation)
	}
}

// guard runs code of the product; a panic is a violation unless excused.
func (w *world) guard(fn func(), excused func() bool) (panicked bool) {
	defer func() {
		if r := recover(); r != nil {
			panicked = true
			if !excused() {
				w.fail("panic: %v\n%s", r, debug.Stack())
			}
		}
	}()
	fn()
	return false
}

// chance is true with probability p.
func (w *world) chance(p float64) bool { return p > 0 && w.rng.Float64() < p }

// between draws a duration from lo to hi, short ones more often.
func (w *world) between(lo, hi time.Duration) time.Duration {
	f := w.rng.Float64()
	return lo + time.Duration(f*f*float64(hi-lo))
}

// uniform draws from lo to hi, both included.
func (w *world) uniform(lo, hi int) int { return lo + w.rng.IntN(hi-lo+1) }

// pick draws one of vs.
func pick[T any](w *world, vs ...T) T { return vs[w.rng.IntN(len(vs))] }
