// Campaign runs drills, and tells what came of them.
package main

import (
	"context"
	"flag"
	"fmt"
	"strings"

	"github.com/doozer-store/doozer/drill"
	"github.com/doozer-store/doozer/test/cluster/build"
)

func main() {
	names := flag.String("drill", "", "")
	nodes := flag.Int("nodes", 3, "")
	seed := flag.Uint64("seed", 0, "")
	verbose := flag.Bool("v", false, "")
	flag.Parse()
	bin, err := build.Doozerd()
	if err != nil {
		panic(err)
	}
	defer build.CleanUp()
	o := drill.Options{Binary: bin, Nodes: *nodes, Seed: *seed}
	if *names != "" {
		o.Drills = strings.Split(*names, ",")
	}
	if *verbose {
		o.Log = func(l string) { fmt.Println(l) }
	}
	o.Finished = func(r drill.Run) {
		fmt.Printf("%-18s %d nodes seed %d: %v ok %d unknown %d refused %d outage %v recovery %v snaps %d streams %d watched %d resync %d late %d  %v\n", r.Drill, r.Nodes, r.Seed, r.Passed(), r.OK, r.Unknown, r.Refused, r.Outage, r.Recovery, r.Snapshots, r.Streams, r.Watched, r.Resyncs, r.TooLate, r.To-r.From)
		for _, c := range r.Checks {
			if !c.OK || *verbose {
				fmt.Printf("   %v %s: %s\n", c.OK, c.Name, c.Detail)
			}
		}
		if r.Dir != "" {
			fmt.Println("   ", r.Dir)
		}
	}
	rep, err := drill.Conduct(context.Background(), o)
	fmt.Println(err)
	if rep != nil {
		fmt.Println(rep.Passed(), len(rep.Runs), rep.Invalid, rep.Skipped, rep.Length)
	}
}
