package main

import (
	"bufio"
	"context"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doozer-store/doozer/test/output"
)

// running is an invocation that has not ended.
type running struct {
	out    *bufio.Reader
	errs   *output.Buffer
	stop   context.CancelFunc
	status chan int
}

// start runs a command line against a fake node, beside the test.
func start(t *testing.T, n *fakeNode, args ...string) *running {
	t.Helper()
	return startAt(t, n.addr, args...)
}

// startAt runs a command line beside the test, which is ended with it.
func startAt(t *testing.T, target string, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	run1 := &running{out: bufio.NewReader(r), errs: &output.Buffer{}, stop: cancel, status: make(chan int, 1)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		run1.status <- runOn(ctx, append([]string{"-a", target}, args...), os.Environ(), strings.NewReader(""), w, run1.errs)
		w.Close()
	}()
	t.Cleanup(func() {
		cancel()
		r.Close()
		<-ended
	})
	return run1
}

// expect reads the next lines of stdout.
func (r *running) expect(t *testing.T, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if k, err := io.ReadFull(r.out, got); err != nil || string(got) != want {
		t.Fatalf("got %q, %v; want %q; stderr %q", got[:k], err, want, r.errs)
	}
}

// matches reads as many lines of stdout as the regular expression has, which has
// to match them.
func (r *running) matches(t *testing.T, want string) {
	t.Helper()
	got := ""
	for range strings.Count(want, `\n`) {
		line, err := r.out.ReadString('\n')
		if got += line; err != nil {
			t.Fatalf("got %q, %v; want %s; stderr %q", got, err, want, r.errs)
		}
	}
	if !regexp.MustCompile(`^(?s:` + want + `)$`).MatchString(got) {
		t.Fatalf("got %q, want %s", got, want)
	}
}

// end interrupts the invocation and wants it to end cleanly.
func (r *running) end(t *testing.T) {
	t.Helper()
	r.stop()
	if status := <-r.status; status != statusDone {
		t.Errorf("status %d, stderr %q", status, r.errs)
	}
}

func set(t *testing.T, n *fakeNode, path, value string) {
	t.Helper()
	if inv := doozer(t, n, "", "set", path, "--", value); inv.status != statusDone {
		t.Fatal(inv.stderr.String())
	}
}

// Each change is printed when it happens, though stdout is a pipe.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t)
		set(t, n, "/a", "old")
		w := start(t, n, "watch", "/a*", "--snapshot")
		w.expect(t, "/a 1 set 3\nold\n")
		set(t, n, "/other", "x")
		set(t, n, "/ab", "two\nlines")
		w.expect(t, "/ab 3 set 9\ntwo\nlines\n")
		if inv := doozer(t, n, "", "del", "/a"); inv.status != statusDone {
			t.Fatal(inv.stderr.String())
		}
		w.expect(t, "/a 4 del 0\n\n")
		w.end(t)
	})
}

func TestWatchJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t)
		set(t, n, "/a", "x")
		w := start(t, n, "watch", "/**", "--from", "1", "-o", "json")
		w.expect(t, `{"path":"/a","rev":1,"kind":"set","time":"2026-01-02T03:04:01Z","author":"tester","message":"","value":"x"}`+"\n")
		w.end(t)
	})
}

// A watch that was given a time ends well when it is over, and fails if it
// never began.
func TestWatchTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t)
		if inv := doozer(t, n, "", "watch", "/**", "--timeout", "100ms"); inv.status != statusDone || inv.stderr.Len() > 0 {
			t.Errorf("status %d, stderr %q", inv.status, &inv.stderr)
		}
		set(t, n, "/a", "x")
		begun := time.Now()
		inv := doozer(t, n, "", "watch", "/**", "--from", "1", "--timeout", "300ms")
		if inv.status != statusDone || inv.stderr.Len() > 0 || inv.stdout.String() != "/a 1 set 1\nx\n" || time.Since(begun) != 300*time.Millisecond {
			t.Errorf("status %d, stdout %q, stderr %q after %v", inv.status, &inv.stdout, &inv.stderr, time.Since(begun))
		}
	})
}

func TestWaitTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t)
		inv := doozer(t, n, "", "wait", "/**", "--timeout", "100ms")
		if inv.status != statusError || inv.stderr.String() != "doozer: wait /**: no change within --timeout\n" {
			t.Errorf("status %d, stderr %q", inv.status, &inv.stderr)
		}
	})
}

// The command runs once for each change, in order, with the value on stdin
// and the rest in its environment; one that fails is reported.
func TestExec(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t)
		set(t, n, "/a", "one")
		w := start(t, n, "watch", "/**", "--from", "1", "--exec", "--", "sh", "-c",
			`echo "$DOOZER_PATH $DOOZER_REV $DOOZER_KIND $(cat)"; test "$DOOZER_REV" != 2`)
		w.expect(t, "/a 1 set one\n")
		set(t, n, "/a", "two")
		w.expect(t, "/a 2 set two\n")
		doozer(t, n, "", "del", "/a")
		w.expect(t, "/a 3 del \n")
		w.end(t)
		if got, want := w.errs.String(), "doozer: watch /**: sh, run for /a at rev 2: exit status 1\n"; got != want {
			t.Errorf("stderr %q, want %q", got, want)
		}
	})
}

func TestExecStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t)
		set(t, n, "/a", "x")
		inv := doozer(t, n, "", "watch", "/**", "--from", "1", "--exec-stop", "--", "false")
		if inv.status != statusError || inv.stderr.String() != "doozer: watch /**: false, run for /a at rev 1: exit status 1\n" {
			t.Errorf("status %d, stderr %q", inv.status, &inv.stderr)
		}
	})
}

// A command need not read its stdin, however long that is.
func TestExecIgnoresStdin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t)
		set(t, n, "/a", strings.Repeat("x", 1<<20))
		w := start(t, n, "watch", "/**", "--from", "1", "--exec-stop", "--", "echo", "done")
		w.expect(t, "done\n")
		w.end(t)
	})
}

// An interrupt ends the command with SIGTERM, and the watch with status 0.
func TestExecInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t)
		set(t, n, "/a", "x")
		mark := filepath.Join(t.TempDir(), "mark")
		w := start(t, n, "watch", "/**", "--from", "1", "--exec", "--", "sh", "-c",
			`trap 'echo >"`+mark+`"; exit 1' TERM; echo ready; while :; do sleep 0.01; done`)
		w.expect(t, "ready\n")
		w.end(t)
		if _, err := os.Stat(mark); err != nil {
			t.Errorf("no SIGTERM: %v", err)
		}
	})
}

// Other verbs that are interrupted say so.
func TestInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t)
		for _, verb := range [][]string{{"wait", "/**"}, {"get", "/a", "--rev", "1000"}} {
			r := start(t, n, verb...)
			r.stop()
			if status := <-r.status; status != statusError || !strings.HasSuffix(r.errs.String(), ": interrupted\n") {
				t.Errorf("%v: status %d, stderr %q", verb, status, r.errs)
			}
		}
	})
}
