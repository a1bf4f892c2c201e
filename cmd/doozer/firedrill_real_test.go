package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/doozer-store/doozer/drill/report"
)

// A real cluster loses its leader: everything is checked, and all held.
func TestRealFiredrill(t *testing.T) {
	bin, err := buildServer()
	if err != nil {
		t.Fatal(err)
	}
	dir, tmp := drillDirs(t)
	var stdout, stderr bytes.Buffer
	status := firedrillTo(t.Context(), drillEngine{}, &stdout, &stderr, "--binary", bin, "--seed", "1", "--out", "r", "kill-leader")
	data, err := os.ReadFile(filepath.Join(dir, "r", report.DataFile))
	if err != nil {
		t.Fatalf("%v, status %d, stderr %q", err, status, &stderr)
	}
	var got struct {
		Runs []struct {
			Drill  string
			Faults []struct{ What string }
			Checks []struct {
				Name, Detail string
				OK           bool
			}
		}
		Samples []struct{ OK int }
	}
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Runs) != 1 || got.Runs[0].Drill != "kill-leader" {
		t.Fatalf("runs: %+v", got.Runs)
	}
	run := got.Runs[0]
	for _, c := range run.Checks {
		if c.Name == "valid" && !c.OK {
			// The verdict is right to say so.
			t.Logf("this machine is too slow to prove anything: %s", c.Detail)
			return
		}
		if !c.OK {
			t.Errorf("%s: %s", c.Name, c.Detail)
		}
	}
	if status != statusDone || len(run.Checks) < 5 || len(run.Faults) != 1 || !strings.HasPrefix(run.Faults[0].What, "kill -9") || len(got.Samples) == 0 {
		t.Errorf("status %d, %d checks, harm %v, %d samples, stdout\n%s", status, len(run.Checks), run.Faults, len(got.Samples), &stdout)
	}
	if rest := entries(t, tmp); len(rest) > 0 {
		t.Errorf("left behind: %v", rest)
	}
}

// An interrupt ends the nodes too, and takes away what they wrote.
func TestRealFiredrillInterrupted(t *testing.T) {
	bin, err := buildServer()
	if err != nil {
		t.Fatal(err)
	}
	_, tmp := drillDirs(t)
	cmd, stdout, stderr := startSelf(t, "firedrill", "--binary", bin, "--for", "1h", "kill-follower")
	out := bufio.NewScanner(stdout)
	if !out.Scan() || !strings.Contains(out.Text(), "kill-follower") {
		t.Errorf("it begins with %q", out.Text())
	}
	cmd.Process.Signal(os.Interrupt)
	for out.Scan() {
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != statusError || stderr.String() != "doozer: firedrill: interrupted\n" {
		t.Errorf("%v, stderr %q", err, stderr)
	}
	if rest := entries(t, tmp); len(rest) > 0 {
		t.Errorf("left behind: %v", rest)
	}
}
