package drill

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/drill/check"
	"github.com/doozer-store/doozer/drill/cluster"
)

const (
	callers  = 8
	hotPaths = 10
	hotDir   = "/h"
	hotGlob  = hotDir + "/*"
	// callPause is the least time from one call of a caller to its next: it
	// bounds how much there is to judge.
	callPause = 6 * time.Millisecond
	// readPause is that of readers.
	readPause = 15 * time.Millisecond
	// beaters are callers that rewrite a session of their own all the time, a
	// file of which the nodes keep no history.
	beaters     = 3
	beatPause   = 25 * time.Millisecond
	sessionDir  = "/session"
	sessionGlob = sessionDir + "/*"
)

// timeouts of calls: some end within an outage, and leave an unknown outcome.
var timeouts = [...]time.Duration{400 * time.Millisecond, time.Second, 3 * time.Second, 3 * time.Second}

// load is callers at work, each with a client of its own; beside the callers that
// go wherever their client does there is a reader at each node, which stays there,
// whoever leads: a node that is cut off and answers all the same is found out. And
// there are sessions, which are volatile.
type load struct {
	history *check.History
	meter   *meter
	keep    int64 // revs that the store keeps

	stop    context.CancelFunc
	running sync.WaitGroup
	written atomic.Int64 // successful writes
	done    atomic.Int64 // successful operations
	rev     atomic.Int64 // the highest that any caller was told of
	// since is when the last harm was done, in nanoseconds of the history's
	// clock; fresh counts successful writes that began after it.
	since atomic.Int64
	fresh atomic.Int64
}

// caller does one call after another. Its fields belong to its goroutine.
type caller struct {
	l     *load
	id    int
	c     *client.Client
	r     *rand.Rand
	n     int
	pause time.Duration
	reads bool             // and does nothing else
	beats bool             // rewrites its session, and sees to that of others
	known map[string]int64 // the rev that this caller knows of a path
}

// startLoad starts the callers.
func startLoad(c *cluster.Cluster, m *meter, r *rand.Rand, keep int64) *load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{history: check.NewHistory(), meter: m, keep: keep, stop: cancel}
	c.TB().Cleanup(func() { l.end() })
	start := func(k *caller) {
		k.l, k.r, k.known = l, rand.New(rand.NewPCG(r.Uint64(), r.Uint64())), map[string]int64{}
		l.running.Go(func() { k.run(ctx) })
	}
	for i := range callers {
		start(&caller{id: i, c: c.Client(), pause: callPause})
	}
	for i, n := range c.Nodes() {
		start(&caller{id: callers + i, c: clientAt(c, n), pause: readPause, reads: true})
	}
	for i := range beaters {
		start(&caller{id: callers + len(c.Nodes()) + i, c: c.Client(), pause: beatPause, beats: true})
	}
	return l
}

// clientAt is a client that reaches no node but n, whatever it learns.
func clientAt(c *cluster.Cluster, n *cluster.Node) *client.Client {
	dial := grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
		if addr != n.Addr() {
			return nil, fmt.Errorf("this client may reach %s only", n.Name)
		}
		return new(net.Dialer).DialContext(ctx, "tcp", addr)
	})
	return c.ClientOf(c.URI(n), client.WithDialOptions(dial), client.WithoutWait())
}

// end lets every caller finish its call and returns what happened.
func (l *load) end() []check.Op {
	l.stop()
	l.running.Wait()
	return l.history.Ops()
}

// harmed makes fresh count anew.
func (l *load) harmed() {
	l.since.Store(int64(l.history.Now()))
	l.fresh.Store(0)
}

func (k *caller) run(ctx context.Context) {
	pause := time.NewTicker(k.pause)
	defer pause.Stop()
	for ctx.Err() == nil {
		k.call()
		select {
		case <-pause.C:
		case <-ctx.Done():
		}
	}
}

func (k *caller) path() string { return fmt.Sprintf("%s/%d", hotDir, k.r.IntN(hotPaths)) }

// value is one that no other write has, of a size that fills logs now and then.
func (k *caller) value() string {
	size := k.r.IntN(300)
	if k.r.IntN(20) == 0 {
		size = 4 << 10
	}
	return fmt.Sprintf("%d.%d:%s", k.id, k.n, strings.Repeat(".", size))
}

// call does one operation and records it. The end of the load does not cut it
// short.
func (k *caller) call() {
	k.n++
	op := k.choose()
	op.Client = k.id
	if op.Writes() {
		op.ID = fmt.Sprintf("%d.%d", k.id, k.n)
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeouts[k.r.IntN(len(timeouts))])
	defer cancel()
	op.Call = k.l.history.Now()
	rev, err := k.do(ctx, &op)
	op.Return = k.l.history.Now()
	judge(&op, rev, err)
	k.l.add(op)
	k.learn(op)
}

// choose picks what to do next.
func (k *caller) choose() check.Op {
	if k.beats {
		return k.beat()
	}
	path := k.path()
	most := 100
	if k.reads {
		most = 44
	}
	switch n := k.r.IntN(most); {
	case n < 28:
		return check.Op{Kind: check.Read, Path: path}
	case n < 38:
		return check.Op{Kind: check.Local, Path: path}
	case n < 44:
		return check.Op{Kind: check.List, Path: hotGlob}
	case n < 50:
		return check.Op{Kind: check.List, Path: hotGlob, At: k.l.past(k.r)}
	case n < 68:
		return check.Op{Kind: check.Write, Path: path, Value: k.value()}
	case n < 82:
		return check.Op{Kind: check.CAS, Path: path, Value: k.value(), If: k.known[path]}
	case n < 86:
		return check.Op{Kind: check.Del, Path: path}
	case n < 90:
		return check.Op{Kind: check.Del, Path: path, If: k.known[path]}
	}
	return k.txn()
}

// past picks a rev of the window, or near its edges.
func (l *load) past(r *rand.Rand) int64 {
	top := l.rev.Load()
	return max(1, top+10-r.Int64N(min(top, l.keep)*windowTimes/2+20))
}

// windowTimes is by how many halves of its length a window may be missed: revs of
// which nothing is kept do not count in it.
const windowTimes = 3

// beat picks what a session's owner does next: nearly always it writes it again.
func (k *caller) beat() check.Op {
	path := fmt.Sprintf("%s/%d", sessionDir, k.id)
	switch n := k.r.IntN(100); {
	case n < 3:
		return check.Op{Kind: check.Del, Path: path}
	case n < 8:
		return check.Op{Kind: check.Txn, Parts: []check.Part{
			{Path: path, Set: true, Value: k.value() + "s"}, {Path: k.path(), Set: true, Value: k.value() + "h"},
		}}
	case n < 18:
		return check.Op{Kind: check.List, Path: sessionGlob, At: k.l.past(k.r)}
	case n < 22:
		return check.Op{Kind: check.Read, Path: path}
	case n < 26:
		return check.Op{Kind: check.Local, Path: path}
	}
	return check.Op{Kind: check.Write, Path: path, Value: k.value()}
}

// txn sets some paths, asks something of some, and deletes what it knows to be
// there.
func (k *caller) txn() check.Op {
	o := check.Op{Kind: check.Txn}
	for i, n := range k.r.Perm(hotPaths)[:2+k.r.IntN(3)] {
		p := check.Part{Path: fmt.Sprintf("%s/%d", hotDir, n)}
		rev := k.known[p.Path]
		switch what := k.r.IntN(10); {
		case what < 2 && rev != 0:
			p.If = rev
		case what < 4 && rev != 0:
			p.If, p.Del = rev, true
		case what < 5 && rev == 0:
			p.Missing, p.Set = true, true
		case what < 7 && rev != 0:
			p.If, p.Set = rev, true
		default:
			p.Set = true
		}
		if i == 0 && !p.Del {
			p.Set = true // so that it changes something
		}
		if p.Set {
			p.Value = fmt.Sprintf("%s%d", k.value(), i)
		}
		o.Parts = append(o.Parts, p)
	}
	return o
}

// do makes the call. What it read goes into op.
func (k *caller) do(ctx context.Context, op *check.Op) (rev int64, err error) {
	msg := client.Message(op.ID)
	switch op.Kind {
	case check.Read, check.Local:
		var opts []client.ReadOption
		if op.Kind == check.Local {
			opts = append(opts, client.Local())
		}
		f, err := k.c.Get(ctx, op.Path, opts...)
		op.Value = string(f.Value)
		return f.Rev, err
	case check.List:
		for f, err := range k.c.Walk(ctx, op.Path, client.AtRev(op.At)) {
			if err != nil {
				return 0, err
			}
			op.Files = append(op.Files, fileOf(f))
		}
		return 0, nil
	case check.Write:
		return k.c.Set(ctx, op.Path, []byte(op.Value), msg)
	case check.CAS:
		return k.c.Set(ctx, op.Path, []byte(op.Value), msg, condition(op.If))
	case check.Del:
		if op.If == 0 {
			return k.c.Del(ctx, op.Path, msg)
		}
		return k.c.Del(ctx, op.Path, msg, client.IfRev(op.If))
	}
	return k.c.Txn(ctx, txnOf(op))
}

func condition(rev int64) client.WriteOption {
	if rev == 0 {
		return client.IfMissing()
	}
	return client.IfRev(rev)
}

// txnOf is a transaction as the client takes it. Conditions are numbered as the
// parts are: those without one ask nothing.
func txnOf(op *check.Op) client.Txn {
	t := client.Txn{Message: op.ID}
	for _, p := range op.Parts {
		switch {
		case p.Missing:
			t.If = append(t.If, client.Missing(p.Path))
		case p.If != 0:
			t.If = append(t.If, client.Unchanged(p.Path, p.If))
		default:
			t.If = append(t.If, client.Cond{Path: p.Path})
		}
		switch {
		case p.Set:
			t.Do = append(t.Do, client.SetOp(p.Path, []byte(p.Value)))
		case p.Del:
			t.Do = append(t.Do, client.DelOp(p.Path))
		}
	}
	return t
}

func fileOf(f client.File) check.Event {
	return check.Event{Path: f.Path, Value: string(f.Value), Rev: f.Rev, ID: f.Message}
}

// judge translates what a client's call returned.
func judge(op *check.Op, rev int64, err error) {
	var mismatch *client.RevMismatchError
	var late *client.TooLateError
	op.Rev = rev
	switch {
	case err == nil:
		op.Outcome = check.OK
		return
	case errors.Is(err, client.ErrUnknownOutcome):
		op.Outcome = check.Unknown
	case errors.As(err, &mismatch):
		op.Outcome, op.Rev, op.Index = check.Mismatch, mismatch.Rev, mismatch.Index
		return
	case errors.As(err, &late):
		op.Outcome, op.Rev = check.TooLate, late.Oldest
		return
	case errors.Is(err, client.ErrNotExist) && (op.Kind == check.Read || op.Kind == check.Local):
		op.Outcome, op.Rev = check.OK, 0
		return
	case errors.Is(err, client.ErrNotExist) && op.Kind == check.Del:
		op.Outcome, op.Rev = check.Mismatch, 0
		return
	default:
		op.Outcome = check.Failed
	}
	op.Rev, op.Err = 0, err.Error()
}

func (l *load) add(op check.Op) {
	l.history.Add(op)
	ok := op.Outcome == check.OK || op.Outcome == check.Mismatch || op.Outcome == check.TooLate
	l.meter.count(ok, op.Writes() && ok, op.Return-op.Call)
	if !ok {
		return
	}
	l.done.Add(1)
	if !op.Writes() || op.Outcome != check.OK {
		return
	}
	l.written.Add(1)
	if int64(op.Call) > l.since.Load() {
		l.fresh.Add(1)
	}
	for {
		top := l.rev.Load()
		if op.Rev <= top || l.rev.CompareAndSwap(top, op.Rev) {
			return
		}
	}
}

// learn remembers what an answer tells of paths.
func (k *caller) learn(op check.Op) {
	switch {
	case op.Outcome != check.OK && op.Outcome != check.Mismatch:
		return
	case op.Kind == check.List:
		if op.At == 0 {
			for _, f := range op.Files {
				k.known[f.Path] = f.Rev
			}
		}
		return
	case op.Kind == check.Txn && op.Outcome == check.Mismatch:
		if op.Index < len(op.Parts) {
			k.known[op.Parts[op.Index].Path] = op.Rev
		}
		return
	case op.Kind == check.Txn:
		for _, p := range op.Parts {
			if p.Del {
				k.known[p.Path] = 0
			} else if p.Set {
				k.known[p.Path] = op.Rev
			}
		}
		return
	case op.Kind == check.Del && op.Outcome == check.OK:
		k.known[op.Path] = 0
		return
	}
	k.known[op.Path] = op.Rev
}
