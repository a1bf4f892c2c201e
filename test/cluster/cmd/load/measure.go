package main

import (
	"context"
	"fmt"
	"math/rand"
	"sync"
	"sync/atomic"
	"time"

	"github.com/doozer-store/doozer/client"
)

// callLimit is the deadline of each call; a call that fails ends the program.
const callLimit = 30 * time.Second

// verb is one call on a random file.
type verb func(ctx context.Context, c *client.Client, path string, value []byte, r *rand.Rand) error

// verbOf is the verb of that name; nil when there is none.
func verbOf(name string) verb {
	switch name {
	case "set":
		return set
	case "get":
		return get
	case "localget":
		return localGet
	case "mixed":
		return mixed
	}
	return nil
}

func set(ctx context.Context, c *client.Client, path string, value []byte, _ *rand.Rand) error {
	_, err := c.Set(ctx, path, value)
	return err
}

func get(ctx context.Context, c *client.Client, path string, _ []byte, _ *rand.Rand) error {
	_, err := c.Get(ctx, path)
	return err
}

func localGet(ctx context.Context, c *client.Client, path string, _ []byte, _ *rand.Rand) error {
	_, err := c.Get(ctx, path, client.Local())
	return err
}

func mixed(ctx context.Context, c *client.Client, path string, value []byte, r *rand.Rand) error {
	if r.Intn(10) == 0 {
		return set(ctx, c, path, value, r)
	}
	return get(ctx, c, path, value, r)
}

// keyPath spreads files over directories of a thousand.
func keyPath(prefix string, i int) string { return fmt.Sprintf("%s/%d/%d", prefix, i/1000, i) }

// measureAll measures every operation with every number of callers and clients,
// after the files exist that it reads.
func measureAll(t *tb, f *flags) {
	cs := open(t, f.uri, 4)
	fill(t, cs, "/load", f.keys, f.valueSize)
	closeAll(cs)
	fmt.Printf("%-9s %7s %5s %10s %10s %10s %10s %10s\n", "op", "callers", "conns", "ops/s", "p50", "p99", "p99.9", "max")
	for _, op := range f.ops {
		for _, callers := range f.callers {
			for _, conns := range f.conns {
				if conns <= callers {
					measure(t, f, op, callers, conns)
				}
			}
		}
	}
}

// measure prints one line.
func measure(t *tb, f *flags, op string, callers, conns int) {
	cs := open(t, f.uri, conns)
	defer closeAll(cs)
	g := &gauge{verb: verbOf(op), keys: f.keys, valueSize: f.valueSize}
	var all sync.WaitGroup
	hists := make([]*histogram, callers)
	for i := range callers {
		hists[i] = &histogram{}
		all.Go(func() { g.caller(t, cs[i%conns], int64(i), hists[i]) })
	}
	time.Sleep(f.warm)
	g.phase.Store(measuring)
	start := time.Now()
	time.Sleep(f.span)
	g.phase.Store(over)
	took := time.Since(start)
	all.Wait()
	total := &histogram{}
	for _, h := range hists {
		total.merge(h)
	}
	fmt.Printf("%-9s %7d %5d %10.0f %10v %10v %10v %10v\n", op, callers, conns, float64(total.n)/took.Seconds(),
		short(total.quantile(0.5)), short(total.quantile(0.99)), short(total.quantile(0.999)), short(total.max))
}

// The phases of a measurement.
const (
	warming = iota
	measuring
	over
)

// gauge is what the callers of one measurement share.
type gauge struct {
	verb      verb
	keys      int
	valueSize int
	phase     atomic.Int32
}

// caller calls until the measurement is over and counts the calls that began
// and ended in it.
func (g *gauge) caller(t *tb, c *client.Client, seed int64, h *histogram) {
	r := rand.New(rand.NewSource(seed))
	value := make([]byte, g.valueSize)
	for g.phase.Load() != over {
		counted := g.phase.Load() == measuring
		path := keyPath("/load", r.Intn(g.keys))
		ctx, cancel := context.WithTimeout(context.Background(), callLimit)
		start := time.Now()
		err := g.verb(ctx, c, path, value, r)
		took := time.Since(start)
		cancel()
		if err != nil {
			t.Fatalf("%v", err)
		}
		if counted && g.phase.Load() == measuring {
			h.add(took)
		}
	}
}

// short rounds a latency to what is worth reading.
func short(d time.Duration) time.Duration {
	switch {
	case d < time.Millisecond:
		return d.Round(time.Microsecond)
	case d < 100*time.Millisecond:
		return d.Round(10 * time.Microsecond)
	default:
		return d.Round(time.Millisecond)
	}
}
