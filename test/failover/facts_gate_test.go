package failover

import (
	"strconv"
	"testing"
	"time"

	"github.com/doozer-store/doozer/drill/cluster"
	"github.com/doozer-store/doozer/test/failover/rig"
)

// attach connects to r as a replica that has all of its history, and so is sent
// no data: REPLCONF is not needed for that.
func attach(t *testing.T, r *rig.Redis) *rig.Conn {
	t.Helper()
	i := r.Info("replication")
	at, err := strconv.ParseInt(i["master_repl_offset"], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	c := r.Conn()
	words, err := c.Psync(i["master_replid"], at+1)
	if err != nil || words[0] != "CONTINUE" {
		t.Fatalf("PSYNC to %s: %v %v; it says %v", r.Name, words, err, i)
	}
	return c
}

// ack tells the server that c is alive, and nothing about what it has.
func ack(t *testing.T, cs ...*rig.Conn) {
	t.Helper()
	for _, c := range cs {
		if err := c.Send("REPLCONF", "ACK", "0"); err != nil {
			t.Fatalf("REPLCONF ACK: %v", err)
		}
	}
}

// backlog makes r, a master that never had a replica, one with a backlog: with a
// delay before transfers without a disk, a replica that asks for everything makes
// Redis open the backlog at once, and fork only after the delay. By then we are gone.
func backlog(t *testing.T, r *rig.Redis) {
	t.Helper()
	r.Do("CONFIG", "SET", "repl-diskless-sync", "yes", "repl-diskless-sync-delay", "3600")
	c := r.Conn()
	if s, err := c.Do("REPLCONF", "capa", "eof", "capa", "psync2"); s != "OK" {
		t.Fatalf("REPLCONF capa: %s %v", s, err)
	}
	c.Send("PSYNC", "?", "-1")
	cluster.Eventually(t, cluster.RecoverLimit, "there is a backlog", func() (bool, string) {
		s := r.Info("replication")["repl_backlog_active"]
		return s == "1", s
	})
	c.Close()
	cluster.Eventually(t, cluster.RecoverLimit, "the replica is gone", func() (bool, string) {
		s := r.Info("replication")["connected_slaves"]
		return s == "0", s
	})
	r.Do("CONFIG", "SET", "repl-diskless-sync-delay", "0")
}

// TestFactNoBacklog: a master that never had a replica has no backlog: it counts
// no offset, whatever is written, and PSYNC forks for a full resync whatever it
// asks for. Going to and fro by REPLICAOF makes none.
func TestFactNoBacklog(t *testing.T) {
	a := servers(t, []string{"a"}, rig.Fence)[0]
	a.Promote()
	a.Freeze()
	a.Promote()
	set(t, a, "k", 10)
	i := a.Info("replication")
	if i["repl_backlog_active"] != "0" || i["master_repl_offset"] != "0" {
		t.Errorf("a master without replicas ever: %v", i)
	}
	c := a.Conn()
	words, err := c.Psync(i["master_replid"], 1)
	if err != nil || words[0] != "FULLRESYNC" {
		t.Fatalf("PSYNC without a backlog: %v %v", words, err)
	}
	if now := a.Info("replication"); now["master_replid"] == i["master_replid"] || now["repl_backlog_active"] != "1" {
		t.Errorf("the backlog begins a history: %v, before %v", now, i)
	}
}

// TestFactBacklogWithoutFork: how an agent attaches to such a master for nothing.
func TestFactBacklogWithoutFork(t *testing.T) {
	b := servers(t, []string{"b"}, rig.Fence)[0]
	b.Promote()
	set(t, b, "k", 10)
	backlog(t, b)
	set(t, b, "l", 10)
	attach(t, b)
	set(t, b, "m", 10)
	if forks := b.Number("stats", "total_forks"); forks != 0 {
		t.Errorf("%d forks, want none", forks)
	}
	t.Logf("sync_full %d, sync_partial_ok %d: an attempt counts", b.Number("stats", "sync_full"), b.Number("stats", "sync_partial_ok"))
}

// TestFactFullAttach: PSYNC ? -1 forks. With rdb-filter-only "" the data it sends
// is empty, and the fork remains.
func TestFactFullAttach(t *testing.T) {
	a := servers(t, []string{"a"}, rig.Fence)[0]
	a.Promote()
	set(t, a, "k", 1000)
	c := a.Conn()
	for _, words := range [][]string{{"REPLCONF", "rdb-filter-only", ""}, {"REPLCONF", "capa", "eof", "capa", "psync2"}} {
		if s, err := c.Do(words...); s != "OK" {
			t.Fatalf("%q: %s %v", words, s, err)
		}
	}
	words, err := c.Psync("?", -1)
	if err != nil || words[0] != "FULLRESYNC" {
		t.Fatalf("PSYNC ? -1: %v %v", words, err)
	}
	if err := c.SkipData(); err != nil {
		t.Fatal(err)
	}
	ack(t, c) // and is counted from here on
	cluster.Eventually(t, cluster.RecoverLimit, "the replica is online", func() (bool, string) {
		s := a.Info("replication")["slave0"]
		return s != "", s
	})
	t.Logf("INFO: %s; forks %d, the last took %d us; DBSIZE %s", a.Info("replication")["slave0"],
		a.Number("stats", "total_forks"), a.Number("stats", "latest_fork_usec"), a.Do("DBSIZE"))
	if full, forks := a.Number("stats", "sync_full"), a.Number("stats", "total_forks"); full != 1 || forks != 1 {
		t.Errorf("%d full resyncs and %d forks, want 1 and 1", full, forks)
	}
}

// writable tells whether r takes a write.
func writable(t *testing.T, c *rig.Conn) bool {
	t.Helper()
	_, err := c.Do("SET", "probe", "1")
	switch {
	case err == nil:
		return true
	case rig.Refused(err, "NOREPLICAS"), rig.Refused(err, "READONLY"):
		return false
	}
	t.Fatalf("SET: %v", err)
	return false
}

// open acknowledges for all of p until a write is accepted, and tells how long
// that took.
func open(t *testing.T, c *rig.Conn, p ...*rig.Conn) time.Duration {
	t.Helper()
	began := time.Now()
	cluster.Eventually(t, cluster.RecoverLimit, "the gate is open", func() (bool, string) {
		if writable(t, c) {
			return true, ""
		}
		ack(t, p...)
		return false, "writes are refused"
	})
	return time.Since(began)
}

// untilRefused is how long writes are still accepted from began on.
func untilRefused(t *testing.T, c *rig.Conn, began time.Time) time.Duration {
	t.Helper()
	var last time.Duration
	for writable(t, c) {
		last = time.Since(began)
		if last > cluster.RecoverLimit {
			t.Fatal("writes are accepted for ever")
		}
		time.Sleep(5 * time.Millisecond)
	}
	return last
}

// TestFactGate: pseudo-replicas count for min-replicas-to-write as soon as they
// are attached. When their acknowledgements stop, writes are refused after more
// than max-lag and less than max-lag and 2 s; when their connections close, at
// once.
func TestFactGate(t *testing.T) {
	t.Parallel()
	a, _, _ := group(t, "min-replicas-max-lag 1")
	probe := a.Conn()
	a.Do("CONFIG", "SET", "min-replicas-to-write", "3")
	if writable(t, probe) {
		t.Error("writes are accepted with 2 replicas of 3")
	}
	p := []*rig.Conn{attach(t, a), attach(t, a), attach(t, a)}
	open(t, probe, p...)
	// Between two ticks of Redis's clock, so that several phases are seen.
	var all []time.Duration
	for i := range cluster.Scale(2, 12) {
		for phase := time.Duration(i) * 170 * time.Millisecond; phase > 0; phase -= 50 * time.Millisecond {
			ack(t, p...)
			time.Sleep(min(phase, 50*time.Millisecond))
		}
		ack(t, p...)
		took := untilRefused(t, probe, time.Now())
		all = append(all, took.Round(time.Millisecond))
		if took > cluster.RecoverLimit {
			t.Errorf("writes are accepted %v after the last acknowledgement", took)
		}
		ack(t, p...)
		// Counts anew when the value changes, else only once a second.
		a.Do("CONFIG", "SET", "min-replicas-to-write", "4")
		a.Do("CONFIG", "SET", "min-replicas-to-write", "3")
		t.Logf("from acknowledgements to the first accepted write: %v", open(t, probe, p...))
	}
	t.Logf("from the last acknowledgement to the first refused write: %v", all)
	a.Do("CONFIG", "SET", "min-replicas-to-write", "4") // both replicas and two of ours suffice
	ack(t, p...)
	p[0].Close()
	p[1].Close()
	began := time.Now()
	t.Logf("from closing the connections to the first refused write: %v", untilRefused(t, probe, began))
}

// TestFactRealReplicasHoldTheGate: replicas of the old master's side are counted,
// so a gate that needs fewer than all replicas and one never shuts.
func TestFactRealReplicasHoldTheGate(t *testing.T) {
	t.Parallel()
	a, _, _ := group(t, "min-replicas-max-lag 1")
	a.Do("CONFIG", "SET", "min-replicas-to-write", "1")
	p, probe := attach(t, a), a.Conn()
	p.Close()
	time.Sleep(4 * time.Second) // a gate without replicas shuts within 3
	open(t, probe)
}

// TestFactWait: WAIT counts replicas by the offset that they acknowledge, and
// those that say 0 never, but for a connection that has written nothing.
func TestFactWait(t *testing.T) {
	a, b, c := group(t)
	p := attach(t, a)
	ack(t, p)
	w := a.Conn()
	if s, _ := w.Do("WAIT", "3", "50"); s != "3" {
		t.Errorf("WAIT on a connection without writes counts %s, not all of them", s)
	}
	w.Do("SET", "x", "1")
	if s, err := w.Do("WAIT", "2", "30000"); s != "2" {
		t.Errorf("WAIT 2 with two replicas: %s %v", s, err)
	}
	ack(t, p)
	if s, err := w.Do("WAIT", "3", "100"); s != "2" {
		t.Errorf("WAIT 3 with two replicas and a fake: %s %v", s, err)
	}
	b.Freeze()
	c.Freeze()
	w.Do("SET", "x", "2")
	ack(t, p)
	if s, err := w.Do("WAIT", "1", "100"); s != "0" {
		t.Errorf("WAIT 1 with a fake alone: %s %v", s, err)
	}
	p.Send("REPLCONF", "ACK", strconv.FormatInt(a.Offset(), 10))
	if s, err := w.Do("WAIT", "1", "30000"); s != "1" {
		t.Errorf("WAIT 1 with a fake that acknowledges the offset: %s %v", s, err)
	}
}

// TestFactGateRefuses: what a closed gate refuses, and what it does not.
func TestFactGateRefuses(t *testing.T) {
	a, b, _ := group(t)
	a.Do("SET", "x", "1", "PX", "300")
	c := a.Conn()
	c.Do("MULTI")
	c.Do("SET", "y", "1")
	a.Do("CONFIG", "SET", "min-replicas-to-write", "9999")
	for _, cmd := range [][]string{
		{"SET", "x", "2"}, {"EVAL", "return redis.call('SET','x','3')", "0"}, {"DEL", "x"}, {"FLUSHALL"},
	} {
		if _, err := a.Try(cmd...); err == nil {
			t.Errorf("%q behind a closed gate is not refused", cmd)
		} else {
			t.Logf("%q: %v", cmd, err)
		}
	}
	if _, err := c.Do("EXEC"); err == nil {
		t.Error("EXEC of what was queued before is not refused")
	} else {
		t.Logf("EXEC: %v", err)
	}
	for _, cmd := range [][]string{{"GET", "x"}, {"PUBLISH", "ch", "m"}, {"CONFIG", "SET", "hz", "10"}} {
		if _, err := a.Try(cmd...); err != nil {
			t.Errorf("%q behind a closed gate: %v", cmd, err)
		}
	}
	at := a.Offset()
	cluster.Eventually(t, cluster.RecoverLimit, "the key expires", func() (bool, string) {
		n := b.Do("DBSIZE")
		return n == "0", n
	})
	t.Logf("expiry and PUBLISH move the offset behind a closed gate: from %d to %d", at, a.Offset())
}

// TestFactHungRedis: a stopped server that goes on executes what waits in its
// sockets before it looks at its clock. Its agent must have killed it, or at
// least have closed its connections; acknowledgements that wait there too would
// keep the gate open.
func TestFactHungRedis(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"acknowledgements wait", "connections closed"} {
		a, _, _ := group(t, "min-replicas-max-lag 1")
		a.Do("CONFIG", "SET", "min-replicas-to-write", "3")
		p := []*rig.Conn{attach(t, a), attach(t, a), attach(t, a)}
		w := a.Conn()
		open(t, w, p...)
		a.Pause()
		w.Send("SET", "first", "1")
		if how == "connections closed" {
			for _, c := range p {
				c.Close()
			}
		} else {
			ack(t, p...)
		}
		time.Sleep(4 * time.Second)
		w2 := a.Conn()
		w2.Send("SET", "second", "1")
		a.Resume()
		_, err := w.Receive()
		_, err2 := w2.Receive()
		began := time.Now()
		took := untilRefused(t, w2, began)
		t.Logf("%s: a write sent before: %v, one sent 4 s later: %v; then accepted for %v", how, err, err2, took)
	}
}
