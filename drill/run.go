package drill

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/doozer-store/doozer/drill/cluster"
)

const (
	defaultHold    = 1200 * time.Millisecond
	defaultMinRate = 50
	// attempts is how often a run that proves nothing is made.
	attempts = 3
	// reportEvery is how many samples there are to one Progress.
	reportEvery = 2
)

// ErrNothing says that this machine can run none of the drills asked for.
var ErrNothing = errors.New("none of the drills can be run on this machine")

// errInvalid is why a run proves nothing.
type errInvalid struct{ why string }

func (e errInvalid) Error() string { return e.why }

// Conduct runs drills one after another, each on a cluster of its own, and judges
// each. The error is that of ctx, or says what is wrong with the options; then
// the report, if there is one, tells of the runs that were finished.
func Conduct(ctx context.Context, o Options) (*Report, error) {
	g, err := prepare(&o)
	if errors.Is(err, ErrNothing) {
		return g.report, err
	} else if err != nil {
		return nil, err
	}
	defer g.cleanUp()
	told := make(chan struct{})
	over := make(chan struct{})
	go func() {
		defer close(told)
		g.tell(over)
	}()
	err = g.all(ctx)
	close(over)
	<-told
	g.report.Length = g.meter.now()
	g.report.Samples = g.meter.all()
	return g.report, err
}

// series is the runs of one Conduct.
type series struct {
	o       Options
	todo    []Drill
	meter   *meter
	report  *Report
	scratch bool // the directory is ours to remove

	mu   sync.Mutex
	done []Run // finished, not yet told; guarded by mu
}

// prepare checks the options and fills in defaults.
func prepare(o *Options) (*series, error) {
	if o.Nodes == 0 {
		o.Nodes = 3
	}
	if o.Nodes != 3 && o.Nodes != 5 {
		return nil, fmt.Errorf("%d nodes: drills need 3 or 5", o.Nodes)
	}
	if o.Seed == 0 {
		o.Seed = uint64(time.Now().UnixNano())
	}
	if o.Hold == 0 {
		o.Hold = defaultHold
	}
	if o.MinRate == 0 {
		o.MinRate = defaultMinRate
	}
	g := &series{o: *o, meter: newMeter(), report: &Report{Started: time.Now(), Nodes: o.Nodes, Seed: o.Seed}}
	if err := g.pick(); err != nil {
		return g, err
	}
	if _, err := exec.LookPath(o.Binary); err != nil {
		return nil, fmt.Errorf("the doozerd to run: %w", err)
	}
	return g, g.directory()
}

// pick finds the drills to run, and leaves out what this machine can't do.
func (g *series) pick() error {
	known := Drills()
	for _, name := range g.o.Drills {
		if !slices.ContainsFunc(known, func(d Drill) bool { return d.Name == name }) {
			return fmt.Errorf("there is no drill %q", name)
		}
	}
	for _, d := range known {
		switch {
		case len(g.o.Drills) > 0 && !slices.Contains(g.o.Drills, d.Name):
		case d.Missing != "":
			g.report.Skipped = append(g.report.Skipped, Skip{d.Name, d.Missing})
		default:
			g.todo = append(g.todo, d)
		}
	}
	if len(g.todo) == 0 {
		return ErrNothing
	}
	return nil
}

// directory makes where data and logs go.
func (g *series) directory() error {
	if g.o.Dir == "" {
		dir, err := os.MkdirTemp("", "doozer-drill-")
		g.o.Dir, g.scratch = dir, true
		return err
	}
	if err := os.MkdirAll(g.o.Dir, 0o755); err != nil {
		return err
	}
	there, err := os.ReadDir(g.o.Dir)
	if err == nil && len(there) > 0 {
		err = fmt.Errorf("%s is not empty", g.o.Dir)
	}
	return err
}

// cleanUp removes what nobody asked for, unless it tells of a failure.
func (g *series) cleanUp() {
	if g.scratch && !slices.ContainsFunc(g.report.Runs, func(r Run) bool { return !r.Passed() }) {
		os.RemoveAll(g.o.Dir)
	}
}

// tell samples, and reports progress, until over is closed.
func (g *series) tell(over <-chan struct{}) {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for n := 0; ; n++ {
		last := false
		select {
		case <-tick.C:
		case <-over:
			last = true
		}
		p := g.meter.sample()
		g.mu.Lock()
		done := g.done
		g.done = nil
		g.mu.Unlock()
		for _, r := range done {
			if g.o.Finished != nil {
				g.o.Finished(r)
			}
		}
		if g.o.Progress != nil && (n%reportEvery == 0 || last) {
			g.o.Progress(p)
		}
		if last {
			return
		}
	}
}

// all runs the drills until the time is over.
func (g *series) all(ctx context.Context) error {
	seed := g.o.Seed
	for i := 0; ; i++ {
		if i >= len(g.todo) && (g.o.For == 0 || g.meter.now() >= g.o.For) {
			return nil
		}
		if g.o.For > 0 && i > 0 && g.meter.now() >= g.o.For {
			return nil
		}
		if err := g.one(ctx, g.todo[i%len(g.todo)], i, seed); err != nil {
			return err
		}
		seed = nextSeed(seed)
	}
}

// nextSeed is the seed of the next run (splitmix64).
func nextSeed(s uint64) uint64 {
	s += 0x9e3779b97f4a7c15
	z := (s ^ s>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31 | 1
}

// one runs a drill until it proves something, and keeps what it found.
func (g *series) one(ctx context.Context, d Drill, number int, seed uint64) error {
	for try := 1; ; try++ {
		dir := filepath.Join(g.o.Dir, fmt.Sprintf("%03d-%s-%d", number+1, d.Name, try))
		r, err := g.attempt(ctx, d, seed, try, dir)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var invalid errInvalid
		if errors.As(err, &invalid) {
			g.report.Invalid = append(g.report.Invalid, Skip{d.Name, invalid.why})
			if try < attempts {
				os.RemoveAll(dir)
				continue
			}
			r.Checks = append(r.Checks, Check{Name: "valid", Detail: invalid.why})
		}
		if r.Passed() && !g.o.Keep {
			os.RemoveAll(dir)
		} else {
			r.Dir = dir
		}
		g.report.Runs = append(g.report.Runs, r)
		g.meter.finished(r)
		g.mu.Lock()
		g.done = append(g.done, r)
		g.mu.Unlock()
		return nil
	}
}

// attempt runs a drill, for the try-th time. The error is errInvalid or nil; what
// went wrong with the cluster is a failed check.
func (g *series) attempt(ctx context.Context, d Drill, seed uint64, try int, dir string) (Run, error) {
	t := &trial{series: g, drill: d, try: try, run: Run{Drill: d.Name, Seed: seed, Nodes: g.o.Nodes}}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return t.run, err
	}
	defer g.meter.drill("", false)
	err := cluster.RunSolo(d.Name, dir, g.logf, func(tb cluster.TB) { t.do(ctx, tb, dir) })
	c := Check{Name: "processes", OK: err == nil, Detail: "no node ended unbidden, none panicked, all came back"}
	if err != nil {
		c.Detail = err.Error()
	}
	t.run.Checks = append(t.run.Checks, c)
	t.run.To = g.meter.now()
	if t.invalid != "" && t.run.Passed() {
		return t.run, errInvalid{t.invalid}
	}
	if !t.run.Passed() || g.o.Keep {
		t.keep(dir)
	}
	return t.run, nil
}

func (g *series) logf(format string, args ...any) {
	if g.o.Log != nil {
		g.o.Log(fmt.Sprintf("%8.3f ", g.meter.now().Seconds()) + fmt.Sprintf(format, args...))
	}
}
