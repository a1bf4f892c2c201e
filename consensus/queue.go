package consensus

import (
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/raft/v3/raftpb"
)

// queue hands values from any goroutine to one. put never blocks: what may be
// in it is bounded by who puts (raft's limits, Limits). signal has one slot
// and is closed never; closed queues take nothing.
type queue[T any] struct {
	mu     sync.Mutex
	items  []T
	closed bool
	signal chan struct{}
	done   chan struct{}
}

func (q *queue[T]) init() {
	q.signal, q.done = make(chan struct{}, 1), make(chan struct{})
}

// put adds items in order; false when the queue is closed.
func (q *queue[T]) put(items ...T) bool {
	if len(items) == 0 {
		return true
	}
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return false
	}
	q.items = append(q.items, items...)
	q.mu.Unlock()
	select {
	case q.signal <- struct{}{}:
	default:
	}
	return true
}

// wait returns all items once there are any, and false when the queue was
// closed. into's space is reused.
func (q *queue[T]) wait(into []T) ([]T, bool) {
	clear(into)
	for {
		q.mu.Lock()
		items, closed := q.items, q.closed
		if closed {
			q.mu.Unlock()
			return nil, false
		}
		if len(items) > 0 {
			q.items = into[:0]
			q.mu.Unlock()
			return items, true
		}
		q.mu.Unlock()
		select {
		case <-q.signal:
		case <-q.done:
		}
	}
}

// take returns all items, into's space is reused.
func (q *queue[T]) take(into []T) []T {
	clear(into)
	q.mu.Lock()
	defer q.mu.Unlock()
	items := q.items
	q.items = into[:0]
	return items
}

// drain returns what is left in a closed queue.
func (q *queue[T]) drain() []T {
	q.mu.Lock()
	defer q.mu.Unlock()
	items := q.items
	q.items = nil
	return items
}

func (q *queue[T]) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items)
}

func (q *queue[T]) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed {
		q.closed = true
		close(q.done)
	}
}

// received is what came from a peer: messages, or (group set) forwarded
// commands. They keep their order.
type received struct {
	from  uint64
	msgs  []*raftpb.Message
	term  uint64
	group []byte
}

// appliedReport is the applier's: of entries, the last of which has index and
// term, or of an installed snapshot, whose term is skipped.
type appliedReport struct {
	responses            []*raftpb.Message
	index, term, skipped uint64
}

// batch is what the loop has been told since it looked last.
type batch struct {
	stored    [][]*raftpb.Message // the writer's: what raft is to hear
	applied   []appliedReport
	messages  []received
	events    []func(*core, time.Time)
	proposals []*proposal
	reads     []*read
}

// inbox collects a batch for the loop.
type inbox struct {
	mu     sync.Mutex
	next   batch
	closed bool
	signal chan struct{}
	done   chan struct{}
}

func (b *inbox) init() { b.signal, b.done = make(chan struct{}, 1), make(chan struct{}) }

// put lets add put something into the batch; false when the inbox is closed.
func (b *inbox) put(add func(*batch)) bool {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return false
	}
	add(&b.next)
	b.mu.Unlock()
	select {
	case b.signal <- struct{}{}:
	default:
	}
	return true
}

func (b *inbox) take() batch {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.next
	b.next = batch{}
	return t
}

func (b *inbox) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.closed = true
		close(b.done)
	}
}

// watermark is a rising index; signal, of one slot, tells one goroutine that
// it rose.
type watermark struct {
	index  atomic.Uint64
	signal chan struct{}
}

func newWatermark(index uint64) *watermark {
	w := &watermark{signal: make(chan struct{}, 1)}
	w.index.Store(index)
	return w
}

// set has one caller.
func (w *watermark) set(index uint64) {
	w.index.Store(index)
	select {
	case w.signal <- struct{}{}:
	default:
	}
}

func (w *watermark) get() uint64 { return w.index.Load() }
