// Campaign runs drills one after another, as long as it is told to: real
// clusters of 3 and 5 nodes, every kind of harm, every check. It writes a report
// and ends with status 1 when a check failed.
//
//	go run ./test/cluster/cmd/campaign -for 1h -par 2
//	go run ./test/cluster/cmd/campaign -runs 1 -drill cut-any -nodes 5 -seed 42 -v
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/doozer-store/doozer/drill"
	"github.com/doozer-store/doozer/test/cluster/build"
)

// flags are what the program is told.
type flags struct {
	span     time.Duration
	runs     int
	par      int
	seed     uint64
	nodes    []int
	drills   []string
	out      string
	failures int
	minRate  float64
	verbose  bool
	keep     bool
}

func parse(args []string) (*flags, error) {
	f := &flags{}
	fs := flag.NewFlagSet("campaign", flag.ContinueOnError)
	fs.DurationVar(&f.span, "for", 0, "begin no run after this `time`; 0: do every drill once with every number of nodes")
	fs.IntVar(&f.runs, "runs", 0, "end after so many `runs`; 0: when the time is over")
	fs.IntVar(&f.par, "par", 1, "so many `clusters` side by side")
	fs.Uint64Var(&f.seed, "seed", 0, "of everything random; 0: from the clock")
	nodes := fs.String("nodes", "3,5", "`list` of cluster sizes")
	drills := fs.String("drill", "", "`list` of drills; empty: all that this machine can run")
	fs.StringVar(&f.out, "out", "", "`directory` for the report and for what failed runs left; empty: a temporary one")
	fs.IntVar(&f.failures, "failures", 5, "end after so many failed `runs`")
	fs.Float64Var(&f.minRate, "min-rate", 0, "`operations` a second below which a run is invalid; 0: 50")
	fs.BoolVar(&f.keep, "keep", false, "keep logs and data of runs that passed, too")
	fs.BoolVar(&f.verbose, "v", false, "tell what happens in each run, and every check")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	for _, s := range strings.Split(*nodes, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n != 3 && n != 5 {
			return nil, fmt.Errorf("-nodes: %q is neither 3 nor 5", s)
		}
		f.nodes = append(f.nodes, n)
	}
	known := drill.Drills()
	for _, d := range known {
		if *drills == "" {
			f.drills = append(f.drills, d.Name)
		}
	}
	if *drills != "" {
		f.drills = strings.Split(*drills, ",")
	}
	for _, name := range f.drills {
		if !slices.ContainsFunc(known, func(d drill.Drill) bool { return d.Name == name }) {
			return nil, fmt.Errorf("-drill: there is no %q", name)
		}
	}
	if f.seed == 0 {
		f.seed = uint64(time.Now().UnixNano())
	}
	if f.runs == 0 && f.span == 0 {
		f.runs = len(f.drills) * len(f.nodes)
	}
	return f, nil
}

func main() { os.Exit(run(os.Args[1:])) }

// run is the program; it returns its status.
func run(args []string) int {
	f, err := parse(args)
	if err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "campaign:", err)
		}
		return 64
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	defer build.CleanUp()
	passed, err := conduct(ctx, f)
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "campaign:", err)
		return 2
	case !passed:
		return 1
	}
	return 0
}

// conduct runs the campaign and writes its report.
func conduct(ctx context.Context, f *flags) (passed bool, err error) {
	bin, err := build.Doozerd()
	if err != nil {
		return false, err
	}
	if f.out == "" {
		f.out, err = os.MkdirTemp("", "doozer-campaign-")
	} else {
		err = os.MkdirAll(f.out, 0o755)
	}
	if err != nil {
		return false, err
	}
	c := newCampaign(f, bin)
	if err := c.run(ctx); err != nil {
		return false, err
	}
	r := c.report()
	fmt.Print("\n", r.text())
	fmt.Println("report:", filepath.Join(f.out, "report.txt"))
	return len(r.Failed) == 0 && r.Runs > 0, r.save(f.out)
}
