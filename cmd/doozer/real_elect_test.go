package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestRealElect kills the leader again and again: another one leads, in a higher
// term; their commands never live at once, and an observer sees each.
func TestRealElect(t *testing.T) {
	t.Parallel()
	c := startReal(t, 1)
	file := filepath.Join(t.TempDir(), "file")
	candidate := func() *holder {
		return hold(t, c.target(), file, "", "elect", "--ttl", "10m", "--value", "here", "x")
	}
	byPid := map[int]*holder{}
	for range 3 {
		h := candidate()
		byPid[h.cmd.Process.Pid] = h
	}
	watch := startAt(t, c.target(), "elect", "--observe", "x")
	kills := 3
	if trials() > 10 {
		kills = 20
	}
	var terms []string
	for i := range kills {
		lines := said(t, file, "begin", i+1)
		token := strings.Fields(lines[len(lines)-1])[1]
		terms = append(terms, token)
		pid := leaderPid(t, c, token)
		began := time.Now()
		byPid[pid].signal(syscall.SIGKILL)
		said(t, file, "begin", i+2)
		t.Logf("led again after %v", time.Since(began))
		h := candidate()
		byPid[h.cmd.Process.Pid] = h
	}
	lines := said(t, file, "begin", kills+1)
	terms = append(terms, strings.Fields(lines[len(lines)-1])[1])
	last := int64(0)
	for _, term := range terms {
		var n int64
		if _, err := fmt.Sscan(term, &n); err != nil || n <= last {
			t.Errorf("terms do not rise: %v", terms)
		}
		last = n
	}
	for seen := ""; !strings.HasPrefix(seen, terms[len(terms)-1]+" here"); {
		line, err := watch.out.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		seen = line
	}
	watch.end(t)
}

// leaderPid is the process that holds with a token.
func leaderPid(t *testing.T, c *realCluster, token string) int {
	t.Helper()
	inv := doozerAt(c.target(), "", "locks", "x", "-o", "json")
	for line := range strings.Lines(inv.stdout.String()) {
		var p placeJSON
		if err := json.Unmarshal([]byte(line), &p); err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(p.Token) == token {
			return p.Pid
		}
	}
	t.Fatalf("nobody has %s: %s", token, &inv.stdout)
	return 0
}
