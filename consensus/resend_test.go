package consensus

import (
	"encoding/binary"
	"testing"
	"time"

	"go.etcd.io/raft/v3/raftpb"
)

// forwards is a Transport that notes before which number the leader of each
// group must have taken everything, and loses the groups.
type forwards struct {
	deaf
	before []uint64
}

func (f *forwards) Forward(_, _ uint64, group []byte) bool {
	n, _ := binary.Uvarint(group)
	f.before = append(f.before, n)
	return true
}

// TestLostForwardOfImpatientCallers: a forward is lost on a connection that
// holds, and nobody waits for its commands as long as it takes to send them
// again. What follows must reach the leader all the same: it takes nothing of
// which it thinks that something before it is on the way.
func TestLostForwardOfImpatientCallers(t *testing.T) {
	for name, giveUp := range map[string]func(*handCore){
		"expired": func(h *handCore) { h.tick(5) },
		"skipped": func(h *handCore) { h.c.skipped(h.now, handTerm) },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHandCore(t).become("follower")
			f := &forwards{}
			h.c.cfg.Transport = f
			propose := func() {
				h.c.propose(h.now, []*proposal{{data: []byte("x"), deadline: h.now.Add(4 * h.c.cfg.Tick), done: func(any, error) {}}})
				h.run()
			}
			propose()
			giveUp(h)
			for end := h.now.Add(2*resendTimeouts*h.c.cfg.electionTimeout() + time.Second); h.now.Before(end); {
				propose()
				h.tick(6)
				h.receive(peerMessage(raftpb.MsgHeartbeat, handTerm, nil)) // the leader is there
				if n := len(f.before); n > 2 && f.before[n-1] == 0 {
					return
				}
			}
			t.Errorf("the leader was never told that nothing comes before: %v", f.before)
		})
	}
}
