// Command failover does harm to Redis groups that doozer or Redis Sentinel watches
// over, and says what became of each: see package failover.
//
//	failover -trials 30 -systems doozer,doozer=redisdial,sentinel=1s,sentinel=5s -cases kill-redis,switch -out results
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9/logging"

	"github.com/doozer-store/doozer/drill/cluster"
	"github.com/doozer-store/doozer/test/failover/rig"
)

type options struct {
	trials  int
	systems []string
	cases   []string
	out     string
}

func main() {
	logging.Disable() // of go-redis
	var o options
	var systems, cases string
	flag.IntVar(&o.trials, "trials", 30, "trials of each case")
	flag.StringVar(&systems, "systems", "doozer,doozer=redisdial,sentinel=1s,sentinel=5s", "who watches over the servers")
	flag.StringVar(&cases, "cases", "", "the cases, by name; empty: all")
	flag.StringVar(&o.out, "out", "", "directory for results.json, table.txt and logs; empty: a temporary one")
	flag.Parse()
	o.systems = strings.Split(systems, ",")
	if cases != "" {
		o.cases = strings.Split(cases, ",")
	}
	failed, err := run(o)
	rig.CleanUp()
	if err != nil {
		fmt.Fprintln(os.Stderr, "failover:", err)
	}
	if err != nil || failed {
		os.Exit(1)
	}
}

// run does all trials; failed tells that some came to no end.
func run(o options) (failed bool, err error) {
	if err := rig.Available(); err != nil {
		return false, err
	}
	if o.out == "" {
		if o.out, err = os.MkdirTemp("", "failover-"); err != nil {
			return false, err
		}
	}
	var rows []rig.Row
	var trials []rig.Outcome
	for _, c := range rig.Cases() {
		if len(o.cases) > 0 && !slices.Contains(o.cases, c.Name) {
			continue
		}
		for _, system := range o.systems {
			if c.Doozer && !strings.HasPrefix(system, "doozer") {
				continue
			}
			outs := runCase(o, system, c)
			trials = append(trials, outs...)
			row := rig.Sum(c, outs)
			failed = failed || row.Problems > 0
			rows = append(rows, row)
			rig.Table(os.Stdout, []rig.Row{row})
			if err := save(o.out, rows, trials); err != nil {
				return failed, err
			}
		}
	}
	fmt.Println()
	rig.Table(os.Stdout, rows)
	fmt.Println("results are in", o.out)
	return failed, nil
}

// runCase does the trials of a case. A trial that comes to no end ends its group, and
// the next one gets another.
func runCase(o options, system string, c rig.Case) []rig.Outcome {
	var outs []rig.Outcome
	for round := 0; len(outs) < o.trials; round++ {
		dir := filepath.Join(o.out, "logs", fmt.Sprintf("%s-%s-%d", system, c.Name, round))
		os.RemoveAll(dir)
		err := cluster.RunSolo(c.Name, dir, nil, func(t cluster.TB) {
			g := start(t, system, c)
			for len(outs) < o.trials {
				out := rig.Run(g, c, len(outs))
				outs = append(outs, out)
				fmt.Printf("%s %s %d: %+v\n", time.Now().Format("15:04:05"), c.Name, len(outs), out)
			}
		})
		if err != nil {
			fmt.Println(err)
			outs = append(outs, rig.Outcome{System: system, Case: c.Name, Problem: err.Error()})
		} else {
			if os.Getenv("DOOZER_TEST_KEEP") == "" {
				os.RemoveAll(dir)
			}
		}
	}
	return outs
}

func start(t cluster.TB, system string, c rig.Case) *rig.Group {
	p, err := cluster.NewPorts()
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(p.Close)
	n := rig.NewNet(p)
	t.Cleanup(n.Close)
	switch system {
	case "doozer", "doozer=redisdial":
		return rig.StartDoozer(t, n, c, system != "doozer")
	}
	down, ok := strings.CutPrefix(system, "sentinel=")
	if !ok {
		t.Fatalf("no system %q", system)
	}
	d, err := time.ParseDuration(down)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return rig.StartSentinel(t, n, d)
}

func save(dir string, rows []rig.Row, trials []rig.Outcome) error {
	var table strings.Builder
	rig.Table(&table, rows)
	if err := os.WriteFile(filepath.Join(dir, "table.txt"), []byte(table.String()), 0o644); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(dir, "results.json"))
	if err != nil {
		return err
	}
	defer f.Close()
	return rig.Save(f, rows, trials)
}
