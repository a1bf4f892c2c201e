package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/doozer-store/doozer/drill"
)

func page(t *testing.T, p Page) string {
	t.Helper()
	var b bytes.Buffer
	if err := HTML(&b, p); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func svg(t *testing.T, r *drill.Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := SVG(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// parse reads a document to its end and returns its text.
func parse(t *testing.T, doc string) string {
	t.Helper()
	var text strings.Builder
	for d := xml.NewDecoder(strings.NewReader(doc)); ; {
		tok, err := d.Token()
		if err == io.EOF {
			return text.String()
		}
		if err != nil {
			t.Fatalf("%v in\n%.2000s", err, doc)
		}
		if s, ok := tok.(xml.CharData); ok {
			text.Write(s)
		}
	}
}

// drawings are the SVG elements of a page.
func drawings(page string) []string {
	return regexp.MustCompile(`(?s)<svg xmlns.*?</svg>`).FindAllString(page, -1)
}

func TestVerdicts(t *testing.T) {
	held, broken := drill.Check{Name: "a", OK: true}, drill.Check{Name: "b"}
	run := func(checks ...drill.Check) drill.Run { return drill.Run{Drill: "x", Checks: checks} }
	tests := []struct {
		report drill.Report
		want   Verdict
		text   string
	}{
		{drill.Report{}, Nothing, "no drill was checked, so nothing is known"},
		{drill.Report{Runs: []drill.Run{run()}}, Nothing, "no drill was checked, so nothing is known"},
		{drill.Report{Runs: []drill.Run{run(held)}}, Passed, "the one check held in 1 drill"},
		{drill.Report{Runs: []drill.Run{run(held, held), run(held)}}, Passed, "all 3 checks held in 2 runs of 1 drill"},
		{drill.Report{Runs: []drill.Run{run(held), run(broken)}}, Failed, "1 of 2 checks failed in 2 runs of 1 drill"},
		{drill.Report{Runs: []drill.Run{run(held), run()}, Interrupted: true}, Interrupted, "ended before all was done; 1 check held so far"},
		{drill.Report{Runs: []drill.Run{run(held), run()}}, Interrupted, "ended before all was done; 1 check held so far"},
		{drill.Report{Runs: []drill.Run{run(broken)}, Interrupted: true}, Failed, "1 of 1 check failed in 1 drill"},
	}
	for _, tt := range tests {
		if got := Judge(&tt.report); got != tt.want || headline(&tt.report) != tt.text {
			t.Errorf("%+v: %s, %q; want %s, %q", tt.report, got, headline(&tt.report), tt.want, tt.text)
		}
		tt.report.Started = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		html := page(t, Page{Report: &tt.report})
		if !strings.Contains(html, "<h1>"+titles[tt.want]+"</h1><p>"+sentence(tt.text)) {
			t.Errorf("%s: not in the page", tt.text)
		}
		for _, d := range append(drawings(html), svg(t, &tt.report)) {
			parse(t, d)
		}
		var text bytes.Buffer
		if err := Text(&text, &tt.report); err != nil || !strings.HasPrefix(text.String(), strings.ToUpper(string(tt.want))+": "+tt.text) {
			t.Errorf("%v, text %q", err, &text)
		}
	}
}

// Whatever names and details hold, drawings are well-formed, the page has no
// element that is not its own, and a terminal gets no escape sequence.
func TestHostileNames(t *testing.T) {
	r := made()
	r.Version = hostile
	r.Skipped = []drill.Skip{{Drill: hostile, Why: hostile}}
	r.Invalid = r.Skipped
	for i := range r.Runs {
		run := &r.Runs[i]
		run.Drill, run.Dir, run.Faults[0].What = hostile, hostile, hostile
		run.Checks[0] = drill.Check{Name: hostile, Detail: hostile}
	}
	html := page(t, Page{Report: r, Drills: []drill.Drill{{Name: hostile, Summary: hostile}}, Repeat: hostile, Machine: hostile, Kept: hostile})
	if strings.Contains(html, "<script") {
		t.Error("a name became an element")
	}
	if n := strings.Count(html, "&lt;script&gt;"); n < 20 {
		t.Errorf("%d escaped names", n)
	}
	all := drawings(html)
	if len(all) != 4 {
		t.Errorf("%d drawings, want 4", len(all))
	}
	for _, d := range append(all, svg(t, r)) {
		if text := parse(t, d); !strings.Contains(text, `<script>alert("1")</script>&'`) {
			t.Error("a name is not in its drawing")
		}
	}
	var text bytes.Buffer
	if err := Text(&text, r); err != nil {
		t.Fatal(err)
	}
	text.WriteString(Line(r.Runs[0]))
	if strings.ContainsAny(text.String(), "\x1b\x00") || !strings.Contains(text.String(), `\x1b[31m`) {
		t.Errorf("control characters in %q", &text)
	}
}

// A page works from a file, without a network: it names nothing outside.
func TestSelfContained(t *testing.T) {
	html := page(t, Page{Report: made()})
	html = strings.ReplaceAll(html, `xmlns="http://www.w3.org/2000/svg"`, "")
	for _, outside := range []string{"http:", "https:", "src=", "url(", "@import", "<script", "<link"} {
		if strings.Contains(html, outside) {
			t.Errorf("the page has %s", outside)
		}
	}
	for _, want := range []string{`lang="en"`, "prefers-color-scheme: dark", `role="img"`, "<caption>", `scope="col"`, "partition", "not told rev 4711", "full-disk"} {
		if !strings.Contains(html, want) {
			t.Errorf("the page has no %s", want)
		}
	}
	if ids := regexp.MustCompile(` id="([^"]+)"`).FindAllString(html, -1); len(ids) != len(unique(ids)) {
		t.Errorf("ids are not unique: %v", ids)
	}
}

func unique(list []string) map[string]bool {
	m := map[string]bool{}
	for _, s := range list {
		m[s] = true
	}
	return m
}

// A label of any length stays in the picture, and is whole in its tooltip.
func TestLongLabels(t *testing.T) {
	r := made()
	long := strings.Repeat("ü<", 300)
	r.Runs[0].Faults[0].What = long
	drawing := string(runTimeline(r, r.Runs[0], "x").svg(""))
	parse(t, drawing)
	if n := strings.Count(drawing, escape(long)); n != 2 {
		t.Errorf("the whole label is there %d times, want 2: description and tooltip", n)
	}
	for _, x := range regexp.MustCompile(`class="label" x="([-0-9.]+)"`).FindAllStringSubmatch(drawing, -1) {
		if f, err := strconv.ParseFloat(x[1], 64); err != nil || f < 0 || f > chartWidth-maxLabel*letterWidth {
			t.Errorf("a label at %s", x[1])
		}
	}
}

// A long campaign still makes a page that can be opened: every run is in it,
// and those that failed are drawn.
func TestLongReport(t *testing.T) {
	r := &drill.Report{Nodes: 5, Length: 2 * time.Hour}
	for i := range 600 {
		from := time.Duration(i) * 12 * time.Second
		run := drill.Run{Drill: fmt.Sprint("drill-", i%7), From: from, Harmed: from + 3*time.Second, Healed: from + 6*time.Second, To: from + 12*time.Second,
			Faults: []drill.Fault{{What: "kill", From: from + 3*time.Second, To: from + 6*time.Second}},
			Outage: time.Duration(i+1) * msec, OutageFrom: from + 3*time.Second, Checks: []drill.Check{{Name: "a", OK: i != 500, Detail: "x"}}}
		r.Runs = append(r.Runs, run)
		for j := range 100 {
			r.Samples = append(r.Samples, drill.Sample{At: from + time.Duration(j+1)*100*msec, OK: 300, P50: msec, P99: 4 * msec})
		}
	}
	html := page(t, Page{Report: r})
	if len(html) > 4<<20 {
		t.Errorf("the page has %d bytes", len(html))
	}
	if n := len(drawings(html)); n != 1+maxCharts+1 {
		t.Errorf("%d drawings", n)
	}
	if n := strings.Count(html, `<details class="run"`); n != 600 {
		t.Errorf("%d runs", n)
	}
	if !strings.Contains(html, "86 runs") || !strings.Contains(html, "median 302 ms") {
		t.Error("no sums of the drills")
	}
}

func TestJSON(t *testing.T) {
	var b bytes.Buffer
	if err := JSON(&b, made()); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Verdict string
		Seed    uint64
		Runs    []struct {
			Drill    string
			Outage   float64  `json:"outage_ms"`
			Recovery *float64 `json:"recovery_ms"`
			Checks   []struct{ OK bool }
		}
		Samples []struct {
			P99 float64 `json:"p99_ms"`
		}
	}
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Verdict != "failed" || got.Seed != 42 || got.Runs[1].Outage != 640 || *got.Runs[1].Recovery != 5 || got.Runs[2].Recovery != nil || got.Runs[2].Checks[1].OK || got.Samples[0].P99 < 1 {
		t.Errorf("%.500s", &b)
	}
	b.Reset()
	if err := JSON(&b, &drill.Report{}); err != nil || strings.Contains(b.String(), "null") {
		t.Errorf("an empty report: %v, %s", err, &b)
	}
}

func TestSave(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	for range 2 {
		if err := Save(dir, Page{Report: made()}); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{PageFile, TimelineFile, DataFile} {
		if st, err := os.Stat(filepath.Join(dir, name)); err != nil || st.Size() < 1000 {
			t.Errorf("%s: %v", name, err)
		}
	}
	file := filepath.Join(dir, PageFile)
	if err := Save(file, Page{Report: made()}); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("into a file: %v", err)
	}
}

type broken struct{}

var errBroken = errors.New("broken")

func (broken) Write([]byte) (int, error) { return 0, errBroken }

func TestWriterFails(t *testing.T) {
	r := made()
	for name, err := range map[string]error{
		"HTML": HTML(broken{}, Page{Report: r}), "SVG": SVG(broken{}, r), "Text": Text(broken{}, r), "JSON": JSON(broken{}, r),
	} {
		if !errors.Is(err, errBroken) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
