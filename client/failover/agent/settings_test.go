package agent

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/doozer-store/doozer/client/failover"
	"github.com/doozer-store/doozer/client/failover/redistest"
	"github.com/doozer-store/doozer/test/loopback"
)

// Servers that want TLS, of replicas too, and an ACL user of the agents are failed over.
func TestTLSAndUser(t *testing.T) {
	t.Parallel()
	cert := redistest.Certify(t)
	g := newGroupWith(t, 3, nil, func(n *node) {
		// Next to the port without TLS, which is the test's own.
		n.cfg.Redis = loopback.Addr(t)
		_, port, _ := net.SplitHostPort(n.cfg.Redis)
		n.redis.Do("CONFIG", "SET", "tls-cert-file", cert.CertFile, "tls-key-file", cert.KeyFile, "tls-ca-cert-file", cert.CertFile,
			"tls-auth-clients", "no", "tls-replication", "yes", "tls-port", port)
		n.cfg.User, n.cfg.Password, n.cfg.TLS = "agent", "secret", &tls.Config{RootCAs: cert.Pool}
	}, "requirepass other", "user agent on >secret ~* &* +@all")
	m, v := g.master(0)
	g.ready(m)
	if got := m.redis.Do("CLIENT", "LIST"); !strings.Contains(got, "user=agent") {
		t.Errorf("the agent is not its user: %s", got)
	}
	if _, err := g.ask(failover.Cmd{Verb: failover.VerbSwitch}); err != nil {
		t.Fatal(err)
	}
	next, v2 := g.master(v.Epoch)
	if next == m {
		t.Fatal("no switch")
	}
	g.ready(next)
	next.redis.Kill()
	last, _ := g.master(v2.Epoch)
	if last == next {
		t.Fatal("a dead master was chosen")
	}
}

// Strict: nobody is the master before the gate of one that can't be asked has closed
// by itself.
func TestStrict(t *testing.T) {
	t.Parallel()
	g := newGroup(t, 3, func(c *failover.Conf) { c.TTLms, c.GateLagS, c.Strict = 8000, 1, true })
	m, v := g.master(0)
	g.ready(m)
	m.st.Cut()
	m.redis.Signal(syscall.SIGSTOP)
	defer m.redis.Signal(syscall.SIGCONT)
	_, v2 := g.master(v.Epoch)
	h := v2.History[len(v2.History)-1]
	if took := time.Duration(h.Ended-h.Began) * time.Millisecond; took < g.conf.GateBound() {
		t.Errorf("%s was the master %v after the election began, the gate of %s may be open for %v", h.To, took, m.name, g.conf.GateBound())
	}
}

// A replica that is further behind than max_lag_bytes is chosen by an operator alone.
func TestMaxLag(t *testing.T) {
	t.Parallel()
	g := newGroup(t, 3, func(c *failover.Conf) { c.MaxLagBytes, c.BidMs = 1<<20, 1000 })
	m, v := g.master(0)
	g.ready(m)
	for _, o := range g.others(m) {
		o.redis.Signal(syscall.SIGSTOP)
	}
	// More than the sockets hold.
	big := strings.Repeat("x", 1<<20)
	for range 64 {
		m.redis.Do("SET", "big", big)
	}
	g.await("the master's offset is known", func(v failover.View) bool {
		n, _ := v.Node(m.name)
		return n.Stat.Offset > 60<<20
	})
	m.redis.Kill()
	for _, o := range g.others(m) {
		o.redis.Signal(syscall.SIGCONT)
	}
	v = g.await("somebody says why nobody is chosen", func(v failover.View) bool {
		for i := range v.Nodes {
			if strings.Contains(v.Nodes[i].Stat.Note, "max_lag_bytes") {
				return true
			}
		}
		return false
	})
	if v.Register.State != failover.Electing {
		t.Errorf("%+v", v.Register)
	}
	if _, err := g.ask(failover.Cmd{Verb: failover.VerbPromote, AcceptLoss: true}); err != nil {
		t.Fatal(err)
	}
	if next, v := g.master(v.Epoch); next == m || !v.History[len(v.History)-1].AcceptedLoss {
		t.Errorf("%s: %+v", next.name, v.History)
	}
}

// After an automatic failover there is no other one for flap_ms, unless the process of
// Redis has ended.
func TestFlap(t *testing.T) {
	t.Parallel()
	g := newGroup(t, 3, func(c *failover.Conf) { c.TTLms, c.FlapMs = 8000, 3_600_000 })
	m, v := g.master(0)
	g.ready(m)
	m.redis.Kill()
	next, v2 := g.master(v.Epoch) // an ended process is no matter of opinion
	g.settled(next, m)
	next.st.Cut()
	for _, o := range g.others(next) {
		o.until("it knows that the master's agent is gone", func() bool {
			v := o.agent.Follower().View()
			return v.Register.Node == next.name && !v.MasterAlive
		})
	}
	if v := g.f.View(); v.Register.Rev != v2.Register.Rev {
		t.Errorf("a failover too soon: %+v", v.Register)
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	allowed := time.Now().UnixMilli()
	if _, err := failover.SetConf(ctx, g.store.Client(), "g", func(c *failover.Conf) error { c.FlapMs = 0; return nil }); err != nil {
		t.Fatal(err)
	}
	_, v3 := g.master(v2.Epoch)
	if h := v3.History[len(v3.History)-1]; h.Began < allowed {
		t.Errorf("it began %d ms too soon: %+v", allowed-h.Began, h)
	}
}

// An agent that is told to end ends, also if the store is out of reach while it
// has something to write.
func TestEndsWithoutStore(t *testing.T) {
	t.Parallel()
	g := newGroup(t, 3, nil)
	m, _ := g.master(0)
	g.ready(m)
	m.st.Cut()
	m.redis.Kill()
	m.until("it knows that Redis has ended", func() bool { return m.agent.probe.get().dead })
	if err := m.stop(); err != nil {
		t.Error(err)
	}
}

// A replica says how far it is behind when it is asked, not when that was last
// written down.
func TestLag(t *testing.T) {
	t.Parallel()
	g := newGroup(t, 2, nil)
	m, _ := g.master(0)
	g.ready(m)
	o := g.others(m)[0]
	if _, _, ok := m.agent.Lag(); ok {
		t.Error("a master lags")
	}
	o.until("it has everything", func() bool {
		bytes, _, ok := o.agent.Lag()
		return ok && bytes == 0
	})
	for range 100 {
		m.redis.Do("SET", "a", strings.Repeat("x", 1000))
	}
	o.until("it has everything", func() bool {
		bytes, _, ok := o.agent.Lag()
		return ok && bytes == 0 && o.redis.Info("master_repl_offset") == m.redis.Info("master_repl_offset")
	})
	m.redis.Signal(syscall.SIGSTOP)
	defer m.redis.Signal(syscall.SIGCONT)
	if bytes, _, ok := o.agent.Lag(); ok && bytes != -1 {
		t.Errorf("%d bytes behind a master that does not answer", bytes)
	}
}
