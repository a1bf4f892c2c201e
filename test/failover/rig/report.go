package rig

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// Row is all trials of a case with a system.
type Row struct {
	System string `json:"system"`
	Case   string `json:"case"`
	What   string `json:"what"`
	// Trials are those that came to an end; Asked is how many were to be done.
	Trials int `json:"trials"`
	Asked  int `json:"asked"`
	// Problems are trials that came to no end, Tilted those in which a Sentinel was in
	// TILT: their times are not in the quantiles.
	Problems int `json:"problems"`
	Tilted   int `json:"tilted"`
	// FirstWrite, NoWrite, Client and Two are the Outcome's, in milliseconds; the Max of
	// a few trials is what a p99 would be.
	FirstWrite Quantiles `json:"first_write_ms"`
	NoWrite    Quantiles `json:"no_write_ms"`
	Client     Quantiles `json:"client_ms"`
	Two        Quantiles `json:"two_masters_ms"`
	Old        Quantiles `json:"old_master_ms"`
	// Sums over all trials.
	Acked         int            `json:"acked"`
	Lost          int            `json:"lost"`
	StuckAcked    int            `json:"stuck_acked"`
	StuckLost     int            `json:"stuck_lost"`
	Confirmed     int            `json:"confirmed"`
	ConfirmedLost int            `json:"confirmed_lost"`
	FullSyncs     int64          `json:"full_syncs"`
	LostFile      map[string]int `json:"lost_file,omitempty"`
}

// Quantiles of the trials where there was something to measure.
type Quantiles struct {
	N   int     `json:"n"`
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

func quantiles(all []float64) Quantiles {
	all = slices.DeleteFunc(all, func(v float64) bool { return v < 0 })
	if len(all) == 0 {
		return Quantiles{}
	}
	slices.Sort(all)
	at := func(q float64) float64 { return all[min(len(all)-1, int(q*float64(len(all))))] }
	return Quantiles{len(all), at(0.5), at(0.99), all[len(all)-1]}
}

// Sum makes one row of the trials of a case with a system, of those that were asked for.
func Sum(c Case, asked int, outs []Outcome) Row {
	r := Row{Case: c.Name, What: c.What, Asked: asked, LostFile: map[string]int{}}
	var first, no, client, two, old []float64
	for _, o := range outs {
		r.System = o.System
		if o.Problem != "" {
			r.Problems++
			continue
		}
		r.Trials++
		if o.Tilted {
			r.Tilted++
			o.FirstWriteMs, o.NoWriteMs, o.ClientMs, o.TwoMs, o.OldMs = -1, -1, -1, -1, -1
		}
		first, no, client = append(first, o.FirstWriteMs), append(no, o.NoWriteMs), append(client, o.ClientMs)
		two, old = append(two, o.TwoMs), append(old, o.OldMs)
		r.Acked += o.Acked
		r.Lost += o.Lost
		r.StuckAcked += o.StuckAcked
		r.StuckLost += o.StuckLost
		r.Confirmed += o.Confirmed
		r.ConfirmedLost += o.ConfirmedLost
		r.FullSyncs += o.FullSyncs
		if o.LostFile != "" {
			r.LostFile[o.LostFile]++
		}
	}
	r.FirstWrite, r.NoWrite, r.Client = quantiles(first), quantiles(no), quantiles(client)
	r.Two, r.Old = quantiles(two), quantiles(old)
	return r
}

// Brief is an outcome in a line.
func (o Outcome) Brief() string {
	if o.Problem != "" {
		return "NO END: " + o.Problem
	}
	s := fmt.Sprintf("%s to %s, first write %s, none accepted %s, client %s, two masters %s, lost %d of %d and %d of %d", o.From, o.To,
		show(o.FirstWriteMs), show(o.NoWriteMs), show(o.ClientMs), show(o.TwoMs), o.Lost, o.Acked, o.StuckLost, o.StuckAcked)
	if o.Confirmed > 0 {
		s += fmt.Sprintf(", confirmed %d of %d", o.ConfirmedLost, o.Confirmed)
	}
	if o.LostFile != "" {
		s += ", lost file " + o.LostFile
	}
	if o.Tilted {
		s += ", tilted"
	}
	return s + fmt.Sprintf(", took %s", show(o.TookMs))
}

// Table writes rows as Markdown. Times are p50 / p99, of 30 trials the worst.
func Table(out io.Writer, rows []Row) error {
	const head = `| harm | guarded by | first write of another | no write accepted | client | two masters, longest | lost: follows | lost: stays | whole copies | remarks |
|---|---|---|---|---|---|---|---|---|---|
`
	if _, err := io.WriteString(out, head); err != nil {
		return err
	}
	last := ""
	for _, r := range rows {
		what := r.Case
		if what == last {
			what = ""
		}
		last = r.Case
		lost, stays := ratio(r.Lost, r.Acked), ratio(r.StuckLost, r.StuckAcked)
		if r.Confirmed > 0 {
			lost = ratio(r.ConfirmedLost, r.Confirmed) + " confirmed"
		}
		_, err := fmt.Fprintf(out, "| %s | %s | %s | %s | %s | %s | %s | %s | %d | %s |\n", what, strings.ReplaceAll(r.System, "=", " "),
			r.FirstWrite, r.NoWrite, r.Client, show(r.Two.Max), lost, stays, r.FullSyncs, r.remarks())
		if err != nil {
			return err
		}
	}
	return nil
}

func ratio(n, of int) string {
	if of == 0 {
		return "-"
	}
	return fmt.Sprintf("%d of %d", n, of)
}

// remarks are what the numbers of a row do not tell.
func (r Row) remarks() string {
	var all []string
	say := func(n int, what string) {
		if n > 0 {
			all = append(all, fmt.Sprint(n, " ", what))
		}
	}
	if r.Trials+r.Problems < r.Asked {
		all = append(all, fmt.Sprintf("cut short: %d of %d trials", r.Trials+r.Problems, r.Asked))
	}
	say(r.Problems, "without end")
	say(r.Tilted, "tilted, not in the times")
	for _, how := range slices.Sorted(maps.Keys(r.LostFile)) {
		say(r.LostFile[how], "lost file: "+how)
	}
	return strings.Join(all, "; ")
}

func (q Quantiles) String() string {
	if q.N == 0 {
		return "-"
	}
	return show(q.P50) + " / " + show(q.P99)
}

// show is a time in milliseconds, with its unit.
func show(v float64) string {
	switch {
	case v < 0:
		return "-"
	case v == 0:
		return "0"
	case v < 10:
		return fmt.Sprintf("%.1f ms", v)
	case v < 10_000:
		return fmt.Sprintf("%.0f ms", v)
	}
	return fmt.Sprintf("%.1f s", v/1000)
}

// Save writes rows and the trials behind them as JSON.
func Save(out io.Writer, rows []Row, trials []Outcome) error {
	e := json.NewEncoder(out)
	return e.Encode(map[string]any{"rows": rows, "trials": trials})
}
