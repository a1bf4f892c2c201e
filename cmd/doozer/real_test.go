package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/doozer-store/doozer/test/loopback"
)

// The tests in real_*_test.go run the verbs against doozerd itself: processes
// of their own, of which they know what a user knows. They are never skipped:
// where doozerd cannot be built they fail.

const (
	// patience is how long a test waits for what must come.
	patience = 2 * time.Minute
	// readyLimit is how long a cluster may take until it takes writes.
	readyLimit = patience
	// late is how much later than its --timeout a verb may end, on a machine
	// that may be busy with other things. TestNoMajority is exact.
	late = 30 * time.Second
)

// buildServer makes the doozerd that the tests run, once. DOOZER_TEST_BIN names
// one that is there already.
var buildServer = sync.OnceValues(func() (string, error) {
	if bin := os.Getenv("DOOZER_TEST_BIN"); bin != "" {
		return bin, nil
	}
	if err := os.MkdirAll(serverDir(), 0o755); err != nil {
		return "", err
	}
	bin := filepath.Join(serverDir(), "doozerd")
	out, err := exec.Command("go", "build", "-o", bin, "github.com/doozer-store/doozer/cmd/doozerd").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build doozerd: %w\n%s", err, out)
	}
	return bin, nil
})

func serverDir() string {
	return filepath.Join(os.TempDir(), "doozer-cli-"+strconv.Itoa(os.Getpid()))
}

// removeServer takes away what buildServer made.
func removeServer() { os.RemoveAll(serverDir()) }

// realNode is one doozerd process and what it needs to start again.
type realNode struct {
	name, addr, peer string
	log              string
	args             []string
	cmd              *exec.Cmd
}

// realCluster is a few of them.
type realCluster struct {
	t     *testing.T
	nodes []*realNode
}

// startReal starts n nodes, with further flags, and waits until they take
// writes and each says that it is ready.
func startReal(t *testing.T, n int, flags ...string) *realCluster {
	t.Helper()
	bin, err := buildServer()
	if err != nil {
		t.Fatal(err)
	}
	c := &realCluster{t: t}
	var members []string
	for i := range n {
		node := &realNode{name: string(rune('a' + i)), addr: loopback.Addr(t), peer: loopback.Addr(t)}
		c.nodes = append(c.nodes, node)
		members = append(members, node.name+"="+node.peer)
	}
	dir := t.TempDir()
	t.Cleanup(c.close)
	for _, node := range c.nodes {
		node.log = filepath.Join(dir, node.name+".log")
		node.args = append([]string{bin, "--name", node.name, "--data-dir", filepath.Join(dir, node.name),
			"--listen", node.addr, "--web", "false", "--cluster", strings.Join(members, ",")}, flags...)
		node.start(t)
	}
	c.waitReady()
	return c
}

func (n *realNode) start(t *testing.T) {
	t.Helper()
	out, err := os.OpenFile(n.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	n.cmd = exec.Command(n.args[0], n.args[1:]...)
	n.cmd.Stdout, n.cmd.Stderr = out, out
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
}

// signal sends a signal, and waits until SIGKILL has ended the process or SIGSTOP
// has stopped it: until then it goes on answering.
func (n *realNode) signal(s syscall.Signal) {
	n.cmd.Process.Signal(s)
	switch s {
	case syscall.SIGKILL:
		n.cmd.Wait()
	case syscall.SIGSTOP:
		var status syscall.WaitStatus
		for {
			if _, err := syscall.Wait4(n.cmd.Process.Pid, &status, syscall.WUNTRACED, nil); err != syscall.EINTR {
				return
			}
		}
	}
}

// target names all nodes.
func (c *realCluster) target() string {
	var addrs []string
	for _, n := range c.nodes {
		addrs = append(addrs, n.addr)
	}
	return strings.Join(addrs, ",")
}

// waitReady waits until status finds every node ready, and nothing more is
// written by the nodes themselves.
func (c *realCluster) waitReady() {
	c.t.Helper()
	c.until("the cluster is ready", func() (bool, string) {
		inv := doozerAt(c.target(), "", "status")
		text := inv.stdout.String()
		all := fmt.Sprintf("%d of %[1]d reachable, leader", len(c.nodes))
		return inv.status == statusDone && strings.Contains(text, all) && !strings.Contains(text, "not ready"), text
	})
	// What the nodes write about themselves takes revs, which tests count.
	c.until("the nodes have told who they are", func() (bool, string) {
		inv := doozerAt(c.target(), "", "find", "/ctl/**")
		text := inv.stdout.String()
		return strings.Count(text, "/version\n") == len(c.nodes) && strings.Count(text, "/ctl/cal/") == len(c.nodes), text
	})
}

// until looks again and again until ok says yes; else it says what it saw last.
func (c *realCluster) until(what string, ok func() (bool, string)) {
	c.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(readyLimit)
	for {
		done, saw := ok()
		if done {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			c.t.Fatalf("%s: not within %v: %s", what, readyLimit, saw)
		}
	}
}

// leader and followers tell the nodes apart as they are at present.
func (c *realCluster) leader() *realNode {
	c.t.Helper()
	var found *realNode
	c.until("there is a leader", func() (bool, string) {
		inv := doozerAt(c.target(), "", "status")
		for _, n := range c.nodes {
			if strings.Contains(inv.stdout.String(), "leader "+n.name+" (") {
				found = n
			}
		}
		return found != nil, inv.stdout.String()
	})
	return found
}

func (c *realCluster) others(than *realNode) (list []*realNode) {
	for _, n := range c.nodes {
		if n != than {
			list = append(list, n)
		}
	}
	return list
}

// close ends the processes, and shows their logs if the test has failed.
func (c *realCluster) close() {
	for _, n := range c.nodes {
		if n.cmd == nil {
			continue
		}
		n.signal(syscall.SIGKILL)
		if text, err := os.ReadFile(n.log); c.t.Failed() && err == nil {
			c.t.Logf("node %s:\n%s", n.name, text[max(0, len(text)-4000):])
		}
	}
}
