package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// runs is what --list shows of a name.
func runs(t *testing.T, c *realCluster, name string) (rows []runJSON) {
	t.Helper()
	inv := doozerAt(c.target(), "", "run", "--list", name, "-o", "json")
	for l := range strings.Lines(inv.stdout.String()) {
		var r runJSON
		if err := json.Unmarshal([]byte(l), &r); err != nil {
			t.Fatalf("%s: %v", l, err)
		}
		rows = append(rows, r)
	}
	return rows
}

// untilRuns waits until --list shows slots in these states, 1 and so on, and as
// many that stand by.
func untilRuns(t *testing.T, c *realCluster, name string, standby int, states ...string) (slots []runJSON) {
	t.Helper()
	c.until(fmt.Sprintf("%s: %v and %d stand by", name, states, standby), func() (bool, string) {
		rows := runs(t, c, name)
		var got []string
		waiting := 0
		slots = nil
		for _, r := range rows {
			if r.Slot > 0 {
				got, slots = append(got, r.State), append(slots, r)
			} else if r.State == "standby" {
				waiting++
			}
		}
		return fmt.Sprint(got) == fmt.Sprint(states) && waiting == standby, fmt.Sprintf("%+v", rows)
	})
	return slots
}

// lastToken is the one that the last command said that began.
func lastToken(t *testing.T, file string, n int) string {
	t.Helper()
	token := ""
	for _, l := range said(t, file, "begin", n) {
		if rest, ok := strings.CutPrefix(l, "begin "); ok {
			token = rest
		}
	}
	return token
}

// TestRealRun: three machines' worth of supervisors for two instances. That no two
// commands live in a slot at once the commands see themselves. The TTL is long: a
// take-over waits for nothing but the end of processes.
func TestRealRun(t *testing.T) {
	t.Parallel()
	c := startReal(t, 1)
	file := filepath.Join(t.TempDir(), "file")
	byPid := map[int]*holder{}
	join := func() *holder {
		h := hold(t, c.target(), file, "", "run", "--count", "2", "--ttl", "10m", "--backoff", "10ms", "--max-backoff", "20ms", "x")
		byPid[h.cmd.Process.Pid] = h
		return h
	}
	for range 3 {
		join()
	}
	one, two := file+"-1", file+"-2"
	said(t, one, "begin", 1)
	said(t, two, "begin", 1)
	slots := untilRuns(t, c, "x", 1, slotRunning, slotRunning)

	// A machine dies: the one that stands by has its slot, under a larger token.
	before := lastToken(t, one, 1)
	victim := byPid[slots[0].Supervisor]
	victim.signal(syscall.SIGKILL)
	after := lastToken(t, one, 2)
	if len(before) > len(after) || len(before) == len(after) && before >= after {
		t.Errorf("token %s after %s", after, before)
	}
	slots = untilRuns(t, c, "x", 0, slotRunning, slotRunning)

	// A command ends: it is started again, in the same place.
	before = lastToken(t, two, 1)
	if err := syscall.Kill(slots[1].Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if after := lastToken(t, two, 2); after != before {
		t.Errorf("started again: token %s, before %s", after, before)
	}
	c.until("slot 2 was started again", func() (bool, string) {
		slots = untilRuns(t, c, "x", 0, slotRunning, slotRunning)
		r := slots[1]
		return r.Restarts == 1 && r.LastExit != nil && *r.LastExit == 137, fmt.Sprintf("%+v", r)
	})

	// A guard dies, and the command with it: another one runs it again.
	guard := childOf(t, slots[1].Supervisor)
	syscall.Kill(guard, syscall.SIGKILL)
	said(t, two, "begin", 3)
	slots = untilRuns(t, c, "x", 0, slotRunning, slotRunning)

	// A clean stop: the command ends by SIGTERM, and the slot is free at once.
	leaver := byPid[slots[0].Supervisor]
	leaver.signal(syscall.SIGTERM)
	if status := leaver.status(t); status != 0 {
		t.Errorf("stopped: status %d, stderr %s", status, &leaver.stderr)
	}
	said(t, one, "term", 1)
	slots = untilRuns(t, c, "x", 0, slotFree, slotRunning)
	if r := slots[0]; r.LastExit == nil || *r.LastExit != 7 {
		t.Errorf("stopped: last exit %v", r.LastExit)
	}
	join()
	said(t, one, "begin", 3)
	untilRuns(t, c, "x", 0, slotRunning, slotRunning)
	recounted(t, c, file, byPid)
}

// recounted makes two instances three, one supervisor after the other.
func recounted(t *testing.T, c *realCluster, file string, byPid map[int]*holder) {
	t.Helper()
	other := func(args ...string) *holder {
		return hold(t, c.target(), file, "", append([]string{"run", "--count", "3", "--ttl", "10m"}, args...)...)
	}
	refused := other("x")
	if status := refused.status(t); status != statusUsage || !strings.Contains(refused.stderr.String(), "others run it with --count 2") {
		t.Errorf("another count: status %d, stderr %s", status, &refused.stderr)
	}
	if inv := doozerAt(c.target(), "", "run", "--recount", "--count", "3", "x"); inv.status != 0 {
		t.Fatalf("recount: %s", &inv.stderr)
	}
	all := []*holder{other("x")}
	said(t, file+"-3", "begin", 1)
	for _, r := range untilRuns(t, c, "x", 0, slotRunning, slotRunning, slotRunning)[:2] {
		h := byPid[r.Supervisor]
		h.signal(syscall.SIGINT)
		if status := h.status(t); status != 0 {
			t.Errorf("interrupted: status %d, stderr %s", status, &h.stderr)
		}
		all = append(all, other("x"))
		untilRuns(t, c, "x", 0, slotRunning, slotRunning, slotRunning)
	}
	for _, h := range all {
		h.signal(syscall.SIGTERM)
	}
	for _, h := range all {
		if status := h.status(t); status != 0 {
			t.Errorf("stopped: status %d, stderr %s", status, &h.stderr)
		}
	}
	untilRuns(t, c, "x", 0, slotFree, slotFree, slotFree)
}

// TestRealRunCut: who is cut off from the store has ended its command before
// another begins, stands by meanwhile, and is one of them again afterwards. The
// commands ignore SIGTERM.
func TestRealRunCut(t *testing.T) {
	t.Parallel()
	r := startRelay(t)
	c := startReal(t, 1, "--advertise", r.lis.Addr().String())
	r.mu.Lock()
	r.target = c.nodes[0].addr
	r.mu.Unlock()
	file := filepath.Join(t.TempDir(), "file")
	args := []string{"run", "--count", "1", "--ttl", lockTTL.String(), "--grace", "1s", "--timeout", "5s", "x"}
	first := hold(t, r.lis.Addr().String(), file, "deaf", args...)
	said(t, file+"-1", "begin", 1, first)
	second := hold(t, c.target(), file, "deaf", args...)
	untilRuns(t, c, "x", 1, slotRunning)
	r.set(false)
	said(t, file+"-1", "begin", 2, first, second)
	r.set(true)
	untilRuns(t, c, "x", 1, slotRunning)
	second.signal(syscall.SIGTERM)
	if status := second.status(t); status != 0 {
		t.Errorf("status %d, stderr %s", status, &second.stderr)
	}
	said(t, file+"-1", "begin", 3, first)
	first.signal(syscall.SIGTERM)
	if status := first.status(t); status != 0 {
		t.Errorf("status %d, stderr %s", status, &first.stderr)
	}
}

// TestRealRunErrors: what is wrong with the command line ends it, a store that
// can't be reached does not.
func TestRealRunErrors(t *testing.T) {
	t.Parallel()
	c := startReal(t, 1)
	file := filepath.Join(t.TempDir(), "file")
	leader := hold(t, c.target(), file, "", "elect", "y")
	said(t, file, "begin", 1)
	taken := hold(t, c.target(), file, "", "run", "-n", "1", "y")
	if status := taken.status(t); status != statusUsage || !strings.Contains(taken.stderr.String(), "something else") {
		t.Errorf("an election's name: status %d, stderr %s", status, &taken.stderr)
	}
	leader.signal(syscall.SIGTERM)
	leader.status(t)

	// What it says goes to a file, to be read while it goes on.
	text, err := os.Create(file + ".stderr")
	if err != nil {
		t.Fatal(err)
	}
	defer text.Close()
	c.nodes[0].signal(syscall.SIGSTOP)
	cmd := self("-a", c.target(), "--timeout", "2s", "run", "-n", "1", "z", "--", "sleep", "1000")
	cmd.Stderr = text
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	saying := func(what string) {
		c.until("it says "+what, func() (bool, string) {
			said, _ := os.ReadFile(text.Name())
			return strings.Contains(string(said), what), string(said)
		})
	}
	saying("again in")
	c.nodes[0].signal(syscall.SIGCONT)
	saying("slot 1: started")
	cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	saying("stopped")
}

// TestRealRunLeftBehind: what a command left behind when it ended, also in a
// session of its own, is dead when it starts again.
func TestRealRunLeftBehind(t *testing.T) {
	t.Parallel()
	c := startReal(t, 1)
	file := filepath.Join(t.TempDir(), "file")
	h := hold(t, c.target(), file, "fork", "run", "-n", "1", "--ttl", "10m", "--backoff", "10ms", "--max-backoff", "20ms", "x")
	for i := range 3 {
		said(t, file+"-1", "begin", i+1)
		c.until("it runs again", func() (bool, string) {
			r := untilRuns(t, c, "x", 0, slotRunning)[0]
			if r.Restarts != i {
				return false, fmt.Sprintf("%+v", r)
			}
			return syscall.Kill(r.Pid, syscall.SIGKILL) == nil, ""
		})
	}
	said(t, file+"-1", "begin", 4)
	h.signal(syscall.SIGTERM)
	if status := h.status(t); status != 0 {
		t.Errorf("status %d, stderr %s", status, &h.stderr)
	}
}
