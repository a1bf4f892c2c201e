package report

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/doozer-store/doozer/drill"
)

const msec = time.Millisecond

// hostile is a name that is markup everywhere, and nothing that XML can hold.
const hostile = `<script>alert("1")</script>&'` + "\x00\x1b[31m"

// made is a report of three drills of 12 s, the last with a failed check, and of
// one that could not be run. The same seed gives the same report.
func made() *drill.Report {
	r := &drill.Report{
		Version: "v0.3.0", Started: time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC), Length: 41 * time.Second,
		Nodes: 3, Seed: 42,
		Skipped: []drill.Skip{{Drill: "full-disk", Why: "needs a small file system: run it as root, where tmpfs can be mounted"}},
		Invalid: []drill.Skip{{Drill: "pause", Why: "31 operations/s before the harm, less than 50"}},
	}
	rng := rand.New(rand.NewPCG(1, 2))
	r.Runs = []drill.Run{
		madeRun(r, rng, "kill-leader", 0, 14*msec, drill.Fault{What: "kill -9 b (leader)", From: 4000 * msec, To: 6000 * msec}),
		madeRun(r, rng, "pause", 14*time.Second, 640*msec, drill.Fault{What: "SIGSTOP a (leader)", From: 18 * time.Second, To: 21 * time.Second},
			drill.Fault{What: "SIGSTOP c", From: 22 * time.Second, To: 23500 * msec}),
		madeRun(r, rng, "partition", 28*time.Second, 1320*msec,
			drill.Fault{What: "cut a (leader) from b and c", From: 31500 * msec, To: 34 * time.Second},
			drill.Fault{What: "cut b from c", From: 33 * time.Second, To: 36 * time.Second}),
	}
	r.Runs[2].Recovery, r.Runs[2].Dir = math.MaxInt64, "/tmp/doozer-firedrill-1/003-partition-1"
	r.Runs[2].Checks[1] = drill.Check{Name: "watches", Detail: "watcher 3 of /hot/** was not told rev 4711 (set /hot/7)\nwatcher 5 of /hot/7 was not told rev 4711"}
	return r
}

// madeRun is a run of 12 s with 100 ms samples, whose writes stop for outage
// when the first fault begins.
func madeRun(r *drill.Report, rng *rand.Rand, name string, from, outage time.Duration, faults ...drill.Fault) drill.Run {
	run := drill.Run{
		Drill: name, Seed: rng.Uint64(), From: from, To: from + 12*time.Second, Faults: faults, Harmed: faults[0].From,
		Healed: faults[len(faults)-1].To, Outage: outage, OutageFrom: faults[0].From + 2*msec, Recovery: 5 * msec,
		Before:    drill.Latency{P50: 1900 * time.Microsecond, P99: 4200 * time.Microsecond, Max: 9 * msec},
		During:    drill.Latency{P50: 2100 * time.Microsecond, P99: 9800 * time.Microsecond, Max: outage + 3*msec},
		Snapshots: 1, Watched: 12331, Streams: 24, Resyncs: 3, TooLate: 1,
		Checks: []drill.Check{
			{Name: "linearizable", OK: true, Detail: "41,235 operations on 10 paths"},
			{Name: "watches", OK: true, Detail: "8 watchers, 12,331 events, 4 resumed"},
			{Name: "exactly once", OK: true, Detail: "9,120 writes"},
			{Name: "nodes agree", OK: true, Detail: "3 nodes at rev 9,131"},
		},
	}
	for at := from + 100*msec; at <= from+10*time.Second; at += 100 * msec {
		s := drill.Sample{At: at, OK: 380 + rng.IntN(70), P50: time.Duration(1800+rng.IntN(500)) * time.Microsecond}
		s.P99 = s.P50*2 + time.Duration(rng.IntN(900))*time.Microsecond
		if in(run.OutageFrom, run.OutageFrom+run.Outage, at) {
			s.OK, s.Failed = s.OK*int(100*msec-min(outage, 100*msec))/int(100*msec), rng.IntN(4)
			if s.OK == 0 {
				s.P50, s.P99 = 0, 0
			} else {
				s.P99 += outage
			}
		} else if in(run.OutageFrom+run.Outage, run.OutageFrom+run.Outage+100*msec, at) {
			s.P99 += outage
		}
		s.Max = s.P99 * 2
		run.OK += s.OK
		run.Unknown += s.Failed
		r.Samples = append(r.Samples, s)
	}
	return run
}

// in tells whether the interval of 100 ms that ends at at meets from to to.
func in(from, to, at time.Duration) bool { return at > from && at-100*msec < to }
