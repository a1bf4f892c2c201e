package consensus

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/raft/v3/raftpb"
)

// TestReadSeesWrite: on every node, whatever was acknowledged anywhere.
func TestReadSeesWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 1, nil)
		c.leader()
		for i := range 60 {
			writer, reader := c.ids[i%3], c.ids[(i/3)%3]
			c.must(writer, fmt.Sprint(i))
			if err := get(t, "read", c.read(reader, patience)); err != nil {
				t.Fatal(err)
			}
			if got := c.hosts[reader].machine.size(); got != i+1 {
				t.Fatalf("a read at node %d saw %d commands, want %d", reader, got, i+1)
			}
		}
	})
}

// TestOldLeaderConfirmsNothing: cut off from the others but not yet aware of
// it, it must not let reads go; they go when it has found the new leader.
func TestOldLeaderConfirmsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 1, nil)
		l := c.leader()
		f := c.followers()[0]
		c.must(l, "old")
		c.net.isolate(l, c.ids)
		read := c.read(l, patience)
		short := c.read(l, 30*time.Millisecond)
		eventually(t, "another leader", func() bool { now := c.node(f).Leader(); return now != l && now != 0 })
		c.must(f, "new")
		select {
		case err := <-read:
			t.Fatalf("the old leader answered a read: %v", err)
		default:
		}
		if err := get(t, "expired read", short); err != ErrDeadline {
			t.Errorf("past its deadline: %v", err)
		}
		c.net.heal()
		if err := get(t, "read", read); err != nil {
			t.Fatal(err)
		}
		if got := c.hosts[l].machine.size(); got != 2 {
			t.Errorf("the read saw %d commands", got)
		}
	})
}

// TestReadBeforeFirstCommit: a new leader lets no read go before it has
// committed an entry of its own term, on itself or on a follower.
func TestReadBeforeFirstCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 1, slowElections)
		l := c.leader()
		c.must(l, "x")
		next := c.followers()[0]
		// What the next leader appends reaches nobody.
		c.net.set(func(w *network) {
			w.filter = func(from, _ uint64, m *raftpb.Message) bool {
				return from != next || m.GetType() != raftpb.MsgApp
			}
		})
		term := c.node(l).Term()
		c.node(l).event(func(k *core, _ time.Time) { k.raw.TransferLeader(next) })
		eventually(t, "the next leader, known to the other by heartbeats", func() bool {
			return c.node(next).Role() == "leader" && c.node(l).Leader() == next && c.node(l).Term() > term
		})
		reads := []<-chan error{c.read(next, patience), c.read(l, patience)}
		var heartbeats atomic.Int64
		c.net.set(func(w *network) {
			w.filter = func(from, _ uint64, m *raftpb.Message) bool {
				if from == next && m.GetType() == raftpb.MsgHeartbeat {
					heartbeats.Add(1)
				}
				return from != next || m.GetType() != raftpb.MsgApp
			}
		})
		eventually(t, "some heartbeats", func() bool { return heartbeats.Load() > 10 })
		for _, ch := range reads {
			select {
			case err := <-ch:
				t.Fatalf("a read was let go before the first commit: %v", err)
			default:
			}
		}
		c.net.set(func(w *network) { w.filter = nil })
		for _, ch := range reads {
			if err := get(t, "read", ch); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestReadRetry: questions and answers are lost; reads go into new questions
// under new contexts and none is used twice.
func TestReadRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 1, nil)
		l := c.leader()
		f := c.followers()[0]
		var lost atomic.Int64
		contexts := make(chan string, 1000)
		c.net.set(func(w *network) {
			w.filter = func(from, _ uint64, m *raftpb.Message) bool {
				if m.GetType() == raftpb.MsgReadIndex {
					contexts <- string(m.GetEntries()[0].GetData())
					return lost.Add(1) > 2
				}
				return m.GetType() != raftpb.MsgReadIndexResp || lost.Add(1) > 4
			}
		})
		c.must(l, "x")
		if err := get(t, "read", c.read(f, patience)); err != nil {
			t.Fatal(err)
		}
		close(contexts)
		seen := map[string]bool{}
		for ctx := range contexts {
			if seen[ctx] {
				t.Errorf("context %x was used twice", ctx)
			}
			seen[ctx] = true
		}
		if len(seen) < 3 {
			t.Errorf("only %d questions were asked", len(seen))
		}
	})
}

// TestReadOverSlowLink: the answer takes longer than the time after which the
// question is repeated.
func TestReadOverSlowLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 1, slowElections)
		l := c.leader()
		f := c.followers()[0]
		retry := c.node(f).cfg.readRetry()
		c.net.set(func(w *network) {
			w.link(l, f).delay, w.link(f, l).delay = 4*retry, 4*retry
		})
		begin := time.Now()
		if err := get(t, "read", c.read(f, patience)); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(begin); d > 14*retry {
			t.Errorf("it took %v, the way there and back takes %v: the first answer was not good enough", d, 8*retry)
		}
	})
}

// TestConfirmedReadExpires: the entries up to the confirmed index never come.
func TestConfirmedReadExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 1, nil)
		l := c.leader()
		f := c.followers()[0]
		gate := make(chan struct{})
		h := c.hosts[f]
		h.machine.with(func() { h.machine.applyGate = gate })
		c.must(l, "x")
		begin := time.Now()
		if err := get(t, "read", c.read(f, 100*time.Millisecond)); err != ErrDeadline {
			t.Errorf("%v", err)
		}
		if d := time.Since(begin); d > patience/4 {
			t.Errorf("it took %v", d)
		}
		h.machine.with(func() { h.machine.applyGate = nil })
		close(gate)
		if err := get(t, "read", c.read(f, patience)); err != nil {
			t.Error(err)
		}
	})
}

// TestReadsThroughElections: a storm of reads finds a leader each time.
func TestReadsThroughElections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 1, func(cfg *Config) {
			slowElections(cfg)
			cfg.HeartbeatTicks = 200 // a question is not repeated for as long as an election timeout
		})
		for i := range 6 {
			l := c.leader()
			c.must(l, fmt.Sprint(i))
			c.node(l).event(func(k *core, _ time.Time) { k.transfer() })
			var reads []<-chan error
			for range 50 {
				for _, id := range c.ids {
					reads = append(reads, c.read(id, patience))
				}
			}
			begin := time.Now()
			for _, ch := range reads {
				if err := get(t, "read", ch); err != nil {
					t.Fatal(err)
				}
			}
			if d := time.Since(begin); d > slowTimeout/2 {
				t.Errorf("reads took %v", d)
			}
			for _, id := range c.ids {
				if got := c.hosts[id].machine.size(); got != i+1 {
					t.Fatalf("node %d has %d commands after its reads, want %d", id, got, i+1)
				}
			}
		}
	})
}
