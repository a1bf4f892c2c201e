package rig

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/drill/cluster"
)

// Build makes doozerd, doozer and the agent that dies from this source, once, and
// returns the directory that has them. DOOZER_FAILOVER_BIN names one, and then none is
// built.
func Build() (dir string, err error) { return built() }

func binDir() string {
	return filepath.Join(os.TempDir(), "doozer-failover-"+strconv.Itoa(os.Getpid()))
}

// CleanUp removes what Build made. Call it once, at the very end.
func CleanUp() { os.RemoveAll(binDir()) }

var built = sync.OnceValues(func() (string, error) {
	if dir := os.Getenv("DOOZER_FAILOVER_BIN"); dir != "" {
		return dir, nil
	}
	dir := binDir()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	const module = "github.com/doozer-store/doozer/"
	out, err := exec.Command("go", "build", "-o", dir+"/", module+"cmd/doozerd", module+"cmd/doozer", module+"test/failover/cmd/agent").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return dir, nil
})

// Store is three doozerd nodes on hosts of their own, store-a to store-c.
type Store struct {
	t     cluster.TB
	nodes []*storeNode
}

type storeNode struct {
	host  string
	args  []string
	log   string
	web   string
	front string
	proc  atomic.Pointer[cluster.Process] // set by the test's goroutine
}

// StartStore starts the nodes and waits until each serves.
func StartStore(t cluster.TB, n *Net) *Store {
	t.Helper()
	dir, err := Build()
	if err != nil {
		t.Fatalf("%v", err)
	}
	s, data := &Store{t: t}, t.TempDir()
	var members []string
	for _, name := range []string{"a", "b", "c"} {
		var addr [3]string
		for i := range addr {
			if addr[i], err = n.ports.FreeAddr(); err != nil {
				t.Fatalf("%v", err)
			}
		}
		node := &storeNode{host: "store-" + name, log: filepath.Join(data, name+".log"), web: addr[2]}
		if node.front, err = n.Front(node.host, addr[0]); err != nil {
			t.Fatalf("%v", err)
		}
		node.args = []string{"--name", name, "--data-dir", filepath.Join(data, name), "--listen", addr[0],
			"--peer-listen", addr[1], "--web", addr[2], "--advertise", node.front}
		members = append(members, name+"="+addr[1])
		n.Own(node.host, func() int { return node.proc.Load().Pid() })
		s.nodes = append(s.nodes, node)
	}
	t.Cleanup(s.stop)
	for _, node := range s.nodes {
		node.args = append(node.args, "--cluster", strings.Join(members, ","))
		p, err := cluster.StartProcess(node.log, filepath.Join(dir, "doozerd"), node.args...)
		if err != nil {
			t.Fatalf("%v", err)
		}
		node.proc.Store(p)
	}
	s.awaitReady()
	return s
}

func (s *Store) awaitReady() {
	s.t.Helper()
	for _, node := range s.nodes {
		cluster.Eventually(s.t, cluster.StartLimit, node.host+" is ready", func() (bool, string) {
			resp, err := http.Get("http://" + node.web + "/readyz")
			if err != nil {
				return false, err.Error() + "\n" + cluster.Tail(node.log, 5)
			}
			resp.Body.Close()
			return resp.StatusCode == http.StatusOK, resp.Status
		})
	}
}

func (s *Store) stop() {
	for _, node := range s.nodes {
		if s.t.Failed() {
			s.t.Logf("%s, end of its log:\n%s", node.host, cluster.Tail(node.log, 10))
		}
		if p := node.proc.Load(); p != nil {
			p.Kill()
		}
	}
}

// Addrs are the nodes' addresses, as a client is given them.
func (s *Store) Addrs() string {
	var all []string
	for _, node := range s.nodes {
		all = append(all, node.front)
	}
	return strings.Join(all, ",")
}

// Client opens a client; the test's end closes it.
func (s *Store) Client() *client.Client {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), cluster.StartLimit)
	defer cancel()
	cl, err := client.Open(ctx, s.Addrs())
	if err != nil {
		s.t.Fatalf("%v", err)
	}
	s.t.Cleanup(func() { cl.Close() })
	return cl
}

// Hosts are the names of the nodes' hosts.
func (s *Store) Hosts() []string {
	var all []string
	for _, node := range s.nodes {
		all = append(all, node.host)
	}
	return all
}

// LoseMajority stops two of three nodes, by SIGSTOP.
func (s *Store) LoseMajority() { s.signal(syscall.SIGSTOP) }

// RegainMajority takes LoseMajority back and waits until all serve.
func (s *Store) RegainMajority() {
	s.t.Helper()
	s.signal(syscall.SIGCONT)
	s.awaitReady()
}

func (s *Store) signal(sig syscall.Signal) {
	s.t.Helper()
	for _, node := range s.nodes[:2] {
		if err := node.proc.Load().Signal(sig); err != nil {
			s.t.Fatalf("%v", err)
		}
	}
}
