// Command failover does harm to Redis groups that doozer or Redis Sentinel watches
// over, and says what became of each: see package failover.
//
//	failover -trials 30 -par 4 -systems doozer,doozer=redisdial,sentinel=1s,sentinel=5s -cases kill-redis,switch -out results
//	failover gate -rounds 10 -for 5s
//
// Several rigs work side by side, each with groups of its own, because a trial mostly
// waits. What has been done is in the directory of results at any time: a signal ends
// the run after the trials that go on, a second one at once.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9/logging"

	"github.com/doozer-store/doozer/test/failover/rig"
)

type options struct {
	trials  int
	par     int
	systems []string
	cases   []rig.Case
	out     string
}

func main() {
	logging.Disable() // of go-redis
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal is not caught
	var failed bool
	var err error
	if len(os.Args) > 1 && os.Args[1] == "gate" {
		err = gate(ctx, os.Args[2:])
	} else {
		failed, err = trials(ctx, os.Args[1:])
	}
	rig.CleanUp()
	if err != nil {
		fmt.Fprintln(os.Stderr, "failover:", err)
	}
	if err != nil || failed {
		os.Exit(1)
	}
}

// trials reads the command line and does all trials; failed tells that some came to no
// end.
func trials(ctx context.Context, args []string) (failed bool, err error) {
	var o options
	var systems, cases string
	set := flag.NewFlagSet("failover", flag.ExitOnError)
	set.IntVar(&o.trials, "trials", 30, "trials of each case")
	set.IntVar(&o.par, "par", 1, "rigs side by side")
	set.StringVar(&systems, "systems", "doozer,doozer=redisdial,sentinel=1s,sentinel=5s", "who watches over the servers")
	set.StringVar(&cases, "cases", "", "the cases, by name; empty: all")
	set.StringVar(&o.out, "out", "", "directory for results and logs; empty: a temporary one")
	set.Parse(args)
	o.systems = strings.Split(systems, ",")
	for _, s := range o.systems {
		if _, err := downAfter(s); err != nil && s != "doozer" && s != "doozer=redisdial" {
			return false, err
		}
	}
	if o.cases, err = chosen(cases); err != nil {
		return false, err
	}
	if err := rig.Available(); err != nil {
		return false, err
	}
	if o.out == "" {
		if o.out, err = os.MkdirTemp("", "failover-"); err != nil {
			return false, err
		}
	}
	if _, err := rig.Build(); err != nil {
		return false, err
	}
	return run(ctx, o)
}

// chosen are the cases of those names.
func chosen(names string) ([]rig.Case, error) {
	all := rig.Cases()
	if names == "" {
		return all, nil
	}
	var some []rig.Case
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(all, func(c rig.Case) bool { return c.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("no case %q", name)
		}
		some = append(some, all[i])
	}
	return some, nil
}
