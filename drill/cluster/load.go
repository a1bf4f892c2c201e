package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/drill/check"
)

// LoadOptions say what a load's writers do.
type LoadOptions struct {
	// Writers is how many there are; they are spread over Clients.
	Writers int
	Clients []*client.Client
	// Prefix is the directory below which they write, with no slash at its end.
	// Values of two loads are distinct when their prefixes are.
	Prefix string
	// ValueSize pads values to that many bytes; 0: no padding.
	ValueSize int
	// Timeout is that of each call; 0: 10 s.
	Timeout time.Duration
	// CountersOnly leaves the unique files out; Increments, when not 0, ends
	// each writer after so many successful ones.
	CountersOnly bool
	Increments   int64
	// Pause is how long a writer rests after each call.
	Pause time.Duration
}

// Load is writers at work. Each alternates between files that only it writes
// once, Prefix/u/<writer>/<n>, and increments of its own counter,
// Prefix/c/<writer>, by compare-and-set on the rev it knows.
type Load struct {
	History *check.History

	opts    LoadOptions
	ctx     context.Context
	cancel  context.CancelFunc
	writers sync.WaitGroup
	written atomic.Int64
}

// StartLoad starts the writers.
func StartLoad(o LoadOptions) *Load {
	if o.Timeout == 0 {
		o.Timeout = RecoverLimit
	}
	l := &Load{History: check.NewHistory(), opts: o}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	for i := range o.Writers {
		w := &writer{load: l, id: i, c: o.Clients[i%len(o.Clients)], counter: fmt.Sprintf("%s/c/%d", o.Prefix, i)}
		l.writers.Go(w.run)
	}
	return l
}

// Written is how many writes succeeded up to now.
func (l *Load) Written() int64 { return l.written.Load() }

// Wait waits until every writer has done its Increments, and returns what
// happened.
func (l *Load) Wait() []check.Op {
	l.writers.Wait()
	l.cancel()
	return l.History.Ops()
}

// Stop lets every writer finish the call it is in and returns what happened.
func (l *Load) Stop() []check.Op {
	l.cancel()
	return l.Wait()
}

// writer is one caller. Its fields belong to its goroutine.
type writer struct {
	load    *Load
	id      int
	c       *client.Client
	counter string

	seq   int   // of values, none used twice
	count int64 // of its counter, at rev
	rev   int64 // 0: no file yet
	lost  bool  // the counter's state is not known
	done  int64 // successful increments
}

func (w *writer) run() {
	o := w.load.opts
	for i := 0; w.load.ctx.Err() == nil; i++ {
		switch {
		case w.lost:
			w.read()
		case o.CountersOnly || i%2 == 0:
			w.increment()
		default:
			w.create()
		}
		if o.Increments > 0 && w.done >= o.Increments {
			return
		}
		if o.Pause > 0 {
			select {
			case <-w.load.ctx.Done():
			case <-time.After(o.Pause):
			}
		}
	}
}

// call does one operation. The end of the load does not cut it short.
func (w *writer) call(op check.Op) check.Op {
	op.Client = w.id
	op = Call(w.load.History, w.c, w.load.opts.Timeout, op)
	if op.Outcome == check.OK && op.Writes() {
		w.load.written.Add(1)
	}
	return op
}

// unique is a value that no other write has.
func (w *writer) unique(head string) string {
	w.seq++
	v := fmt.Sprintf("%s%s/%d.%d", head, w.load.opts.Prefix, w.id, w.seq)
	for len(v) < w.load.opts.ValueSize {
		v += " . . . . . . . . . . . . . . . . . . . . . . . ."[:min(48, w.load.opts.ValueSize-len(v))]
	}
	return v
}

func (w *writer) create() {
	value := w.unique("")
	path := fmt.Sprintf("%s/u/%d/%d", w.load.opts.Prefix, w.id, w.seq)
	w.call(check.Op{Kind: check.Write, Path: path, Value: value})
}

func (w *writer) increment() {
	value := w.unique(check.CounterValue(w.count+1, ""))
	op := w.call(check.Op{Kind: check.CAS, Path: w.counter, Value: value, If: w.rev})
	switch op.Outcome {
	case check.OK:
		w.rev = op.Rev
		w.count++
		w.done++
	case check.Mismatch, check.Unknown:
		w.lost = true
	}
}

// read finds out where the counter is after an unknown outcome.
func (w *writer) read() {
	op := w.call(check.Op{Kind: check.Read, Path: w.counter})
	if op.Outcome != check.OK {
		return
	}
	if n, err := check.CounterOf(op.Value); err == nil {
		w.count, w.rev, w.lost = n, op.Rev, false
	}
}

// Call does op with cl, waits at most timeout, and records what came of it: in
// the result, which it also adds to h.
func Call(h *check.History, cl *client.Client, timeout time.Duration, op check.Op) check.Op {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	op.Call = h.Now()
	var rev int64
	var err error
	switch {
	case op.Kind == check.Read:
		var f client.File
		f, err = cl.Get(ctx, op.Path)
		op.Value, rev = string(f.Value), f.Rev
	case op.Kind == check.Write:
		rev, err = cl.Set(ctx, op.Path, []byte(op.Value))
	case op.If == 0:
		rev, err = cl.Set(ctx, op.Path, []byte(op.Value), client.IfMissing())
	default:
		rev, err = cl.Set(ctx, op.Path, []byte(op.Value), client.IfRev(op.If))
	}
	op.Return = h.Now()
	op.Outcome, op.Rev = outcome(op.Kind, rev, err)
	if op.Outcome == check.Unknown || op.Outcome == check.Failed {
		op.Err = err.Error()
	}
	h.Add(op)
	return op
}

// outcome translates what a client's call returned. That there is no file is
// an answer to a read: OK at rev 0.
func outcome(kind check.Kind, rev int64, err error) (check.Outcome, int64) {
	var mismatch *client.RevMismatchError
	switch {
	case err == nil:
		return check.OK, rev
	case errors.Is(err, client.ErrUnknownOutcome):
		return check.Unknown, 0
	case errors.As(err, &mismatch):
		return check.Mismatch, mismatch.Rev
	case kind == check.Read && errors.Is(err, client.ErrNotExist):
		return check.OK, 0
	default:
		return check.Failed, 0
	}
}

// Gap does harm under load and returns the longest time without a successful
// write from then until enough more have succeeded.
func (l *Load) Gap(t TB, enough int64, harm func()) time.Duration {
	t.Helper()
	l.Await(t, enough)
	from := l.History.Now()
	harm()
	l.Await(t, enough)
	return check.MaxGap(l.History.Ops(), from, l.History.Now())
}

// RecoverLimit is how long a cluster may take to write again; only a hang
// exceeds it.
const RecoverLimit = 2 * time.Minute

// Await waits until so many more writes have succeeded.
func (l *Load) Await(t TB, more int64) {
	t.Helper()
	target := l.Written() + more
	Eventually(t, RecoverLimit, fmt.Sprintf("%d more writes succeed", more), func() (bool, string) {
		n := l.Written()
		return n >= target, fmt.Sprintf("%d of %d", n, target)
	})
}
