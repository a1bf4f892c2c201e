package consensus

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/raft/v3/raftpb"
)

// TestAnswersWaitForTheDisk: no answer, to a peer or to the own loop, goes out
// before what it depends on is stored: entries, a vote, a term.
func TestAnswersWaitForTheDisk(t *testing.T) {
	own, peer := &raftpb.Message{To: new(uint64(1))}, &raftpb.Message{To: new(uint64(2))}
	for name, m := range map[string]*raftpb.Message{
		"entries":            storageMessage(0, 0, []*raftpb.Entry{entry(2, 1)}, own, peer),
		"a vote":             storageMessage(2, 1, nil, own, peer),
		"entries and a term": storageMessage(2, 1, []*raftpb.Entry{entry(2, 2)}, own, peer),
	} {
		log := &memLog{now: logState{base: 1, baseTerm: 1}}
		w := newWriter(t, log)
		sent, stored := 0, 0
		count := func() {
			for _, own := range w.n.inbox.take().stored {
				sent += len(own)
			}
		}
		w.n.cfg.Transport.(wire).w.set(func(w *network) {
			w.filter = func(uint64, uint64, *raftpb.Message) bool { sent++; return false }
		})
		log.setHook(func([]*raftpb.Entry) error {
			stored++
			if count(); sent > 0 {
				t.Errorf("%s: answered before it was stored", name)
			}
			return nil
		})
		if err := w.write([]*raftpb.Message{m}); err != nil {
			t.Fatal(err)
		}
		if count(); stored != 1 || sent != 2 {
			t.Errorf("%s: stored %d times, %d answers of 2", name, stored, sent)
		}
	}
}

// TestPowerCut takes the power from all nodes while their disks are at a write
// or at a sync, which is lost: what was acknowledged by then must be there when
// they are back.
func TestPowerCut(t *testing.T) {
	for _, size := range []int{1, 3} {
		for _, at := range []string{"write", "sync"} {
			t.Run(fmt.Sprintf("%d nodes at a %s", size, at), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { powerCut(t, size, at == "sync") })
			})
		}
	}
}

// powerCut hangs every change of a log until the power is gone, or only those
// that bring no entries and are there to sync what was written before.
func powerCut(t *testing.T, size int, syncsOnly bool) {
	c := newCluster(t, size, 1, slowElections)
	l := c.leader()
	c.must(l, "before")
	c.converge("before")
	cut, power := make(chan struct{}), errors.New("power cut")
	off := sync.OnceFunc(func() { close(cut) })
	defer off()
	var writing atomic.Int64
	for _, id := range c.ids {
		c.hosts[id].log.setHook(func(entries []*raftpb.Entry) error {
			if len(entries) > 0 {
				writing.Add(1)
				if syncsOnly {
					return nil
				}
			}
			<-cut
			return power
		})
	}
	ack := c.propose(l, "lost", patience)
	eventually(t, "all disks at work", func() bool { return writing.Load() >= int64(size) })
	acked := false
	for range 50 { // a premature answer needs a few turns of the loops
		for _, id := range c.ids {
			if err := c.node(id).settled(t); err != nil {
				t.Fatal(err)
			}
		}
		select {
		case a := <-ack:
			acked = a.err == nil
		case <-time.After(time.Millisecond):
		}
	}
	off()
	for _, id := range c.ids {
		c.stop(id)
	}
	for _, id := range c.ids {
		c.start(id)
	}
	c.must(c.leader(), "after")
	if list := c.converge("before", "after"); acked && !slices.Contains(list, "lost") {
		t.Errorf("acknowledged, and lost in a power cut: %v", list)
	}
}
