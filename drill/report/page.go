package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/doozer-store/doozer/drill"
)

const (
	// maxCharts is how many runs have a chart of their own, beside those that
	// failed: a page of a day's runs has to load.
	maxCharts = 60
	// maxOpen is how many of them are shown open, beside those that failed.
	maxOpen = 8
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

//go:embed style.css
var chartCSS string

// Page is a report and what its readers need beside it.
type Page struct {
	Report *drill.Report
	// Drills explain the names in the report; those without one are shown without.
	Drills []drill.Drill
	// Repeat is the command line that does the same again.
	Repeat string
	// Machine says what it ran on, in a few words; Kept, where logs and data
	// are, if anywhere.
	Machine, Kept string
}

// view is what the template shows; everything in it is formatted.
type view struct {
	Style                        template.CSS
	Class, Title, Word, Headline string
	Started, Machine             string
	Failing                      []failing
	Tiles                        []tile
	Timeline                     template.HTML
	Rows                         []rowView
	Repeated                     bool
	Runs                         []runView
	Skipped, Invalid             []drill.Skip
	Facts                        []fact
	Repeat                       string
}

type failing struct{ Anchor, Drill, Check, Detail string }
type tile struct{ Label, Value, Note string }
type fact struct{ Name, Value string }

type rowView struct {
	Drill, Times, Class, Checks, Outage, MedianOutage, Recovery, MedianRecovery string
	Before, During, Slowest, OK, Refused, Unknown                               string
}

type runView struct {
	Anchor, Drill, Class, Word, Facts, Summary string
	Watched, Dir, Again                        string
	Open                                       bool
	Timeline                                   template.HTML
	Faults                                     []faultView
	Checks                                     []checkView
}

type faultView struct{ What, From, For string }
type checkView struct{ Name, Class, Word, Detail string }

// HTML writes p as one page that needs nothing else.
func HTML(w io.Writer, p Page) error {
	t, err := template.New("page").Parse(pageHTML)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return t.Execute(w, newView(p))
}

// SVG writes the timeline of all of r, as a document of its own.
func SVG(w io.Writer, r *drill.Report) error {
	_, err := w.Write(timeline(r, "timeline").svg(chartCSS))
	return err
}

func newView(p Page) *view {
	r := p.Report
	verdict := Judge(r)
	v := &view{
		Style: template.CSS(chartCSS + pageCSS), Class: classes[verdict], Title: titles[verdict], Word: string(verdict),
		Headline: sentence(headline(r)), Started: r.Started.UTC().Format("2 January 2006, 15:04 MST"),
		Machine: r.Started.UTC().Format(time.RFC3339), Skipped: r.Skipped, Invalid: r.Invalid, Repeat: p.Repeat,
	}
	// svg escapes all it is given.
	v.Timeline = template.HTML(timeline(r, "all").svg(""))
	v.tiles(r)
	v.rows(r)
	v.runs(p)
	v.facts(p)
	return v
}

var (
	classes = map[Verdict]string{Passed: "good", Failed: "bad", Interrupted: "warn", Nothing: "warn"}
	titles  = map[Verdict]string{Passed: "Passed", Failed: "Failed", Interrupted: "Interrupted", Nothing: "Nothing checked"}
)

// sentence is s with a capital letter.
func sentence(s string) string {
	first, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(first)) + s[n:]
}

func (v *view) tiles(r *drill.Report) {
	outage := tile{"Longest outage of writes", "–", "none seen"}
	if run := worstRun(r.Runs, func(r drill.Run) time.Duration { return r.Outage }); run != nil {
		outage.Value, outage.Note = span(run.Outage), "in "+run.Drill
	}
	recovery := tile{"Slowest recovery", "–", "none seen"}
	if run := worstRun(r.Runs, func(r drill.Run) time.Duration { return r.Recovery }); run != nil {
		recovery.Value, recovery.Note = span(run.Recovery), "after "+run.Drill
	}
	var ok, refused, unknown, faults int
	for _, run := range r.Runs {
		ok, refused, unknown, faults = ok+run.OK, refused+run.Refused, unknown+run.Unknown, faults+len(run.Faults)
	}
	v.Tiles = []tile{
		outage, recovery,
		{"Successful operations", count(ok), count(refused) + " refused, " + count(unknown) + " unknown"},
		{"Harm done", plural(faults, "time", "times"), "in " + plural(len(r.Runs), "run", "runs") + ", " + span(r.Length)},
	}
}

func (v *view) rows(r *drill.Report) {
	for _, row := range summarize(r.Runs) {
		f := rowView{
			Drill: row.drill, Class: "good", Checks: fmt.Sprintf("%d of %d", row.passed, row.checks),
			Outage: span(row.outage), Recovery: span(row.recovery),
			Before: span(row.before.P99), During: span(row.during.P99), Slowest: span(row.during.Max),
			OK: count(row.ok), Refused: count(row.refused), Unknown: count(row.unknown),
		}
		switch {
		case row.passed < row.checks:
			f.Class = "bad"
		case row.checks == 0:
			f.Class = "warn"
		}
		if row.runs > 1 {
			v.Repeated = true
			f.Times = plural(row.runs, "run", "runs")
			f.MedianOutage, f.MedianRecovery = "median "+span(row.medianOutage), "median "+span(row.medianRecovery)
		}
		v.Rows = append(v.Rows, f)
	}
}

func (v *view) runs(p Page) {
	for i, run := range p.Report.Runs {
		f := runView{
			Anchor: fmt.Sprintf("run-%d", i+1), Drill: run.Drill, Class: "good", Word: "passed",
			Facts: fmt.Sprintf("outage %s, recovery %s, seed %d", span(run.Outage), span(run.Recovery), run.Seed),
		}
		switch {
		case failed(run):
			f.Class, f.Word, f.Again = "bad", "failed", again(p.Report, run)
		case len(run.Checks) == 0:
			f.Class, f.Word = "warn", "unchecked"
		}
		f.Watched, f.Dir = watched(run), run.Dir
		if j := slices.IndexFunc(p.Drills, func(d drill.Drill) bool { return d.Name == run.Drill }); j >= 0 {
			f.Summary = p.Drills[j].Summary
		}
		if i < maxCharts || failed(run) {
			f.Open = i < maxOpen || failed(run)
			f.Timeline = template.HTML(runTimeline(p.Report, run, f.Anchor).svg(""))
		}
		for _, fault := range run.Faults {
			f.Faults = append(f.Faults, faultView{fault.What, clock(fault.From - run.From), span(fault.To - fault.From)})
		}
		for _, c := range run.Checks {
			word, class := "held", "good"
			if !c.OK {
				word, class = "failed", "bad"
				v.Failing = append(v.Failing, failing{f.Anchor, run.Drill, c.Name, firstLines(c.Detail, 2)})
			}
			f.Checks = append(f.Checks, checkView{c.Name, class, word, c.Detail})
		}
		v.Runs = append(v.Runs, f)
	}
}

// watched tells what else a run met, in a sentence; "" when nothing is known.
func watched(run drill.Run) string {
	if run.Streams == 0 {
		return ""
	}
	s := fmt.Sprintf("%s operations were done, %s refused, of %s the outcome stayed unknown. %s gave %s",
		count(run.OK), count(run.Refused), count(run.Unknown), plural(run.Streams, "watch", "watches"), plural(run.Watched, "change", "changes"))
	if run.Resyncs+run.TooLate > 0 {
		s += fmt.Sprintf(" and met the edge of the window %s", plural(run.Resyncs+run.TooLate, "time", "times"))
	}
	if run.Snapshots > 0 {
		s += fmt.Sprintf("; nodes installed %s", plural(run.Snapshots, "snapshot", "snapshots"))
	}
	return s + "."
}

func (v *view) facts(p Page) {
	r := p.Report
	add := func(name, value string) {
		if value != "" {
			v.Facts = append(v.Facts, fact{name, value})
		}
	}
	add("doozerd", r.Version)
	add("Nodes", fmt.Sprintf("%d, on loopback", r.Nodes))
	add("Machine", p.Machine)
	add("Seed", fmt.Sprint(r.Seed))
	add("Started", r.Started.UTC().Format(time.RFC3339))
	add("Took", span(r.Length))
	add("Logs and data", p.Kept)
}
