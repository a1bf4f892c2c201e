package consensus

import (
	"fmt"
	"strconv"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
)

func fmtUint(v uint64) string { return strconv.FormatUint(v, 10) }

// writing tells since when the writer has been at one write; zero when idle.
func (n *Node) writing() time.Time {
	since := n.writingSince.Load()
	if since == 0 {
		return time.Time{}
	}
	return n.start.Add(time.Duration(since))
}

// writer owns the log's writing side. It takes everything that waits, stores
// it with one sync, and only then lets raft's answers go: that is what makes
// an acknowledgement mean "on disk".
func (n *Node) writer() {
	w := openWriter(n)
	var msgs []*raftpb.Message
	for {
		var ok bool
		if msgs, ok = n.writes.wait(msgs); !ok {
			return
		}
		w.begin()
		if !w.step(msgs) {
			return
		}
	}
}

// writer is the state of the writer goroutine.
type writer struct {
	n *Node
	// hard is raft's last term, vote and commit. due: the log was not given it;
	// vote: term or vote are not synced. A commit index alone is not worth a
	// sync, and no answer depends on it: it goes with the next entries.
	hard      *raftpb.HardState
	due, vote bool
	// entries and responses wait for the next flush.
	entries   []*raftpb.Entry
	responses []*raftpb.Message
	sync      bool
	// unsynced: something was stored that no sync has covered.
	unsynced bool
	peers    []*raftpb.Message
}

func openWriter(n *Node) writer { return writer{n: n, hard: n.cfg.Log.HardState()} }

// begin starts the clock of a write.
func (w *writer) begin() { w.n.writingSince.Store(int64(w.n.now().Sub(w.n.start)) + 1) }

// step stores what begin announced; false when the node ends.
func (w *writer) step(msgs []*raftpb.Message) bool {
	err := w.write(msgs)
	w.n.writingSince.Store(0)
	w.n.logSize.Store(w.n.cfg.Log.Size())
	if err != nil {
		w.n.fail(fmt.Errorf("the log can't be written: %w", err))
	}
	return err == nil
}

func (w *writer) write(msgs []*raftpb.Message) error {
	for _, m := range msgs {
		es := m.GetEntries()
		replaces, err := w.replaces(es)
		if err != nil {
			return err
		}
		if replaces {
			// First write the entries of this batch, with the commit index of
			// then, and let the answers go that tell of what is replaced. The
			// message's own commit index may be that of entries which it brings,
			// and would call those committed that they replace.
			if err := w.flush(); err != nil {
				return err
			}
		}
		if s := m.GetSnapshot(); !raft.IsEmptySnap(s) {
			if err := w.install(m); err != nil {
				return err
			}
		} else if m.Term != nil {
			w.setHard(m)
		}
		w.entries = append(w.entries, es...)
		// Without answers nobody depends on it: it may stay in memory.
		w.sync = w.sync || len(m.GetResponses()) > 0
		w.responses = append(w.responses, m.GetResponses()...)
	}
	return w.flush()
}

// replaces tells whether entries replace others, of the log or of this batch.
func (w *writer) replaces(es []*raftpb.Entry) (bool, error) {
	if len(es) == 0 {
		return false, nil
	}
	if k := len(w.entries); k > 0 {
		return es[0].GetIndex() != w.entries[k-1].GetIndex()+1, nil
	}
	last, err := w.n.cfg.Log.LastIndex()
	return es[0].GetIndex() <= last, err
}

func (w *writer) setHard(m *raftpb.Message) {
	w.vote = w.vote || m.GetTerm() != w.hard.GetTerm() || m.GetVote() != w.hard.GetVote()
	w.hard = &raftpb.HardState{Term: m.Term, Vote: m.Vote, Commit: m.Commit}
	w.due = true
}

// flush stores what was gathered and lets the answers go.
func (w *writer) flush() error {
	if len(w.entries) > 0 || w.sync && (w.vote || w.unsynced) {
		var hs *raftpb.HardState
		if w.due {
			hs = w.hard
		}
		if err := w.n.cfg.Log.Append(hs, w.entries, w.sync); err != nil {
			return err
		}
		w.due, w.vote, w.unsynced = false, w.vote && !w.sync, !w.sync
	}
	w.deliver()
	clear(w.entries)
	w.entries, w.responses, w.sync = w.entries[:0], nil, false
	return nil
}

// deliver sends answers to peers and gives its own to the loop.
func (w *writer) deliver() {
	var own []*raftpb.Message
	w.peers = w.peers[:0]
	for _, m := range w.responses {
		if m.GetTo() == w.n.cfg.ID {
			own = append(own, m)
		} else {
			w.peers = append(w.peers, m)
		}
	}
	if len(w.peers) > 0 {
		w.n.cfg.Transport.Send(w.peers)
		clear(w.peers)
	}
	if len(own) > 0 {
		w.n.inbox.put(func(b *batch) { b.stored = append(b.stored, own) })
	}
}

// install puts a staged snapshot in the state's place: first the state, which
// carries its index, then the log. A crash between the two leaves a log that
// ends before the state or disagrees with it, which newStorage repairs.
func (w *writer) install(m *raftpb.Message) error {
	// What was gathered before it must be on disk in its own right, with the
	// commit index of then: the log does not reach the snapshot's.
	if err := w.flush(); err != nil {
		return err
	}
	if m.Term != nil {
		w.setHard(m)
	}
	snap := m.GetSnapshot().GetMetadata()
	job, err := w.n.staged.take(snap.GetIndex(), snap.GetTerm())
	if err != nil {
		return err
	}
	job.done = make(chan error, 1)
	if !w.n.applys.put(job) {
		job.discard()
		return ErrStopped
	}
	if w.n.hand != nil {
		w.n.hand.applyAll()
	}
	select {
	case err = <-job.done:
	case <-w.n.failed:
		return ErrStopped
	case <-w.n.stopping:
		return ErrStopped
	}
	w.n.staged.installed()
	if err != nil {
		return fmt.Errorf("installing a snapshot: %w", err)
	}
	// Entries that follow the snapshot may be committed already: they are in
	// the same message and come next, and the commit index with them.
	hs := &raftpb.HardState{Term: new(w.hard.GetTerm()), Vote: new(w.hard.GetVote()), Commit: new(min(w.hard.GetCommit(), snap.GetIndex()))}
	if err := w.n.cfg.Log.Reset(snap.GetIndex(), snap.GetTerm(), hs); err != nil {
		return err
	}
	w.due, w.vote, w.unsynced = w.hard.GetCommit() > snap.GetIndex(), false, false
	w.n.cfg.Logger.Info("snapshot installed", "index", snap.GetIndex())
	return nil
}
