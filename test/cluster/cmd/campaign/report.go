package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/doozer-store/doozer/drill"
)

// electionTimeout is doozerd's default. A cluster that has been healed should
// write again within three of them.
const electionTimeout = 500 * time.Millisecond

// report is what a campaign found.
type report struct {
	Version   string
	Seed      uint64
	Length    time.Duration
	Runs      int
	ByNodes   map[int]int
	Invalid   []drill.Skip
	Skipped   []drill.Skip
	Drills    []row
	Faults    map[string]int
	Checks    map[string][2]int // passed and failed
	OK        int               // operations
	Unknown   int
	Refused   int
	Watches   int
	Changes   int // that watches were given
	Resyncs   int
	TooLate   int
	Snapshots int
	// Recovery is the time from healing to the first successful write.
	Recovery times
	// Serving is that from when a majority of nodes listened.
	Serving times
	Failed  []failure
}

// row is about one drill.
type row struct {
	Drill    string
	Runs     int
	Failed   int
	OK       int
	Unknown  int
	Outage   times
	Recovery times
}

type times struct{ P50, P99, Max time.Duration }

type failure struct {
	Drill   string
	Nodes   int
	Seed    uint64
	Checks  []drill.Check
	Command string
	Dir     string
}

// report sums up.
func (c *campaign) report() *report {
	r := &report{Seed: c.f.seed, Length: time.Since(c.start), ByNodes: map[int]int{}, Faults: map[string]int{}, Checks: map[string][2]int{}}
	rows := map[string]*row{}
	outages, recoveries := map[string][]time.Duration{}, map[string][]time.Duration{}
	var all, serving []time.Duration
	for _, rep := range c.reports {
		r.Version = cmp.Or(rep.Version, r.Version)
		r.Invalid = append(r.Invalid, rep.Invalid...)
		for _, s := range rep.Skipped {
			if !slices.Contains(r.Skipped, s) {
				r.Skipped = append(r.Skipped, s)
			}
		}
		for _, run := range rep.Runs {
			r.add(run)
			if rows[run.Drill] == nil {
				rows[run.Drill] = &row{Drill: run.Drill}
			}
			w := rows[run.Drill]
			w.Runs++
			w.OK += run.OK
			w.Unknown += run.Unknown
			outages[run.Drill] = append(outages[run.Drill], run.Outage)
			if !run.Passed() {
				w.Failed++
				continue // its times may be of anything
			}
			recoveries[run.Drill] = append(recoveries[run.Drill], run.Recovery)
			all = append(all, run.Recovery)
			serving = append(serving, max(0, run.Recovery-run.Starting))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		w := rows[name]
		w.Outage, w.Recovery = timesOf(outages[name]), timesOf(recoveries[name])
		r.Drills = append(r.Drills, *w)
	}
	r.Recovery, r.Serving = timesOf(all), timesOf(serving)
	return r
}

// add takes in one run.
func (r *report) add(run drill.Run) {
	r.Runs++
	r.ByNodes[run.Nodes]++
	for _, f := range run.Faults {
		r.Faults[f.Kind]++
	}
	for _, c := range run.Checks {
		n := r.Checks[c.Name]
		if c.OK {
			n[0]++
		} else {
			n[1]++
		}
		r.Checks[c.Name] = n
	}
	r.OK += run.OK
	r.Unknown += run.Unknown
	r.Refused += run.Refused
	r.Watches += run.Streams
	r.Changes += run.Watched
	r.Resyncs += run.Resyncs
	r.TooLate += run.TooLate
	r.Snapshots += run.Snapshots
	if !run.Passed() {
		f := failure{Drill: run.Drill, Nodes: run.Nodes, Seed: run.Seed, Command: repeat(run), Dir: run.Dir}
		for _, c := range run.Checks {
			if !c.OK {
				f.Checks = append(f.Checks, c)
			}
		}
		r.Failed = append(r.Failed, f)
	}
}

func timesOf(all []time.Duration) times {
	if len(all) == 0 {
		return times{}
	}
	slices.Sort(all)
	at := func(share float64) time.Duration {
		return all[min(len(all)-1, int(share*float64(len(all))))].Round(time.Millisecond)
	}
	return times{at(0.5), at(0.99), all[len(all)-1].Round(time.Millisecond)}
}

// text is the report for people.
func (r *report) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "doozerd %s, seed %d, %v\n", r.Version, r.Seed, r.Length.Round(time.Second))
	fmt.Fprintf(&b, "%d runs (3 nodes: %d, 5 nodes: %d), %d failed; %d attempts were invalid and not counted\n",
		r.Runs, r.ByNodes[3], r.ByNodes[5], len(r.Failed), len(r.Invalid))
	fmt.Fprintf(&b, "operations: %d done or refused by their condition, %d of unknown outcome, %d not done\n", r.OK, r.Unknown, r.Refused)
	fmt.Fprintf(&b, "watches: %d streams were given %d changes; %d resyncs, %d too late; nodes installed %d snapshots\n",
		r.Watches, r.Changes, r.Resyncs, r.TooLate, r.Snapshots)
	fmt.Fprintf(&b, "from healing to the first successful write: p50 %v, p99 %v, worst %v; three election timeouts are %v\n",
		r.Recovery.P50, r.Recovery.P99, r.Recovery.Max, 3*electionTimeout)
	fmt.Fprintf(&b, "the same from when a majority of nodes listened: p50 %v, p99 %v, worst %v\n\nfaults:\n",
		r.Serving.P50, r.Serving.P99, r.Serving.Max)
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, kind := range slices.Sorted(maps.Keys(r.Faults)) {
		fmt.Fprintf(w, "  %s\t%d\n", kind, r.Faults[kind])
	}
	fmt.Fprintln(w, "\nchecks:\tpassed\tfailed")
	for _, name := range slices.Sorted(maps.Keys(r.Checks)) {
		fmt.Fprintf(w, "  %s\t%d\t%d\n", name, r.Checks[name][0], r.Checks[name][1])
	}
	fmt.Fprintln(w, "\ndrill\truns\tfailed\toperations\tunknown\toutage p50\tworst\trecovery p50\tworst")
	for _, d := range r.Drills {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%v\t%v\t%v\t%v\n",
			d.Drill, d.Runs, d.Failed, d.OK, d.Unknown, d.Outage.P50, d.Outage.Max, d.Recovery.P50, d.Recovery.Max)
	}
	w.Flush()
	for _, s := range r.Skipped {
		fmt.Fprintf(&b, "skipped %s: %s\n", s.Drill, s.Why)
	}
	for _, s := range r.Invalid {
		fmt.Fprintf(&b, "invalid %s: %s\n", s.Drill, s.Why)
	}
	for _, f := range r.Failed {
		fmt.Fprintf(&b, "\nFAILED %s, %d nodes; %s\n%s\n", f.Drill, f.Nodes, f.Dir, f.Command)
		for _, c := range f.Checks {
			fmt.Fprintf(&b, "  %s: %s\n", c.Name, c.Detail)
		}
	}
	return b.String()
}

// save writes the report as text and as JSON.
func (r *report) save(dir string) error {
	j, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "report.txt"), []byte(r.text()), 0o644),
		os.WriteFile(filepath.Join(dir, "report.json"), append(j, '\n'), 0o644))
}
