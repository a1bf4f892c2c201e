package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/doozer-store/doozer/test/failover/rig"
)

// passTrials is how many trials of each case are done before those that follow of the
// first case: a run that is cut short has some of each.
const passTrials = 10

// round is one trial of a case with each system that can be asked for it.
type round struct {
	c       rig.Case
	systems []string
}

// rounds are all that is to be done, in order. The systems take turns in going first.
func rounds(o options) []round {
	var all []round
	for done := 0; done < o.trials; done += passTrials {
		for _, c := range o.cases {
			for n := range min(passTrials, o.trials-done) {
				r := round{c: c}
				for i := range o.systems {
					system := o.systems[(i+n)%len(o.systems)]
					if !c.Doozer || strings.HasPrefix(system, "doozer") {
						r.systems = append(r.systems, system)
					}
				}
				if len(r.systems) > 0 {
					all = append(all, r)
				}
			}
		}
	}
	return all
}

// run does all rounds, and reports as it goes; ctx ends it after the trials that
// go on.
func run(ctx context.Context, o options) (failed bool, err error) {
	todo := rounds(o)
	rec := newRecord(o, todo)
	fmt.Printf("%d trials, %d rigs, results in %s; about %v\n", rec.total, o.par, o.out, rec.left().Round(time.Minute))
	began := time.Now()
	var mu sync.Mutex // guards todo
	next := func() (round, bool) {
		mu.Lock()
		defer mu.Unlock()
		if len(todo) == 0 || ctx.Err() != nil {
			return round{}, false
		}
		r := todo[0]
		todo = todo[1:]
		return r, true
	}
	var rigs sync.WaitGroup
	for i := range o.par {
		rigs.Go(func() {
			b := &bench{dir: filepath.Join(o.out, "logs", fmt.Sprint("rig-", i+1)), seats: map[string]*seat{}}
			defer b.close()
			for r, ok := next(); ok; r, ok = next() {
				for _, system := range r.systems {
					if ctx.Err() != nil {
						return
					}
					rec.add(i+1, r.c, b.try(system, r.c))
				}
			}
		})
	}
	rigs.Wait()
	fmt.Printf("%v, %.2f processors used by each rig\n", time.Since(began).Round(time.Second), cpu().Seconds()/time.Since(began).Seconds()/float64(o.par))
	return rec.end()
}

// cpu is what this process and its children that have ended have used of the
// processors.
func cpu() time.Duration {
	var sum time.Duration
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if syscall.Getrusage(who, &u) == nil {
			sum += time.Duration(u.Utime.Nano() + u.Stime.Nano())
		}
	}
	return sum
}
