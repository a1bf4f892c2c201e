package consensus

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// testTick makes an election timeout of 200 to 400 ms.
const testTick = 10 * time.Millisecond

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// host is what survives a process: a log and a state.
type host struct {
	id      uint64
	log     *memLog
	machine *machine
	node    *Node
}

// cluster runs nodes in one process. Its methods are for the test's goroutine.
type cluster struct {
	t     *testing.T
	net   *network
	ids   []uint64
	hosts map[uint64]*host
	tune  func(*Config)
	nonce atomic.Uint64
}

// newCluster starts nodes 1..n; tune, if any, changes each Config.
func newCluster(t *testing.T, n int, seed uint64, tune func(*Config)) *cluster {
	t.Helper()
	c := prepareCluster(t, n, seed, tune)
	for _, id := range c.ids {
		c.start(id)
	}
	return c
}

// prepareCluster is newCluster with nothing started.
func prepareCluster(t *testing.T, n int, seed uint64, tune func(*Config)) *cluster {
	c := &cluster{t: t, net: newNetwork(seed), hosts: map[uint64]*host{}, tune: tune}
	for id := uint64(1); id <= uint64(n); id++ {
		c.ids = append(c.ids, id)
	}
	for _, id := range c.ids {
		c.hosts[id] = &host{id: id, log: &memLog{}, machine: newMachine(Bootstrap(slices.Clone(c.ids)))}
	}
	t.Cleanup(func() {
		for _, id := range c.ids {
			c.stop(id)
		}
		c.net.close()
		checkNoGoroutines(t)
	})
	return c
}

func (c *cluster) config(id uint64) Config {
	h := c.hosts[id]
	cfg := Config{
		ID: id, Nonce: c.nonce.Add(1), State: h.machine.meta(),
		Log: h.log, Machine: h.machine, Transport: wire{c.net, id},
		Tick: testTick, Wall: func() int64 { return time.Now().UnixNano() },
	}
	if os.Getenv("DOOZER_TEST_LOG") != "" {
		cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("at", id)
	}
	if c.tune != nil {
		c.tune(&cfg)
	}
	return cfg
}

// start starts a node's process and connects it.
func (c *cluster) start(id uint64) *Node {
	c.t.Helper()
	n, err := Open(c.config(id))
	if err != nil {
		c.t.Fatalf("node %d: %v", id, err)
	}
	c.hosts[id].node = n
	c.net.set(func(w *network) { w.nodes[id] = n })
	for _, other := range c.ids {
		if other != id && c.net.node(other) != nil {
			c.net.connect(other, id)
			c.net.connect(id, other)
		}
	}
	return n
}

// stop ends a node's process; its peers are refused.
func (c *cluster) stop(id uint64) {
	h := c.hosts[id]
	if h.node == nil {
		return
	}
	c.net.set(func(w *network) { delete(w.nodes, id) })
	for _, other := range c.ids {
		if other != id {
			c.net.set(func(w *network) {
				w.link(id, other).queue.take(nil)
				w.link(other, id).queue.take(nil)
			})
			c.net.peerDown(other, id, true)
		}
	}
	if err := h.node.Stop(); err != nil && h.log.hook() == nil && h.machine.failInstall == nil && h.machine.failCommit == nil {
		c.t.Errorf("node %d: %v", id, err)
	}
	h.node = nil
	h.log.crash()
	h.machine.crash()
}

func (c *cluster) node(id uint64) *Node { return c.hosts[id].node }

// leader waits until all running nodes agree on a leader that runs, and
// returns it.
func (c *cluster) leader() uint64 {
	c.t.Helper()
	var leader uint64
	eventually(c.t, "a leader of all", func() bool {
		leader = 0
		for _, id := range c.ids {
			n := c.node(id)
			if n == nil {
				continue
			}
			l := n.Leader()
			if l == 0 || leader != 0 && l != leader || c.node(l) == nil {
				return false
			}
			leader = l
		}
		return leader != 0 && c.node(leader).Role() == "leader"
	})
	return leader
}

func (c *cluster) followers() []uint64 {
	l := c.leader()
	return slices.DeleteFunc(slices.Clone(c.ids), func(id uint64) bool { return id == l || c.node(id) == nil })
}

// answer is what done was called with.
type answer struct {
	result any
	err    error
}

// propose proposes and returns where the one answer comes. A second one is an
// error of the test.
func (c *cluster) propose(id uint64, command string, d time.Duration) <-chan answer {
	return propose(c.t, c.node(id), command, d)
}

func propose(t *testing.T, n *Node, command string, d time.Duration) <-chan answer {
	ch := make(chan answer, 1)
	var answered atomic.Bool
	n.Propose([]byte(command), time.Now().Add(d), func(result any, err error) {
		if answered.Swap(true) {
			t.Errorf("%s: answered again: %v %v", command, result, err)
			return
		}
		ch <- answer{result, err}
	})
	return ch
}

func (c *cluster) read(id uint64, d time.Duration) <-chan error {
	ch := make(chan error, 1)
	c.node(id).ReadIndex(time.Now().Add(d), func(err error) { ch <- err })
	return ch
}

// get waits for a value.
func get[T any](t *testing.T, what string, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatalf("no answer: %s", what)
		panic("unreachable")
	}
}

// must proposes and wants success.
func (c *cluster) must(id uint64, command string) {
	c.t.Helper()
	if a := get(c.t, command, c.propose(id, command, patience)); a.err != nil {
		c.t.Fatalf("%s at node %d: %v", command, id, a.err)
	}
}

// mustAgain proposes at a node that may be catching up by a snapshot, after
// which it does not know what became of a command, until one is done. It
// returns that.
func (c *cluster) mustAgain(id uint64, command string) string {
	c.t.Helper()
	try, done := 0, ""
	eventually(c.t, command, func() bool {
		done = fmt.Sprintf("%s, try %d", command, try)
		try++
		a := get(c.t, done, c.propose(id, done, patience))
		if a.err != nil && a.err != ErrUnknown {
			c.t.Fatalf("%s at node %d: %v", done, id, a.err)
		}
		return a.err == nil
	})
	return done
}

// converge waits until all running nodes hold the same list, with every
// command in it.
func (c *cluster) converge(commands ...string) []string {
	c.t.Helper()
	var list []string
	eventually(c.t, "the same list everywhere", func() bool {
		list = nil
		for _, id := range c.ids {
			if c.node(id) == nil {
				continue
			}
			l := c.hosts[id].machine.list()
			if list == nil {
				list = append([]string{}, l...)
			}
			if !slices.Equal(list, l) {
				return false
			}
		}
		for _, cmd := range commands {
			if !slices.Contains(list, cmd) {
				return false
			}
		}
		return true
	})
	return list
}

// eventually polls until cond holds.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("it did not come: %s", what)
		}
	}
}

// checkNoGoroutines fails when one of a node's goroutines is left.
func checkNoGoroutines(t *testing.T) {
	t.Helper()
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	for _, g := range strings.Split(string(buf), "\n\n") {
		for _, f := range []string{"consensus.(*Node).loop", "consensus.(*Node).writer", "consensus.(*Node).applier", "consensus.(*Node).reader", "consensus.(*checkpointer).run"} {
			if strings.Contains(g, f) {
				t.Errorf("left behind:\n%s", g)
			}
		}
	}
}

// definite tells whether err says that nothing was done.
func definite(err error) bool {
	return errors.Is(err, ErrDeadline) || errors.Is(err, ErrOverloaded) || errors.Is(err, ErrStopped) || errors.Is(err, ErrTooLarge)
}
