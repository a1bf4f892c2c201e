package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/doozer-store/doozer/drill"
)

// campaign is runs side by side. Each worker takes the next job when it is done
// with one.
type campaign struct {
	f     *flags
	bin   string
	start time.Time
	r     *rand.Rand // guarded by mu

	mu      sync.Mutex
	next    int   // number of the next job; guarded by mu
	order   []job // of the present round; guarded by mu
	reports []*drill.Report
	failed  int   // runs; guarded by mu
	err     error // the first that ended a run; guarded by mu
}

// job is one run to be done.
type job struct {
	number int
	drill  string
	nodes  int
	seed   uint64
}

func newCampaign(f *flags, bin string) *campaign {
	return &campaign{f: f, bin: bin, start: time.Now(), r: rand.New(rand.NewPCG(f.seed, 1))}
}

// run does jobs until there is no more.
func (c *campaign) run(ctx context.Context) error {
	var workers sync.WaitGroup
	for range c.f.par {
		workers.Go(func() {
			for {
				j, ok := c.take(ctx)
				if !ok {
					return
				}
				c.do(ctx, j)
			}
		})
	}
	workers.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// take is the next job: round after round, each drill with each number of nodes
// in random order.
func (c *campaign) take(ctx context.Context) (job, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	over := c.f.span > 0 && time.Since(c.start) > c.f.span || c.f.runs > 0 && c.next >= c.f.runs
	if over || ctx.Err() != nil || c.err != nil || c.failed >= c.f.failures {
		return job{}, false
	}
	if len(c.order) == 0 {
		for _, name := range c.f.drills {
			for _, n := range c.f.nodes {
				c.order = append(c.order, job{drill: name, nodes: n})
			}
		}
		c.r.Shuffle(len(c.order), func(i, j int) { c.order[i], c.order[j] = c.order[j], c.order[i] })
	}
	j := c.order[0]
	c.order = c.order[1:]
	j.number = c.next
	j.seed = c.r.Uint64() | 1
	if c.f.runs == 1 {
		j.seed = c.f.seed // that a failure told
	}
	c.next++
	return j, true
}

// do runs one drill once.
func (c *campaign) do(ctx context.Context, j job) {
	dir := filepath.Join(c.f.out, fmt.Sprintf("run-%04d", j.number))
	o := drill.Options{
		Binary: c.bin, Dir: dir, Nodes: j.nodes, Seed: j.seed, Drills: []string{j.drill}, MinRate: c.f.minRate, Keep: c.f.keep,
		Finished: func(r drill.Run) { c.tell(r) },
	}
	if c.f.verbose {
		o.Log = func(line string) { fmt.Println(line) }
	}
	rep, err := drill.Conduct(ctx, o)
	c.mu.Lock()
	defer c.mu.Unlock()
	if rep != nil {
		c.reports = append(c.reports, rep)
		if len(rep.Runs) > 0 && !rep.Passed() {
			c.failed++
		} else if !c.f.keep {
			os.RemoveAll(dir)
		}
	}
	if err != nil && !errors.Is(err, drill.ErrNothing) && ctx.Err() == nil && c.err == nil {
		c.err = err
	}
}

// tell prints a line about a run, and every check that failed.
func (c *campaign) tell(r drill.Run) {
	word := "ok  "
	if !r.Passed() {
		word = "FAIL"
	}
	fmt.Printf("%s %-18s %d nodes, seed %d: %d operations, %d of unknown outcome; outage %v, recovery %v, %v\n",
		word, r.Drill, r.Nodes, r.Seed, r.OK+r.Unknown+r.Refused, r.Unknown,
		r.Outage.Round(time.Millisecond), r.Recovery.Round(time.Millisecond), (r.To - r.From).Round(time.Millisecond))
	for _, k := range r.Checks {
		if !k.OK || c.f.verbose {
			fmt.Printf("     %v %s: %s\n", k.OK, k.Name, k.Detail)
		}
	}
	if !r.Passed() {
		fmt.Printf("     %s\n     logs and history: %s\n", repeat(r), r.Dir)
	}
}

// repeat is the command that does a run again.
func repeat(r drill.Run) string {
	return fmt.Sprintf("go run ./test/cluster/cmd/campaign -runs 1 -v -drill %s -nodes %d -seed %d", r.Drill, r.Nodes, r.Seed)
}
