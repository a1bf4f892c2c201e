package consensus

import (
	"testing"

	"go.etcd.io/raft/v3/raftpb"
)

// TestVotesAreAskedForOnDisk: a candidate asks nobody before its term is on disk.
// With the votes of others it could lead without its own, lose the term in a
// crash, and lead it again: two entries would have the same index and term.
func TestVotesAreAskedForOnDisk(t *testing.T) {
	h := newHandCore(t)
	_ = h.c.raw.Campaign()
	h.run()
	h.c.receive(h.now, 2, []*raftpb.Message{peerMessage(raftpb.MsgPreVoteResp, handTerm+1, nil)})
	out := h.c.advance()
	for _, m := range out.send {
		if m.GetType() == raftpb.MsgVote {
			t.Errorf("node %d is asked before term %d is on disk", m.GetTo(), m.GetTerm())
		}
	}
	asked := 0
	for _, w := range out.append {
		for _, m := range w.GetResponses() {
			if m.GetType() != raftpb.MsgVote {
				continue
			}
			if asked++; w.GetTerm() != m.GetTerm() || w.GetVote() != 1 {
				t.Errorf("votes of term %d are asked for when term %d, vote %d is stored", m.GetTerm(), w.GetTerm(), w.GetVote())
			}
		}
	}
	if asked != 2 {
		t.Errorf("%d nodes are asked for their votes, want 2", asked)
	}
}

// TestWriterAnswersInOrder: an answer that tells of entries goes before those
// are replaced, though both wait together.
func TestWriterAnswersInOrder(t *testing.T) {
	log := &memLog{now: logState{base: 1, baseTerm: 1, entries: []*raftpb.Entry{entry(2, 1), entry(3, 1)}}}
	w := newWriter(t, log)
	answer := &raftpb.Message{To: new(uint64(1))}
	before := -1
	log.setHook(func(es []*raftpb.Entry) error {
		if len(es) > 0 {
			before = len(w.n.inbox.take().stored)
		}
		return nil
	})
	err := w.write([]*raftpb.Message{
		storageMessage(0, 0, nil, answer), // entry 3 of term 1 is stored
		storageMessage(2, 1, []*raftpb.Entry{entry(2, 2)}, answer),
	})
	if err != nil || before != 1 || len(w.n.inbox.take().stored) != 1 {
		t.Errorf("%v; %d answers went before the entries were replaced, want 1", err, before)
	}
}
