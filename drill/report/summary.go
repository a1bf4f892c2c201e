package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/doozer-store/doozer/drill"
)

// Verdict is what a report comes to.
type Verdict string

const (
	// Passed: every drill was done, and every check held.
	Passed Verdict = "passed"
	// Failed: a check did not hold, whatever else happened.
	Failed Verdict = "failed"
	// Interrupted: it ended before all was checked; what was checked held.
	Interrupted Verdict = "interrupted"
	// Nothing: nothing was checked, so nothing is known.
	Nothing Verdict = "nothing checked"
)

// Judge is the verdict over r.
func Judge(r *drill.Report) Verdict {
	passed, total := checks(r.Runs)
	switch {
	case passed < total:
		return Failed
	case r.Interrupted:
		return Interrupted
	case total == 0:
		return Nothing
	case slices.ContainsFunc(r.Runs, func(run drill.Run) bool { return len(run.Checks) == 0 }):
		return Interrupted
	}
	return Passed
}

// checks counts those that held, and all.
func checks(runs []drill.Run) (passed, total int) {
	for _, run := range runs {
		for _, c := range run.Checks {
			total++
			if c.OK {
				passed++
			}
		}
	}
	return passed, total
}

// failed tells whether a check of run did not hold.
func failed(run drill.Run) bool {
	return slices.ContainsFunc(run.Checks, func(c drill.Check) bool { return !c.OK })
}

// headline is the verdict in a sentence.
func headline(r *drill.Report) string {
	passed, total := checks(r.Runs)
	rows := len(summarize(r.Runs))
	drills := plural(rows, "drill", "drills")
	if len(r.Runs) > rows {
		drills = plural(len(r.Runs), "run", "runs") + " of " + drills
	}
	switch Judge(r) {
	case Failed:
		return fmt.Sprintf("%d of %s failed in %s", total-passed, plural(total, "check", "checks"), drills)
	case Interrupted:
		return fmt.Sprintf("ended before all was done; %s held so far", plural(passed, "check", "checks"))
	case Nothing:
		return "no drill was checked, so nothing is known"
	}
	if total == 1 {
		return "the one check held in " + drills
	}
	return fmt.Sprintf("all %s checks held in %s", count(total), drills)
}

// again is the command line that does one run again.
func again(r *drill.Report, run drill.Run) string {
	nodes := run.Nodes
	if nodes == 0 {
		nodes = r.Nodes
	}
	return fmt.Sprintf("doozer firedrill --nodes %d --seed %d %s", nodes, run.Seed, run.Drill)
}

// row is what a table says of all runs of one drill. Durations are the worst of
// its runs; medians are there for drills that were done more than once.
type row struct {
	drill          string
	runs           int
	passed, checks int

	outage, recovery             time.Duration
	medianOutage, medianRecovery time.Duration
	before, during               drill.Latency

	ok, refused, unknown int
}

// summarize gathers runs by drill, in the order of their first runs.
func summarize(runs []drill.Run) []row {
	var rows []row
	at := map[string]int{}
	outages, recoveries := map[string][]time.Duration{}, map[string][]time.Duration{}
	for _, run := range runs {
		i, known := at[run.Drill]
		if !known {
			i = len(rows)
			at[run.Drill] = i
			rows = append(rows, row{drill: run.Drill})
		}
		rows[i].add(run)
		outages[run.Drill] = append(outages[run.Drill], run.Outage)
		recoveries[run.Drill] = append(recoveries[run.Drill], run.Recovery)
	}
	for i := range rows {
		rows[i].medianOutage = median(outages[rows[i].drill])
		rows[i].medianRecovery = median(recoveries[rows[i].drill])
	}
	return rows
}

func (r *row) add(run drill.Run) {
	passed, total := checks([]drill.Run{run})
	r.runs++
	r.passed += passed
	r.checks += total
	r.outage = max(r.outage, run.Outage)
	r.recovery = max(r.recovery, run.Recovery)
	r.before = worst(r.before, run.Before)
	r.during = worst(r.during, run.During)
	r.ok += run.OK
	r.refused += run.Refused
	r.unknown += run.Unknown
}

func worst(a, b drill.Latency) drill.Latency {
	return drill.Latency{P50: max(a.P50, b.P50), P99: max(a.P99, b.P99), Max: max(a.Max, b.Max)}
}

// median is the middle one of d, the higher of two; 0 of none.
func median(d []time.Duration) time.Duration {
	if len(d) == 0 {
		return 0
	}
	d = slices.Sorted(slices.Values(d))
	return d[len(d)/2]
}

// worstRun is the run with the highest of what value tells; nil when all are 0.
func worstRun(runs []drill.Run, value func(drill.Run) time.Duration) *drill.Run {
	var found *drill.Run
	for i := range runs {
		if v := value(runs[i]); v > 0 && (found == nil || v > value(*found)) {
			found = &runs[i]
		}
	}
	return found
}

// names lists the drills of rows.
func names(rows []row) string {
	var list []string
	for _, r := range rows {
		list = append(list, r.drill)
	}
	return strings.Join(list, ", ")
}
