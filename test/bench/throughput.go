package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"sync"
	"sync/atomic"
	"time"
)

// callLimit is the deadline of each call; a call that fails ends the work.
const callLimit = 30 * time.Second

// call does one operation and tells whether it counts.
type call func(ctx context.Context, c conn, g *gauge, r *rand.Rand) (bool, error)

// calls are the operations of throughput work.
var calls = map[string]call{
	"set": func(ctx context.Context, c conn, g *gauge, r *rand.Rand) (bool, error) {
		return true, c.set(ctx, g.key(r), g.value)
	},
	"create": func(ctx context.Context, c conn, g *gauge, _ *rand.Rand) (bool, error) {
		return true, c.create(ctx, g.newKey(), g.value)
	},
	"cas": func(ctx context.Context, c conn, g *gauge, r *rand.Rand) (bool, error) {
		return c.update(ctx, keyPath("/load", r.Intn(hotKeys)), g.value)
	},
	"txn": func(ctx context.Context, c conn, g *gauge, r *rand.Rand) (bool, error) {
		keys := make([]string, 0, txnKeys)
		for first := r.Intn(g.keys - txnKeys); len(keys) < txnKeys; first++ {
			keys = append(keys, keyPath("/load", first))
		}
		return true, c.txn(ctx, keys, g.value)
	},
	"get": func(ctx context.Context, c conn, g *gauge, r *rand.Rand) (bool, error) {
		return true, c.get(ctx, g.key(r))
	},
	"localget": func(ctx context.Context, c conn, g *gauge, r *rand.Rand) (bool, error) {
		return true, c.localGet(ctx, g.key(r))
	},
	"list": func(ctx context.Context, c conn, g *gauge, r *rand.Rand) (bool, error) {
		_, err := c.list(ctx, fmt.Sprintf("/load/%d", r.Intn(g.keys/dirKeys)))
		return true, err
	},
	"mixed": func(ctx context.Context, c conn, g *gauge, r *rand.Rand) (bool, error) {
		if r.Intn(10) == 0 {
			return true, c.set(ctx, g.key(r), g.value)
		}
		return true, c.get(ctx, g.key(r))
	},
}

const (
	// dirKeys is how many files a directory has.
	dirKeys = 100
	// hotKeys is how many files contended updates fight for.
	hotKeys = 10
	// txnKeys is how many files a transaction writes.
	txnKeys = 4
)

// keyPath spreads files over directories.
func keyPath(prefix string, i int) string { return fmt.Sprintf("%s/%d/%d", prefix, i/dirKeys, i) }

// The phases of a measurement.
const (
	warming = iota
	measuring
	over
)

// gauge is what the callers of one measurement share.
type gauge struct {
	call  call
	keys  int
	value []byte
	run   string // makes the names of new keys unique
	made  atomic.Int64
	phase atomic.Int32
	fail  atomic.Pointer[error]
}

func (g *gauge) key(r *rand.Rand) string { return keyPath("/load", r.Intn(g.keys)) }

func (g *gauge) newKey() string { return keyPath("/new/"+g.run, int(g.made.Add(1))) }

func (g *gauge) failed(err error) { g.fail.CompareAndSwap(nil, &err) }

// caller calls until the measurement is over and counts the calls that began
// and ended in it. calls that found somebody else first are counted in tries
// alone.
func (g *gauge) caller(c conn, seed int64, h *histogram) (tries int64) {
	r := rand.New(rand.NewSource(seed))
	for g.phase.Load() != over && g.fail.Load() == nil {
		counted := g.phase.Load() == measuring
		ctx, cancel := context.WithTimeout(context.Background(), callLimit)
		start := time.Now()
		ok, err := g.call(ctx, c, g, r)
		took := time.Since(start)
		cancel()
		if err != nil {
			g.failed(err)
			return tries
		}
		if counted && g.phase.Load() == measuring {
			tries++
			if ok {
				h.add(took)
			}
		}
	}
	return tries
}

// throughput is work of many callers, each waiting for its answer before it
// asks again, on connections that they share.
func throughput(s system, o *options, op string, callers, conns int) (figures, error) {
	cs, err := dialAll(s, conns)
	if err != nil {
		return nil, err
	}
	defer closeAll(cs)
	g := &gauge{call: calls[op], keys: o.keys, value: make([]byte, o.value), run: fmt.Sprint(time.Now().UnixNano())}
	var all sync.WaitGroup
	var tries atomic.Int64
	hists := make([]histogram, callers)
	for i := range callers {
		all.Go(func() { tries.Add(g.caller(cs[i%conns], int64(i), &hists[i])) })
	}
	time.Sleep(o.warm)
	before := usedCPU(s)
	g.phase.Store(measuring)
	start := time.Now()
	time.Sleep(o.span)
	g.phase.Store(over)
	took := time.Since(start)
	cpu := usedCPU(s) - before
	all.Wait()
	if err := g.fail.Load(); err != nil {
		return nil, *err
	}
	total := &histogram{}
	for i := range hists {
		total.merge(&hists[i])
	}
	if total.n == 0 {
		return nil, errors.New("no call ended in time")
	}
	f := latencies(total)
	f["ops/s"] = float64(total.n) / took.Seconds()
	f["server µs/op"] = float64(cpu.Microseconds()) / float64(total.n)
	if op == "cas" {
		f["done %"] = 100 * float64(total.n) / float64(tries.Load())
	}
	return f, nil
}

func latencies(h *histogram) figures {
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	return figures{
		"p50 ms": ms(h.quantile(0.5)), "p99 ms": ms(h.quantile(0.99)), "p99.9 ms": ms(h.quantile(0.999)), "max ms": ms(h.max),
	}
}

// usedCPU is what the servers have used so far; 0 where nobody tells.
func usedCPU(s system) time.Duration {
	var sum time.Duration
	for _, p := range s.nodes() {
		if d, err := p.cpu(); err == nil {
			sum += d
		}
	}
	return sum
}

func dialAll(s system, n int) ([]conn, error) {
	var cs []conn
	for i := range n {
		c, err := s.dial(i)
		if err != nil {
			closeAll(cs)
			return nil, fmt.Errorf("connection %d of %d: %w", i+1, n, err)
		}
		cs = append(cs, c)
	}
	return cs, nil
}

func closeAll(cs []conn) {
	for _, c := range cs {
		c.close()
	}
}
