package cluster

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/doozer-store/doozer/drill/proxy"
)

const (
	// StartLimit and stopLimit are how long a node may take to serve, and to
	// end after SIGTERM; the race detector is slow.
	StartLimit = 2 * time.Minute
	stopLimit  = time.Minute
)

// Node is one member of a cluster: a data directory, three ports, a log file,
// and a process, running or not. Its methods are for the test's goroutine and
// fail the test when they can't do what they say.
type Node struct {
	Name string

	c        *Cluster
	dataDir  string
	logPath  string
	addr     string // clients, directly
	peerAddr string
	webAddr  string
	front    *proxy.Link // clients, through a link; nil without

	mu   sync.Mutex
	proc *Process // guarded by mu; nil before the first start
}

// Addr is where clients reach the node: its link, if it has one.
func (n *Node) Addr() string {
	if n.front != nil {
		return n.front.Addr()
	}
	return n.addr
}

// Listen is where the node itself listens for clients.
func (n *Node) Listen() string { return n.addr }

// PeerListen is where the node itself listens for peers.
func (n *Node) PeerListen() string { return n.peerAddr }

// WebAddr is the node's web listener.
func (n *Node) WebAddr() string { return n.webAddr }

// DataDir is the node's data directory.
func (n *Node) DataDir() string { return n.dataDir }

// Front is the link between clients and the node; nil without Options.LoseReply
// and Options.ClientProxy.
func (n *Node) Front() *proxy.Link { return n.front }

// Args are the node's command line: its flags, and then extra.
func (n *Node) Args(extra ...string) []string {
	o := n.c.opts
	args := []string{
		"--name", n.Name,
		"--data-dir", n.dataDir,
		"--listen", n.addr,
		"--peer-listen", n.peerAddr,
		"--web", n.webAddr,
		"--cluster", n.c.MemberList(n),
	}
	if n.front != nil {
		args = append(args, "--advertise", n.front.Addr())
	}
	if o.History > 0 {
		args = append(args, "--history", fmt.Sprint(o.History))
	}
	if o.CheckpointBytes > 0 {
		args = append(args, "--checkpoint-bytes", fmt.Sprint(o.CheckpointBytes))
	}
	return append(append(args, o.Args...), extra...)
}

// Start starts the node's process and does not wait for it to serve.
func (n *Node) Start() {
	n.c.t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.proc != nil && n.proc.Running() {
		n.c.t.Fatalf("node %s runs already", n.Name)
	}
	n.checkEnd()
	links := n.c.linksTo(n)
	for _, l := range links {
		if err := l.There(); err != nil {
			n.c.t.Fatalf("start node %s: %v", n.Name, err)
		}
	}
	p, err := startProcess(n.c.bin, n.Args(), n.logPath, func() {
		for _, l := range links {
			l.Gone() // which listens nowhere anew
		}
	})
	if err != nil {
		n.c.t.Fatalf("start node %s: %v", n.Name, err)
	}
	n.proc = p
}

// checkEnd fails the test if the process ended and the test did not end it. mu
// is held.
func (n *Node) checkEnd() {
	n.c.t.Helper()
	if n.proc == nil {
		return
	}
	if end := n.proc.strayEnd(); end != "" {
		n.proc.expected.Store(true) // tell it once
		n.c.t.Errorf("node %s ended, and not by this test: %s", n.Name, end)
	}
}

// Restart starts the node again and waits until it serves.
func (n *Node) Restart() {
	n.c.t.Helper()
	n.Start()
	n.WaitReady()
}

// WaitReady waits until the node says that it serves with a majority.
func (n *Node) WaitReady() {
	n.c.t.Helper()
	Eventually(n.c.t, StartLimit, "node "+n.Name+" is ready", func() (bool, string) {
		if !n.Running() {
			n.c.t.Fatalf("node %s ended with status %d:\n%s", n.Name, n.ExitStatus(), n.Tail(20))
		}
		code, body := n.Web("/readyz")
		return code == http.StatusOK, fmt.Sprintf("readyz: %d %s", code, body)
	})
}

// Web asks the node's web listener; code 0 when it does not answer.
func (n *Node) Web(path string) (code int, body string) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.webAddr+path, nil)
	if err != nil {
		return 0, err.Error()
	}
	resp, err := n.c.http.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, strings.TrimSpace(string(b))
}

// Metrics is the text of the node's /metrics.
func (n *Node) Metrics() string {
	_, body := n.Web("/metrics")
	return body
}

func (n *Node) process() *Process {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.proc == nil {
		n.c.t.Fatalf("node %s was never started", n.Name)
	}
	return n.proc
}

// Pid is the process id of the last start.
func (n *Node) Pid() int { return n.process().cmd.Process.Pid }

// Ended is closed when the process that was started last has ended.
func (n *Node) Ended() <-chan struct{} { return n.process().done }

// Running tells whether the process has not ended; a paused one runs.
func (n *Node) Running() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.proc != nil && n.proc.Running()
}

// ExitStatus waits for the end of the process and returns its status; -1 when
// a signal ended it.
func (n *Node) ExitStatus() int {
	n.c.t.Helper()
	p := n.process()
	p.expected.Store(true)
	select {
	case <-p.done:
		return p.exitStatus()
	case <-time.After(stopLimit):
		n.c.t.Fatalf("node %s still runs after %v:\n%s", n.Name, stopLimit, n.Tail(20))
		return -1
	}
}

// Kill ends the process with SIGKILL and returns when it has ended.
func (n *Node) Kill() {
	n.c.t.Helper()
	n.Signal(syscall.SIGKILL)
	<-n.process().done
}

// Term asks the process to end, with SIGTERM, and returns its exit status.
func (n *Node) Term() int {
	n.c.t.Helper()
	n.Signal(syscall.SIGTERM)
	return n.ExitStatus()
}

// Pause stops the process with SIGSTOP: its connections stay open, it says
// nothing.
func (n *Node) Pause() { n.Signal(syscall.SIGSTOP) }

// Resume lets a paused process go on.
func (n *Node) Resume() { n.Signal(syscall.SIGCONT) }

// Signal sends s to the process; one that has ended already is no error. The
// signals that end a process are told of as those of this harness.
func (n *Node) Signal(s syscall.Signal) {
	n.c.t.Helper()
	if err := n.process().Signal(s); err != nil {
		n.c.t.Fatalf("node %s: %v: %v", n.Name, s, err)
	}
}

// Wipe removes the node's data. The process must have ended.
func (n *Node) Wipe() {
	n.c.t.Helper()
	if n.Running() {
		n.c.t.Fatalf("node %s runs: its data can't be wiped", n.Name)
	}
	if err := os.RemoveAll(n.dataDir); err != nil {
		n.c.t.Fatalf("wipe node %s: %v", n.Name, err)
	}
}

// RSS is the process's resident memory in bytes.
func (n *Node) RSS() int64 {
	n.c.t.Helper()
	b, err := n.process().rss()
	if err != nil {
		n.c.t.Fatalf("memory of node %s: %v", n.Name, err)
	}
	return b
}

// Output is what the process has printed since it was last started.
func (n *Node) Output() string {
	b, err := os.ReadFile(n.logPath)
	if err != nil {
		return err.Error()
	}
	if i := bytes.LastIndex(b, []byte("\n--- ")); i >= 0 {
		b = b[i+1:]
	}
	_, out, _ := strings.Cut(string(b), "\n")
	return out
}

// Tail is the last lines of the node's log, over all its starts.
func (n *Node) Tail(lines int) string { return Tail(n.logPath, lines) }

// Tail is the last lines of a file, or why there are none.
func Tail(path string, lines int) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// LogPath is the file of the node's output, over all its starts.
func (n *Node) LogPath() string { return n.logPath }

// SetAside takes the node's data away until PutBack. The process must have
// ended.
func (n *Node) SetAside() {
	n.c.t.Helper()
	if n.Running() {
		n.c.t.Fatalf("node %s runs: its data can't be taken away", n.Name)
	}
	if err := os.Rename(n.dataDir, n.dataDir+".aside"); err != nil {
		n.c.t.Fatalf("take the data of node %s away: %v", n.Name, err)
	}
}

// PutBack gives the node the data that SetAside took.
func (n *Node) PutBack() {
	n.c.t.Helper()
	n.Wipe()
	if err := os.Rename(n.dataDir+".aside", n.dataDir); err != nil {
		n.c.t.Fatalf("give node %s its data back: %v", n.Name, err)
	}
}
