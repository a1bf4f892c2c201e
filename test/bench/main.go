package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// options are what the command line chose.
type options struct {
	systems []string
	works   []work
	rounds  int
	nodes   int
	span    time.Duration
	warm    time.Duration
	keys    int
	value   int
	files   int
	dir     string
	out     string
}

// work is a piece of work, done on every system in every round.
type work struct {
	name string
	do   func(s system, o *options) (figures, error)
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
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
}

func parse(args []string) (*options, error) {
	o := &options{}
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	names := fs.String("systems", "doozer,etcd,zookeeper", "what is compared, `list` of doozer, doozer-unary, etcd, zookeeper, echo")
	works := fs.String("work", "set,get,localget,mixed", "`list` of work, see -list; all: everything")
	callers := fs.String("callers", "1:1,64:16,1000:100", "callers:connections of throughput work, `list`")
	watchers := fs.String("watchers", "1000", "numbers of watchers, `list`")
	waiters := fs.String("waiters", "1,10,100", "numbers of waiters for a lock, `list`")
	fs.IntVar(&o.rounds, "rounds", 5, "how often all of it is done")
	fs.IntVar(&o.nodes, "nodes", 3, "servers of each system")
	fs.DurationVar(&o.span, "for", 5*time.Second, "how long each measurement takes")
	fs.DurationVar(&o.warm, "warm", time.Second, "how long callers run before")
	fs.IntVar(&o.keys, "keys", 100_000, "`files` that are written and read")
	fs.IntVar(&o.value, "value", 256, "`bytes` of each value")
	fs.IntVar(&o.files, "files", 1_000_000, "`files` of the work million")
	fs.StringVar(&o.dir, "dir", "", "`directory` for the servers' data; empty: a temporary one")
	fs.StringVar(&o.out, "out", "bench-results", "`directory` for results.json and plots")
	list := fs.Bool("list", false, "say what work there is")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if *list {
		fmt.Println(strings.Join(workNames, "\n"))
		return nil, flag.ErrHelp
	}
	o.systems = strings.Split(*names, ",")
	for _, n := range o.systems {
		if systems[n] == nil {
			return nil, fmt.Errorf("-systems: %q is none of doozer, doozer-unary, etcd, zookeeper, echo", n)
		}
	}
	if o.rounds < 1 || o.nodes < 1 || o.keys < 1000 || o.value < 8 || o.span <= 0 || o.files < 1000 {
		return nil, errors.New("-rounds, -nodes and -for must be positive, -keys and -files at least 1000, -value at least 8")
	}
	pairs, err := callerPairs(*callers)
	if err != nil {
		return nil, err
	}
	counts, err := numbers(*watchers)
	if err != nil {
		return nil, fmt.Errorf("-watchers: %w", err)
	}
	waiting, err := numbers(*waiters)
	if err != nil {
		return nil, fmt.Errorf("-waiters: %w", err)
	}
	o.works, err = chosen(*works, pairs, counts, waiting)
	return o, err
}

// workNames are the names that -work takes, in the order in which work is done.
var workNames = []string{
	"idle", "set", "create", "cas", "txn", "get", "localget", "list", "mixed", "fanout", "delivery", "globs", "lock", "handoff", "holders", "takeover", "hostloss", "elect", "ring", "kill", "million",
}

// chosen are the works of these names, in their order.
func chosen(list string, pairs [][2]int, watchers, waiters []int) ([]work, error) {
	want := map[string]bool{}
	for n := range strings.SplitSeq(list, ",") {
		want[n] = true
	}
	var out []work
	for _, n := range workNames {
		if want[n] || want["all"] {
			out = append(out, worksOf(n, pairs, watchers, waiters)...)
		}
		delete(want, n)
	}
	delete(want, "all")
	for n := range want {
		return nil, fmt.Errorf("-work: %q is none of %s, all", n, strings.Join(workNames, ", "))
	}
	return out, nil
}

// worksOf makes one work of a name for each number of callers, watchers or
// waiters.
func worksOf(name string, pairs [][2]int, watchers, waiters []int) []work {
	var out []work
	switch name {
	case "idle":
		return []work{{name, idle}}
	case "kill":
		return []work{{"kill -9 of the leader", killLeader}}
	case "million":
		return []work{{"million files", million}}
	case "holders":
		return []work{{fmt.Sprintf("%d sessions with %d locks each, idle", idleClients, idleLocks), recipe(idleHolders)}}
	case "takeover":
		return []work{{"kill -9 of a lock's holder on this host", recipe(takeOver)}}
	case "hostloss":
		return []work{{fmt.Sprintf("a holder's machine is gone, TTL %v", lockTTL), recipe(hostLoss)}}
	case "elect":
		return []work{{"kill -9 of the elected leader", recipe(leaders)}}
	case "ring":
		return []work{{fmt.Sprintf("a new ring for %d clients", ringClients), recipe(epochs)}}
	case "fanout", "delivery", "globs":
		do := map[string]func(system, *options, int) (figures, error){"fanout": fanout, "delivery": delivery, "globs": globs}[name]
		for _, n := range watchers {
			out = append(out, work{fmt.Sprintf("%s, %d watchers", name, n), func(s system, o *options) (figures, error) { return do(s, o, n) }})
		}
	case "handoff":
		for _, n := range waiters {
			out = append(out, work{fmt.Sprintf("hand-off of a lock, %d waiters", n), func(s system, o *options) (figures, error) { return handOff(s, o, n) }})
		}
	case "lock":
		for _, p := range pairs {
			out = append(out, work{fmt.Sprintf("lock+unlock, %d callers on %d", p[0], p[1]), func(s system, o *options) (figures, error) {
				return uncontended(s, o, p[0], p[1])
			}})
		}
	default:
		for _, p := range pairs {
			out = append(out, work{fmt.Sprintf("%s, %d callers on %d", name, p[0], p[1]), func(s system, o *options) (figures, error) {
				return throughput(s, o, name, p[0], p[1])
			}})
		}
	}
	return out
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
// cut short has given something.
func run(o *options) error {
	r := newResults(o.systems)
	dir, err := os.MkdirTemp(o.dir, "bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	fmt.Println(r.Machine)
	for round := range o.rounds {
		for _, name := range o.systems {
			if err := turn(r, o, name, filepath.Join(dir, fmt.Sprintf("%s-%d", name, round)), round); err != nil {
				return err
			}
		}
		if err := errors.Join(r.save(filepath.Join(o.out, "results.json")), r.plots(o.out)); err != nil {
			return err
		}
	}
	r.table(os.Stdout)
	return nil
}

// turn is one system in one round: started, filled, worked on, stopped.
func turn(r *results, o *options, name, dir string, round int) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s := systems[name]()
	defer s.stop()
	r.Settings[name] = s.settings()
	if err := s.start(dir, o.nodes); err != nil {
		fmt.Fprintf(os.Stderr, "%s is left out: %v\n", name, err)
		for _, p := range s.nodes() {
			fmt.Fprintf(os.Stderr, "%s", p.tail())
		}
		for _, w := range o.works {
			r.add(w.name, name, nil, err)
		}
		return nil
	}
	if _, echoes := s.(*echo); !echoes {
		if _, err := fill(s, "/load", o.keys, 1000, 16, o.value); err != nil {
			return fmt.Errorf("%s: filling: %w", name, err)
		}
	}
	for _, w := range o.works {
		f, err := w.do(s, o)
		r.add(w.name, name, f, err)
		fmt.Fprintf(os.Stderr, "round %d  %-12s %-34s %s\n", round+1, name, w.name, brief(f, err))
	}
	return nil
}
