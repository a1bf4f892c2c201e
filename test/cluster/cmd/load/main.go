// Load measures a doozer cluster: rates and latencies of reads and writes, the
// filling with many files, and how long writes stop when the leader ends.
//
//	go run ./test/cluster/cmd/load -start -op set -callers 1,64,1000 -conns 1,16,100
//	go run ./test/cluster/cmd/load -uri 127.0.0.1:8046 -op mixed -callers 64 -for 10s
//	go run ./test/cluster/cmd/load -start -fill 1000000
//	go run ./test/cluster/cmd/load -start -kill 10 -term 10
//
// With -start it runs a cluster of its own on this machine, with data below
// -dir, and stops it at the end. Callers are goroutines that each wait for
// their answer before they ask again; -conns is how many client.Clients they
// are spread over.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/drill/cluster"
	"github.com/doozer-store/doozer/test/cluster/build"
)

// flags is the command line.
type flags struct {
	uri       string
	start     bool
	nodes     int
	dir       string
	nodeArgs  string
	ops       []string
	callers   []int
	conns     []int
	valueSize int
	keys      int
	span      time.Duration
	warm      time.Duration
	fill      int
	kill      int
	term      int
}

func main() {
	f, err := parse(os.Args[1:])
	if err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "load:", err)
		}
		os.Exit(64)
	}
	t := &tb{dir: f.dir}
	t.Cleanup(build.CleanUp)
	defer t.finish()
	var c *cluster.Cluster
	if f.start {
		bin, err := build.Doozerd()
		if err != nil {
			t.Fatalf("%v", err)
		}
		c = cluster.Start(t, cluster.Options{Binary: bin, Nodes: f.nodes, History: 100_000, Args: strings.Fields(f.nodeArgs)})
		f.uri = c.URI()
	}
	run(t, c, f)
}

// run does what the flags ask for, in one order.
func run(t *tb, c *cluster.Cluster, f *flags) {
	switch {
	case f.fill > 0:
		fillFiles(t, c, f)
	case f.kill > 0 || f.term > 0:
		harmLeader(t, c, f)
	default:
		measureAll(t, f)
	}
}

func parse(args []string) (*flags, error) {
	f := &flags{}
	fs := flag.NewFlagSet("load", flag.ContinueOnError)
	fs.StringVar(&f.uri, "uri", os.Getenv("DOOZER_URI"), "`addresses` of the cluster")
	fs.BoolVar(&f.start, "start", false, "start a cluster and use that")
	fs.IntVar(&f.nodes, "nodes", 3, "of the started cluster")
	fs.StringVar(&f.dir, "dir", "", "`directory` for the started cluster's data; empty: a temporary one")
	fs.StringVar(&f.nodeArgs, "node-args", "", "further `flags` of the started nodes")
	fs.IntVar(&f.valueSize, "value", 256, "`bytes` of each value")
	fs.IntVar(&f.keys, "keys", 100_000, "`files` that are written and read")
	fs.DurationVar(&f.span, "for", 5*time.Second, "how long each measurement takes")
	fs.DurationVar(&f.warm, "warm", time.Second, "how long callers run before")
	fs.IntVar(&f.fill, "fill", 0, "write so many `files`, once each, and tell how that went")
	fs.IntVar(&f.kill, "kill", 0, "kill -9 the leader so many `times` under load")
	fs.IntVar(&f.term, "term", 0, "SIGTERM the leader so many `times` under load")
	ops := fs.String("op", "set,get,localget", "what to measure: set, get, localget, mixed (nine gets to a set), `list`")
	callers := fs.String("callers", "1,64,1000", "concurrent callers, `list`")
	conns := fs.String("conns", "1", "clients they share, `list`")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	f.ops = strings.Split(*ops, ",")
	var err error
	if f.callers, err = numbers(*callers); err != nil {
		return nil, fmt.Errorf("-callers: %w", err)
	}
	if f.conns, err = numbers(*conns); err != nil {
		return nil, fmt.Errorf("-conns: %w", err)
	}
	for _, op := range f.ops {
		if verbOf(op) == nil {
			return nil, fmt.Errorf("-op: %q is none of set, get, localget, mixed", op)
		}
	}
	switch {
	case !f.start && f.uri == "":
		return nil, errors.New("give -uri, or -start")
	case !f.start && f.kill+f.term > 0:
		return nil, errors.New("-kill and -term need -start")
	case f.valueSize < 0 || f.keys < 1 || f.span <= 0:
		return nil, errors.New("-value, -keys and -for must be positive")
	}
	return f, nil
}

// numbers reads "1,64,1000".
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

// open opens n clients.
func open(t *tb, uri string, n int) []*client.Client {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cs := make([]*client.Client, n)
	for i := range cs {
		var err error
		if cs[i], err = client.Open(ctx, uri); err != nil {
			t.Fatalf("open %s: %v", uri, err)
		}
	}
	return cs
}

func closeAll(cs []*client.Client) {
	for _, c := range cs {
		c.Close()
	}
}
