package main

import (
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"
)

// call does one operation and tells whether it counts.
type call func(c *caller, b *bout) (bool, error)

// calls are the operations of throughput work.
var calls = map[string]call{
	"set": func(c *caller, b *bout) (bool, error) {
		return true, c.conn.set(c.ctx, b.key(c), b.value)
	},
	"create": func(c *caller, b *bout) (bool, error) {
		return true, c.conn.create(c.ctx, b.newKey(c), b.value)
	},
	"cas": func(c *caller, b *bout) (bool, error) {
		return c.conn.update(c.ctx, b.paths[c.rand.IntN(hotKeys)], b.value)
	},
	"txn": func(c *caller, b *bout) (bool, error) {
		first := c.rand.IntN(len(b.paths) - txnKeys)
		return true, c.conn.txn(c.ctx, b.paths[first:first+txnKeys], b.value)
	},
	"get": func(c *caller, b *bout) (bool, error) {
		return true, c.conn.get(c.ctx, b.key(c))
	},
	"localget": func(c *caller, b *bout) (bool, error) {
		return true, c.conn.localGet(c.ctx, b.key(c))
	},
	"list": func(c *caller, b *bout) (bool, error) {
		n, err := c.conn.list(c.ctx, b.dirs[c.rand.IntN(len(b.dirs))])
		if err == nil && n == 0 {
			err = errors.New("an empty list")
		}
		return true, err
	},
	"mixed": func(c *caller, b *bout) (bool, error) {
		if c.rand.IntN(10) == 0 {
			return true, c.conn.set(c.ctx, b.key(c), b.value)
		}
		return true, c.conn.get(c.ctx, b.key(c))
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
func keyPath(prefix string, i int) string { return string(appendKey(nil, prefix, i)) }

func appendKey(b []byte, prefix string, i int) []byte {
	b = append(append(b, prefix...), '/')
	b = append(strconv.AppendInt(b, int64(i/dirKeys), 10), '/')
	return strconv.AppendInt(b, int64(i), 10)
}

// place is where work finds its files.
type place struct {
	paths []string // of the files
	dirs  []string // full directories among theirs
	value []byte   // what is written
}

// places names n files below prefix.
func places(prefix string, n, value int) *place {
	p := &place{value: make([]byte, value)}
	for i := range n {
		p.paths = append(p.paths, keyPath(prefix, i))
	}
	for i := range n / dirKeys {
		p.dirs = append(p.dirs, fmt.Sprintf("%s/%d", prefix, i))
	}
	return p
}

// bout is what the callers of one measurement do.
type bout struct {
	*place
	call call
	run  string // below it are new keys
	made atomic.Int64
}

func (b *bout) key(c *caller) string { return b.paths[c.rand.IntN(len(b.paths))] }

func (b *bout) newKey(c *caller) string {
	c.name = appendKey(c.name[:0], b.run, int(b.made.Add(1)))
	return string(c.name)
}

// closedLoop calls until the measurement is over and counts the calls that began
// and ended in it. Calls that found somebody else first are counted in tries
// alone. The next call begins when the last one ended.
func (b *bout) closedLoop(all *callers, c *caller) {
	began := all.now()
	for {
		phase := all.phase.Load()
		if phase == over {
			return
		}
		c.since.Store(began)
		ok, err := b.call(c, b)
		end := all.now()
		if err != nil {
			all.broke(err)
			return
		}
		if phase == measuring && all.phase.Load() == measuring {
			c.tries++
			if ok {
				c.h.add(time.Duration(end - began))
			}
		}
		began = end
	}
}

// throughput is work of many callers, each waiting for its answer before it
// asks again, on connections that they share.
func throughput(s system, o *options, op string, n, conns int) (figures, error) {
	return o.at.measure(s, o, op, n, conns, o.span)
}

// measure is throughput on the files of a place.
func (p *place) measure(s system, o *options, op string, n, conns int, span time.Duration) (figures, error) {
	cs, err := dialAll(s, conns)
	if err != nil {
		return nil, err
	}
	defer closeAll(cs)
	b := &bout{place: p, call: calls[op], run: fmt.Sprint("/new/", time.Now().UnixNano())}
	all := newCallers(cs, n)
	all.start(func(c *caller) { b.closedLoop(all, c) })
	all.pause(o.warm)
	before, own := usedCPU(s), ownCPU()
	all.phase.CompareAndSwap(warming, measuring)
	start := time.Now()
	all.pause(span)
	all.phase.Store(over)
	took := time.Since(start)
	cpu, own := usedCPU(s)-before, ownCPU()-own
	total, tries, err := all.wait()
	switch {
	case err != nil:
		return nil, err
	case total.n == 0:
		return nil, errors.New("no call ended in time")
	}
	f := latencies(total)
	f["ops/s"] = float64(total.n) / took.Seconds()
	f["server µs/op"] = float64(cpu.Microseconds()) / float64(total.n)
	f["client µs/op"] = float64(own.Microseconds()) / float64(total.n)
	if op == "cas" {
		f["done %"] = 100 * float64(total.n) / float64(tries)
	}
	return f, nil
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

// usedMemory is that of the server that holds most.
func usedMemory(s system) (int64, error) {
	var most int64
	for _, p := range s.nodes() {
		if !p.running() {
			continue
		}
		m, err := p.rss()
		if err != nil {
			return 0, err
		}
		most = max(most, m)
	}
	return most, nil
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
