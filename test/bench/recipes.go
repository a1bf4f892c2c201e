package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/client/election"
	"github.com/doozer-store/doozer/client/lock"
	"github.com/doozer-store/doozer/client/ring"
	"github.com/doozer-store/doozer/client/session"
)

// What the recipes over doozer promise, as figures. Other systems have no such
// work.

const (
	deaths      = 20   // how many holders, leaders or machines die
	idleClients = 1000 // sessions that hold
	idleLocks   = 10   // locks each
	idleSpan    = 30 * time.Second
	ringClients = 100
	ringEpochs  = 50
)

// recipe makes work of doozer alone.
func recipe(do func(ctx context.Context, d *doozer, c *client.Client, o *options) (figures, error)) func(system, *options) (figures, error) {
	return func(s system, o *options) (figures, error) {
		d, ok := s.(*doozer)
		if !ok || d.unary {
			return nil, errNotDone
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
		defer cancel()
		c, err := client.Open(ctx, strings.Join(d.addrs, ","))
		if err != nil {
			return nil, err
		}
		defer c.Close()
		return do(ctx, d, c, o)
	}
}

// idleHolders tells what sessions that hold locks cost while nothing happens: the
// revs that the store uses.
func idleHolders(ctx context.Context, d *doozer, c *client.Client, o *options) (figures, error) {
	ms, end, err := members(d, idleClients, 16)
	if err != nil {
		return nil, err
	}
	defer end()
	var all sync.WaitGroup
	fail := make(chan error, idleClients)
	for i, m := range ms {
		all.Go(func() {
			for k := range idleLocks {
				if _, err := m.lock(ctx, fmt.Sprintf("idle/%d/%d", i, k)); err != nil {
					fail <- err
					return
				}
			}
		})
	}
	all.Wait()
	select {
	case err := <-fail:
		return nil, err
	default:
	}
	before, err := c.Rev(ctx)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	cpu := usedCPU(d)
	time.Sleep(max(o.span, idleSpan))
	took := time.Since(start)
	cpu = usedCPU(d) - cpu
	after, err := c.Rev(ctx)
	return figures{"revs a second": float64(after-before) / took.Seconds(), "all nodes, % of a core": 100 * cpu.Seconds() / took.Seconds()}, err
}

// takeOver kills holders on this host, one after the other, each with one who
// waits, and tells how long the lock takes to pass on.
func takeOver(ctx context.Context, d *doozer, c *client.Client, _ *options) (figures, error) {
	s, err := session.Open(ctx, c, session.TTL(lockTTL))
	if err != nil {
		return nil, err
	}
	defer s.Close()
	h := &histogram{}
	for i := range deaths {
		took, err := death(ctx, d, s, fmt.Sprintf("takeover/%d", i), false, func() { time.Sleep(time.Second) })
		if err != nil {
			return nil, err
		}
		h.add(took)
	}
	return spreadOf(h, "ms", time.Millisecond), nil
}

// hostLoss is takeOver where nobody can see the holder's processes: as if their
// machine had gone. All die within a third of the TTL, each at another moment
// between two of its beats.
func hostLoss(ctx context.Context, d *doozer, c *client.Client, _ *options) (figures, error) {
	s, err := session.Open(ctx, c, session.TTL(lockTTL))
	if err != nil {
		return nil, err
	}
	defer s.Close()
	var all, ready sync.WaitGroup
	var mu sync.Mutex // guards h
	h := &histogram{}
	fail := make(chan error, deaths)
	ready.Add(deaths)
	for i := range deaths {
		all.Go(func() {
			done := sync.OnceFunc(ready.Done)
			defer done()
			took, err := death(ctx, d, s, fmt.Sprintf("hostloss/%d", i), true, func() {
				done()
				ready.Wait()
				time.Sleep(lockTTL/2 + time.Duration(i)*lockTTL/3/deaths)
			})
			if err != nil {
				fail <- err
				return
			}
			mu.Lock()
			h.add(took)
			mu.Unlock()
		})
	}
	all.Wait()
	select {
	case err := <-fail:
		return nil, err
	default:
	}
	return spreadOf(h, "s", time.Second), nil
}

func spreadOf(h *histogram, unit string, of time.Duration) figures {
	f := figures{}
	for name, q := range map[string]float64{"least ": 0, "p50 ": 0.5, "p90 ": 0.9, "most ": 1} {
		f[name+unit] = float64(h.quantile(q)) / float64(of)
	}
	return f
}

// death has a process hold a lock while s waits for it, calls before, kills the
// process, and tells how long it took until s had the lock.
func death(ctx context.Context, d *doozer, s *session.Session, name string, anonymous bool, before func()) (time.Duration, error) {
	p, err := startChild(d, "hold", name, strconv.FormatBool(anonymous))
	if err != nil {
		return 0, err
	}
	defer p.kill()
	type turn struct {
		lk  *lock.Lock
		err error
		at  time.Time
	}
	got := make(chan turn, 1)
	go func() {
		lk, err := lock.Acquire(ctx, s, name)
		got <- turn{lk, err, time.Now()}
	}()
	if err := until(time.Minute, "one waits", func() (bool, error) {
		l, err := s.Store().(*client.Client).List(ctx, "/lock/"+name+"/e")
		return len(l) == 2, err
	}); err != nil {
		return 0, err
	}
	before()
	start := time.Now()
	p.kill()
	t := <-got
	if t.err != nil {
		return 0, t.err
	}
	if t.at.Before(start) {
		return 0, errors.New("the lock was lost while its holder lived")
	}
	return t.at.Sub(start), t.lk.Release(ctx)
}

// leaders kills whoever leads, again and again, and tells how long observers see
// nobody alive lead. Terms have to rise.
func leaders(ctx context.Context, d *doozer, c *client.Client, _ *options) (figures, error) {
	candidates := map[string]*child{}
	defer func() {
		for _, p := range candidates {
			p.kill()
		}
	}()
	for range 3 {
		if err := candidate(d, candidates); err != nil {
			return nil, err
		}
	}
	h := &histogram{}
	var term int64
	var start time.Time
	for l, err := range election.Observe(ctx, c, "bench") {
		switch {
		case err != nil:
			return nil, err
		case l.Term == 0:
			continue
		case l.Term <= term:
			return nil, fmt.Errorf("term %d after %d", l.Term, term)
		}
		term = l.Term
		if !start.IsZero() {
			h.add(time.Since(start))
		}
		p := candidates[l.Value]
		if p == nil {
			return nil, fmt.Errorf("%q leads in term %d, and is dead", l.Value, term)
		}
		if h.n == deaths {
			break
		}
		if err := candidate(d, candidates); err != nil {
			return nil, err
		}
		time.Sleep(time.Second)
		start = time.Now()
		p.kill()
		delete(candidates, l.Value)
	}
	return spreadOf(h, "ms", time.Millisecond), nil
}

func candidate(d *doozer, to map[string]*child) error {
	p, err := startChild(d, "stand", "bench")
	if err == nil {
		to[strconv.Itoa(p.cmd.Process.Pid)] = p
	}
	return err
}

// epochs tells how long after a ring was changed its clients, each with a
// connection of its own, use the new one.
func epochs(ctx context.Context, d *doozer, c *client.Client, _ *options) (figures, error) {
	f := &ring.File{}
	for i := range 10 {
		if err := f.Add(fmt.Sprintf("n%d", i), ring.Spec{Addr: fmt.Sprintf("10.0.0.%d:1", i)}); err != nil {
			return nil, err
		}
	}
	epoch, err := ring.Create(ctx, c, "bench", f)
	if err != nil {
		return nil, err
	}
	var rings []*ring.Live
	for range ringClients {
		own, err := client.Open(ctx, strings.Join(d.addrs, ","))
		if err != nil {
			return nil, err
		}
		defer own.Close()
		l, err := ring.Open(ctx, own, "bench", ring.Config{})
		if err != nil {
			return nil, err
		}
		defer l.Close()
		rings = append(rings, l)
	}
	h, last := &histogram{}, &histogram{}
	for i := range ringEpochs {
		at := make(chan time.Time, ringClients)
		for _, l := range rings {
			go func() {
				if _, err := l.Wait(ctx, epoch+1); err == nil {
					at <- time.Now()
				} else {
					at <- time.Time{}
				}
			}()
		}
		if epoch, err = ring.Edit(ctx, c, "bench", func(f *ring.File) error {
			return f.SetValue("n0", fmt.Sprintf("10.0.1.%d:1", i), "")
		}); err != nil {
			return nil, err
		}
		start, latest := time.Now(), time.Duration(0)
		for range rings {
			t := <-at
			if t.IsZero() {
				return nil, errors.New("a client did not come to the new epoch")
			}
			h.add(t.Sub(start))
			latest = max(latest, t.Sub(start))
		}
		last.add(latest)
	}
	all := latencies(h)
	all["all clients p50 ms"] = float64(last.quantile(0.5)) / 1e6
	all["all clients max ms"] = float64(last.max) / 1e6
	return all, nil
}

// child is this program in another process, as one part of a recipe. What it
// has to say is one line.
type child struct {
	cmd  *exec.Cmd
	once sync.Once
}

// childArg as the first argument makes the program such a part.
const childArg = "-child"

// startChild returns when the process has done what it is to do.
func startChild(d *doozer, args ...string) (*child, error) {
	p := &child{cmd: exec.Command("/proc/self/exe", append([]string{childArg, strings.Join(d.addrs, ",")}, args...)...)}
	p.cmd.Stderr = os.Stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		p.kill()
		return nil, fmt.Errorf("%v: %w", args, err)
	}
	return p, nil
}

// kill is kill -9, and does not wait: what is measured begins with it.
func (p *child) kill() {
	p.once.Do(func() {
		_ = p.cmd.Process.Kill()
		go func() { _ = p.cmd.Wait() }()
	})
}

// part is the program as a child.
func part(args []string) error {
	ctx := context.Background()
	c, err := client.Open(ctx, args[0])
	if err != nil {
		return err
	}
	opts := []session.Option{session.TTL(lockTTL)}
	if args[1] == "hold" && args[3] == "true" {
		opts = append(opts, session.Anonymous())
	}
	s, err := session.Open(ctx, c, opts...)
	if err != nil {
		return err
	}
	switch args[1] {
	case "hold":
		if _, err := lock.Acquire(ctx, s, args[2]); err != nil {
			return err
		}
		fmt.Println("held")
	case "stand":
		fmt.Println("stands")
		if _, err := election.Campaign(ctx, s, args[2], strconv.Itoa(os.Getpid())); err != nil {
			return err
		}
	}
	select {}
}
