package failover

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/doozer-store/doozer/drill/cluster"
	"github.com/doozer-store/doozer/test/failover/rig"
)

// writeUntilRefused writes f0, f1, ... until it is refused, and tells how many
// were acknowledged and when the last one was.
func writeUntilRefused(t *testing.T, r *rig.Redis) func() (int, time.Time) {
	t.Helper()
	type result struct {
		n    int
		last time.Time
	}
	w, done := r.Conn(), make(chan result, 1)
	go func() {
		var res result
		for {
			if _, err := w.Do("SET", "f"+strconv.Itoa(res.n), "1"); err != nil {
				t.Logf("the writer's first refusal: %v", err)
				done <- res
				return
			}
			res.n, res.last = res.n+1, time.Now()
		}
	}()
	cluster.Eventually(t, cluster.RecoverLimit, "there are writes", func() (bool, string) {
		n, _ := strconv.Atoi(r.Do("DBSIZE"))
		return n > 100, strconv.Itoa(n)
	})
	return func() (int, time.Time) { res := <-done; return res.n, res.last }
}

func awaitRole(t *testing.T, r *rig.Redis, role string) time.Time {
	t.Helper()
	cluster.Eventually(t, cluster.RecoverLimit, r.Name+" is a "+role, func() (bool, string) {
		s := r.Info("replication")["role"]
		return s == role, s
	})
	return time.Now()
}

// TestFactFailover: FAILOVER TO hands over and loses nothing, with
// pseudo-replicas attached too; theirs are closed on the way. Under load it waits
// for the replica's next acknowledgement, which comes once a second.
func TestFactFailover(t *testing.T) {
	a, b, c := group(t)
	p := []*rig.Conn{attach(t, a), attach(t, a), attach(t, a)}
	ack(t, p...)
	if _, err := a.Try("FAILOVER", "TO", "127.0.0.1", "1"); !rig.Refused(err, "ERR FAILOVER target HOST and PORT is not a replica") {
		t.Errorf("FAILOVER to an address that no replica has: %v", err)
	}
	host, port := b.HostPort()
	cluster.Eventually(t, cluster.RecoverLimit, "both have acknowledged everything", func() (bool, string) {
		return a.Do("WAIT", "5", "1") == "5", "" // a connection that wrote nothing: all are counted
	})
	began := time.Now()
	a.Do("FAILOVER", "TO", host, port, "TIMEOUT", "120000")
	t.Logf("FAILOVER TO without load: %v to a master", awaitRole(t, b, "master").Sub(began))
	a.AwaitLink(b)
	c.Follow(b.Addr)
	c.AwaitLink(b)

	wait := writeUntilRefused(t, b)
	host, port = a.HostPort()
	began = time.Now()
	b.Do("FAILOVER", "TO", host, port, "TIMEOUT", "120000")
	end := awaitRole(t, a, "master")
	n, last := wait()
	t.Logf("FAILOVER TO under load: %v to a master; the last accepted write was %v before", end.Sub(began), end.Sub(last))
	if s := a.Do("DBSIZE"); s != strconv.Itoa(n) {
		t.Errorf("%d acknowledged, the new master has %s", n, s)
	}
	b.AwaitLink(a)
	if full := a.Number("stats", "sync_full") + b.Number("stats", "sync_full"); full != 2 {
		t.Errorf("%d full resyncs by the two, want the 2 of the beginning", full)
	}
	_, err := p[0].Receive()
	for err == nil {
		_, err = p[0].Receive()
	}
	t.Logf("a pseudo-replica of the old master ends with: %v", err)
}

// TestFactSwitch hands over under load without FAILOVER: pause writes, wait until
// the replica has every byte, fence the old master, promote. Nothing is lost, and
// at no moment are there two masters.
func TestFactSwitch(t *testing.T) {
	a, b, c := group(t)
	p := []*rig.Conn{attach(t, a), attach(t, a), attach(t, a)}
	ack(t, p...)
	ca, cb := a.Conn(), b.Conn()
	wait := writeUntilRefused(t, a)
	began := time.Now()
	do := func(c *rig.Conn, args ...string) string {
		t.Helper()
		s, err := c.Do(args...)
		if err != nil {
			t.Fatalf("%q: %v", args, err)
		}
		return s
	}
	do(ca, "CLIENT", "PAUSE", "120000", "WRITE")
	at := rig.Fields(do(ca, "INFO", "replication"))["master_repl_offset"]
	cluster.Eventually(t, cluster.RecoverLimit, "the replica has everything", func() (bool, string) {
		s := rig.Fields(do(cb, "INFO", "replication"))["master_repl_offset"]
		return s == at, s + " of " + at
	})
	host, port := b.HostPort()
	do(ca, "REPLICAOF", host, port) // works while writes are paused
	do(cb, "REPLICAOF", "NO", "ONE")
	end := time.Now()
	do(ca, "CLIENT", "UNPAUSE") // the writer that waits learns of it
	n, last := wait()
	t.Logf("the switch took %v; the last accepted write was %v before its end", end.Sub(began), end.Sub(last))
	c.Follow(b.Addr)
	a.AwaitLink(b)
	c.AwaitLink(b)
	if s := b.Do("DBSIZE"); s != strconv.Itoa(n) {
		t.Errorf("%d acknowledged, the new master has %s", n, s)
	}
	if full := b.Number("stats", "sync_full"); full != 0 {
		t.Errorf("%d full resyncs of the new master", full)
	}
}

// TestFactPauseEnds: a paused write is executed when the pause ends by itself, so
// who pauses and dies has done no harm; on a server that was fenced meanwhile it
// is refused.
func TestFactPauseEnds(t *testing.T) {
	a, _, _ := group(t)
	w := a.Conn()
	a.Do("CLIENT", "PAUSE", "200", "WRITE")
	if s, err := w.Do("SET", "x", "1"); s != "OK" {
		t.Errorf("a paused write after the pause: %s %v", s, err)
	}
	a.Do("CLIENT", "PAUSE", "120000", "WRITE")
	if _, err := a.Try("GET", "x"); err != nil {
		t.Errorf("a read while writes are paused: %v", err)
	}
	w.Send("SET", "x", "2")
	cluster.Eventually(t, cluster.RecoverLimit, "the write waits", func() (bool, string) {
		s := a.Info("clients")["blocked_clients"]
		return s == "1", s
	})
	a.Freeze()
	began := time.Now()
	a.Do("CLIENT", "UNPAUSE")
	if _, err := w.Receive(); !rig.Refused(err, "READONLY") {
		t.Errorf("a paused write to a server that was fenced: %v", err)
	}
	t.Logf("it is told %v after UNPAUSE", time.Since(began))
}

// TestFactClientKill: CLIENT KILL TYPE normal ends clients and neither who says it
// nor replicas, ours or real.
func TestFactClientKill(t *testing.T) {
	a, b, _ := group(t)
	p, w := attach(t, a), a.Conn()
	if _, err := w.Do("SET", "x", "1"); err != nil {
		t.Fatal(err)
	}
	s := a.Do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
	if _, err := w.Do("PING"); err == nil {
		t.Errorf("a client survives CLIENT KILL TYPE normal, which killed %s", s)
	}
	ack(t, p)
	if i := a.Info("replication"); i["connected_slaves"] != "3" {
		t.Errorf("replicas after CLIENT KILL TYPE normal: %v", i)
	}
	if i := b.Info("replication"); i["master_link_status"] != "up" {
		t.Errorf("a replica after CLIENT KILL TYPE normal of its master: %v", i)
	}
}

// TestFactAnnounce: the master lists replicas, and FAILOVER TO takes them, by what
// they announce.
func TestFactAnnounce(t *testing.T) {
	s := servers(t, []string{"a", "b"}, rig.Fence, "replica-announce-ip 127.0.0.9", "replica-announce-port 7")
	a, b := s[0], s[1]
	a.Promote()
	b.Follow(a.Addr)
	b.AwaitLink(a)
	attach(t, a)
	i := a.Info("replication")
	for k := range 2 {
		t.Logf("INFO: %s", i[fmt.Sprintf("slave%d", k)])
	}
	t.Logf("ROLE of the master: %q", a.Do("ROLE"))
	t.Logf("ROLE of the replica: %q", b.Do("ROLE"))
	a.Do("FAILOVER", "TO", "127.0.0.9", "7", "TIMEOUT", "1000")
}

// TestFactReplicaKeepsHistory: a server that was stopped in order with its data on
// disk comes back, fenced, with its history, if it was a replica or a fenced
// master; then it goes on by partial resync.
func TestFactReplicaKeepsHistory(t *testing.T) {
	a, b, _ := group(t)
	set(t, a, "k", 100)
	b.AwaitLink(a)
	before := b.Info("replication")
	b.Do("SAVE")
	b.Kill()
	b.Start()
	after := b.Info("replication")
	t.Logf("a replica before: %s at %s; after SAVE and kill -9: %s at %s, replid2 %s", before["master_replid"], before["master_repl_offset"],
		after["master_replid"], after["master_repl_offset"], after["master_replid2"])
	b.Follow(a.Addr)
	b.AwaitLink(a)
	t.Logf("full resyncs of the master %d, partial %d", a.Number("stats", "sync_full"), a.Number("stats", "sync_partial_ok"))

	a.Do("SAVE")
	at := a.Info("replication")
	a.Kill()
	a.Start()
	after = a.Info("replication")
	t.Logf("a master before: %s at %s; after SAVE and kill -9: %s at %s, replid2 %s up to %s, %s keys", at["master_replid"], at["master_repl_offset"],
		after["master_replid"], after["master_repl_offset"], after["master_replid2"], after["second_repl_offset"], a.Do("DBSIZE"))
}
