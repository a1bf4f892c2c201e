package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestRealStatus: status tells the truth about a cluster that loses a node, and
// about one that is not there, with the reason for each, every time.
func TestRealStatus(t *testing.T) {
	t.Parallel()
	// No machine is so slow that the leader changes while it is looked at.
	c := startReal(t, 3, "--election-timeout", "1m")
	var h healthJSON
	inv := doozerAt(c.target(), "", "status", "-o", "json")
	if err := json.Unmarshal(inv.stdout.Bytes(), &h); err != nil || !h.OK || h.Reachable != 3 || h.Leader == 0 || len(h.Nodes) != 3 {
		t.Fatalf("%v: %s", err, &inv.stdout)
	}
	for i, n := range h.Nodes {
		if n.Name != c.nodes[i].name || n.Addr != c.nodes[i].addr || !n.Voter || n.Files == 0 || n.DBSize == 0 || n.Hash == "" || n.Version == "" {
			t.Errorf("node %d: %+v", i+1, n)
		}
	}
	dead := c.others(c.leader())[0]
	dead.signal(syscall.SIGKILL)
	for range 20 {
		step{line: "status", stdout: `cluster .*, 2 of 3 reachable, leader .*` + dead.name + ` +- +` + dead.addr + ` .* no: connection refused\n.*`}.check(t, c.target())
	}
	step{line: "set /a x", stdout: `\d+\n`}.check(t, c.target())
	for _, n := range c.others(dead) {
		n.signal(syscall.SIGKILL)
	}
	for range 20 {
		inv := doozerAt(c.target(), "", "status")
		if inv.status != statusError || strings.Count(inv.stdout.String(), "no: connection refused") != 3 {
			t.Fatalf("status %d\n%s%s", inv.status, &inv.stdout, &inv.stderr)
		}
	}
}

// localAge is the age that a local read of one node tells.
func localAge(t *testing.T, n *realNode, line string) float64 {
	t.Helper()
	inv := doozerAt(n.addr, "", words(t, line)...)
	told := regexp.MustCompile(`^local read: node (\d), rev \d+, age ([0-9.]+)s\n$`).FindStringSubmatch(inv.stderr.String())
	if inv.status != statusDone || told == nil || told[1] != fmt.Sprint(n.name[0]-'a'+1) {
		t.Fatalf("%s at %s: status %d, stderr %q", line, n.name, inv.status, &inv.stderr)
	}
	var age float64
	if _, err := fmt.Sscan(told[2], &age); err != nil {
		t.Fatal(err)
	}
	return age
}

// TestRealMinority: with two of three nodes gone the third says so at a glance
// and in time, goes on answering local reads, and tells how old they are.
func TestRealMinority(t *testing.T) {
	for _, how := range []struct {
		name        string
		signal      syscall.Signal
		leaderStays bool
	}{
		{"stopped", syscall.SIGSTOP, false}, {"killed", syscall.SIGKILL, false},
		{"leader stays, stopped", syscall.SIGSTOP, true}, {"leader stays, killed", syscall.SIGKILL, true},
	} {
		t.Run(how.name, func(t *testing.T) {
			t.Parallel()
			c := startReal(t, 3)
			step{line: "set /a here"}.check(t, c.target())
			third := c.leader()
			if !how.leaderStays {
				third = c.others(third)[0]
			}
			for _, n := range c.nodes {
				c.until(n.name+" has the write", func() (bool, string) {
					inv := doozerAt(n.addr, "", "get", "--local", "/a")
					return inv.status == statusDone, inv.stderr.String()
				})
				for range 5 { // each answers for itself
					step{line: "self", stdout: `node: +\d\nname: +` + n.name + `\n.*`}.check(t, n.addr)
					localAge(t, n, "get --local /a")
				}
			}
			for _, n := range c.others(third) {
				n.signal(how.signal)
			}
			// Who has been told that the third is old knows why it gets no answer
			// in time; else it depends on which is first, its answer or the end
			// of the time.
			c.until("the third is old", func() (bool, string) {
				age := localAge(t, third, "get --local /a")
				return age >= 2, fmt.Sprint(age)
			})
			for _, target := range []string{third.addr, c.target()} {
				minority(t, target, third)
			}
			last := 0.0
			for _, line := range []string{"get --local /a", "stat --local /a", "ls --local", "find --local /a", "log --local /a", "rev --local"} {
				age := localAge(t, third, line)
				if age < last || age < 2 {
					t.Errorf("%s: age %v after %v", line, age, last)
				}
				last = age
			}
			step{line: "self", stdout: `node: +\d\nname: +` + third.name + `\n.*age: +[0-9.]+s\n`}.check(t, third.addr)
			// The third may take longer than the second that status gives it.
			c.until("status tells of it", func() (bool, string) {
				var inv invocation
				inv.status = run(t.Context(), []string{"-a", c.target(), "status"}, nil, strings.NewReader(""), &inv.stdout, &inv.stderr)
				return inv.status == statusError && strings.Contains(inv.stdout.String(), "1 of 3 reachable, NO LEADER") &&
					inv.stderr.String() == "doozer: status: no majority of the nodes is reachable\n", fmt.Sprintf("status %d, %s%s", inv.status, &inv.stdout, &inv.stderr)
			})
			for _, n := range c.others(third) {
				if how.signal == syscall.SIGKILL {
					n.start(t)
				} else {
					n.signal(syscall.SIGCONT)
				}
			}
			step{line: "set /a again"}.check(t, c.target())
			step{line: "get /a", stdout: "again"}.check(t, third.addr)
		})
	}
}

// minority runs verbs that need a majority where there is none.
func minority(t *testing.T, target string, third *realNode) {
	t.Helper()
	const timeout = 2 * time.Second
	who := `no majority: node \d \(` + regexp.QuoteMeta(third.addr) + `\) last heard from a leader [0-9.m]+s ago; `
	const reads = `see doozer status; get, stat, ls, find and log have --local`
	for _, s := range []step{
		{line: "set /a x", stderr: `doozer: set /a: ` + who + `nothing was changed: see doozer status\n`},
		{line: "get /a", stderr: `doozer: get /a: ` + who + reads + `\n`},
		{line: "nop", stderr: `doozer: nop: ` + who + reads + `\n`},
		{line: "log /a", stderr: `doozer: log /a: ` + who + reads + `\n`},
	} {
		s.status, s.line = statusError, s.line+" --timeout "+timeout.String()
		inTime(t, timeout+late, s, target)
	}
}

// inTime runs a step that may take no longer than limit.
func inTime(t *testing.T, limit time.Duration, s step, target string) {
	t.Helper()
	start := time.Now()
	s.check(t, target)
	if d := time.Since(start); d > limit {
		t.Errorf("%s: ended after %v", s.line, d)
	}
}

// TestRealFailover: verbs that run, and verbs that begin, do not notice the
// death of the leader but for a moment.
func TestRealFailover(t *testing.T) {
	t.Parallel()
	c := startReal(t, 3)
	step{line: "set /a x"}.check(t, c.target())
	w := startAt(t, c.target(), "watch", "/f/*", "-o", "json")
	lines := make(chan string)
	go func() { // ends with the watch's stdout
		defer close(lines)
		for in := bufio.NewScanner(w.out); in.Scan(); {
			lines <- in.Text()
		}
	}()
	// The watch has begun when its first change comes; then none is missed.
	n := 0
	c.until("the watch has begun", func() (bool, string) {
		n++
		step{line: fmt.Sprintf("set /f/%d x", n)}.check(t, c.target())
		select {
		case line := <-lines:
			return strings.Contains(line, `"path":"/f/`), line
		default:
			return false, "nothing"
		}
	})
	c.leader().signal(syscall.SIGKILL)
	step{line: "set /f/after y"}.check(t, c.target())
	step{line: "get /f/after", stdout: "y"}.check(t, c.target())
	for line := range lines {
		if strings.Contains(line, `"path":"/f/after"`) {
			break
		}
	}
	w.end(t)
}
