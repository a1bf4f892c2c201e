package failover

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/doozer-store/doozer/drill/cluster"
	"github.com/doozer-store/doozer/test/failover/rig"
)

// set writes keys name0, name1, ... over one connection.
func set(t *testing.T, r *rig.Redis, name string, n int) {
	t.Helper()
	c := r.Conn()
	for i := range n {
		if _, err := c.Do("SET", name+strconv.Itoa(i), strconv.Itoa(i)); err != nil {
			t.Fatalf("%s: SET %s%d: %v", r.Name, name, i, err)
		}
	}
}

// group makes the first of three fenced servers the master of the others.
func group(t *testing.T, conf ...string) (a, b, c *rig.Redis) {
	t.Helper()
	s := servers(t, []string{"a", "b", "c"}, append([]string{rig.Fence}, conf...)...)
	s[0].Promote()
	for _, r := range s[1:] {
		r.Follow(s[0].Addr)
		r.AwaitLink(s[0])
	}
	return s[0], s[1], s[2]
}

// TestFactBootFence: a server whose configuration says replicaof 127.0.0.1 0
// starts read-only, answers reads, has no link, and does not let others copy its
// emptiness: its replicas keep their data.
func TestFactBootFence(t *testing.T) {
	a, b, _ := group(t)
	set(t, a, "k", 100)
	b.AwaitLink(a)
	a.Kill()
	a.Start()
	i := a.Info("replication")
	if i["role"] != "slave" || i["master_link_status"] != "down" || i["master_port"] != "0" {
		t.Errorf("a fenced server starts as %v", i)
	}
	if _, err := a.Try("SET", "x", "1"); !rig.Refused(err, "READONLY") {
		t.Errorf("a write to a fenced server: %v", err)
	}
	if s := a.Do("DBSIZE"); s != "0" {
		t.Errorf("the server has %s keys, it lost all", s)
	}
	// The replica knocks once a second and is sent away.
	cluster.Eventually(t, cluster.RecoverLimit, "the replica has tried", func() (bool, string) {
		n := a.Number("commandstats", "cmdstat_psync")
		s := a.Info("commandstats")["cmdstat_psync"]
		return s != "", fmt.Sprint(n, s)
	})
	if s := b.Do("DBSIZE"); s != "100" {
		t.Errorf("the replica of a fenced, empty server has %s keys, not 100", s)
	}
	if i := b.Info("replication"); i["master_link_status"] != "down" {
		t.Errorf("the replica's link: %v", i)
	}
	c := a.Conn()
	if _, err := c.Psync("?", -1); !rig.Refused(err, "NOMASTERLINK") {
		t.Errorf("PSYNC to a fenced server: %v", err)
	}
}

// TestFactUnfencedEmptyMaster is the contrast: without the fence an empty master
// empties its replicas.
func TestFactUnfencedEmptyMaster(t *testing.T) {
	s := servers(t, []string{"a", "b"})
	a, b := s[0], s[1]
	b.Follow(a.Addr)
	set(t, a, "k", 100)
	b.AwaitLink(a)
	a.Kill()
	a.Start()
	cluster.Eventually(t, cluster.RecoverLimit, "the replica is emptied", func() (bool, string) {
		n := b.Do("DBSIZE")
		return n == "0", n
	})
}

// TestFactFreeze: REPLICAOF to nowhere stops a replica's offset while its master
// goes on, keeps history and backlog, and after a promotion the others go on by
// partial resync: replicas behind the new master, and the old master if it has
// nothing more.
func TestFactFreeze(t *testing.T) {
	a, b, c := group(t)
	set(t, a, "k", 100)
	b.AwaitLink(a)
	c.AwaitLink(a)
	began := time.Now()
	c.Freeze()
	t.Logf("REPLICAOF to nowhere took %v", time.Since(began))
	frozen := c.Offset()
	set(t, a, "l", 10) // b has these, c has not
	b.AwaitLink(a)
	b.Freeze()
	ci, bi, ai := c.Info("replication"), b.Info("replication"), a.Info("replication")
	if c.Offset() != frozen || b.Offset() <= frozen {
		t.Errorf("frozen at %d, is at %d; the other at %d", frozen, c.Offset(), b.Offset())
	}
	for _, i := range []map[string]string{bi, ci} {
		if i["master_replid"] != ai["master_replid"] || i["repl_backlog_active"] != "1" {
			t.Errorf("a frozen replica has %v; its master %v", i, ai)
		}
	}
	at := b.Offset()
	began = time.Now()
	b.Promote()
	t.Logf("REPLICAOF NO ONE took %v", time.Since(began))
	i := b.Info("replication")
	if i["master_replid2"] != ai["master_replid"] || i["second_repl_offset"] != strconv.FormatInt(at+1, 10) {
		t.Errorf("the promoted one has %v; the history before was %s up to %d", i, ai["master_replid"], at)
	}
	if i["master_replid"] == ai["master_replid"] {
		t.Errorf("the promoted one has no history of its own: %v", i)
	}
	began = time.Now()
	c.Follow(b.Addr)
	c.AwaitLink(b)
	t.Logf("a frozen replica has the new master's every byte after %v", time.Since(began))
	a.Follow(b.Addr) // has exactly what b had when it was promoted
	a.AwaitLink(b)
	if full, part := b.Number("stats", "sync_full"), b.Number("stats", "sync_partial_ok"); full != 0 || part != 2 {
		t.Errorf("%d full and %d partial resyncs of the new master, want 0 and 2", full, part)
	}
	if s := c.Do("DBSIZE"); s != "110" {
		t.Errorf("the replica has %s keys", s)
	}
}

// TestFactAheadIsFull: who has more than the new master had when it was promoted
// gets a full resync, and loses it.
func TestFactAheadIsFull(t *testing.T) {
	a, b, c := group(t)
	set(t, a, "k", 100)
	b.AwaitLink(a)
	b.Freeze()
	set(t, a, "l", 10)
	c.AwaitLink(a)
	b.Promote()
	c.Freeze() // as long as it follows a, it is turned with it
	a.Follow(b.Addr)
	a.AwaitLink(b)
	c.Follow(b.Addr)
	c.AwaitLink(b)
	if full := b.Number("stats", "sync_full"); full != 2 {
		t.Errorf("%d full resyncs of the new master, want 2", full)
	}
	for _, r := range []*rig.Redis{a, c} {
		if s := r.Do("DBSIZE"); s != "100" {
			t.Errorf("%s has %s keys, want the new master's 100", r.Name, s)
		}
	}
}

// TestFactLostTail: a master that is asked by PSYNC from the offset at which the
// others stood still sends exactly what they lack, as commands. Once it is fenced
// it sends nothing; then it has to be a master again, with its gate closed.
func TestFactLostTail(t *testing.T) {
	a, b, _ := group(t)
	set(t, a, "k", 100)
	b.AwaitLink(a)
	b.Freeze()
	at, replid := b.Offset(), b.Info("replication")["master_replid"]
	set(t, a, "lost", 10)

	check := func(how string) {
		t.Helper()
		end := a.Offset()
		c := a.Conn()
		words, err := c.Psync(replid, at+1)
		if err != nil || words[0] != "CONTINUE" {
			t.Fatalf("%s: PSYNC %s %d: %v %v", how, replid, at+1, words, err)
		}
		var got []string
		read := int64(0)
		for read < end-at {
			s, n, err := c.ReceiveSized()
			if err != nil {
				t.Fatalf("%s: %v", how, err)
			}
			read += n
			got = append(got, s)
		}
		if read != end-at {
			t.Errorf("%s: read %d bytes, the offsets say %d", how, read, end-at)
		}
		sets := 0
		for _, s := range got {
			switch {
			case s == fmt.Sprintf("SET\nlost%d\n%d", sets, sets):
				sets++
			case s != "PING" && s != "SELECT\n0":
				t.Errorf("%s: unexpected %q", how, s)
			}
		}
		if sets != 10 {
			t.Errorf("%s: %d of 10 lost commands: %q", how, sets, got)
		}
	}
	check("a master")
	a.Freeze()
	if _, err := a.Conn().Psync(replid, at+1); !rig.Refused(err, "NOMASTERLINK") {
		t.Errorf("PSYNC to a fenced server: %v", err)
	}
	a.Do("CONFIG", "SET", "min-replicas-to-write", "9999")
	a.Promote()
	if _, err := a.Try("SET", "x", "1"); !rig.Refused(err, "NOREPLICAS") {
		t.Errorf("a write to a promoted server with its gate closed: %v", err)
	}
	check("promoted again behind a closed gate")
}
