package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/doozer-store/doozer/test/loopback"
	"github.com/doozer-store/doozer/test/output"
)

// patience is how long a test waits for what must come.
const patience = 2 * time.Minute

// TestRefusals: every mistake is one line on standard error that names it, and
// exit status 2.
func TestRefusals(t *testing.T) {
	used, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer used.Close()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args, env []string
		want      string
	}{
		{nil, nil, "--data-dir is missing"},
		{[]string{"--no-such-flag"}, nil, "unknown flag: --no-such-flag"},
		{[]string{"serve"}, nil, `unknown command or argument "serve"`},
		{[]string{"--data-dir", "DIR", "extra"}, nil, `"extra"`},
		{[]string{"--history", "many", "--data-dir", "DIR"}, nil, "--history"},
		{[]string{"--history", "0x0", "--data-dir", "DIR", "--history=-5"}, nil, "--history"},
		{[]string{"--data-dir", "DIR", "--log-format", "xml"}, nil, `--log-format "xml"`},
		{[]string{"--data-dir", "DIR", "--log-level", "loud"}, nil, `--log-level "loud"`},
		{[]string{"--data-dir", "DIR", "--listen", "nowhere"}, nil, "--listen"},
		{[]string{"--data-dir", "DIR", "--listen", used.Addr().String()}, nil, "is in use by another process"},
		{[]string{"--data-dir", "DIR", "--web", used.Addr().String(), "--listen", "127.0.0.1:0"}, nil, "--web"},
		{[]string{"--data-dir", file}, nil, "--data-dir"},
		{[]string{"--data-dir", "DIR", "--cluster", "a=h:1,b=h:2"}, nil, "1, 3 or 5"},
		{[]string{"--data-dir", "DIR", "--cluster", "a=h:1,b=h:2,c=h:3"}, nil, "--name is missing"},
		{[]string{"--data-dir", "DIR", "--name", "x", "--cluster", "a=h:1,b=h:2,c=h:3"}, nil, "lacks this node's own name"},
		{nil, []string{"DOOZERD_NO_SUCH=1"}, "DOOZERD_NO_SUCH names no flag"},
		{nil, []string{"DOOZERD_HISTORY=x", "DOOZERD_DATA_DIR=DIR"}, "DOOZERD_HISTORY"},
		{[]string{"demo", "--nodes", "4"}, nil, "1, 3 or 5"},
		{[]string{"demo", "now"}, nil, `"now"`},
		{[]string{"demo", "--listen", "127.0.0.1:1"}, nil, "unknown flag: --listen"},
	} {
		dir := t.TempDir()
		for _, list := range [][]string{c.args, c.env} {
			for i := range list {
				list[i] = strings.Replace(list[i], "DIR", dir, 1)
			}
		}
		var stdout, stderr output.Buffer
		status := run(c.args, c.env, &stdout, &stderr, nil)
		got := stderr.String()
		if status != 2 || !strings.Contains(got, c.want) || strings.Count(got, "\n") != 1 || !strings.HasPrefix(got, "doozerd: ") {
			t.Errorf("doozerd %q with %q: status %d, %q; want 2 and one line with %q", c.args, c.env, status, got, c.want)
		}
		if stdout.String() != "" {
			t.Errorf("doozerd %q: %q on standard output", c.args, stdout.String())
		}
	}
}

// TestEnvironmentOfANode: what a service has set is no matter of other
// commands, not even where they have a flag of that name.
func TestEnvironmentOfANode(t *testing.T) {
	var stdout, stderr output.Buffer
	env := []string{"DOOZERD_DATA_DIR=/does/not/exist", "DOOZERD_LOG_LEVEL=loud", "DOOZERD_HISTORY=x"}
	if status := run([]string{"version"}, env, &stdout, &stderr, nil); status != 0 {
		t.Errorf("version: status %d, %s", status, stderr.String())
	}
	if run([]string{"demo", "--nodes", "2"}, env, &stdout, &stderr, nil); !strings.Contains(stderr.String(), "--nodes 2") {
		t.Errorf("demo: %s", stderr.String())
	}
}

func TestVersionAndHelp(t *testing.T) {
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"version"}, []string{"doozerd "}},
		{[]string{"--help"}, []string{"--data-dir", "--cluster", "DOOZERD_DATA_DIR", "demo", "Exit status"}},
		{[]string{"demo", "--help"}, []string{"--nodes", "8046"}},
	} {
		var stdout, stderr output.Buffer
		if status := run(c.args, nil, &stdout, &stderr, nil); status != 0 {
			t.Errorf("doozerd %q: status %d, %s", c.args, status, stderr.String())
		}
		for _, w := range c.want {
			if !strings.Contains(stdout.String(), w) {
				t.Errorf("doozerd %q lacks %q:\n%s", c.args, w, stdout.String())
			}
		}
	}
}

// TestServesUntilSignal runs a node by its environment alone.
func TestServesUntilSignal(t *testing.T) {
	web := loopback.Addr(t)
	dir := t.TempDir()
	env := []string{"DOOZERD_DATA_DIR=" + dir, "DOOZERD_LISTEN=127.0.0.1:0", "DOOZERD_PEER_LISTEN=127.0.0.1:0", "DOOZERD_WEB=" + web, "DOOZERD_LOG_FORMAT=json", "HOME=/"}
	for range 2 { // the second time on the data of the first
		var stdout, stderr output.Buffer
		signals := make(chan os.Signal, 2)
		done := make(chan int, 1)
		go func() { done <- run(nil, env, &stdout, &stderr, signals) }()
		waitReady(t, "http://"+web+"/readyz", &stderr)
		signals <- syscall.SIGTERM
		select {
		case status := <-done:
			if status != 0 {
				t.Fatalf("status %d after SIGTERM: %s", status, stderr.String())
			}
		case <-time.After(patience):
			t.Fatalf("SIGTERM did not end it: %s", stderr.String())
		}
		if !strings.Contains(stderr.String(), `"msg":"serving"`) {
			t.Errorf("no JSON log: %s", stderr.String())
		}
	}
}

func waitReady(t *testing.T, url string, logs fmt.Stringer) {
	t.Helper()
	last := ""
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		r, err := http.Get(url)
		if err != nil {
			last = err.Error()
			continue
		}
		_ = r.Body.Close()
		if last = r.Status; r.StatusCode == http.StatusOK {
			return
		}
	}
	t.Fatalf("%s: not ready in time; last: %s; logs: %s", url, last, logs)
}
