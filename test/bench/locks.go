package main

import (
	"context"
	"errors"
	"fmt"
	"path"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/go-zookeeper/zk"
	"go.etcd.io/etcd/client/v3/concurrency"

	"github.com/doozer-store/doozer/client/lock"
	"github.com/doozer-store/doozer/client/session"
)

// locker is a conn of a system that has locks.
type locker interface {
	// member is one who takes locks, with a session or lease of its own.
	member(ctx context.Context) (member, error)
}

type member interface {
	lock(ctx context.Context, name string) (unlock func(context.Context) error, err error)
	close()
}

// lockTTL is that of every session, in every system that can be told.
const lockTTL = 15 * time.Second

// members are n of them, on connections that they share.
func members(s system, n, conns int) (list []member, end func(), err error) {
	cs, err := dialAll(s, min(n, conns))
	if err != nil {
		return nil, nil, err
	}
	end = func() {
		var all sync.WaitGroup
		for _, m := range list {
			all.Go(m.close)
		}
		all.Wait()
		closeAll(cs)
	}
	for i := range n {
		l, ok := cs[i%len(cs)].(locker)
		if !ok {
			end()
			return nil, nil, errNotDone
		}
		ctx, cancel := context.WithTimeout(context.Background(), callLimit)
		m, err := l.member(ctx)
		cancel()
		if err != nil {
			end()
			return nil, nil, err
		}
		list = append(list, m)
	}
	return list, end, nil
}

// uncontended is lock and unlock, by callers each of whom has a lock of its own.
func uncontended(s system, o *options, callers, conns int) (figures, error) {
	ms, end, err := members(s, conns, conns)
	if err != nil {
		return nil, err
	}
	defer end()
	g := &gauge{}
	var all sync.WaitGroup
	hists := make([]histogram, callers)
	for i := range callers {
		all.Go(func() {
			for g.phase.Load() != over && g.fail.Load() == nil {
				counted := g.phase.Load() == measuring
				start := time.Now()
				if err := once(ms[i%conns], fmt.Sprintf("own/%d", i), func() {}); err != nil {
					g.failed(err)
					return
				}
				if counted && g.phase.Load() == measuring {
					hists[i].add(time.Since(start))
				}
			}
		})
	}
	took := g.measure(o)
	all.Wait()
	if err := g.fail.Load(); err != nil {
		return nil, *err
	}
	total := &histogram{}
	for i := range hists {
		total.merge(&hists[i])
	}
	f := latencies(total)
	f["ops/s"] = float64(total.n) / took.Seconds()
	return f, nil
}

// measure lets callers warm up, measures, and tells how long that took.
func (g *gauge) measure(o *options) time.Duration {
	time.Sleep(o.warm)
	g.phase.Store(measuring)
	start := time.Now()
	time.Sleep(o.span)
	g.phase.Store(over)
	return time.Since(start)
}

// once holds a lock while fn runs.
func once(m member, name string, fn func()) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*callLimit)
	defer cancel()
	unlock, err := m.lock(ctx, name)
	if err != nil {
		return err
	}
	fn()
	return unlock(ctx)
}

// handOff passes one lock round: whoever has it gives it back at once and lines
// up again, and n others wait. A hand-off lasts from the call that gives the lock
// back to the return of the call that waited for it.
func handOff(s system, o *options, n int) (figures, error) {
	ms, end, err := members(s, n+1, 16)
	if err != nil {
		return nil, err
	}
	defer end()
	g, name := &gauge{}, fmt.Sprintf("round/%d", n)
	var all sync.WaitGroup
	var held atomic.Bool
	var mu sync.Mutex // guards what follows, for the race detector: the lock does too
	var total histogram
	var released time.Time
	for _, m := range ms {
		all.Go(func() {
			for g.phase.Load() != over && g.fail.Load() == nil {
				if err := once(m, name, func() {
					if !held.CompareAndSwap(false, true) {
						g.failed(errors.New("two hold the lock"))
					}
					mu.Lock()
					if g.phase.Load() == measuring && !released.IsZero() {
						total.add(time.Since(released))
					}
					held.Store(false)
					released = time.Now()
					mu.Unlock()
				}); err != nil {
					g.failed(err)
				}
			}
		})
	}
	before, own := usedCPU(s), ownCPU()
	took := g.measure(o)
	servers, own := usedCPU(s)-before, ownCPU()-own
	all.Wait()
	if err := g.fail.Load(); err != nil {
		return nil, *err
	}
	f := latencies(&total)
	f["server µs"] = float64(servers.Microseconds()) / float64(total.n)
	f["client µs"] = float64(own.Microseconds()) / float64(total.n)
	f["hand-offs/s"] = float64(total.n) / took.Seconds()
	return f, nil
}

// ownCPU is what this process has used so far.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func (c *doozerConn) member(ctx context.Context) (member, error) {
	s, err := session.Open(ctx, c.Client, session.TTL(lockTTL))
	return &doozerMember{s}, err
}

// unary has no locks of its own: they are those of doozer's client.
func (c *unaryConn) member(context.Context) (member, error) { return nil, errNotDone }

type doozerMember struct{ s *session.Session }

func (m *doozerMember) lock(ctx context.Context, name string) (func(context.Context) error, error) {
	l, err := lock.Acquire(ctx, m.s, name)
	if err != nil {
		return nil, err
	}
	return l.Release, nil
}

func (m *doozerMember) close() { m.s.Close() }

func (c *etcdConn) member(context.Context) (member, error) {
	s, err := concurrency.NewSession(c.Client, concurrency.WithTTL(int(lockTTL.Seconds())))
	return &etcdMember{s}, err
}

// etcdMember has a lease.
type etcdMember struct{ s *concurrency.Session }

func (m *etcdMember) lock(ctx context.Context, name string) (func(context.Context) error, error) {
	l := concurrency.NewMutex(m.s, "/lock/"+name)
	return l.Unlock, l.Lock(ctx)
}

func (m *etcdMember) close() { m.s.Close() }

// member is one of those who share the connection's session: ZooKeeper has one
// for each connection.
func (c *zkConn) member(context.Context) (member, error) { return &zkMember{c.Conn}, nil }

type zkMember struct{ c *zk.Conn }

func (m *zkMember) lock(_ context.Context, name string) (func(context.Context) error, error) {
	l := zk.NewLock(m.c, path.Join("/lock", name), zk.WorldACL(zk.PermAll))
	return func(context.Context) error { return l.Unlock() }, l.Lock()
}

func (m *zkMember) close() {}
