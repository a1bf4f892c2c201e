package main

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// options are what the command line chose.
type options struct {
	systems []string
	works   []*work
	rounds  int
	nodes   int
	span    time.Duration
	warm    time.Duration
	keys    int
	value   int
	files   int
	whole   bool
	dir     string
	out     string
	docs    string
	render  string
	profile string

	at  *place    // the files that throughput work reads and writes
	say *progress // of the run
}

func main() {
	if len(os.Args) > 3 && os.Args[1] == childArg {
		fmt.Fprintln(os.Stderr, "bench:", part(os.Args[2:]))
		os.Exit(2)
	}
	o, err := parse(os.Args[1:])
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(64)
	}
	do := run
	if o.render != "" {
		do = render
	}
	if err := do(o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
}

func parse(args []string) (*options, error) {
	o, c := &options{}, &choice{}
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	names := fs.String("systems", "doozer,etcd,zookeeper", "what is compared, `list` of doozer, doozer-unary, etcd, zookeeper, echo; ratios are the first one's")
	works := fs.String("work", "set,get,localget,mixed", "`list` of work, see -list; all: everything but growth; growth: how cost grows")
	callers := fs.String("callers", "1:1,64:16,1000:100,1000:16", "callers:connections of throughput work, `list`")
	watchers := fs.String("watchers", "1,100,1000,10000", "numbers of watchers, `list`")
	waiters := fs.String("waiters", "1,10,100", "numbers of waiters for a lock, `list`")
	rates := fs.String("rates", "1000,5000,20000", "calls a second of open-loop work, `list`")
	fs.BoolVar(&c.quick, "quick", false, "how cost grows: fewer and smaller sizes")
	fs.IntVar(&o.rounds, "rounds", 5, "how often all of it is done")
	fs.IntVar(&o.nodes, "nodes", 3, "servers of each system")
	fs.DurationVar(&o.span, "for", 5*time.Second, "how long each measurement takes")
	fs.DurationVar(&o.warm, "warm", time.Second, "how long callers run before")
	fs.IntVar(&o.keys, "keys", 100_000, "`files` that are written and read")
	fs.IntVar(&o.value, "value", 256, "`bytes` of each value")
	fs.IntVar(&o.files, "files", 1_000_000, "`files` of the work million and newcomer")
	fs.BoolVar(&o.whole, "whole", false, "systems alternate once a round, and not after each kind of work: fewer starts")
	fs.StringVar(&o.dir, "dir", "", "`directory` for the servers' data; empty: a temporary one")
	fs.StringVar(&o.out, "out", "bench-results", "`directory` for results.json, results.md and plots")
	fs.StringVar(&o.docs, "docs", "", "`directory` of documents whose tables and plots are written anew")
	fs.StringVar(&o.render, "render", "", "measure nothing, show this results.json, `file`")
	fs.StringVar(&o.profile, "profile", "", "`file` for a profile of the load's processor time: what the harness and the clients use")
	list := fs.Bool("list", false, "say what work there is")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if *list {
		fmt.Println(strings.Join(append(workNames, growthNames...), "\n"))
		return nil, flag.ErrHelp
	}
	o.systems = strings.Split(*names, ",")
	for _, n := range o.systems {
		if systems[n] == nil {
			return nil, fmt.Errorf("-systems: %q is none of doozer, doozer-unary, etcd, zookeeper, echo", n)
		}
	}
	if o.rounds < 1 || o.nodes < 1 || o.keys < 1000 || o.value < 8 || o.span <= 0 || o.warm < 0 || o.files < 1000 {
		return nil, errors.New("-rounds, -nodes and -for must be positive, -keys and -files at least 1000, -value at least 8")
	}
	for _, l := range []struct {
		flag, text string
		to         *[]int
	}{{"watchers", *watchers, &c.watchers}, {"waiters", *waiters, &c.waiters}, {"rates", *rates, &c.rates}} {
		var err error
		if *l.to, err = numbers(l.text); err != nil {
			return nil, fmt.Errorf("-%s: %w", l.flag, err)
		}
	}
	var err error
	if c.pairs, err = callerPairs(*callers); err != nil {
		return nil, err
	}
	o.works, err = c.works(*works)
	return o, err
}

func numbers(list string) ([]int, error) {
	var out []int
	for s := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%q is not a positive number", s)
		}
		out = append(out, n)
	}
	return out, nil
}

// callerPairs reads "1:1,64:16".
func callerPairs(list string) ([][2]int, error) {
	var out [][2]int
	for s := range strings.SplitSeq(list, ",") {
		pair, err := numbers(strings.ReplaceAll(s, ":", ","))
		if err != nil || len(pair) != 2 || pair[1] > pair[0] {
			return nil, fmt.Errorf("-callers: %q is not callers:connections, like 64:16", s)
		}
		out = append(out, [2]int{pair[0], pair[1]})
	}
	return out, nil
}

// run does all rounds and writes the results after each, so that a run that is
// cut short has given something. Systems alternate: within a round, group of
// works by group of works.
func run(o *options) error {
	setGC()
	dir, err := os.MkdirTemp(o.dir, "bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	if o.profile != "" {
		f, err := os.Create(o.profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	r := newResults(o.systems, machine(dir))
	fmt.Printf("%s\n%s\n", r.Machine, r.Load)
	o.at = places("/load", o.keys, o.value)
	groups := grouped(o.works, o.whole)
	o.say = newProgress(os.Stderr, o.rounds*len(o.systems)*len(o.works))
	defer o.say.close()
	for round := range o.rounds {
		for i, g := range groups {
			for k := range o.systems {
				name := o.systems[(k+round)%len(o.systems)] // each comes after each other
				t := &turn{r: r, o: o, name: name, works: g, round: round + 1, dir: filepath.Join(dir, fmt.Sprintf("%s-%d-%d", name, round, i))}
				if err := t.do(); err != nil {
					return err
				}
			}
			if err := r.save(filepath.Join(o.out, "results.json")); err != nil {
				return err
			}
		}
	}
	return r.show(o)
}

// render shows results again.
func render(o *options) error {
	r, err := read(o.render)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	return r.show(o)
}

// turn is one system's go at a group of works: started, filled, worked on,
// stopped.
type turn struct {
	r     *results
	o     *options
	name  string
	works []*work
	round int
	dir   string
}

func (t *turn) do() error {
	if err := os.MkdirAll(t.dir, 0o755); err != nil {
		return err
	}
	defer func() {
		// A server that was killed may have had a file half made.
		if err := os.RemoveAll(t.dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			fmt.Fprintln(os.Stderr, "bench:", err)
		}
	}()
	syscall.Sync() // what the system before has left to write is not this one's burden
	nodes := t.o.nodes
	if t.works[0].nodes > 0 {
		nodes = t.works[0].nodes
	}
	s := systems[t.name]()
	defer s.stop()
	t.r.Settings[t.name] = s.settings()
	t.o.say.begin(fmt.Sprintf("round %d, %s starts", t.round, t.name))
	if err := s.start(t.dir, nodes); err != nil {
		fmt.Fprintf(os.Stderr, "%s is left out: %v\n", t.name, err)
		for _, p := range s.nodes() {
			fmt.Fprintf(os.Stderr, "%s", p.tail())
		}
		for _, w := range t.works {
			t.one(w, nil, err)
		}
		return nil
	}
	filled := false
	for _, w := range t.works {
		t.o.say.begin(fmt.Sprintf("round %d, %s, %s", t.round, t.name, w.name))
		if _, echoes := s.(*echo); w.filled && !filled && !echoes {
			if _, err := fill(s, t.o, "/load", 0, t.o.keys, t.o.value); err != nil {
				t.one(w, nil, err)
				continue
			}
			filled = true
		}
		f, err := w.do(s, t.o)
		t.one(w, f, err)
	}
	return nil
}

// one notes what a work gave.
func (t *turn) one(w *work, f figures, err error) {
	t.r.add(w, t.name, f, err)
	t.o.say.end(fmt.Sprintf("round %d  %-12s %-34s %s", t.round, t.name, w.name, brief(f, err)))
}
