package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// lockTTL leaves a second between the end of a command and the moment from which
// on another may hold its lock: that much a busy machine may be late.
const lockTTL = 6 * time.Second

// holder is a real doozer process with a command under a lock.
type holder struct {
	cmd    *exec.Cmd
	stderr bytes.Buffer
	ended  chan struct{}
}

// hold starts doozer with lockChild as its command. It has a --timeout that only a
// hang exceeds, unless it has one of its own.
func hold(t *testing.T, target, file, how string, args ...string) *holder {
	t.Helper()
	h := &holder{ended: make(chan struct{})}
	// The variables that make the binary a child are for the command alone.
	args = append(args, "--", "env", "DOOZER_TEST_CHILD="+file, "DOOZER_TEST_HOW="+how, os.Args[0])
	h.cmd = self(append([]string{"-a", target, "--timeout", patience.String()}, args...)...)
	h.cmd.Stderr = &h.stderr
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		h.cmd.Wait()
		close(h.ended)
	}()
	t.Cleanup(func() {
		h.cmd.Process.Signal(syscall.SIGCONT)
		h.cmd.Process.Kill()
		<-h.ended
	})
	return h
}

// String is what a failure shows of a holder; it ends it.
func (h *holder) String() string {
	h.signal(syscall.SIGQUIT)
	select {
	case <-h.ended:
	case <-time.After(readyLimit):
		return "it goes on"
	}
	return fmt.Sprintf("%v: %s", h.cmd.ProcessState, &h.stderr)
}

func (h *holder) signal(s syscall.Signal) { h.cmd.Process.Signal(s) }

// status waits for the end of doozer.
func (h *holder) status(t *testing.T) int {
	t.Helper()
	select {
	case <-h.ended:
	case <-time.After(readyLimit):
		t.Fatalf("it did not end; stderr %q", &h.stderr)
	}
	return h.cmd.ProcessState.ExitCode()
}

// hasEnded tells whether doozer has.
func (h *holder) hasEnded() bool {
	select {
	case <-h.ended:
		return true
	default:
		return false
	}
}

// said waits until the children of a file have said n things, and returns all.
// It does not wait for who has ended.
func said(t *testing.T, file string, word string, n int, who ...*holder) []string {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(2 * readyLimit)
	for {
		over := slices.ContainsFunc(who, (*holder).hasEnded)
		text, _ := os.ReadFile(file + ".log")
		if strings.Contains(string(text), "overlap") {
			t.Fatalf("two commands lived at once:\n%s", text)
		}
		if strings.Count(string(text), word+" ") >= n {
			return strings.Split(strings.TrimSpace(string(text)), "\n")
		}
		if over {
			t.Fatalf("%q was not said %d times:\n%s%v", word, n, text, who)
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("%q was not said %d times:\n%s%v", word, n, text, who)
		}
	}
}

// begun starts a holder and waits until a command has said the nth "begin". Who
// loses the lock before its command has said so, on a machine that is slow enough
// for that, is followed by another.
func begun(t *testing.T, file string, n int, h *holder, start func() *holder) *holder {
	t.Helper()
	for {
		if h == nil {
			h = start()
		}
		text := ""
		for over := false; !over; <-time.After(5 * time.Millisecond) {
			over = h.hasEnded()
			lines, _ := os.ReadFile(file + ".log")
			if text = string(lines); strings.Contains(text, "overlap") {
				t.Fatalf("two commands lived at once:\n%s", text)
			}
			if strings.Count(text, "begin ") >= n {
				return h
			}
		}
		if h.cmd.ProcessState.ExitCode() != statusLost {
			t.Fatalf("it did not begin: %s\n%v", text, h)
		}
		h = nil
	}
}

// relay is a way to a node that can be cut: what is sent then waits, and who
// dials gets no answer.
type relay struct {
	lis    net.Listener
	mu     sync.Mutex
	target string
	cut    chan struct{} // closed while not cut
	wg     sync.WaitGroup
}

func startRelay(t *testing.T) *relay {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{lis: lis, cut: make(chan struct{})}
	close(r.cut)
	r.wg.Go(r.accept)
	t.Cleanup(func() {
		lis.Close()
		r.set(true)
	})
	return r
}

func (r *relay) set(open bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.cut:
		if !open {
			r.cut = make(chan struct{})
		}
	default:
		if open {
			close(r.cut)
		}
	}
}

func (r *relay) open() { r.mu.Lock(); c := r.cut; r.mu.Unlock(); <-c }

func (r *relay) accept() {
	for {
		in, err := r.lis.Accept()
		if err != nil {
			return
		}
		go func() {
			defer in.Close()
			r.open()
			r.mu.Lock()
			target := r.target
			r.mu.Unlock()
			out, err := net.Dial("tcp", target)
			if err != nil {
				return
			}
			defer out.Close()
			go r.copy(in, out)
			r.copy(out, in)
		}()
	}
}

func (r *relay) copy(to, from net.Conn) {
	defer to.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		r.open()
		if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
			return
		}
	}
}

// trials is how often each fault is tried: all at the same time, each with a
// lock of its own.
func trials() int {
	if os.Getenv("DOOZER_TEST_LONG") != "" {
		return 100
	}
	return 4
}

// TestRealLockOverlap: whatever becomes of the doozer process that holds a lock,
// its command, and all that has come of it, is dead when the next one begins.
func TestRealLockOverlap(t *testing.T) {
	t.Parallel()
	r := startRelay(t)
	c := startReal(t, 1, "--advertise", r.lis.Addr().String())
	r.mu.Lock()
	r.target = c.nodes[0].addr
	r.mu.Unlock()
	for _, name := range []string{"stop", "kill", "cut"} {
		for batch := 0; batch < trials(); batch += 10 {
			overlapBatch(t, r, c.target(), name, batch, min(batch+10, trials()))
		}
	}
}

// overlapBatch makes some trials of one fault at the same time.
func overlapBatch(t *testing.T, r *relay, target, name string, from, to int) {
	fault := map[string]func(*holder){
		"stop": func(h *holder) { h.signal(syscall.SIGSTOP) },
		"kill": func(h *holder) { h.signal(syscall.SIGKILL) },
		"cut":  func(*holder) { r.set(false) },
	}[name]
	how := []string{"", "deaf", "fork"}
	var wg, waiting, overtaken sync.WaitGroup
	waiting.Add(to - from)
	overtaken.Add(to - from)
	for i := from; i < to; i++ {
		file := filepath.Join(t.TempDir(), "file")
		wg.Go(func() {
			// A trial that fails must not make the others wait.
			waitingDone, overtakenDone := sync.OnceFunc(waiting.Done), sync.OnceFunc(overtaken.Done)
			defer waitingDone()
			defer overtakenDone()
			lock := fmt.Sprintf("%s/%d", name, i)
			args := []string{"lock", "--ttl", lockTTL.String(), lock}
			// Who is cut off goes through the relay; the rest does not.
			first := begun(t, file, 1, nil, func() *holder { return hold(t, r.lis.Addr().String(), file, how[i%3], args...) })
			another := func() *holder { return hold(t, target, file, "", args...) }
			second := another()
			inLine(t, target, lock, file, second)
			waitingDone()
			waiting.Wait()
			fault(first)
			second = begun(t, file, 2, second, another)
			overtakenDone()
			overtaken.Wait()
			first.signal(syscall.SIGCONT)
			r.set(true)
			if status := first.status(t); name != "kill" && status != statusLost {
				t.Errorf("%s: status %d, stderr %q", lock, status, &first.stderr)
			}
			second.signal(syscall.SIGTERM)
			if status := second.status(t); status != 7 && status != statusLost {
				t.Errorf("%s: the next one: status %d, stderr %q", lock, status, &second.stderr)
			}
			said(t, file, "begin", 2)
		})
	}
	wg.Wait()
}

// inLine waits until somebody waits for a lock, or has it already because the
// holder was lost before its time, on a machine that is slow enough for that.
func inLine(t *testing.T, target, lock, file string, h *holder) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(2 * readyLimit)
	for {
		inv := doozerAt(target, "", "locks", lock)
		text, _ := os.ReadFile(file + ".log")
		if strings.Contains(inv.stdout.String(), " waiting ") || strings.Count(string(text), "begin ") > 1 {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("%s: nobody waits: %s%s%s", lock, &inv.stdout, &inv.stderr, h)
		}
	}
}

// TestRealLockTakeOver: on the same host the death of the holder is seen at once,
// however long its TTL is.
func TestRealLockTakeOver(t *testing.T) {
	t.Parallel()
	c := startReal(t, 1)
	for i, how := range []string{"", "fork", ""} {
		file := filepath.Join(t.TempDir(), "file")
		name := fmt.Sprint("x", i)
		first := hold(t, c.target(), file, how, "lock", "--ttl", "10m", name)
		said(t, file, "begin", 1, first)
		second := hold(t, c.target(), file, "", "lock", "--ttl", "10m", name)
		inLine(t, c.target(), name, file, second)
		began := time.Now()
		first.signal(syscall.SIGKILL)
		said(t, file, "begin", 2, second)
		t.Logf("taken over after %v", time.Since(began))
		second.signal(syscall.SIGTERM)
		if status := second.status(t); status != 7 {
			t.Errorf("status %d, stderr %q", status, &second.stderr)
		}
	}
}

// TestRealLockGuardKilled: the command does not outlive its guard.
func TestRealLockGuardKilled(t *testing.T) {
	t.Parallel()
	c := startReal(t, 1)
	file := filepath.Join(t.TempDir(), "file")
	first := hold(t, c.target(), file, "deaf", "lock", "--ttl", "10m", "x")
	said(t, file, "begin", 1, first)
	guard := childOf(t, first.cmd.Process.Pid)
	syscall.Kill(guard, syscall.SIGKILL)
	if status := first.status(t); status != statusError || !strings.Contains(first.stderr.String(), "guard") {
		t.Errorf("status %d, stderr %q", status, &first.stderr)
	}
	third := hold(t, c.target(), file+"3", "", "lock", "--ttl", "10m", "x")
	said(t, file+"3", "begin", 1, third)
	third.signal(syscall.SIGTERM)
	if third.status(t) != 7 {
		t.Error(third.stderr.String())
	}
}

// childOf is the only child of a process.
func childOf(t *testing.T, pid int) (child int) {
	t.Helper()
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range lists {
		if text, err := os.ReadFile(list); err == nil && len(text) > 0 {
			fmt.Sscan(string(text), &child)
		}
	}
	if child == 0 {
		t.Fatal("it has no child:", lists)
	}
	return child
}

// TestRealLock: what a command under a lock sees, and what its end is worth.
func TestRealLock(t *testing.T) {
	t.Parallel()
	c := startReal(t, 1)
	run := func(stdin string, args ...string) *invocation {
		inv := &invocation{}
		if slices.Contains(args, "--") {
			args = slices.Insert(slices.Clone(args), 1, "--ttl", "10m") // no machine is so slow
		}
		cmd := self(append([]string{"-a", c.target(), "--timeout", patience.String()}, args...)...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &inv.stdout, &inv.stderr
		cmd.Run()
		inv.status = cmd.ProcessState.ExitCode()
		return inv
	}
	tests := []struct {
		args   []string
		status int
		stdout string // contained
		stderr string // contained
	}{
		{[]string{"lock", "x", "--", "sh", "-c", "cat; echo $DOOZER_LOCK_NAME $DOOZER_LOCK_TOKEN; exit 3"}, 3, "inputx ", ""},
		{[]string{"lock", "x", "--", "sh", "-c", "kill -9 $$"}, 137, "", ""},
		{[]string{"lock", "x", "-o", "json", "--", "true"}, 0, "", `"event":"ended","lost":false,"name":"x","status":0`},
		{[]string{"lock", "x", "--", "no-such-command"}, 127, "", "not found"},
		{[]string{"lock", "x", "--", "/"}, 126, "", "directory"},
		{[]string{"lock", "-n", "3", "x", "--", "true"}, 2, "", "used in another way"},
		{[]string{"lock", "a/e", "--", "true"}, 64, "", "bad name"},
		{[]string{"lock", "x", "true"}, 64, "", "after '--'"},
		{[]string{"lock", "x"}, 64, "", "missing"},
		{[]string{"lock", "--keep", "kept"}, 0, "\n", ""},
		{[]string{"lock", "-w", "0", "kept", "--", "true"}, 75, "", "another holds it"},
		{[]string{"lock", "-w", "50ms", "kept", "--", "true"}, 75, "", "not acquired"},
		{[]string{"locks", "kept"}, 0, "doozer lock", ""},
		{[]string{"locks", "none"}, 0, "", ""},
		{[]string{"locks", "-o", "json"}, 0, `"state":"held"`, ""},
		{[]string{"lock", "--break", "1", "kept"}, 3, "", "nobody has token 1"},
		{[]string{"lock", "-a", "127.0.0.1:1", "--timeout", "300ms", "x", "--", "true"}, 69, "", "127.0.0.1:1"},
		{[]string{"elect", "y", "--value", "v", "--", "sh", "-c", "exit 4"}, 4, "", ""},
		{[]string{"elect", "x", "--", "true"}, 2, "", "used in another way"},
	}
	for _, tt := range tests {
		inv := run("input", tt.args...)
		if inv.status != tt.status || !strings.Contains(inv.stdout.String(), tt.stdout) || !strings.Contains(inv.stderr.String(), tt.stderr) {
			t.Errorf("%v: status %d, stdout %q, stderr %q", tt.args, inv.status, &inv.stdout, &inv.stderr)
		}
	}
	token := strings.Fields(run("", "locks", "kept", "-o", "json").stdout.String())
	if len(token) == 0 {
		t.Fatal("the kept lock is gone")
	}
	_, rest, _ := strings.Cut(token[0], `"token":`)
	number, _, _ := strings.Cut(rest, ",")
	if inv := run("", "lock", "--break", number, "kept"); inv.status != 0 {
		t.Errorf("break: status %d, stderr %q", inv.status, &inv.stderr)
	}
	if inv := run("", "lock", "-w", "0", "kept", "--", "true"); inv.status != 0 {
		t.Errorf("after break: status %d, stderr %q", inv.status, &inv.stderr)
	}
	if left := run("", "find", "/lock/**").stdout.String(); strings.Contains(left, "/e/") {
		t.Error("left:", left)
	}
}
