package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/doozer-store/doozer/client/failover"
	"github.com/doozer-store/doozer/client/failover/redistest"
	"github.com/doozer-store/doozer/client/session"
)

// ask gives the group a command and returns the view after it.
func (g *group) ask(cmd failover.Cmd) (failover.View, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	return failover.Ask(ctx, g.store.Client(), g.f, cmd)
}

// ready waits until the agents know that all replicas are connected.
func (g *group) ready(m *node) {
	g.t.Helper()
	g.settled(m)
	// A new replica's link is up for up to a second before anything comes.
	g.spread(m, "ready")
	g.await("all replicas are connected", func(v failover.View) bool {
		n := 0
		for i := range v.Nodes {
			if s := v.Nodes[i].Stat; s.Role == failover.RoleReplica && s.Link == "up" && s.Note == "" {
				n++
			}
		}
		return n == len(g.nodes)-1 && v.Register.State == failover.Running
	})
}

// spread writes a key at m, and waits until all others have it.
func (g *group) spread(m *node, key string) {
	g.t.Helper()
	// A gate that was attached ahead, and took too long, is opened again.
	m.until("it takes the write", func() bool { _, err := m.redis.Try("SET", key, "1"); return err == nil })
	for _, o := range g.others(m) {
		o.until("the write has arrived", func() bool { return o.redis.Do("EXISTS", key) == "1" })
	}
}

// A switch under load loses no write that was accepted, and no server is asked
// for a whole copy.
func TestSwitch(t *testing.T) {
	t.Parallel()
	g := newGroup(t, 3, nil)
	m, v := g.master(0)
	g.ready(m)
	full := make(map[*node]string)
	for _, n := range g.nodes {
		full[n] = n.redis.Info("sync_full")
	}
	to := g.others(m)[1]
	load := startLoad(g)
	load.wait(50)
	v2, err := g.ask(failover.Cmd{Verb: failover.VerbSwitch, To: to.name})
	if err != nil {
		t.Fatal(err)
	}
	if v2.Register.Node != to.name || v2.Epoch <= v.Epoch || v2.Cmd != nil {
		t.Errorf("%+v", v2.Register)
	}
	load.wait(50)
	written := load.end()
	for _, id := range written {
		if to.redis.Do("EXISTS", id) != "1" {
			t.Errorf("%s was accepted and is lost", id)
		}
	}
	g.settled(to)
	for _, n := range g.nodes {
		if got := n.redis.Info("sync_full"); got != full[n] {
			t.Errorf("%s was asked for %s whole copies, before for %s", n.name, got, full[n])
		}
	}
	// What can't be done is refused with the reason.
	if _, err := g.ask(failover.Cmd{Verb: failover.VerbSwitch, To: to.name}); !errors.Is(err, failover.ErrRefused) || !strings.Contains(err.Error(), "is the master") {
		t.Error(err)
	}
	if _, err := g.ask(failover.Cmd{Verb: failover.VerbPromote, To: m.name, AcceptLoss: true}); !errors.Is(err, failover.ErrRefused) {
		t.Error(err)
	}
	if _, err := g.ask(failover.Cmd{Verb: failover.VerbSwitch, To: "nobody"}); !errors.Is(err, failover.ErrRefused) {
		t.Error(err)
	}
	if _, err := g.ask(failover.Cmd{Verb: failover.VerbSwitch}); err != nil {
		t.Error(err)
	}
}

// load writes keys that are never written twice to whoever takes them.
type load struct {
	g       *group
	stop    chan struct{}
	ended   chan struct{}
	count   chan int
	written []string // owned by run until ended
}

func startLoad(g *group) *load {
	l := &load{g: g, stop: make(chan struct{}), ended: make(chan struct{}), count: make(chan int)}
	go l.run() // ends with end
	g.t.Cleanup(func() { l.end() })
	return l
}

func (l *load) run() {
	defer close(l.ended)
	for i := 0; ; i++ {
		select {
		case <-l.stop:
			return
		default:
		}
		id := fmt.Sprintf("id:%d", i)
		for _, n := range l.g.nodes {
			if n.redis.Client().Set(context.Background(), id, n.name, 0).Err() == nil {
				l.written = append(l.written, id)
				select {
				case l.count <- len(l.written):
				default:
				}
				break
			}
		}
	}
}

// wait returns when n more writes were accepted.
func (l *load) wait(n int) {
	for first, now := <-l.count, 0; now < first+n; now = <-l.count {
	}
}

func (l *load) end() []string {
	select {
	case <-l.stop:
	default:
		close(l.stop)
	}
	<-l.ended
	return l.written
}

// A master whose agent is cut off from the store takes writes until its session
// is no longer valid. What it alone has by then is in the file, exactly, when it
// comes back.
func TestLostWritesAreSaved(t *testing.T) {
	t.Parallel()
	g := newGroup(t, 3, func(c *failover.Conf) { c.TTLms = 12_000 })
	m, v := g.master(0)
	g.ready(m)
	g.spread(m, "both")
	for _, o := range g.others(m) {
		// Its link to the master ends, as in a partition; its agent does not undo
		// that.
		o.stop()
		o.redis.Do("REPLICAOF", "127.0.0.1", "0")
	}
	m.redis.Do("SET", "alone", "1")
	m.redis.Do("SELECT", "0")
	m.redis.Do("LPUSH", "list", "a", "b")
	m.st.Cut()
	if err := session.AwaitDeath(t.Context(), g.store.Client(), v.Register.Session); err != nil {
		t.Fatal(err)
	}
	for _, o := range g.others(m) {
		o.start()
	}
	next, _ := g.master(v.Epoch)
	if next == m {
		t.Fatal("the one that is cut off is the master")
	}
	if _, err := m.redis.Try("SET", "late", "1"); err == nil {
		t.Error("the old master takes writes")
	}
	m.st.Heal()
	g.settled(next)
	h := g.await("the loss is known", func(v failover.View) bool {
		return len(v.History) > 0 && len(v.History[len(v.History)-1].Lost) > 0
	}).History
	last := h[len(h)-1]
	lost := last.Lost[m.name]
	if lost.Commands != 2 || lost.Why != "" || last.From != m.name || last.To != next.name {
		t.Errorf("%+v", last)
	}
	text, err := os.ReadFile(lost.File)
	if err != nil {
		t.Fatal(err)
	}
	want := "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*3\r\n$3\r\nSET\r\n$5\r\nalone\r\n$1\r\n1\r\n*4\r\n$5\r\nLPUSH\r\n$4\r\nlist\r\n$1\r\na\r\n$1\r\nb\r\n"
	if string(text) != want {
		t.Errorf("saved %q, want %q", text, want)
	}
	if filepath.Base(lost.File) != LostFile("g", last.Epoch) {
		t.Error(lost.File)
	}
	if m.redis.Do("EXISTS", "alone") != "0" || m.redis.Do("EXISTS", "both") != "1" {
		t.Error("the old master was not turned")
	}
}

// An agent that ends and comes back finds its Redis the master still; nothing is
// elected, and in between Redis takes no writes.
func TestAgentRestart(t *testing.T) {
	t.Parallel()
	g := newGroup(t, 1, nil)
	m, v := g.master(0)
	m.stop()
	if set := m.redis.Do("CONFIG", "GET", "min-replicas-to-write"); set != fmt.Sprintf("[min-replicas-to-write %d]", shut) {
		t.Errorf("the agent ended before Redis was shut: %s", set)
	}
	if _, err := m.redis.Try("SET", "a", "1"); err == nil {
		t.Error("a Redis without an agent takes writes")
	}
	m.start()
	_, v2 := g.master(v.Epoch)
	if v2.Register.ReplID != v.Register.ReplID || len(v2.History) != len(v.History) {
		t.Errorf("%+v", v2.Register)
	}
}

// An agent that is told to stop hands over first.
func TestLeave(t *testing.T) {
	t.Parallel()
	g := newGroup(t, 3, nil)
	m, v := g.master(0)
	g.ready(m)
	m.redis.Do("SET", "a", "1")
	if err := m.stop(); err != nil {
		t.Fatal(err)
	}
	next, v2 := g.master(v.Epoch)
	if next == m || v2.Register.Auto {
		t.Errorf("%+v", v2.Register)
	}
	if next.redis.Do("GET", "a") != "1" {
		t.Error("a write is lost")
	}
	m.start()
	g.settled(next)
}

// A Redis that hangs is killed, and the group goes on without it.
func TestHungRedis(t *testing.T) {
	t.Parallel()
	g := newGroup(t, 3, func(c *failover.Conf) { c.HangMs = 8000 })
	m, v := g.master(0)
	g.ready(m)
	m.redis.Signal(syscall.SIGSTOP)
	next, _ := g.master(v.Epoch)
	if next == m {
		t.Fatal("one that hangs was chosen")
	}
	<-m.redis.Ended()
	m.redis.Run()
	g.settled(next)
}

// A master that comes back empty within no time takes no writes, and its replicas
// keep their data.
func TestEmptyRestart(t *testing.T) {
	t.Parallel()
	g := newGroup(t, 3, nil)
	m, v := g.master(0)
	g.ready(m)
	g.spread(m, "a")
	m.redis.Kill()
	m.redis.Run()
	next, _ := g.master(v.Epoch)
	if next == m || next.redis.Do("GET", "a") != "1" {
		t.Errorf("%s is the master", next.name)
	}
	g.settled(next)
}

// Paused agents begin no failover; resumed ones do.
func TestPause(t *testing.T) {
	t.Parallel()
	g := newGroup(t, 3, nil)
	m, v := g.master(0)
	g.ready(m)
	if _, err := failover.SetConf(t.Context(), m.st, "g", func(c *failover.Conf) error { c.Paused = true; return nil }); err != nil {
		t.Fatal(err)
	}
	g.await("paused", func(v failover.View) bool { return v.Conf.Paused })
	m.redis.Kill()
	v2 := g.await("the master is down", func(v failover.View) bool {
		n, _ := v.Node(m.name)
		return n.Stat.Role == failover.RoleDown
	})
	if v2.Epoch != v.Epoch {
		t.Errorf("%+v", v2.Register)
	}
	if _, err := failover.SetConf(t.Context(), m.st, "g", func(c *failover.Conf) error { c.Paused = false; return nil }); err != nil {
		t.Fatal(err)
	}
	if next, _ := g.master(v.Epoch); next == m {
		t.Error("a dead master")
	}
}

// When only an old copy is left nobody is chosen, until an operator accepts the
// loss.
func TestStaleIsRefused(t *testing.T) {
	t.Parallel()
	g := newGroup(t, 3, nil)
	m, v := g.master(0)
	g.ready(m)
	stale := g.others(m)[0]
	stale.redis.Kill()
	stale.stop()
	m.redis.Do("SET", "a", "1")
	other := g.others(stale)[0]
	if other == m {
		other = g.others(stale)[1]
	}
	other.until("the write has arrived", func() bool { return other.redis.Do("EXISTS", "a") == "1" })
	if _, err := g.ask(failover.Cmd{Verb: failover.VerbSwitch, To: other.name}); err != nil {
		t.Fatal(err)
	}
	g.master(v.Epoch)
	// Both lose all they have; the old master first, which can't be chosen then.
	m.redis.Kill()
	other.redis.Kill()
	m.redis.Wipe()
	other.redis.Wipe()
	m.redis.Run()
	other.redis.Run()
	stale.redis.Run()
	stale.start()
	stuck := g.await("all bids are there", func(v failover.View) bool { return v.Register.State == failover.Electing && len(v.Bids) == 3 })
	if c := failover.Elect(&stuck, limit, limit); c.Winner != nil || stuck.Epoch <= v.Epoch {
		t.Errorf("%+v", c)
	}
	if _, err := g.ask(failover.Cmd{Verb: failover.VerbSwitch, To: stale.name}); !errors.Is(err, failover.ErrRefused) {
		t.Error(err)
	}
	v2, err := g.ask(failover.Cmd{Verb: failover.VerbPromote, To: stale.name, AcceptLoss: true})
	if err != nil || v2.Register.Node != stale.name {
		t.Fatalf("%v: %+v", err, v2.Register)
	}
	n, v3 := g.master(stuck.Epoch)
	g.settled(n)
	if h := v3.History[len(v3.History)-1]; !h.AcceptedLoss {
		t.Errorf("%+v", h)
	}
}

// Servers that an agent must not touch are refused, with the remedy.
func TestRefusals(t *testing.T) {
	t.Parallel()
	g := newGroup(t, 1, nil)
	m, _ := g.master(0)
	m.redis.Do("SET", "a", "1")
	for _, c := range []struct {
		name  string
		lines []string
		data  bool
		want  error
		text  string
	}{
		{"it would start as a master", nil, false, ErrUnfenced, "replicaof 127.0.0.1 0"},
		{"its replicas take writes", []string{redistest.Fence, "replica-read-only no"}, false, ErrUnfenced, "replica-read-only"},
		{"it has other data", []string{redistest.Fence}, true, ErrForeignData, "FLUSHALL"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := redistest.Start(t, c.lines...)
			if c.data {
				s.Master()
				s.Do("SET", "other", "1")
			}
			n := &node{g: g, name: "other", redis: s, st: g.store.Client()}
			n.cfg = Config{Store: n.st, Group: "g", Name: "other", Redis: s.Addr, Dir: t.TempDir()}
			n.start()
			if err := <-n.ended; !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
				t.Error(err)
			}
			n.cancel()
		})
	}
	t.Run("its directory is another's", func(t *testing.T) {
		cfg := m.cfg
		if _, err := Open(t.Context(), cfg); !errors.Is(err, ErrTaken) {
			t.Error(err)
		}
	})
	t.Run("its Redis is another's", func(t *testing.T) {
		cfg := m.cfg
		cfg.Name, cfg.Dir = "again", t.TempDir()
		a, err := Open(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Run(t.Context()); !errors.Is(err, ErrTaken) {
			t.Error(err)
		}
	})
	t.Run("no group", func(t *testing.T) {
		cfg := m.cfg
		cfg.Group, cfg.Dir = "none", t.TempDir()
		if _, err := Open(t.Context(), cfg); !errors.Is(err, failover.ErrNoGroup) || !strings.Contains(err.Error(), "redis init") {
			t.Error(err)
		}
	})
}

// Servers with a password replicate, and are failed over.
func TestPassword(t *testing.T) {
	t.Parallel()
	g := newGroupWith(t, 3, nil, func(n *node) { n.cfg.Password = "secret" }, "requirepass secret")
	m, v := g.master(0)
	g.ready(m)
	m.redis.Kill()
	next, _ := g.master(v.Epoch)
	m.redis.Run()
	g.settled(next)
}

// The hook is told of each master.
func TestHook(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "out")
	g := newGroupWith(t, 1, nil, func(n *node) {
		n.cfg.OnChange = []string{"sh", "-c", `echo "$DOOZER_REDIS_GROUP $DOOZER_REDIS_STATE $DOOZER_REDIS_MASTER $DOOZER_REDIS_ROLE $DOOZER_REDIS_ADDR" >> ` + out}
	})
	m, _ := g.master(0)
	m.until("the hook has run", func() bool {
		text, _ := os.ReadFile(out)
		return strings.Contains(string(text), "g running n1 master "+m.redis.Addr+"\n")
	})
}

// A master whose agent is cut off from the store stays reachable, and nobody makes it a
// replica. Who comes back to it is disconnected, however late.
func TestClientsOfALostMaster(t *testing.T) {
	t.Parallel()
	g := newGroup(t, 3, func(c *failover.Conf) { c.TTLms = 8000 })
	m, v := g.master(0)
	g.ready(m)
	m.st.Cut()
	g.master(v.Epoch)
	for i := range 3 {
		c, err := net.Dial("tcp", m.redis.Addr)
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(limit))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
			t.Fatalf("client %d of the lost master: %v", i, err)
		}
		c.Close()
	}
}

// Whatever the step at which the agent of the new master ends, the group comes to
// a master that takes writes.
func TestAgentEndsAtEachStep(t *testing.T) {
	t.Parallel()
	for _, kind := range []failover.Kind{failover.FreezeAndBid, failover.WriteRegister, failover.Promote, failover.OpenGate} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			g := newGroup(t, 3, nil)
			m, v := g.master(0)
			g.ready(m)
			g.spread(m, "a")
			// The first of the others that comes to this step ends there.
			ended := make(chan *node, 1)
			var one atomic.Bool
			for _, o := range g.others(m) {
				o.stop()
				o.cfg.Step = func(act failover.Action) error {
					if act.Kind == kind && (kind != failover.WriteRegister || act.Next.State == failover.Promoting) && one.CompareAndSwap(false, true) {
						ended <- o
						return errors.New("the test ends this agent here")
					}
					return nil
				}
				o.start()
			}
			g.ready(m)
			m.redis.Kill()
			dead := <-ended
			<-dead.ended
			dead.cancel = nil
			next, v2 := g.master(v.Epoch)
			if next == dead && kind != failover.OpenGate || next.redis.Do("GET", "a") != "1" {
				t.Errorf("%s is the master in %+v", next.name, v2.Register)
			}
			dead.cfg.Step = nil
			dead.start()
			m.redis.Run()
			next, _ = g.master(v.Epoch)
			g.settled(next)
		})
	}
}
