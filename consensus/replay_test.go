package consensus

import (
	"bytes"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// TestOldHeartbeatRepliesConfirmNothing: answers to the heartbeats of one read
// question come late, twice and three times, after another was asked. They were
// sent before it, and say nothing about who leads now.
func TestOldHeartbeatRepliesConfirmNothing(t *testing.T) {
	h := newHandCore(t).become("leader") // with a question open
	position := func() []byte {
		for _, m := range slices.Backward(h.sent) {
			if m.GetType() == raftpb.MsgHeartbeat && len(m.GetContext()) > 0 {
				return m.GetContext()
			}
		}
		t.Fatal("no heartbeat with a read position was sent")
		return nil
	}
	answer := func(position []byte) {
		for _, from := range []uint64{2, 3} {
			m := peerMessage(raftpb.MsgHeartbeatResp, handTerm+1, func(m *raftpb.Message) { m.From, m.Context = &from, position })
			h.c.receive(h.now, from, []*raftpb.Message{m})
			h.run()
		}
	}
	ask := func() {
		h.c.reads.add([]*read{{deadline: h.now.Add(patience), done: func(error) {}}})
		h.run()
	}
	for range 5 {
		old := position()
		answer(old)
		if n := len(h.c.reads.open); n != 0 {
			t.Fatalf("%d questions are open after the answers to them", n)
		}
		ask()
		for range 3 * h.c.cfg.ElectionTicks { // the question is asked again meanwhile
			answer(old)
			if len(h.c.reads.open) != 1 {
				t.Fatal("a read was let go by answers to an earlier question")
			}
			h.tick(1)
		}
		if bytes.Equal(position(), old) {
			t.Fatal("the same read position was asked for twice")
		}
	}
}

// TestOldLeaderIsFedOldReplies: one that is cut off and hears again and again
// what its followers told it when they still were stays leader in its own eyes.
// It must answer no read, or the read sees an old state.
func TestOldLeaderIsFedOldReplies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 1, nil)
		l := c.leader()
		f := c.followers()[0]
		var mu sync.Mutex
		var replies []*raftpb.Message
		c.net.set(func(w *network) {
			w.filter = func(_, to uint64, m *raftpb.Message) bool {
				if to == l && m.GetType() == raftpb.MsgHeartbeatResp {
					mu.Lock()
					defer mu.Unlock()
					replies = append(replies, proto.Clone(m).(*raftpb.Message))
				}
				return true
			}
		})
		c.must(l, "old")
		recorded := func(n int) func() bool {
			return func() bool {
				mu.Lock()
				defer mu.Unlock()
				positions := 0
				for _, m := range replies {
					if len(m.GetContext()) > 0 {
						positions++
					}
				}
				return positions >= n
			}
		}
		for n := range 5 {
			if err := get(t, "read", c.read(l, patience)); err != nil {
				t.Fatal(err)
			}
			eventually(t, "answers with a read position", recorded(n+1))
		}
		c.net.isolate(l, c.ids)
		feed := func() {
			mu.Lock()
			defer mu.Unlock()
			for _, m := range replies {
				c.node(l).Receive(m.GetFrom(), []*raftpb.Message{proto.Clone(m).(*raftpb.Message)})
			}
		}
		eventually(t, "another leader", func() bool {
			feed()
			now := c.node(f).Leader()
			return now != l && now != 0
		})
		c.must(f, "new")
		read := c.read(l, patience)
		for range 100 {
			feed()
			if err := c.node(l).settled(t); err != nil {
				t.Fatal(err)
			}
		}
		select {
		case err := <-read:
			t.Fatalf("the old leader answered a read: %v", err)
		default:
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

// settled returns when the node's loop has taken all that was given to it.
func (n *Node) settled(t *testing.T) error {
	t.Helper()
	done := make(chan error, 1)
	if !n.event(func(*core, time.Time) { done <- nil }) {
		return ErrStopped
	}
	return get(t, "the loop", done)
}
