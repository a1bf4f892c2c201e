package consensus

import (
	"testing"

	"go.etcd.io/raft/v3/raftpb"
)

// TestOutdatedAnswersAreDropped: the entries of one leader are replaced by
// another's before they were written. The first is not told that they are on
// disk, where they never were.
func TestOutdatedAnswersAreDropped(t *testing.T) {
	h := newHandCore(t)
	from := func(id, term uint64) {
		h.c.receive(h.now, id, []*raftpb.Message{peerMessage(raftpb.MsgApp, term, func(m *raftpb.Message) {
			m.From, m.Index, m.LogTerm = &id, new(uint64(handLast)), new(uint64(handTerm))
			m.Entries, m.Commit = []*raftpb.Entry{entry(handLast+1, term)}, new(uint64(handCommit))
		})})
	}
	from(2, handTerm+1)
	from(3, handTerm+2)
	h.run()
	told := 0
	for _, m := range h.sent {
		if m.GetType() != raftpb.MsgAppResp || m.GetIndex() <= handLast {
			continue
		}
		if told++; m.GetTerm() != handTerm+2 || m.GetTo() != 3 {
			t.Errorf("node %d is told in term %d that entry %d is stored, which is of term %d", m.GetTo(), m.GetTerm(), m.GetIndex(), handTerm+2)
		}
	}
	if told != 1 {
		t.Errorf("%d answers tell of entry %d, want 1", told, handLast+1)
	}
}
