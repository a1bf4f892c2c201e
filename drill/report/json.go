package report

import (
	"encoding/json"
	"io"
	"time"

	"github.com/doozer-store/doozer/drill"
)

// The JSON form: names in lower case, times in milliseconds since the start.
// Fields may be added, none is removed.

type reportJSON struct {
	Verdict  string       `json:"verdict"`
	Passed   bool         `json:"passed"`
	Version  string       `json:"version"`
	Started  time.Time    `json:"started"`
	LengthMS float64      `json:"length_ms"`
	Nodes    int          `json:"nodes"`
	Seed     uint64       `json:"seed"`
	Runs     []runJSON    `json:"runs"`
	Skipped  []skipJSON   `json:"skipped"`
	Invalid  []skipJSON   `json:"invalid"`
	Samples  []sampleJSON `json:"samples"`
}

type runJSON struct {
	Drill        string      `json:"drill"`
	Seed         uint64      `json:"seed"`
	Passed       bool        `json:"passed"`
	FromMS       float64     `json:"from_ms"`
	HarmedMS     float64     `json:"harmed_ms"`
	HealedMS     float64     `json:"healed_ms"`
	ToMS         float64     `json:"to_ms"`
	OutageMS     float64     `json:"outage_ms"`
	OutageFromMS float64     `json:"outage_from_ms"`
	RecoveryMS   *float64    `json:"recovery_ms"` // null: never
	Before       latencyJSON `json:"before"`
	During       latencyJSON `json:"during"`
	Dir          string      `json:"dir,omitempty"`
	Snapshots    int         `json:"snapshots"`
	Watches      int         `json:"watches"`
	Watched      int         `json:"watched"`
	Resyncs      int         `json:"resyncs"`
	TooLate      int         `json:"too_late"`
	OK           int         `json:"ok"`
	Refused      int         `json:"refused"`
	Unknown      int         `json:"unknown"`
	Faults       []faultJSON `json:"faults"`
	Checks       []checkJSON `json:"checks"`
}

type latencyJSON struct {
	P50 float64 `json:"p50_ms"`
	P99 float64 `json:"p99_ms"`
	Max float64 `json:"max_ms"`
}

type faultJSON struct {
	What   string  `json:"what"`
	FromMS float64 `json:"from_ms"`
	ToMS   float64 `json:"to_ms"`
}

type checkJSON struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

type skipJSON struct {
	Drill string `json:"drill"`
	Why   string `json:"why"`
}

type sampleJSON struct {
	AtMS   float64 `json:"at_ms"`
	OK     int     `json:"ok"`
	Failed int     `json:"failed"`
	latencyJSON
}

// JSON writes r as one object on one line.
func JSON(w io.Writer, r *drill.Report) error {
	j := reportJSON{
		Verdict: string(Judge(r)), Passed: Judge(r) == Passed, Version: r.Version, Started: r.Started, LengthMS: ms(r.Length),
		Nodes: r.Nodes, Seed: r.Seed, Runs: []runJSON{}, Skipped: []skipJSON{}, Invalid: []skipJSON{}, Samples: []sampleJSON{},
	}
	for _, run := range r.Runs {
		j.Runs = append(j.Runs, newRunJSON(run))
	}
	for _, s := range r.Skipped {
		j.Skipped = append(j.Skipped, skipJSON(s))
	}
	for _, s := range r.Invalid {
		j.Invalid = append(j.Invalid, skipJSON(s))
	}
	for _, s := range r.Samples {
		j.Samples = append(j.Samples, sampleJSON{ms(s.At), s.OK, s.Failed, latencyJSON{ms(s.P50), ms(s.P99), ms(s.Max)}})
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(j)
}

func newRunJSON(run drill.Run) runJSON {
	j := runJSON{
		Drill: run.Drill, Seed: run.Seed, Passed: len(run.Checks) > 0 && !failed(run),
		FromMS: ms(run.From), HarmedMS: ms(run.Harmed), HealedMS: ms(run.Healed), ToMS: ms(run.To),
		OutageMS: ms(run.Outage), OutageFromMS: ms(run.OutageFrom),
		Before: newLatencyJSON(run.Before), During: newLatencyJSON(run.During),
		Dir: run.Dir, Snapshots: run.Snapshots, Watches: run.Streams, Watched: run.Watched, Resyncs: run.Resyncs, TooLate: run.TooLate,
		OK: run.OK, Refused: run.Refused, Unknown: run.Unknown, Faults: []faultJSON{}, Checks: []checkJSON{},
	}
	if run.Recovery < never {
		recovery := ms(run.Recovery)
		j.RecoveryMS = &recovery
	}
	for _, f := range run.Faults {
		j.Faults = append(j.Faults, faultJSON{f.What, ms(f.From), ms(f.To)})
	}
	for _, c := range run.Checks {
		j.Checks = append(j.Checks, checkJSON(c))
	}
	return j
}

func newLatencyJSON(l drill.Latency) latencyJSON {
	return latencyJSON{ms(l.P50), ms(l.P99), ms(l.Max)}
}

// ms is a time in milliseconds, to the microsecond.
func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
