package agent

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doozer-store/doozer/client/failover"
	"github.com/doozer-store/doozer/client/failover/redistest"
	"github.com/doozer-store/doozer/client/fakestore"
)

// limit is how long anything may take that only a hang exceeds.
const limit = 2 * time.Minute

// group is three real Redis servers with an agent each, over a store in memory.
type group struct {
	t     *testing.T
	store *fakestore.Store
	conf  failover.Conf
	nodes []*node
	f     *failover.Follower
}

// node is a Redis and its agent.
type node struct {
	g     *group
	name  string
	redis *redistest.Server
	st    *fakestore.Client
	cfg   Config
	// started is told of each agent before it runs.
	started func(*Agent)

	agent  *Agent
	cancel context.CancelFunc
	ended  chan error
}

// slow is a conf for tests in which nothing may expire because the machine is
// busy.
func slow(c *failover.Conf) {
	c.TTLms, c.HangMs, c.BidMs = 60_000, 60_000, 30_000
	// Redis counts in seconds what a busy machine may take longer for.
	c.GateLagS = 10
}

// newGroup starts n servers and their agents.
func newGroup(t *testing.T, n int, change func(*failover.Conf), lines ...string) *group {
	t.Helper()
	return newGroupWith(t, n, change, nil, lines...)
}

// newGroupWith is newGroup with a further configuration of the agents.
func newGroupWith(t *testing.T, n int, change func(*failover.Conf), with func(*node), lines ...string) *group {
	t.Helper()
	g := &group{t: t, store: fakestore.New(), conf: failover.DefaultConf()}
	slow(&g.conf)
	g.conf.Nodes = n
	if change != nil {
		change(&g.conf)
	}
	c := g.store.Client()
	if _, err := failover.Init(t.Context(), c, "g", g.conf); err != nil {
		t.Fatal(err)
	}
	var err error
	if g.f, err = failover.Follow(t.Context(), c, "g"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.f.Close() })
	for i := range n {
		nd := &node{g: g, name: fmt.Sprintf("n%d", i+1), redis: redistest.Start(t, append([]string{redistest.Fence}, lines...)...), st: g.store.Client()}
		nd.cfg = Config{Store: nd.st, Group: "g", Name: nd.name, Redis: nd.redis.Addr, Dir: t.TempDir()}
		if with != nil {
			with(nd)
		}
		g.nodes = append(g.nodes, nd)
		nd.start()
		t.Cleanup(func() { nd.stop() })
	}
	return g
}

// start starts the agent.
func (n *node) start() {
	n.g.t.Helper()
	n.cfg.Logger = slog.New(slog.NewTextHandler(testWriter{n.g.t}, &slog.HandlerOptions{Level: slog.LevelDebug})).With("at", n.name)
	a, err := Open(n.g.t.Context(), n.cfg)
	if err != nil {
		n.g.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	if n.started != nil {
		n.started(a)
	}
	n.agent, n.cancel, n.ended = a, cancel, make(chan error, 1)
	go func() { n.ended <- a.Run(ctx) }() // stop waits for it
}

// stop stops the agent and waits for it.
func (n *node) stop() error {
	if n.cancel == nil {
		return nil
	}
	n.cancel()
	n.cancel = nil
	select {
	case err := <-n.ended:
		return err
	case <-time.After(limit):
		n.g.t.Errorf("the agent of %s does not end", n.name)
		return nil
	}
}

// testWriter logs to a test, until that has ended.
type testWriter struct{ t *testing.T }

var logMu sync.Mutex

func (w testWriter) Write(b []byte) (int, error) {
	logMu.Lock()
	defer logMu.Unlock()
	if w.t.Context().Err() == nil {
		w.t.Log(strings.TrimSpace(string(b)))
	}
	return len(b), nil
}

// await waits for a view.
func (g *group) await(what string, ok func(v failover.View) bool) failover.View {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	v, err := g.f.Wait(ctx, ok)
	if err != nil {
		g.t.Fatalf("%s: not in time: %+v", what, v)
	}
	return v
}

// master waits for a master that takes writes, after epoch, and returns it.
func (g *group) master(after int64) (m *node, v failover.View) {
	g.t.Helper()
	g.nodes[0].until("a master takes writes", func() bool {
		v = g.f.View()
		if v.Epoch <= after || v.Register.State != failover.Running {
			return false
		}
		m = g.node(v.Register.Node)
		_, err := m.redis.Try("SET", "probe", "x")
		return err == nil
	})
	return m, v
}

func (g *group) node(name string) *node {
	for _, n := range g.nodes {
		if n.name == name {
			return n
		}
	}
	g.t.Fatalf("no node %q", name)
	return nil
}

func (g *group) others(n *node) (list []*node) {
	for _, o := range g.nodes {
		if o != n {
			list = append(list, o)
		}
	}
	return list
}

// settled waits until all but those named replicate from n.
func (g *group) settled(n *node, but ...*node) {
	g.t.Helper()
	for _, o := range g.others(n) {
		skip := false
		for _, b := range but {
			skip = skip || b == o
		}
		if skip {
			continue
		}
		o.until("it is a replica of "+n.name, func() bool { return o.redis.Linked(n.cfg.Redis) })
	}
}

func (n *node) until(what string, ok func() bool) {
	n.g.t.Helper()
	deadline := time.Now().Add(limit)
	for !ok() {
		if time.Now().After(deadline) {
			n.g.t.Fatalf("%s: %s: not in time: %+v", n.name, what, n.g.f.View())
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// A group forms itself, survives the death of its master's process, and takes
// the old master back.
func TestKilledRedis(t *testing.T) {
	t.Parallel()
	g := newGroup(t, 3, nil)
	m, v := g.master(0)
	g.settled(m)
	g.spread(m, "a")
	for _, o := range g.others(m) {
		if _, err := o.redis.Try("SET", "a", "2"); err == nil {
			t.Errorf("%s takes writes", o.name)
		}
	}
	m.redis.Kill()
	next, v2 := g.master(v.Epoch)
	if next == m {
		t.Fatal("a dead master was chosen")
	}
	if got := next.redis.Do("GET", "a"); got != "1" {
		t.Errorf("a is %q", got)
	}
	g.settled(next, m)
	for _, o := range g.others(next) {
		if o != m && o.redis.Info("sync_full") != "0" {
			t.Errorf("%s was asked for full copies", o.name)
		}
	}
	if full := next.redis.Info("sync_partial_err"); full != "0" {
		t.Errorf("%s partial resyncs failed", full)
	}
	m.redis.Run()
	g.settled(next)
	if got := m.redis.Do("GET", "a"); got != "1" {
		t.Errorf("a is %q at the old master", got)
	}
	h := v2.History[len(v2.History)-1]
	if h.From != m.name || h.To != next.name || !h.Auto {
		t.Errorf("%+v", h)
	}
}
