package replica_test

import (
	"errors"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/doozer-store/doozer/client/failover/redistest"
	"github.com/doozer-store/doozer/client/failover/replica"
)

// master starts a Redis that is a master with a backlog, and takes no writes
// without a gate of n.
func master(t *testing.T, n int, lines ...string) (*redistest.Server, replica.Target) {
	t.Helper()
	s := redistest.Start(t, append(lines, redistest.Fence)...)
	target := replica.Target{Addr: s.Addr}
	s.Do("CONFIG", "SET", "min-replicas-to-write", n, "min-replicas-max-lag", 1)
	s.Master()
	if err := replica.MakeBacklog(t.Context(), target, 0); err != nil {
		t.Fatal(err)
	}
	s.Until("the asker is gone", func() bool { return s.Info("connected_slaves") == "0" })
	return s, target
}

func offset(t *testing.T, s *redistest.Server) int64 {
	t.Helper()
	n, err := strconv.ParseInt(s.Info("master_repl_offset"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// openGate attaches a gate and opens it.
func openGate(t *testing.T, target replica.Target, n int, replid string, offset int64, valid func() bool) (*replica.Gate, error) {
	t.Helper()
	g, err := replica.Attach(t.Context(), target, n, replid, offset)
	if err != nil {
		return nil, err
	}
	return g, g.Open(valid)
}

func refused(err error) bool { return err != nil && strings.HasPrefix(err.Error(), "NOREPLICAS") }

// With the gate open Redis takes writes; with it closed, by its owner or because
// it is no longer valid, it does not. WAIT does not count the gate, and no child
// is started for it.
func TestGate(t *testing.T) {
	t.Parallel()
	const n = 3
	s, target := master(t, n)
	if _, err := s.Try("SET", "a", "1"); !refused(err) {
		t.Fatal(err)
	}
	var valid atomic.Bool
	valid.Store(true)
	g, err := openGate(t, target, n, s.Info("master_replid"), offset(t, s), valid.Load)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	s.Do("SET", "a", "1")
	if k := s.Do("WAIT", "1", "10"); k != "0" {
		t.Errorf("WAIT counted %s", k)
	}
	if forks := s.Info("total_forks"); forks != "0" {
		t.Errorf("%s forks", forks)
	}
	valid.Store(false)
	<-g.Ended()
	s.Until("it refuses", func() bool { _, err := s.Try("SET", "a", "2"); return refused(err) })
	if g.IsOpen() || g.Err() == nil {
		t.Error("it says that it is open")
	}
	if _, err := openGate(t, target, n, s.Info("master_replid"), offset(t, s), valid.Load); err == nil {
		t.Error("it opened without being valid")
	}
	valid.Store(true)
	again, err := openGate(t, target, n, s.Info("master_replid"), offset(t, s), valid.Load)
	if err != nil {
		t.Fatal(err)
	}
	s.Do("SET", "a", "3")
	if err := again.Close(); err != nil {
		t.Error(err)
	}
	s.Until("it refuses", func() bool { _, err := s.Try("SET", "a", "2"); return refused(err) })
}

// The death of Redis closes the gate.
func TestGateEnds(t *testing.T) {
	t.Parallel()
	s, target := master(t, 1)
	g, err := openGate(t, target, 1, s.Info("master_replid"), offset(t, s), func() bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	s.Kill()
	<-g.Ended()
	if _, err := openGate(t, target, 1, "", 0, func() bool { return true }); err == nil {
		t.Error("a gate to nobody")
	}
}

// Tail is exactly what was written after an offset, in any database.
func TestTail(t *testing.T) {
	t.Parallel()
	s, target := master(t, 0)
	replid := s.Info("master_replid")
	s.Do("SET", "before", "1")
	from := offset(t, s)
	for _, key := range []string{"x", "y", "z"} {
		s.Do("SET", key, strings.Repeat("v", 1000))
	}
	s.Do("DEL", "x")
	to := offset(t, s)
	raw, err := replica.Tail(t.Context(), target, replid, from, to)
	if err != nil {
		t.Fatal(err)
	}
	c, err := replica.Parse(raw)
	if err != nil || c.Count != 4 || c.Rest != 0 || c.Selects || !strings.Contains(string(c.Raw), "\r\nDEL\r\n") {
		t.Errorf("%v: %d commands, %d rest\n%s", err, c.Count, c.Rest, c.Raw)
	}
	head, err := replica.Tail(t.Context(), target, replid, 0, from)
	if err != nil {
		t.Fatal(err)
	}
	if db, ok := replica.LastSelect(head); !ok || db != 0 {
		t.Errorf("db %d %v in %q", db, ok, head)
	}
	if _, err := replica.Tail(t.Context(), target, strings.Repeat("0", 40), from, to); !errors.Is(err, replica.ErrGone) {
		t.Error(err)
	}
	if _, err := replica.Tail(t.Context(), target, replid, to+1000, to+2000); !errors.Is(err, replica.ErrGone) {
		t.Error(err)
	}
}

func TestPassword(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, "requirepass secret")
	if _, err := replica.Open(t.Context(), replica.Target{Addr: s.Addr, Password: "wrong"}); !errors.Is(err, replica.ErrRefused) {
		t.Error(err)
	}
	for _, user := range []string{"", "default"} {
		c, err := replica.Open(t.Context(), replica.Target{Addr: s.Addr, User: user, Password: "secret"})
		if err != nil {
			t.Fatal(err)
		}
		if pong, err := c.Do(t.Context(), "PING"); err != nil || pong != "PONG" {
			t.Error(pong, err)
		}
		c.Close()
	}
}
