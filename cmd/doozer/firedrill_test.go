package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/doozer-store/doozer/drill"
	"github.com/doozer-store/doozer/drill/report"
)

// fakeDrills makes its reports up.
type fakeDrills struct {
	run  func(ctx context.Context, o drill.Options) (*drill.Report, error)
	seen []drill.Options
}

func (f *fakeDrills) List() []drill.Drill {
	return []drill.Drill{
		{Name: "kill-leader", Summary: "kill -9 of the leader"},
		{Name: "pause", Summary: "a node stands still"},
		{Name: "slow-disk", Summary: "fsync takes long", Missing: "strace is not installed: apt install strace"},
	}
}

func (f *fakeDrills) Run(ctx context.Context, o drill.Options) (*drill.Report, error) {
	f.seen = append(f.seen, o)
	return f.run(ctx, o)
}

// madeUp is a report of the named drills, the last of which is given checks.
func madeUp(checks []drill.Check, names ...string) *drill.Report {
	r := &drill.Report{Version: "v9", Nodes: 3, Seed: 7, Length: time.Minute}
	for i, name := range names {
		at := time.Duration(i) * 10 * time.Second
		run := drill.Run{Drill: name, Seed: uint64(i) + 1, From: at, Harmed: at + 2*time.Second, Healed: at + 4*time.Second, To: at + 9*time.Second,
			Outage: 14 * time.Millisecond, Recovery: 3 * time.Millisecond, OK: 1234, Checks: []drill.Check{{Name: "linearizable", OK: true, Detail: "1,234 operations"}}}
		if i == len(names)-1 && checks != nil {
			run.Checks = checks
		}
		r.Runs = append(r.Runs, run)
	}
	return r
}

// acted is an engine that tells of each run and returns the report.
func acted(r *drill.Report) *fakeDrills {
	return &fakeDrills{run: func(_ context.Context, o drill.Options) (*drill.Report, error) {
		for i, run := range r.Runs {
			o.Progress(drill.Progress{At: run.From, Drill: run.Drill, Rate: 100, Runs: i})
			o.Progress(drill.Progress{At: run.Harmed, Drill: run.Drill, Fault: "kill -9 a", Outage: time.Millisecond, Runs: i})
			o.Finished(run)
		}
		return r, nil
	}}
}

// drillDirs gives a test directories of its own: the present one, which is
// returned, and that for temporary files.
func drillDirs(t *testing.T) (dir, tmp string) {
	t.Helper()
	dir, tmp = t.TempDir(), t.TempDir()
	t.Chdir(dir)
	t.Setenv("TMPDIR", tmp)
	return dir, tmp
}

// fakeServer is a program that says it is doozerd, and no more.
var fakeServer = func() string {
	path, err := filepath.Abs(filepath.Join("testdata", "fake-doozerd"))
	if err != nil {
		panic(err)
	}
	return path
}()

// firedrill runs the verb with an engine.
func firedrill(ctx context.Context, engine drills, args ...string) *invocation {
	inv := &invocation{}
	inv.status = firedrillTo(ctx, engine, &inv.stdout, &inv.stderr, append([]string{"--binary", fakeServer}, args...)...)
	return inv
}

func firedrillTo(ctx context.Context, engine drills, stdout, stderr io.Writer, args ...string) int {
	c := newCommand(nil, strings.NewReader(""), stdout, stderr)
	c.drills = engine
	return c.finish(c.execute(ctx, append([]string{"firedrill"}, args...)))
}

func entries(t *testing.T, dir string) (names []string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

func TestFiredrillUsage(t *testing.T) {
	dir, tmp := drillDirs(t)
	tests := []struct{ args, want string }{
		{"nonsense", `there is no drill "nonsense"; there are kill-leader, pause, slow-disk`},
		{"--nodes 4", "it is 3 or 5"},
		{"--nodes 1", "it is 3 or 5"},
		{"--for 0s", "it has to be more than 0"},
		{"--for soon", "a duration is like"},
		{"--seed 0", "a seed is a number from 1"},
		{"--seed x", "a seed is a number from 1"},
		{"--list pause", "takes no names"},
		{"-a 10.0.0.1:8046", "a fire drill harms only a cluster of its own"},
		{"--uri 10.0.0.1:8046 --list", "a fire drill harms only a cluster of its own"},
		{"--no-such", "unknown flag"},
		{"-o yaml", "text or json"},
	}
	for _, tt := range tests {
		inv := firedrill(t.Context(), &fakeDrills{}, strings.Fields(tt.args)...)
		if inv.status != statusUsage || inv.stdout.Len() > 0 || !strings.Contains(inv.stderr.String(), tt.want) ||
			!strings.HasSuffix(inv.stderr.String(), "see 'doozer firedrill --help'\n") {
			t.Errorf("%s: status %d, stdout %q, stderr %q", tt.args, inv.status, &inv.stdout, &inv.stderr)
		}
	}
	if list := append(entries(t, dir), entries(t, tmp)...); len(list) > 0 {
		t.Errorf("left behind: %v", list)
	}
}

// What can't be done is told before the cluster is started, with the remedy, and
// nothing is left behind.
func TestFiredrillRefuses(t *testing.T) {
	dir, tmp := drillDirs(t)
	if err := os.WriteFile("plain", nil, 0o666); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ args, want string }{
		{"--binary plain", "--binary: plain: permission denied"},
		{"--binary none", "--binary: none: no such file or directory"},
		{"--binary .", "--binary: .: "},
		{"", "doozerd is neither beside doozer nor in PATH: install it, or name it with --binary PATH"},
		{"--binary /bin/true", "/bin/true is no doozerd: its version is \"\"; --binary PATH names another one"},
		{"--binary /bin/false", "/bin/false is no doozerd: exit status 1; --binary PATH names another one"},
		{"--binary PROGRAM --out plain", "the report can't be written: mkdir plain: not a directory; --out DIR names another place"},
		{"--binary PROGRAM --out plain/x", "not a directory; --out DIR names another place"},
		{"--binary PROGRAM pause slow-disk", "slow-disk can't be run here: strace is not installed: apt install strace"},
	}
	for _, tt := range tests {
		var stdout, stderr bytes.Buffer
		args := strings.Fields(strings.ReplaceAll(tt.args, "PROGRAM", fakeServer))
		status := firedrillTo(t.Context(), &fakeDrills{}, &stdout, &stderr, args...)
		if status != statusError || stdout.Len() > 0 || !strings.Contains(stderr.String(), tt.want) || strings.Count(stderr.String(), "\n") != 1 {
			t.Errorf("%s: status %d, stdout %q, stderr %q", tt.args, status, &stdout, &stderr)
		}
	}
	if list := append(entries(t, dir), entries(t, tmp)...); !slices.Equal(list, []string{"plain"}) {
		t.Errorf("left behind: %v", list)
	}
}

func TestFiredrillList(t *testing.T) {
	inv := firedrill(t.Context(), &fakeDrills{}, "--list")
	want := `kill-leader  kill -9 of the leader
pause        a node stands still
slow-disk    fsync takes long
             not on this machine: strace is not installed: apt install strace
`
	if inv.status != statusDone || inv.stdout.String() != want {
		t.Errorf("status %d, stdout\n%s", inv.status, &inv.stdout)
	}
	inv = firedrill(t.Context(), &fakeDrills{}, "--list", "-o", "json")
	if inv.status != statusDone || !strings.HasPrefix(inv.stdout.String(), `{"name":"kill-leader","summary":"kill -9 of the leader"}`+"\n") {
		t.Errorf("status %d, stdout\n%s", inv.status, &inv.stdout)
	}
}

// A passed drill leaves the report and nothing else.
func TestFiredrillPassed(t *testing.T) {
	dir, tmp := drillDirs(t)
	engine := acted(madeUp(nil, "kill-leader", "pause"))
	inv := firedrill(t.Context(), engine, "kill-leader", "pause", "--seed", "7", "--nodes", "5", "--for", "1m", "--out", "r")
	if inv.status != statusDone || inv.stderr.Len() > 0 {
		t.Errorf("status %d, stderr %q", inv.status, &inv.stderr)
	}
	for _, want := range []string{
		"       kill-leader         run 1\nok     kill-leader         1 of 1 checks, outage 14 ms, recovery 3.0 ms",
		"       pause               run 2\n", "\nPASSED: all 2 checks held in 2 drills\n3 nodes, seed 7, 1 min 00 s; doozerd v9\n",
		"report: r/report.html, with timeline.svg and report.json beside it\n",
	} {
		if !strings.Contains(inv.stdout.String(), want) {
			t.Errorf("no %q in\n%s", want, &inv.stdout)
		}
	}
	if strings.Contains(inv.stdout.String(), "\x1b") {
		t.Errorf("control sequences in\n%q", &inv.stdout)
	}
	o := engine.seen[0]
	if o.Nodes != 5 || o.Seed != 7 || o.For != time.Minute || !slices.Equal(o.Drills, []string{"kill-leader", "pause"}) || filepath.Dir(o.Dir) != tmp {
		t.Errorf("options %+v", o)
	}
	if out, rest := entries(t, filepath.Join(dir, "r")), entries(t, tmp); len(out) != 3 || len(rest) > 0 {
		t.Errorf("the report has %v, left behind are %v", out, rest)
	}
	page, err := os.ReadFile(filepath.Join(dir, "r", report.PageFile))
	if want := "doozer firedrill --nodes 5 --seed 7 --for 1m0s --binary " + quoteArg(fakeServer) + " kill-leader pause</code>"; err != nil ||
		!strings.Contains(string(page), want) {
		t.Errorf("%v: no %q in the page", err, want)
	}
}

// A failed check is status 1, also when stdout has gone away, and what the
// nodes wrote is kept.
func TestFiredrillFailed(t *testing.T) {
	_, tmp := drillDirs(t)
	bad := madeUp([]drill.Check{{Name: "watches", Detail: "rev 9 was skipped"}}, "kill-leader", "pause")
	inv := firedrill(t.Context(), acted(bad), "--out", "r")
	if inv.status != statusCondition || inv.stderr.String() != "doozer: firedrill: a check failed\n" {
		t.Errorf("status %d, stderr %q", inv.status, &inv.stderr)
	}
	for _, want := range []string{"FAILED pause", "\nFAILED: 1 of 2 checks failed in 2 drills", "failed: pause: watches: rev 9 was skipped\nagain:  doozer firedrill --nodes 3 --seed 2 pause\n", "logs and data are kept in " + tmp} {
		if !strings.Contains(inv.stdout.String(), want) {
			t.Errorf("no %q in\n%s", want, &inv.stdout)
		}
	}
	if list := entries(t, tmp); len(list) != 1 {
		t.Errorf("kept: %v", list)
	}
	for _, err := range []error{syscall.EPIPE, syscall.ENOSPC} {
		if status := firedrillTo(t.Context(), acted(bad), failing{err}, io.Discard, "--binary", fakeServer); status != statusCondition {
			t.Errorf("%v: status %d", err, status)
		}
	}
	if status := firedrillTo(t.Context(), acted(madeUp(nil, "pause")), failing{syscall.EPIPE}, io.Discard, "--binary", fakeServer); status != statusDone {
		t.Errorf("passed, and nobody reads it: status %d", status)
	}
}

func TestFiredrillJSON(t *testing.T) {
	drillDirs(t)
	inv := firedrill(t.Context(), acted(madeUp(nil, "pause")), "pause", "-o", "json")
	var got struct {
		Verdict string
		Runs    []struct{ Drill string }
	}
	if err := json.Unmarshal(inv.stdout.Bytes(), &got); err != nil || inv.status != statusDone || got.Verdict != "passed" || got.Runs[0].Drill != "pause" {
		t.Errorf("%v, status %d, stdout %s", err, inv.status, &inv.stdout)
	}
	if text := inv.stderr.String(); !strings.Contains(text, "ok     pause") || !strings.Contains(text, "report: firedrill-") {
		t.Errorf("stderr %q", text)
	}
}

// An interrupt ends the drills with a report of what was done; what the nodes
// wrote is taken away, as nothing is wrong.
func TestFiredrillInterrupted(t *testing.T) {
	for _, part := range []bool{true, false} {
		dir, tmp := drillDirs(t)
		ctx, cancel := context.WithCancel(t.Context())
		engine := &fakeDrills{run: func(ctx context.Context, o drill.Options) (*drill.Report, error) {
			cancel()
			<-ctx.Done()
			if !part {
				return nil, fmt.Errorf("starting node b: %w", ctx.Err())
			}
			return madeUp([]drill.Check{}, "kill-leader", "pause"), ctx.Err()
		}}
		inv := firedrill(ctx, engine, "--out", "r")
		if inv.status != statusError || inv.stderr.String() != "doozer: firedrill: interrupted\n" {
			t.Errorf("part %v: status %d, stderr %q", part, inv.status, &inv.stderr)
		}
		if part != strings.Contains(inv.stdout.String(), "INTERRUPTED: ended before all was done; 1 check held so far") {
			t.Errorf("part %v: stdout\n%s", part, &inv.stdout)
		}
		if rest := entries(t, tmp); len(rest) > 0 {
			t.Errorf("part %v: left behind: %v", part, rest)
		}
		if out := entries(t, dir); part != (len(out) == 1) {
			t.Errorf("part %v: in the directory: %v", part, out)
		}
	}
}

func TestFiredrillTimeout(t *testing.T) {
	drillDirs(t)
	engine := &fakeDrills{run: func(ctx context.Context, o drill.Options) (*drill.Report, error) {
		<-ctx.Done()
		return madeUp([]drill.Check{}, "pause"), nil
	}}
	inv := firedrill(t.Context(), engine, "--timeout", "10ms")
	if inv.status != statusError || !strings.HasSuffix(inv.stderr.String(), "; --timeout is 10ms\n") {
		t.Errorf("status %d, stderr %q", inv.status, &inv.stderr)
	}
}

// An engine that fails leaves what it wrote, and says where.
func TestFiredrillBreaks(t *testing.T) {
	dir, tmp := drillDirs(t)
	engine := &fakeDrills{run: func(context.Context, drill.Options) (*drill.Report, error) {
		return nil, errors.New("node a ended: status 2")
	}}
	inv := firedrill(t.Context(), engine)
	if inv.status != statusError || inv.stderr.String() != "doozer: firedrill: node a ended: status 2\n" {
		t.Errorf("status %d, stderr %q", inv.status, &inv.stderr)
	}
	if kept := entries(t, tmp); len(kept) != 1 || !strings.Contains(inv.stdout.String(), "logs and data are kept in "+filepath.Join(tmp, kept[0])) {
		t.Errorf("kept %v, stdout %q", kept, &inv.stdout)
	}
	if out := entries(t, dir); len(out) > 0 {
		t.Errorf("in the directory: %v", out)
	}
}

// Drills at the same time in the same directory have places of their own.
func TestFiredrillTwoAtOnce(t *testing.T) {
	drillDirs(t)
	now := time.Now()
	var a, b drillPlaces
	if err := errors.Join(a.makeOut("", now), b.makeOut("", now)); err != nil || a.out == b.out {
		t.Errorf("%v: %s and %s", err, a.out, b.out)
	}
	b.unmakeOut()
	if list := entries(t, "."); !slices.Equal(list, []string{a.out}) {
		t.Errorf("in the directory: %v", list)
	}
	// A directory that was there before is not taken away.
	var mine drillPlaces
	if err := mine.makeOut(a.out, now); err != nil {
		t.Fatal(err)
	}
	mine.unmakeOut()
	if list := entries(t, "."); len(list) != 1 {
		t.Errorf("in the directory: %v", list)
	}
}

// screen is what a terminal shows after text: lines, and a cursor that goes up
// and clears what is below.
func screen(t *testing.T, text string) (lines []string) {
	t.Helper()
	for len(text) > 0 {
		var up int
		if n, err := fmt.Sscanf(text, "\r\x1b[%dA\x1b[J", &up); n == 1 && err == nil {
			if up > len(lines) {
				t.Fatalf("%d lines up of %d", up, len(lines))
			}
			lines = lines[:len(lines)-up]
			text = text[strings.Index(text, "J")+1:]
			continue
		}
		line, rest, ok := strings.Cut(text, "\n")
		if !ok {
			t.Fatalf("a line without end: %q", line)
		}
		lines, text = append(lines, strings.NewReplacer("\x1b[?7l", "", "\x1b[?7h", "").Replace(line)), rest
	}
	return lines
}

// On a terminal the state is painted in place, and only the lines of drills
// that are over stay.
func TestFiredrillTerminal(t *testing.T) {
	var b bytes.Buffer
	l := &live{out: bufio.NewWriter(&b), terminal: true, title: "3 nodes", total: 2}
	l.progress(drill.Progress{})
	l.progress(drill.Progress{At: time.Second, Drill: "pause", Rate: 1000})
	l.progress(drill.Progress{At: 62 * time.Second, Drill: "pause", Fault: "SIGSTOP \x1b[2Ja", Rate: 500, P99: 4200 * time.Microsecond, Outage: 300 * time.Millisecond, Checks: 3, Failed: 1})
	want := []string{"1:02  pause, 1 of 2 (3 nodes)", `  harm    SIGSTOP \x1b[2Ja`, "  outage  0.3s", "  rate    500/s, p99 4.2 ms   █▅", "  checks  3 passed, 1 FAILED"}
	if got := screen(t, b.String()); !slices.Equal(got, want) {
		t.Errorf("the screen is\n%s", strings.Join(got, "\n"))
	}
	run := madeUp(nil, "pause").Runs[0]
	l.finished(run)
	l.progress(drill.Progress{At: 70 * time.Second, Drill: "pause", Runs: 1})
	l.finished(run)
	l.end()
	if got, want := screen(t, b.String()), []string{report.Line(run), report.Line(run), ""}; !slices.Equal(got, want) {
		t.Errorf("in the end the screen is\n%s", strings.Join(got, "\n"))
	}
}

func TestSparkline(t *testing.T) {
	for want, rates := range map[string][]float64{
		"": {0, 0}, "█": {5}, "▁▅█": {1, 50, 100}, "█ █": {3, 0, 3}, "▂ █": {2, 0, 16, 0},
	} {
		if got := sparkline(rates); got != want {
			t.Errorf("%v: %q, want %q", rates, got, want)
		}
	}
}

func TestQuoteArg(t *testing.T) {
	for s, want := range map[string]string{"/a/b-1.x": "/a/b-1.x", "": "''", "a b": "'a b'", "it's": `'it'\''s'`, "$(x)": "'$(x)'"} {
		if got := quoteArg(s); got != want {
			t.Errorf("%q: %s, want %s", s, got, want)
		}
	}
}
