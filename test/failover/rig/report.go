package rig

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// Row is all trials of a case with a system.
type Row struct {
	System string `json:"system"`
	Case   string `json:"case"`
	What   string `json:"what"`
	Trials int    `json:"trials"`
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

// Sum makes one row of the trials of a case with a system.
func Sum(c Case, outs []Outcome) Row {
	r := Row{Case: c.Name, What: c.What, LostFile: map[string]int{}}
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

// Table writes rows for people.
func Table(out io.Writer, rows []Row) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "case\tsystem\ttrials\tfirst write ms\t\tno write ms\t\tclient ms\t\ttwo masters ms\tacked\tlost\tstuck lost\tconfirmed\tlost\tfull syncs\tlost file")
	fmt.Fprintln(w, "\t\t\tp50\tp99\tp50\tp99\tp50\tp99\tmax\t\t\t\t\t\t\t")
	for _, r := range rows {
		trials := fmt.Sprint(r.Trials)
		if r.Problems > 0 {
			trials += fmt.Sprintf(" (%d without end)", r.Problems)
		}
		if r.Tilted > 0 {
			trials += fmt.Sprintf(" (%d tilted)", r.Tilted)
		}
		var files []string
		for how, n := range r.LostFile {
			files = append(files, fmt.Sprintf("%s %d", how, n))
		}
		slices.Sort(files)
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%.0f\t%d\t%d\t%d\t%d\t%d\t%d\t%s\n", r.Case, r.System, trials,
			r.FirstWrite.show(r.FirstWrite.P50), r.FirstWrite.show(r.FirstWrite.P99), r.NoWrite.show(r.NoWrite.P50), r.NoWrite.show(r.NoWrite.P99),
			r.Client.show(r.Client.P50), r.Client.show(r.Client.P99), r.Two.Max, r.Acked, r.Lost, r.StuckLost, r.Confirmed, r.ConfirmedLost,
			r.FullSyncs, strings.Join(files, ", "))
	}
	w.Flush()
}

func (q Quantiles) show(v float64) string {
	switch {
	case q.N == 0:
		return "-"
	case v < 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

// Save writes rows and the trials behind them as JSON.
func Save(out io.Writer, rows []Row, trials []Outcome) error {
	e := json.NewEncoder(out)
	e.SetIndent("", " ")
	return e.Encode(map[string]any{"rows": rows, "trials": trials})
}
