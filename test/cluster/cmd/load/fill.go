package main

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/drill/cluster"
)

// fillCallers is how many write at once.
const fillCallers = 256

// filled is how a fill went.
type filled struct {
	took    time.Duration
	latency histogram
	// gap is the longest time without a successful write.
	gap time.Duration
}

// pulse finds the longest time between two beats.
type pulse struct {
	start time.Time
	last  atomic.Int64 // since start
	gap   atomic.Int64
}

func (p *pulse) beat() {
	now := int64(time.Since(p.start))
	gap := now - p.last.Swap(now)
	for old := p.gap.Load(); gap > old && !p.gap.CompareAndSwap(old, gap); old = p.gap.Load() {
	}
}

// fill writes n files below prefix, once each.
func fill(t *tb, cs []*client.Client, prefix string, n, valueSize int) *filled {
	start := time.Now()
	p := &pulse{start: start}
	var next atomic.Int64
	var all sync.WaitGroup
	hists := make([]histogram, fillCallers)
	for i := range fillCallers {
		all.Go(func() {
			value := make([]byte, valueSize)
			for k := next.Add(1) - 1; k < int64(n); k = next.Add(1) - 1 {
				copy(value, fmt.Sprint(k))
				ctx, cancel := context.WithTimeout(context.Background(), callLimit)
				called := time.Now()
				_, err := cs[i%len(cs)].Set(ctx, keyPath(prefix, int(k)), value)
				cancel()
				if err != nil {
					t.Fatalf("%v", err)
				}
				hists[i].add(time.Since(called))
				p.beat()
			}
		})
	}
	all.Wait()
	f := &filled{took: time.Since(start), gap: time.Duration(p.gap.Load())}
	for i := range hists {
		f.latency.merge(&hists[i])
	}
	return f
}

// fillFiles is the mode -fill: it writes the files and tells what they cost.
func fillFiles(t *tb, c *cluster.Cluster, f *flags) {
	cs := open(t, f.uri, 4)
	r := fill(t, cs, "/fill", f.fill, f.valueSize)
	fmt.Printf("%d files of %d bytes in %v: %.0f/s; write latency p50 %v, p99 %v, max %v; longest time without a write %v\n",
		f.fill, f.valueSize, r.took.Round(10*time.Millisecond), float64(f.fill)/r.took.Seconds(),
		short(r.latency.quantile(0.5)), short(r.latency.quantile(0.99)), short(r.latency.max), short(r.gap))
	if c == nil {
		closeAll(cs)
		return
	}
	for name, s := range c.Status() {
		n := c.Node(name)
		fmt.Printf("node %s: %s, %d files, RSS %d MiB, on disk %d MiB (db %d MiB, log %d MiB)\n",
			name, s.Role, s.Files, n.RSS()>>20, diskUse(t, n.DataDir())>>20, s.DBSize>>20, s.LogSize>>20)
	}
	closeAll(cs)
	restarts(c)
}

// restarts tells how long one node, and then all, take to serve again.
func restarts(c *cluster.Cluster) {
	follower := c.Others(c.Leader())[0]
	for _, end := range []struct {
		how string
		fn  func()
	}{
		{"kill -9", follower.Kill},
		{"SIGTERM", func() { follower.Term() }},
	} {
		end.fn()
		start := time.Now()
		follower.Restart()
		fmt.Printf("%s of a follower: serves %v after it was started, RSS %d MiB\n", end.how, time.Since(start).Round(time.Millisecond), follower.RSS()>>20)
	}
	for _, n := range c.Nodes() {
		n.Kill()
	}
	start := time.Now()
	for _, n := range c.Nodes() {
		n.Start()
	}
	for _, n := range c.Nodes() {
		n.WaitReady()
	}
	fmt.Printf("kill -9 of all nodes: all serve %v after they were started\n", time.Since(start).Round(time.Millisecond))
}

// diskUse is the sum of the sizes of the files in dir.
func diskUse(t *tb, dir string) int64 {
	var sum int64
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			sum += info.Size()
		}
		return err
	})
	if err != nil {
		t.Errorf("size of %s: %v", dir, err)
	}
	return sum
}

// harmLeader is the modes -kill and -term.
func harmLeader(t *tb, c *cluster.Cluster, f *flags) {
	cs := open(t, f.uri, f.conns[0])
	defer closeAll(cs)
	for _, way := range []struct {
		how   string
		times int
		end   func(n *cluster.Node)
	}{
		{"kill -9", f.kill, (*cluster.Node).Kill},
		{"SIGTERM", f.term, func(n *cluster.Node) { n.Term() }},
	} {
		if way.times == 0 {
			continue
		}
		load := cluster.StartLoad(cluster.LoadOptions{Writers: 12, Clients: cs, Prefix: fmt.Sprintf("/%c", way.how[0]), ValueSize: f.valueSize})
		var gaps []time.Duration
		for range way.times {
			leader := c.Leader()
			gaps = append(gaps, load.Gap(t, 1000, func() { way.end(leader) }))
			leader.Restart()
		}
		ok, unknown, failed := cluster.Tally(load.Stop())
		fmt.Printf("%s of the leader, %d times, 12 writers over %d clients: time without a successful write: %s; %d writes, %d of unknown outcome, %d failed\n",
			way.how, way.times, len(cs), cluster.Times(gaps), ok, unknown, failed)
	}
}
