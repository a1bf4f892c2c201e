package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/drill/proxy"
)

// Options of a cluster. Zero values mean the defaults of doozerd.
type Options struct {
	// Binary is the doozerd that the nodes run.
	Binary string
	// Nodes is 1, 3 or 5; 0 means 3.
	Nodes int
	// History is --history.
	History int64
	// CheckpointBytes is --checkpoint-bytes: bytes of log between checkpoints.
	CheckpointBytes int64
	// Proxy puts a link on every directed connection between two nodes.
	Proxy bool
	// ClientProxy puts a link before every node, for clients.
	ClientProxy bool
	// LoseReply is given to the links before the nodes, and asks for them.
	LoseReply func(payload []byte) bool
	// Args are further arguments of every node.
	Args []string
	// Dir is where data and logs go; empty: the test's own directory.
	Dir string
	// BeforeStart, if not nil, is called when nodes have their directories'
	// names and have not been started.
	BeforeStart func(*Cluster)
	// NoStart leaves the nodes unstarted.
	NoStart bool
}

// Cluster is the nodes of one test.
type Cluster struct {
	t     TB
	opts  Options
	bin   string
	http  *http.Client
	nodes []*Node
	links map[[2]string]*proxy.Link // by names of the dialling and the dialled node
	admin *client.Client            // made with the first use
	ports *Ports                    // nil before they are chosen, and after Stop

	clientLog     *slog.Logger // of all clients, into one file
	clientLogPath string
}

const leaderLimit = 30 * time.Second

// Start starts a cluster and waits until every node serves. When the test ends
// the nodes are stopped and their logs checked.
func Start(t TB, o Options) *Cluster {
	t.Helper()
	if o.Nodes == 0 {
		o.Nodes = 3
	}
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	if o.Binary == "" {
		t.Fatalf("no binary to run")
	}
	c := &Cluster{
		t: t, opts: o, bin: o.Binary,
		http:  &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
		links: map[[2]string]*proxy.Link{},
	}
	t.Cleanup(c.Stop)
	if err := c.openClientLog(); err != nil {
		t.Fatalf("%v", err)
	}
	if err := c.layOut(); err != nil {
		t.Fatalf("%v", err)
	}
	if o.BeforeStart != nil {
		o.BeforeStart(c)
	}
	if o.NoStart {
		return c
	}
	for _, n := range c.nodes {
		n.Start()
	}
	for _, n := range c.nodes {
		n.WaitReady()
	}
	return c
}

func (c *Cluster) openClientLog() error {
	c.clientLogPath = filepath.Join(c.opts.Dir, "clients.log")
	f, err := os.Create(c.clientLogPath)
	if err != nil {
		return err
	}
	c.t.Cleanup(func() { f.Close() })
	c.clientLog = slog.New(slog.NewTextHandler(f, &slog.HandlerOptions{Level: slog.LevelDebug}))
	return nil
}

// layOut gives the nodes their names, ports and links.
func (c *Cluster) layOut() error {
	free, err := NewPorts()
	if err != nil {
		return err
	}
	c.ports = free
	for i := range c.opts.Nodes {
		name := string(rune('a' + i))
		n := &Node{
			Name: name, c: c,
			dataDir: filepath.Join(c.opts.Dir, name),
			logPath: filepath.Join(c.opts.Dir, name+".log"),
		}
		for _, addr := range []*string{&n.addr, &n.peerAddr, &n.webAddr} {
			var err error
			if *addr, err = free.FreeAddr(); err != nil {
				return err
			}
		}
		if c.opts.ClientProxy || c.opts.LoseReply != nil {
			l, err := newLink(free, n.addr, c.opts.LoseReply)
			if err != nil {
				return err
			}
			n.front = l
		}
		c.nodes = append(c.nodes, n)
	}
	if !c.opts.Proxy {
		return nil
	}
	for _, from := range c.nodes {
		for _, to := range c.nodes {
			if from == to {
				continue
			}
			l, err := newLink(free, to.peerAddr, nil)
			if err != nil {
				return err
			}
			c.links[[2]string{from.Name, to.Name}] = l
		}
	}
	return nil
}

// Named is nodes with names and nothing else, for tests of what is decided by
// names.
func Named(nodes int) *Cluster {
	c := &Cluster{}
	for i := range nodes {
		c.nodes = append(c.nodes, &Node{Name: string(rune('a' + i)), c: c})
	}
	return c
}

// MemberList is --cluster as one node is told it: the others' addresses are
// its own links to them.
func (c *Cluster) MemberList(n *Node) string {
	var parts []string
	for _, m := range c.nodes {
		addr := m.peerAddr
		if l := c.links[[2]string{n.Name, m.Name}]; l != nil {
			addr = l.Addr()
		}
		parts = append(parts, m.Name+"="+addr)
	}
	return strings.Join(parts, ",")
}

// TB is what the cluster was started with.
func (c *Cluster) TB() TB { return c.t }

// Nodes are all nodes, running or not.
func (c *Cluster) Nodes() []*Node { return c.nodes }

// Node is the one of that name.
func (c *Cluster) Node(name string) *Node {
	c.t.Helper()
	for _, n := range c.nodes {
		if n.Name == name {
			return n
		}
	}
	c.t.Fatalf("no node %q", name)
	return nil
}

// Others are all nodes but those given.
func (c *Cluster) Others(but ...*Node) []*Node {
	var others []*Node
	for _, n := range c.nodes {
		given := false
		for _, b := range but {
			given = given || b == n
		}
		if !given {
			others = append(others, n)
		}
	}
	return others
}

// URI is what a client is given to reach the nodes, all when none is named.
func (c *Cluster) URI(nodes ...*Node) string {
	if len(nodes) == 0 {
		nodes = c.nodes
	}
	uri := "doozer:?"
	for i, n := range nodes {
		if i > 0 {
			uri += "&"
		}
		uri += "ca=" + n.Addr()
	}
	return uri
}

// Client opens a client of all nodes; the test's end closes it.
func (c *Cluster) Client(opts ...client.Option) *client.Client {
	c.t.Helper()
	return c.ClientOf(c.URI(), opts...)
}

// ClientOf opens a client of uri; the test's end closes it.
func (c *Cluster) ClientOf(uri string, opts ...client.Option) *client.Client {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), leaderLimit)
	defer cancel()
	opts = append([]client.Option{client.WithLogger(c.clientLog)}, opts...)
	cl, err := client.Open(ctx, uri, opts...)
	if err != nil {
		c.t.Fatalf("open %s: %v", uri, err)
	}
	c.t.Cleanup(func() { cl.Close() })
	return cl
}

// Status is what every node says about itself; a node that does not answer is
// marked so.
func (c *Cluster) Status() map[string]client.NodeStatus {
	c.t.Helper()
	if c.admin == nil {
		c.admin = c.ClientOf(c.URI(), client.WithoutWait())
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	all, err := c.admin.Status(ctx)
	if err != nil {
		c.t.Fatalf("status: %v", err)
	}
	byName := map[string]client.NodeStatus{}
	for _, n := range c.nodes {
		for _, s := range all {
			if s.Addr == n.Addr() {
				byName[n.Name] = s
			}
		}
	}
	return byName
}

// StatusLine tells the state of all nodes in one line.
func (c *Cluster) StatusLine(all map[string]client.NodeStatus) string {
	var parts []string
	for _, n := range c.nodes {
		s, ok := all[n.Name]
		switch {
		case !ok:
			parts = append(parts, n.Name+": not asked")
		case !s.Reachable:
			parts = append(parts, fmt.Sprintf("%s: %v", n.Name, s.Err))
		default:
			parts = append(parts, fmt.Sprintf("%s: %s term %d rev %d applied %d of %d checkpoint %d hash %x %s",
				n.Name, s.Role, s.Term, s.Rev, s.AppliedIndex, s.LastIndex, s.CheckpointIndex, s.Hash, s.NotReady))
		}
	}
	return strings.Join(parts, "; ")
}

// Leader waits until a node leads a majority, and returns it.
func (c *Cluster) Leader() *Node {
	c.t.Helper()
	var leader *Node
	Eventually(c.t, leaderLimit, "a majority has a leader", func() (bool, string) {
		all := c.Status()
		leader = c.leaderIn(all)
		return leader != nil, c.StatusLine(all)
	})
	return leader
}

// LeaderWithin waits as Leader does, but no longer than limit; nil when there was
// none.
func (c *Cluster) LeaderWithin(limit time.Duration) *Node {
	c.t.Helper()
	var leader *Node
	Poll(limit, func() (bool, string) {
		leader = c.leaderIn(c.Status())
		return leader != nil, ""
	})
	return leader
}

// leaderIn finds the leader of the highest term that a majority follows.
func (c *Cluster) leaderIn(all map[string]client.NodeStatus) *Node {
	for _, n := range c.nodes {
		l := all[n.Name]
		if !l.Reachable || l.Role != client.RoleLeader {
			continue
		}
		follow := 0
		for _, s := range all {
			if s.Reachable && s.Term == l.Term && s.Leader == l.ID {
				follow++
			}
		}
		if follow > len(c.nodes)/2 {
			return n
		}
	}
	return nil
}

// WaitEqual waits until all given nodes (all running ones when none is named)
// are at the same rev with the same hash. It fails at once when two differ at
// one rev. There must be no writes meanwhile.
func (c *Cluster) WaitEqual(timeout time.Duration, nodes ...*Node) {
	c.t.Helper()
	if err := c.Equal(timeout, nodes...); err != nil {
		c.t.Fatalf("%v", err)
	}
}

// Equal is WaitEqual for callers that decide themselves what a failure means.
func (c *Cluster) Equal(timeout time.Duration, nodes ...*Node) error {
	c.t.Helper()
	if len(nodes) == 0 {
		for _, n := range c.nodes {
			if n.Running() {
				nodes = append(nodes, n)
			}
		}
	}
	var differ error
	state, ok := Poll(timeout, func() (bool, string) {
		all := c.Status()
		equal := true
		for _, n := range nodes {
			a, b := all[nodes[0].Name], all[n.Name]
			if a.Reachable && b.Reachable && a.Rev == b.Rev && a.Hash != b.Hash {
				differ = fmt.Errorf("nodes differ at one rev: %s", c.StatusLine(all))
			}
			equal = equal && a.Reachable && b.Reachable && a.Rev == b.Rev
		}
		return equal || differ != nil, c.StatusLine(all)
	})
	if !ok {
		return fmt.Errorf("not within %v: the nodes have the same rev and hash\nlast seen: %s", timeout, state)
	}
	return differ
}

// keep saves what tells of a failure into dir: logs, and what the running nodes
// are doing.
func (c *Cluster) keep(dir string) {
	c.t.Helper()
	dir = filepath.Join(dir, strings.ReplaceAll(c.t.Name(), "/", "_")+time.Now().Format("-150405"))
	files := map[string]string{"clients.log": Tail(c.clientLogPath, math.MaxInt)}
	for _, n := range c.nodes {
		files[n.Name+".log"] = n.Tail(math.MaxInt)
		if n.Running() {
			n.Resume()
			_, files[n.Name+".goroutines"] = n.Web("/debug/pprof/goroutine?debug=2")
			files[n.Name+".metrics"] = n.Metrics()
		}
	}
	err := os.MkdirAll(dir, 0o755)
	for name, text := range files {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	if err != nil {
		c.t.Logf("keeping logs: %v", err)
		return
	}
	c.t.Logf("logs, goroutines and metrics of the nodes are in %s", dir)
}

// bad is what no healthy node's log holds.
var bad = regexp.MustCompile(`(?m)^.*(panic:|DATA RACE|fatal error:).*$`)

const tailLines = 30

// Stop ends all nodes and checks their logs, and that none ended before without
// being told; after a failure it shows the logs. It may be called again.
func (c *Cluster) Stop() {
	c.t.Helper()
	for _, n := range c.nodes {
		n.mu.Lock()
		n.checkEnd()
		n.mu.Unlock()
	}
	if keep := os.Getenv("DOOZER_TEST_KEEP"); keep != "" && c.t.Failed() {
		c.keep(keep)
	}
	for _, n := range c.nodes {
		if n.Running() {
			n.Resume()
			n.Kill()
		}
		if n.front != nil {
			n.front.Close()
		}
	}
	for _, l := range c.links {
		l.Close()
	}
	for _, n := range c.nodes {
		b, err := os.ReadFile(n.logPath)
		if err != nil {
			continue // never started
		}
		if m := bad.Find(b); m != nil {
			c.t.Errorf("node %s logged %q; its log:\n%s", n.Name, m, n.Tail(200))
		} else if c.t.Failed() {
			c.t.Logf("node %s, end of its log:\n%s", n.Name, n.Tail(tailLines))
		}
	}
	if c.t.Failed() && len(c.nodes) > 0 {
		c.t.Logf("clients, end of their log:\n%s", Tail(c.clientLogPath, tailLines))
	}
	if c.ports != nil {
		c.ports.Close()
	}
	c.nodes, c.links, c.ports = nil, nil, nil
}
