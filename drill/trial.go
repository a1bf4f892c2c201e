package drill

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/drill/check"
	"github.com/doozer-store/doozer/drill/cluster"
)

const (
	// warmOps is how much must have been done before the harm, calmOps how much
	// after it.
	warmOps = 300
	calmOps = 300
	// hangLimit is how long anything may take that has to happen; only a hang
	// exceeds it.
	hangLimit = 60 * time.Second
)

// trial is one run of one drill. It belongs to the run's goroutine.
type trial struct {
	*series
	drill   Drill
	try     int // counts from 1
	run     Run
	invalid string // why the run proves nothing
	ops     []check.Op
}

// do is the run, from the empty directory to the verdict.
func (t *trial) do(ctx context.Context, tb cluster.TB, dir string) {
	r := rand.New(rand.NewPCG(t.run.Seed, nextSeed(t.run.Seed)))
	o := choose(r)
	if t.drill.setUp != nil {
		t.drill.setUp(o)
	}
	o.history = widened(o.history, t.try)
	t.logf("%s: %d nodes, seed %d, history %d, checkpoints every %d bytes", t.drill.Name, t.o.Nodes, t.run.Seed, o.history, o.checkpoint)
	c := cluster.Start(tb, cluster.Options{
		Binary: t.o.Binary, Nodes: t.o.Nodes, Dir: dir, Proxy: true, ClientProxy: true,
		History: o.history, CheckpointBytes: o.checkpoint, LoseReply: o.lose.lose, BeforeStart: o.mount,
	})
	watching, cancel := context.WithCancel(context.Background())
	var observing sync.WaitGroup
	tb.Cleanup(func() { cancel(); observing.Wait() })
	var observers []*observer
	for _, n := range c.Nodes() {
		ob, err := observe(watching, n, &observing)
		if err != nil {
			tb.Fatalf("%v", err)
		}
		observers = append(observers, ob)
	}
	t.meter.drill(t.drill.Name, true)
	t.run.From = t.meter.now()
	x := &scene{
		ctx: ctx, c: c, seed: t.run.Seed, r: r, o: o, now: t.meter.now, hold: t.o.Hold, meter: t.meter, log: t.logf,
		load: startLoad(c, t.meter, r, o.history), down: map[string]bool{}, cut: map[[2]string]bool{},
	}
	w, err := startWatchers(c, x.load, r)
	if err != nil {
		tb.Fatalf("%v", err)
	}
	if !t.warm(x) {
		return
	}
	t.harm(x)
	t.recover(x)
	t.judge(x, observers, w)
}

// choose picks what the nodes are started with: windows and logs so short that
// watches and followers meet their ends, or long ones.
func choose(r *rand.Rand) *setting {
	return &setting{
		history:    []int64{40, 100, 300, 2000}[r.IntN(4)],
		checkpoint: []int64{32 << 10, 128 << 10, 4 << 20}[r.IntN(3)],
		lose:       &replyLoser{every: 5},
	}
}

// widened is the window of a run that proved nothing before: on a machine with
// other things to do, observers may have fallen out of a short one.
func widened(history int64, try int) int64 {
	for ; try > 1 && history < 20_000; try-- {
		history *= 8
	}
	return history
}

// await waits until ok, and fails the run if that is never.
func (x *scene) await(what string, ok func() bool) {
	for deadline := time.Now().Add(hangLimit); !ok(); x.wait(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			x.c.TB().Fatalf("not within %v: %s; %s", hangLimit, what, x.c.StatusLine(x.c.Status()))
		}
	}
}

// warm lets the load run undisturbed for a while; false when it is too little to
// prove anything.
func (t *trial) warm(x *scene) bool {
	start, from := time.Now(), x.load.done.Load()
	x.await("the load begins", func() bool {
		return x.load.done.Load() >= from+warmOps || time.Since(start) > warmOps*time.Second/time.Duration(t.o.MinRate)
	})
	if rate := float64(x.load.done.Load()-from) / time.Since(start).Seconds(); rate < t.o.MinRate {
		t.invalid = fmt.Sprintf("%.0f operations/s before the harm, less than %.0f", rate, t.o.MinRate)
		return false
	}
	return true
}

// harm does the drill's harm, and holds it. While a majority of nodes can work
// together writes have to go on.
func (t *trial) harm(x *scene) {
	t.run.Harmed = t.meter.now()
	for _, s := range t.drill.harm {
		s(x)
	}
	x.load.harmed()
	x.wait(t.o.Hold)
	if len(x.undo) == 0 {
		return // all is undone already
	}
	x.goesOn()
}

// recover undoes all harm and waits until all is as before.
func (t *trial) recover(x *scene) {
	healed := x.load.history.Now()
	x.heal()
	t.run.Healed = t.meter.now()
	after := x.load.history.Now()
	x.load.harmed()
	x.await("a majority of nodes listen", x.listening)
	t.run.Starting = x.load.history.Now() - after
	x.ready()
	target := x.load.done.Load() + calmOps
	x.await("the load goes on after healing", func() bool { return x.load.fresh.Load() > 0 && x.load.done.Load() >= target })
	stopped := x.load.history.Now()
	t.meter.drill(t.drill.Name, false)
	t.ops = x.load.end()
	t.measure(x, healed, after, stopped)
}

// measure takes the times of a run from its history.
// What comes after stopped is the rest of a load that is ending, not an outage.
func (t *trial) measure(x *scene, healing, healed, stopped time.Duration) {
	offset := t.run.Healed - healed // of the report's clock against the history's
	from := t.run.Harmed - offset
	began, gap := check.WidestGap(t.ops, from, stopped)
	t.run.OutageFrom, t.run.Outage = began+offset, gap
	t.run.Recovery = math.MaxInt64
	var before, during []time.Duration
	for _, o := range t.ops {
		switch o.Outcome {
		case check.Unknown:
			t.run.Unknown++
			continue
		case check.Failed:
			t.run.Refused++
			continue
		}
		t.run.OK++
		switch {
		case o.Call < from:
			before = append(before, o.Return-o.Call)
		case o.Call < healing:
			during = append(during, o.Return-o.Call)
		}
		if o.Writes() && o.Outcome == check.OK && o.Return >= healed {
			t.run.Recovery = min(t.run.Recovery, o.Return-healed)
		}
	}
	t.run.Before, t.run.During = latency(before), latency(during)
}

// judge gathers the evidence once all nodes agree, and passes the verdict.
func (t *trial) judge(x *scene, observers []*observer, w *watchers) {
	t.run.Faults = x.faults
	if err := x.c.Equal(hangLimit); err != nil {
		x.check("equal nodes", err, "")
	}
	e := &evidence{ops: t.ops, history: x.o.history, trees: map[string][]check.Event{}, windows: map[string][]check.Event{}}
	for _, s := range x.c.Status() {
		e.rev = max(e.rev, s.Rev)
		t.report.Version = s.Version
	}
	for i, n := range x.c.Nodes() {
		e.trees[n.Name], e.windows[n.Name] = stateOf(x.c, w.libs[i], e.rev)
	}
	e.watched = w.finish(e.rev)
	top := max(e.rev, newest(e.watched)) // a late change is no false one
	x.await("all that was committed was watched", func() bool {
		for _, o := range observers {
			if o.seen() < top {
				return false
			}
		}
		return true
	})
	for _, o := range observers {
		e.stretches = append(e.stretches, o.recorded()...)
	}
	t.count(x, e)
	checks, holes := e.verdict()
	if len(holes) > 0 {
		t.invalid = fmt.Sprintf("nobody watched %d revs, from %d on", len(holes), holes[0])
	}
	t.run.Checks = append(append(t.run.Checks, x.checks...), checks...)
}

// newest is the last rev of all changes that watches were given.
func newest(watched []recording) int64 {
	rev := int64(0)
	for _, w := range watched {
		for _, it := range w.Items {
			rev = max(rev, it.Event.Rev)
		}
	}
	return rev
}

// stateOf reads the files of one node at rev, and what it has of the history up
// to there: the cluster itself may go on writing below /ctl.
func stateOf(c *cluster.Cluster, cl *client.Client, rev int64) (files, window []check.Event) {
	ctx, cancel := context.WithTimeout(context.Background(), hangLimit)
	defer cancel()
	for f, err := range cl.Walk(ctx, everything, client.Local(), client.AtRev(rev)) {
		if err != nil {
			c.TB().Fatalf("the files of a node: %v", err)
		}
		files = append(files, fileOf(f))
	}
	oldest, _, err := cl.Window(ctx, client.Local())
	if err != nil {
		c.TB().Fatalf("the window of a node: %v", err)
	}
	for ev, err := range cl.Log(ctx, everything, client.Local(), client.From(oldest+1), client.To(rev)) {
		if err != nil {
			c.TB().Fatalf("the history of a node: %v", err)
		}
		e := fileOf(ev.File)
		e.Del = ev.Del
		window = append(window, e)
	}
	return files, window
}

// count sums up what watches met.
func (t *trial) count(x *scene, e *evidence) {
	for _, w := range e.watched {
		t.run.Streams++
		if w.TooLate != 0 {
			t.run.TooLate++
		}
		for _, it := range w.Items {
			switch it.Kind {
			case check.Change:
				t.run.Watched++
			case check.Resync:
				t.run.Resyncs++
			}
		}
	}
	for _, n := range x.c.Nodes() {
		t.run.Snapshots += strings.Count(n.Tail(math.MaxInt), "snapshot installed")
	}
}

// keep writes what callers did beside the nodes' logs.
func (t *trial) keep(dir string) {
	var b strings.Builder
	for _, c := range t.run.Checks {
		if !c.OK {
			fmt.Fprintf(&b, "%s:\n%s\n\n", c.Name, c.Detail)
		}
	}
	for _, f := range t.run.Faults {
		fmt.Fprintf(&b, "%v to %v: %s\n", f.From, f.To, f.What)
	}
	for _, o := range t.ops {
		fmt.Fprintln(&b, o)
	}
	if err := os.WriteFile(filepath.Join(dir, "history.txt"), []byte(b.String()), 0o644); err != nil {
		t.logf("keeping the history: %v", err)
	}
}
