package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spf13/cobra"

	doozerpb "github.com/doozer-store/doozer/proto"
	"github.com/doozer-store/doozer/test/memnet"
	"github.com/doozer-store/doozer/test/need"
)

// invocation is one run of the program.
type invocation struct {
	status         int
	stdout, stderr bytes.Buffer
}

// doozer runs one command line against a fake node.
func doozer(t *testing.T, n *fakeNode, stdin string, args ...string) *invocation {
	t.Helper()
	return doozerAt(n.addr, stdin, args...)
}

// doozerAt runs one command line against the nodes of a target. With real nodes
// it has a --timeout that only a hang exceeds, unless it has one of its own.
func doozerAt(target, stdin string, args ...string) *invocation {
	global := []string{"-a", target}
	if !strings.HasPrefix(target, memnet.Host) {
		global = append(global, "--timeout", patience.String())
	}
	inv := &invocation{}
	inv.status = runOn(context.Background(), append(global, args...), os.Environ(), strings.NewReader(stdin), &inv.stdout, &inv.stderr)
	return inv
}

// Every verb explains itself: what it does, examples, exit statuses, and no
// help is wider than a terminal but for the flags.
func TestHelp(t *testing.T) {
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		var out bytes.Buffer
		args := append(strings.Fields(cmd.CommandPath())[1:], "--help")
		status := run(t.Context(), args, nil, strings.NewReader(""), &out, io.Discard)
		if status != statusDone {
			t.Errorf("%s --help: status %d", cmd.CommandPath(), status)
		}
		for _, want := range []string{"Usage:\n", "Flags:\n", "Exit status:\n  0   "} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s --help: no %q", cmd.CommandPath(), want)
			}
		}
		if cmd.HasParent() && !strings.Contains(out.String(), "Examples:\n  ") {
			t.Errorf("%s --help: no examples", cmd.CommandPath())
		}
		about, _, _ := strings.Cut(out.String(), "Usage:")
		for line := range strings.Lines(about) {
			if len(line) > 90 {
				t.Errorf("%s --help: wide: %s", cmd.CommandPath(), line)
			}
		}
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit(newCommand(nil, nil, io.Discard, io.Discard).root())
}

// A bare doozer is a usage error; the help goes to stderr.
func TestNoVerb(t *testing.T) {
	var stdout, stderr bytes.Buffer
	status := run(t.Context(), nil, nil, strings.NewReader(""), &stdout, &stderr)
	if status != statusUsage || stdout.Len() > 0 || !strings.Contains(stderr.String(), "Verbs:") {
		t.Errorf("status %d, stdout %q, stderr %q", status, &stdout, &stderr)
	}
}

func TestVersionNeedsNoStore(t *testing.T) {
	for _, arg := range []string{"version", "--version"} {
		var stdout, stderr bytes.Buffer
		status := run(t.Context(), []string{arg}, []string{"DOOZER_URI=127.0.0.1:1"}, strings.NewReader(""), &stdout, &stderr)
		if status != statusDone || !strings.HasPrefix(stdout.String(), "doozer ") || strings.Count(stdout.String(), "\n") != 1 {
			t.Errorf("%s: status %d, stdout %q, stderr %q", arg, status, &stdout, &stderr)
		}
	}
}

func TestServerVersions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t)
		n.members = append(n.members, &doozerpb.Member{Id: 2, Name: "n2", Addr: "127.0.0.1:1"})
		inv := doozer(t, n, "", "version", "--server")
		if inv.status != statusDone || !strings.Contains(inv.stdout.String(), "node  1  n1  "+n.addr+"  v1.2.3\n") ||
			!strings.Contains(inv.stdout.String(), "node  2  n2  127.0.0.1:1      unreachable\n") {
			t.Errorf("status %d, stdout\n%sstderr %q", inv.status, &inv.stdout, &inv.stderr)
		}
		inv = doozer(t, n, "", "version", "--server", "-o", "json")
		if inv.status != statusDone || !strings.Contains(inv.stdout.String(), `"reachable":true,"version":"v1.2.3"`) {
			t.Errorf("status %d, stdout\n%sstderr %q", inv.status, &inv.stdout, &inv.stderr)
		}
	})
}

// A cluster of three of which one node is left is shown, and is an error.
func TestStatusNoMajority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t)
		n.members = append(n.members,
			&doozerpb.Member{Id: 2, Name: "n2", Addr: "127.0.0.1:1", Voter: true},
			&doozerpb.Member{Id: 3, Name: "n3", Addr: "127.0.0.1:2", Voter: true})
		inv := doozer(t, n, "", "status")
		if want := "doozer: status: no majority of the nodes is reachable\n"; inv.status != statusError || inv.stderr.String() != want {
			t.Errorf("status %d, stderr %q", inv.status, &inv.stderr)
		}
		for _, want := range []string{"1 of 3 reachable", " 2  n2    -", " 3  n3    -", "connection refused"} {
			if !strings.Contains(inv.stdout.String(), want) {
				t.Errorf("no %q in\n%s", want, &inv.stdout)
			}
		}
	})
}

// The age of a local read is on stderr, and beside the value in JSON.
func TestLocal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t)
		n.age = 5200
		set(t, n, "/d/a", "x")
		for _, verb := range [][]string{
			{"get", "/d/a"}, {"stat", "/d/a"}, {"ls", "/d"}, {"find", "/**"}, {"log", "/**"}, {"rev"},
			{"get", "/d/a", "-o", "json"}, {"stat", "/d", "-o", "json"},
		} {
			inv := doozer(t, n, "", append(verb, "--local")...)
			if want := "local read: node 1, rev 1, age 5.2s\n"; inv.status != statusDone || inv.stderr.String() != want {
				t.Errorf("%v: status %d, stderr %q", verb, inv.status, &inv.stderr)
			}
			if want := `"local":{"node":1,"rev":1,"age_ms":5200}`; verb[len(verb)-1] == "json" && !strings.Contains(inv.stdout.String(), want) {
				t.Errorf("%v: %s", verb, &inv.stdout)
			}
		}
	})
}

// Values that are not printed are not fetched.
func TestValuesStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t)
		set(t, n, "/a", "x")
		for _, tt := range []struct {
			line string
			want bool
		}{
			{"log /a", false}, {"log /a -o json", false}, {"find /a", false}, {"find -l /a", false}, {"find -l /a -o json", false},
			{"ls -l /", false}, {"find --values /a", true},
		} {
			inv := doozer(t, n, "", strings.Fields(tt.line)...)
			n.store.mu.Lock()
			got := n.valued
			n.store.mu.Unlock()
			if inv.status != statusDone || got != tt.want {
				t.Errorf("%s: status %d, values %v", tt.line, inv.status, got)
			}
		}
	})
}

func TestTxnFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t)
		file := filepath.Join(t.TempDir(), "script")
		if err := os.WriteFile(file, []byte("set /a x\n"), 0o666); err != nil {
			t.Fatal(err)
		}
		for i, inv := range []*invocation{doozer(t, n, "", "txn", file), doozer(t, n, "set /b y", "txn", "-")} {
			if want := strconv.Itoa(i+1) + "\n"; inv.status != statusDone || inv.stdout.String() != want {
				t.Errorf("%d: status %d, stdout %q, stderr %q", i, inv.status, &inv.stdout, &inv.stderr)
			}
		}
	})
}

// doozer help VERB is doozer VERB --help.
func TestHelpVerb(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t)
		for _, verb := range []string{"get", "watch", "help"} {
			a, b := doozer(t, n, "", "help", verb), doozer(t, n, "", verb, "--help")
			if a.status != statusDone || a.stdout.Len() == 0 || a.stdout.String() != b.stdout.String() {
				t.Errorf("%s: status %d, %q and %q", verb, a.status, &a.stdout, &b.stdout)
			}
		}
	})
}

func TestCompletionScripts(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		var stdout, stderr bytes.Buffer
		status := run(t.Context(), []string{"completion", shell}, nil, strings.NewReader(""), &stdout, &stderr)
		if status != statusDone || !strings.Contains(stdout.String(), "__complete") {
			t.Errorf("%s: status %d, stderr %q", shell, status, &stderr)
		}
	}
}

// The shell is offered the entries of the directory that is being typed.
func TestCompletePath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t)
		for _, path := range []string{"/app/config", "/app/core/x", "/app/other", "/b"} {
			if inv := doozer(t, n, "", "set", path, "x"); inv.status != 0 {
				t.Fatal(inv.stderr.String())
			}
		}
		tests := []struct{ typed, want string }{
			{"", "/\n:6\n"},
			{"/", "/app/\n/b\n:4\n"},
			{"/a", "/app/\n:6\n"},
			{"/app/co", "/app/config\n/app/core/\n:4\n"},
			{"/app/config", "/app/config\n:4\n"},
			{"/none/", ":4\n"},
		}
		for _, tt := range tests {
			if got := doozer(t, n, "", "__complete", "get", tt.typed); got.stdout.String() != tt.want {
				t.Errorf("%q completes to %q, want %q", tt.typed, got.stdout.String(), tt.want)
			}
		}
	})
}

// An unreachable store is one line that names the address and the remedy.
func TestUnreachable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, verb := range [][]string{{"get", "/a"}, {"set", "/a", "x"}, {"watch", "/**"}, {"wait", "/**"}} {
			var stdout, stderr bytes.Buffer
			args := append([]string{"-a", "127.0.0.1:1", "--timeout", "300ms"}, verb...)
			status := runOn(t.Context(), args, nil, strings.NewReader(""), &stdout, &stderr)
			text := stderr.String()
			if status != statusError || stdout.Len() > 0 || strings.Count(text, "\n") != 1 ||
				!strings.Contains(text, "127.0.0.1:1") || !strings.Contains(text, "DOOZER_URI") {
				t.Errorf("%v: status %d, stdout %q, stderr %q", verb, status, &stdout, text)
			}
		}
	})
}

// A store without any node that answers still has a status.
func TestStatusUnreachable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stdout, stderr bytes.Buffer
		status := run(t.Context(), []string{"-a", "127.0.0.1:1", "status"}, nil, strings.NewReader(""), &stdout, &stderr)
		if status != statusError || !strings.Contains(stdout.String(), "0 of 1 reachable, NO LEADER") {
			t.Errorf("status %d, stdout %q, stderr %q", status, &stdout, &stderr)
		}
	})
}

// What a node refuses is one line on stderr, and nothing is on stdout.
func TestRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tests := []struct {
			err    *doozerpb.Error
			status int
			want   string
		}{
			{&doozerpb.Error{Code: doozerpb.Code_INTERNAL, Message: "a bug"}, statusError, "; read before you write again"},
			{&doozerpb.Error{Code: doozerpb.Code_TOO_LARGE, Message: "over 1 MiB"}, statusError, "over 1 MiB"},
			{&doozerpb.Error{Code: doozerpb.Code_REV_MISMATCH, Path: "/a"}, statusCondition, "the condition failed: there is no file"},
		}
		for _, tt := range tests {
			n := startNode(t)
			n.refuse = tt.err
			inv := doozer(t, n, "", "set", "/a", "x")
			text := inv.stderr.String()
			if inv.status != tt.status || !strings.HasPrefix(text, "doozer: set /a: ") || !strings.Contains(text, tt.want) ||
				strings.Count(text, "\n") != 1 || inv.stdout.Len() > 0 {
				t.Errorf("%v: status %d, stderr %q", tt.err.Code, inv.status, text)
			}
		}
	})
}

// A rev that does not come is waited for as long as --timeout says.
func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t)
		inv := doozer(t, n, "", "get", "/a", "--rev", "1000", "--timeout", "100ms")
		if inv.status != statusError || !strings.HasSuffix(inv.stderr.String(), "; --timeout is 100ms\n") {
			t.Errorf("status %d, stderr %q", inv.status, &inv.stderr)
		}
	})
}

// What needs a majority where there is none ends when its time is over, and
// says what is known.
func TestNoMajority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t)
		n.cut, n.age = true, 5200
		who := "no majority: node 1 (" + n.addr + ") last heard from a leader 5.2s ago; "
		for line, want := range map[string]string{
			"set /a x": "doozer: set /a: " + who + "nothing was changed: see doozer status\n",
			"get /a":   "doozer: get /a: " + who + "see doozer status; get, stat, ls, find and log have --local\n",
			"nop":      "doozer: nop: " + who + "see doozer status; get, stat, ls, find and log have --local\n",
			"log /a":   "doozer: log /a: " + who + "see doozer status; get, stat, ls, find and log have --local\n",
		} {
			begun := time.Now()
			inv := doozer(t, n, "", strings.Fields(line+" --timeout 2s")...)
			if d := time.Since(begun); inv.status != statusError || inv.stderr.String() != want || d > 2*time.Second || d < time.Second {
				t.Errorf("%s: status %d after %v, stderr %q", line, inv.status, d, &inv.stderr)
			}
		}
	})
}

// Touch gives up as a failed condition when others always write in between.
func TestTouchRaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t)
		n.refuse = &doozerpb.Error{Code: doozerpb.Code_REV_MISMATCH, Path: "/a", Rev: 7}
		inv := doozer(t, n, "", "touch", "/a")
		if want := "doozer: touch /a: others wrote it 16 times in between: revision mismatch\n"; inv.status != statusCondition || inv.stderr.String() != want {
			t.Errorf("status %d, stderr %q", inv.status, &inv.stderr)
		}
	})
}

// Set does not wait for a person to type a value.
func TestSetFromTerminal(t *testing.T) {
	tty, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		need.Skip(t, err.Error())
	}
	defer tty.Close()
	var stdout, stderr bytes.Buffer
	status := run(t.Context(), []string{"set", "/a"}, nil, tty, &stdout, &stderr)
	if status != statusUsage || !strings.HasPrefix(stderr.String(), "doozer: set /a: VALUE is missing and stdin is a terminal") {
		t.Errorf("status %d, stderr %q", status, &stderr)
	}
}

func TestIsTerminal(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for name, r := range map[string]io.Reader{"null": null, "buffer": &bytes.Buffer{}} {
		if isTerminal(r) {
			t.Errorf("%s is a terminal", name)
		}
	}
}

// More than a file may hold is refused before it is sent.
func TestInputBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t)
		inv := doozer(t, n, strings.Repeat("x", maxInput+1), "set", "/a")
		if inv.status != statusError || !strings.Contains(inv.stderr.String(), "8.0 MiB") {
			t.Errorf("status %d, stderr %q", inv.status, &inv.stderr)
		}
		if got := doozer(t, n, "", "rev"); got.stdout.String() != "0\n" {
			t.Errorf("rev %q", &got.stdout)
		}
	})
}

// failing is an stdout that fails.
type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// A reader that went away ends the program quietly; a full disk does not.
func TestStdoutFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t)
		doozer(t, n, "", "set", "/a", "x")
		tests := []struct {
			err    error
			status int
		}{{syscall.EPIPE, statusDone}, {syscall.ENOSPC, statusError}}
		for _, tt := range tests {
			for _, verb := range [][]string{{"get", "/a"}, {"watch", "/**", "--from", "1"}, {"find", "/**"}} {
				var stderr bytes.Buffer
				status := runOn(t.Context(), append([]string{"-a", n.addr}, verb...), nil, strings.NewReader(""), failing{tt.err}, &stderr)
				if status != tt.status || (stderr.Len() == 0) != (status == statusDone) {
					t.Errorf("%v, %v: status %d, stderr %q", verb, tt.err, status, &stderr)
				}
			}
		}
	})
}

// TestMain makes the test binary the program itself, where a test needs a
// process.
func TestMain(m *testing.M) {
	if os.Getenv("DOOZER_TEST_MAIN") != "" {
		main()
	}
	status := m.Run()
	removeServer()
	os.Exit(status)
}

// A real process ends quietly when its reader goes away, and cleanly, with
// status 0, on an interrupt.
func TestProcess(t *testing.T) {
	n := startNodeTCP(t)
	doozer(t, n, "", "set", "/a", "x")
	for _, end := range []string{"close", "interrupt"} {
		cmd := exec.Command(os.Args[0], "-a", n.addr, "watch", "/**", "--from", "1")
		cmd.Env = append(os.Environ(), "DOOZER_TEST_MAIN=1")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		record := make([]byte, len("/a 1 set 1\nx\n"))
		if _, err := io.ReadFull(stdout, record); err != nil || string(record) != "/a 1 set 1\nx\n" {
			t.Errorf("%s: read %q, %v", end, record, err)
		}
		if end == "close" {
			stdout.Close()
			doozer(t, n, "", "set", "/a", "y")
		} else {
			cmd.Process.Signal(os.Interrupt)
		}
		if err := cmd.Wait(); err != nil || stderr.Len() > 0 {
			t.Errorf("%s: %v, stderr %q", end, err, &stderr)
		}
	}
}
