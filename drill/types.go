package drill

import "time"

// Drill is a named way to do harm.
type Drill struct {
	Name    string
	Summary string // one line, what is done and what is expected
	// Missing is what this machine lacks to run it and how to get it, "" when it
	// can be run.
	Missing string

	// harm is done step by step; each step says how it is undone.
	harm []step
	// needs is what the machine must be able to do.
	needs []need
	// setUp changes what the cluster is started with; nil: nothing.
	setUp func(*setting)
}

// Options of a run of drills. Zero values mean the defaults.
type Options struct {
	// Binary is the doozerd to run.
	Binary string
	// Dir is where data and logs go; it must be empty or not exist.
	Dir string
	// Nodes is 3 or 5; 0 means 3.
	Nodes int
	// Seed decides every random choice; 0 takes one from the clock.
	Seed uint64
	// For is how long drills go on, one after another, again from the first
	// after the last; 0 means each once.
	For time.Duration
	// Drills are the names of those to run; empty means all that this machine
	// can run.
	Drills []string
	// Hold is how long the harm lasts; 0: 1.2 s.
	Hold time.Duration
	// Keep keeps logs, data and history of runs that passed, too.
	Keep bool
	// MinRate is how many successful operations a second there must be before
	// the harm; 0: 50. A run below that is invalid, and done again.
	MinRate float64
	// Log, if not nil, is told what happens, line by line.
	Log func(line string)
	// Progress, if not nil, is told several times a second how it goes, from
	// one goroutine.
	Progress func(Progress)
	// Finished, if not nil, is told each run when it is over, from the goroutine
	// of Progress.
	Finished func(Run)
}

// Progress is the present state of a run.
type Progress struct {
	At     time.Duration // since the start of the run
	Drill  string        // the drill that runs, "" before the first
	Fault  string        // the harm that is being done, "" while all is healed
	Rate   float64       // successful operations a second, over the last second
	P99    time.Duration // of them
	Outage time.Duration // since the last successful write, 0 while writes go on
	Runs   int           // drills finished
	Checks int           // checks passed
	Failed int           // checks failed
}

// Report is what a run found.
type Report struct {
	Version string // of doozerd
	Started time.Time
	Length  time.Duration
	Nodes   int
	Seed    uint64
	Runs    []Run
	Samples []Sample // of the whole run, one an interval
	Skipped []Skip   // drills that this machine can't run
	Invalid []Skip   // attempts that proved nothing, and were made again
	// Interrupted says that it was told to end before all was done: the last run
	// may be in part, without checks.
	Interrupted bool
}

// Passed tells whether every check of every run held.
func (r *Report) Passed() bool {
	for i := range r.Runs {
		if !r.Runs[i].Passed() {
			return false
		}
	}
	return len(r.Runs) > 0
}

// Skip is a drill that could not be run, and why, with the remedy.
type Skip struct{ Drill, Why string }

// Run is one drill, done once. Times are since the start of the report.
type Run struct {
	Drill string
	Seed  uint64 // of this run alone
	// From is the start of the load, Harmed that of the first harm, Healed the
	// end of the last, To the end of the checks.
	From, Harmed, Healed, To time.Duration
	Faults                   []Fault
	// Outage is the longest time without a successful write; Recovery is the
	// time from Healed to the first successful write after it. OutageFrom is
	// when the longest began, 0 when there was none.
	Outage, Recovery time.Duration
	// Starting is the part of Recovery in which fewer than a majority of nodes
	// listened: that of starting processes and reading their data.
	Starting   time.Duration
	OutageFrom time.Duration
	// Before and During are latencies of successful operations.
	Before, During Latency
	// Ops counts operations by what became of them.
	OK, Unknown, Refused int
	Checks               []Check
	// Nodes is how many there were.
	Nodes int
	// Dir has the nodes' logs and data, and the history; "" after a run in
	// which every check passed.
	Dir string
	// Snapshots is how many snapshots nodes installed.
	Snapshots int
	// Watched is how many changes watches were given, in how many streams;
	// Resyncs and TooLate count those that met the edge of the window.
	Watched, Streams, Resyncs, TooLate int
}

// Passed tells whether every check of the run held.
func (r *Run) Passed() bool {
	for _, c := range r.Checks {
		if !c.OK {
			return false
		}
	}
	return len(r.Checks) > 0
}

// Fault is one harm, as it was done.
type Fault struct {
	Kind     string // "kill"
	What     string // "kill -9 b (leader)"
	From, To time.Duration
}

// Latency is of the operations of one part of a run.
type Latency struct{ P50, P99, Max time.Duration }

// Check is one verdict.
type Check struct {
	Name   string // "linearizable", "watches", ...
	OK     bool
	Detail string // what was checked ("41,235 operations on 10 paths"), or what was wrong
}

// Sample is what happened in one interval.
type Sample struct {
	At       time.Duration // the interval's end
	OK       int           // successful operations
	Failed   int           // all others
	P50, P99 time.Duration
	Max      time.Duration
}
