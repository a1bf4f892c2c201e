package consensus

import (
	"encoding/binary"
	"slices"
	"time"

	"go.etcd.io/raft/v3"
)

// read waits for permission to read.
type read struct {
	deadline time.Time
	done     func(error)
}

// readBatch is a question to raft and the reads that share its answer. It is
// asked again, under another number, when no answer comes; the answer to any of
// its numbers will do, because all its reads were there before the first.
type readBatch struct {
	numbers []uint64
	reads   []*read
	asked   time.Time
	tries   int // with the present leader
}

// confirmedReads may be answered once index is applied.
type confirmedReads struct {
	index uint64
	reads []*read
}

// maxNumbers is how many answers to one batch are waited for.
const maxNumbers = 16

// readQueue is the core's part that asks raft for read indexes.
type readQueue struct {
	waiting []*read
	open    []readBatch
	asked   uint64 // questions so far: the last number
	again   bool   // the leader is another: it must be asked all that is open
	nonce   uint64
	max     int
}

func (q *readQueue) init(cfg *Config) {
	q.nonce, q.max = cfg.Nonce, cfg.Limits.ReadBatches
}

func (q *readQueue) add(rs []*read) { q.waiting = append(q.waiting, rs...) }

// ask puts all waiting reads into one question, if there is a leader to
// answer it and not too many are open.
func (q *readQueue) ask(c *core) {
	if len(q.waiting) == 0 && !q.again || !c.readable() {
		return
	}
	if q.again {
		q.again = false
		for i := range q.open {
			q.open[i].tries = 0
			q.question(c, &q.open[i])
		}
	}
	if len(q.waiting) == 0 || len(q.open) >= q.max {
		return
	}
	q.open = append(q.open, readBatch{reads: q.waiting})
	q.waiting = nil
	q.question(c, &q.open[len(q.open)-1])
}

// question asks raft about b under a number that was never used.
func (q *readQueue) question(c *core, b *readBatch) {
	q.asked++
	if len(b.numbers) == maxNumbers {
		b.numbers = slices.Delete(b.numbers, 0, 1)
	}
	b.numbers = append(b.numbers, q.asked)
	b.asked = c.now
	b.tries++
	c.raw.ReadIndex(readContext(q.nonce, q.asked))
}

// confirm takes raft's answers.
func (q *readQueue) confirm(c *core, states []raft.ReadState) {
	for _, s := range states {
		number, ok := readNumber(q.nonce, s.RequestCtx)
		i := slices.IndexFunc(q.open, func(b readBatch) bool { return slices.Contains(b.numbers, number) })
		if !ok || i < 0 {
			continue
		}
		c.out.reads = append(c.out.reads, confirmedReads{s.Index, q.open[i].reads})
		q.open = slices.Delete(q.open, i, i+1)
	}
}

// retry asks again what stays without an answer, after a time that grows: the
// message, or the leader, may be lost.
func (q *readQueue) retry(c *core) {
	for i := range q.open {
		b := &q.open[i]
		if c.readable() && c.now.Sub(b.asked) > c.cfg.readRetry()<<min(b.tries-1, 4) {
			q.question(c, b)
		}
	}
}

// expire ends reads past their deadline.
func (q *readQueue) expire(c *core) {
	end := func(rs []*read) []*read {
		kept := rs[:0]
		for _, r := range rs {
			if r.deadline.After(c.now) {
				kept = append(kept, r)
			} else {
				c.out.expired = append(c.out.expired, expiry{read: r, err: ErrDeadline})
			}
		}
		clear(rs[len(kept):])
		return kept
	}
	q.waiting = end(q.waiting)
	for i := range q.open {
		q.open[i].reads = end(q.open[i].reads)
	}
	q.open = slices.DeleteFunc(q.open, func(b readBatch) bool { return len(b.reads) == 0 })
}

// readContextSize is the length of a readContext.
const readContextSize = 16

// readContext is unique for every question of every process: raft must never
// see one twice.
func readContext(nonce, n uint64) []byte {
	b := binary.LittleEndian.AppendUint64(make([]byte, 0, readContextSize), nonce)
	return binary.LittleEndian.AppendUint64(b, n)
}

// readNumber is the number in a context of the process with that nonce.
func readNumber(nonce uint64, context []byte) (n uint64, ok bool) {
	if len(context) != readContextSize || binary.LittleEndian.Uint64(context) != nonce {
		return 0, false
	}
	return binary.LittleEndian.Uint64(context[8:]), true
}
