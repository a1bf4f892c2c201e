package server

import (
	"container/heap"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

var (
	errRevWait     = errors.New("server: the deadline passed before the rev existed")
	errRevWaitFull = errors.New("server: too many requests wait for a rev in the future")
)

// revWaiters are those who wait until the store has reached a rev. The zero
// value has no room; limit is set before use. Safe for concurrent use.
type revWaiters struct {
	limit int
	// next is the lowest rev anybody waits for, so that advance, which is
	// called for every entry, takes no lock when nobody does. 0: nobody.
	next atomic.Int64

	mu   sync.Mutex
	heap revHeap
}

// revWaiter is one of them. Its fields are guarded by revWaiters.mu.
type revWaiter struct {
	rev   int64
	at    int // in the heap; -1 when it is out of it
	timer *time.Timer
	done  func(error)
}

// wait calls done once: with nil when now, the store's rev, has reached rev,
// with errRevWait after the timeout, or with errRevWaitFull at once. done runs
// on any goroutine, without locks held, and must not block. cancel, which may
// be called at any time, returns true if done was not called and will not be.
func (w *revWaiters) wait(rev int64, timeout time.Duration, now func() int64, done func(error)) (cancel func() bool) {
	x := &revWaiter{rev: rev, done: done}
	w.mu.Lock()
	if len(w.heap) >= w.limit {
		w.mu.Unlock()
		done(errRevWaitFull)
		return func() bool { return false }
	}
	heap.Push(&w.heap, x)
	w.next.Store(w.heap[0].rev)
	x.timer = time.AfterFunc(timeout, func() {
		if w.remove(x) {
			done(errRevWait)
		}
	})
	w.mu.Unlock()
	// The store's rev is stored before next is loaded (Apply), and loaded
	// here after next is stored: one of the two sees the other.
	w.advance(now())
	return func() bool {
		removed := w.remove(x)
		if removed {
			x.timer.Stop()
		}
		return removed
	}
}

// remove takes x out and tells whether it was there.
func (w *revWaiters) remove(x *revWaiter) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if x.at < 0 {
		return false
	}
	heap.Remove(&w.heap, x.at)
	w.setNext()
	return true
}

func (w *revWaiters) setNext() {
	if len(w.heap) == 0 {
		w.next.Store(0)
		return
	}
	w.next.Store(w.heap[0].rev)
}

// advance ends the waits for revs up to rev.
func (w *revWaiters) advance(rev int64) {
	if next := w.next.Load(); next == 0 || next > rev {
		return
	}
	var ready []*revWaiter
	w.mu.Lock()
	for len(w.heap) > 0 && w.heap[0].rev <= rev {
		ready = append(ready, heap.Pop(&w.heap).(*revWaiter))
	}
	w.setNext()
	w.mu.Unlock()
	for _, x := range ready {
		x.timer.Stop()
		x.done(nil)
	}
}

func (w *revWaiters) len() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.heap)
}

// revHeap is a heap by rev for container/heap.
type revHeap []*revWaiter

func (h revHeap) Len() int           { return len(h) }
func (h revHeap) Less(i, j int) bool { return h[i].rev < h[j].rev }
func (h revHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}

func (h *revHeap) Push(x any) {
	w := x.(*revWaiter)
	w.at = len(*h)
	*h = append(*h, w)
}

func (h *revHeap) Pop() any {
	old := *h
	w := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	w.at = -1
	return w
}

// waitRev calls done when the applied rev has reached rev, as revWaiters.wait
// tells.
func (m *Machine) waitRev(rev int64, timeout time.Duration, done func(error)) (cancel func() bool) {
	return m.revs.wait(rev, timeout, m.Rev, done)
}
