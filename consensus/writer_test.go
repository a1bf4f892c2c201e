package consensus

import (
	"errors"
	"testing"

	"go.etcd.io/raft/v3/raftpb"
)

// newWriter returns a node's writer without the node's other goroutines.
func newWriter(t *testing.T, log *memLog) *writer {
	w := newNetwork(1)
	t.Cleanup(w.close)
	n := &Node{cfg: Config{ID: 1, Log: log, Transport: wire{w, 1}}, failed: make(chan struct{}), stopping: make(chan struct{})}
	if err := n.cfg.prepareForWriter(); err != nil {
		t.Fatal(err)
	}
	n.inbox.init()
	n.applys.init()
	return &writer{n: n, hard: log.HardState()}
}

func (c *Config) prepareForWriter() error {
	c.State, c.Machine, c.Wall = Bootstrap([]uint64{1}), newMachine(Meta{}), func() int64 { return 0 }
	return c.prepare()
}

// storageMessage is a MsgStorageAppend.
func storageMessage(term, commit uint64, entries []*raftpb.Entry, responses ...*raftpb.Message) *raftpb.Message {
	m := &raftpb.Message{Entries: entries, Responses: responses}
	if term != 0 {
		m.Term, m.Vote, m.Commit = &term, new(uint64(2)), &commit
	}
	return m
}

// TestWriterSyncs: what needs the disk and what does not.
func TestWriterSyncs(t *testing.T) {
	log := &memLog{now: logState{base: 1, baseTerm: 1}}
	w := newWriter(t, log)
	answer := &raftpb.Message{To: new(uint64(1))}
	for _, tc := range []struct {
		name  string
		msgs  []*raftpb.Message
		syncs int
	}{
		{"a vote", []*raftpb.Message{storageMessage(2, 1, nil, answer)}, 1},
		{"entries", []*raftpb.Message{storageMessage(0, 0, []*raftpb.Entry{entry(2, 2), entry(3, 2)}, answer)}, 1},
		{"a commit index", []*raftpb.Message{storageMessage(2, 3, nil)}, 0},
		{"a commit index, and an answer to something older", []*raftpb.Message{storageMessage(2, 3, nil, answer)}, 0},
		{"an answer to what is stored", []*raftpb.Message{storageMessage(0, 0, nil, answer)}, 0},
		{"a term nobody depends on", []*raftpb.Message{storageMessage(3, 3, nil)}, 0},
		{"an answer that depends on it", []*raftpb.Message{storageMessage(0, 0, nil, answer)}, 1},
		{"many at once", []*raftpb.Message{
			storageMessage(0, 0, []*raftpb.Entry{entry(4, 3)}, answer), storageMessage(3, 4, []*raftpb.Entry{entry(5, 3)}, answer), storageMessage(0, 0, nil, answer)}, 1},
		{"entries that replace others of the batch", []*raftpb.Message{
			storageMessage(0, 0, []*raftpb.Entry{entry(6, 3), entry(7, 3)}, answer), storageMessage(4, 4, []*raftpb.Entry{entry(6, 4)}, answer)}, 2},
	} {
		before := log.syncCount()
		if err := w.write(tc.msgs); err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		if got := log.syncCount() - before; got != tc.syncs {
			t.Errorf("%s: %d syncs, want %d", tc.name, got, tc.syncs)
		}
		answers := 0
		for _, s := range w.n.inbox.take().stored {
			answers += len(s)
		}
		want := 0
		for _, m := range tc.msgs {
			want += len(m.GetResponses())
		}
		if answers != want {
			t.Errorf("%s: %d answers, want %d", tc.name, answers, want)
		}
	}
	if s := log.state(); s.last() != 6 || s.entries[4].GetTerm() != 4 || s.hs.GetTerm() != 4 || s.hs.GetCommit() != 4 {
		t.Errorf("the log ends at %d, %v", s.last(), s.hs)
	}
}

// TestWriterReplaces: entries of a new leader come with a commit index that
// speaks of them, while those they replace still wait for the disk. What is on
// disk calls nothing committed that is not, between any two writes.
func TestWriterReplaces(t *testing.T) {
	log := &memLog{now: logState{base: 1, baseTerm: 1, entries: []*raftpb.Entry{entry(2, 1)}}}
	w := newWriter(t, log)
	answer := &raftpb.Message{To: new(uint64(1))}
	writes := 0
	log.setHook(func([]*raftpb.Entry) error {
		writes++
		if s := log.state(); s.hs.GetCommit() > 2 {
			t.Errorf("before write %d, entries up to %d are committed, of term %d", writes, s.hs.GetCommit(), s.entries[s.hs.GetCommit()-2].GetTerm())
		}
		return nil
	})
	err := w.write([]*raftpb.Message{
		storageMessage(2, 2, []*raftpb.Entry{entry(3, 2), entry(4, 2)}, answer),
		storageMessage(3, 4, []*raftpb.Entry{entry(3, 3), entry(4, 3)}, answer),
	})
	if err != nil {
		t.Fatal(err)
	}
	s := log.state()
	if writes != 2 || s.last() != 4 || s.entries[2].GetTerm() != 3 || s.hs.GetTerm() != 3 || s.hs.GetCommit() != 4 {
		t.Errorf("after %d writes the log ends at %d, %v", writes, s.last(), s.hs)
	}
}

// endless is a log that can't tell where it ends.
type endless struct{ *memLog }

func (endless) LastIndex() (uint64, error) { return 0, errors.New("broken") }

// TestWriterOfABrokenLog: where it can't be known whether entries replace others,
// nothing is written and nothing answered.
func TestWriterOfABrokenLog(t *testing.T) {
	log := &memLog{now: logState{base: 1, baseTerm: 1}}
	w := newWriter(t, log)
	w.n.cfg.Log = endless{log}
	answer := &raftpb.Message{To: new(uint64(1))}
	if err := w.write([]*raftpb.Message{storageMessage(2, 1, []*raftpb.Entry{entry(2, 2)}, answer)}); err == nil {
		t.Error("no error")
	}
	if s := log.state(); s.last() != 1 || len(w.n.inbox.take().stored) > 0 {
		t.Errorf("the log ends at %d, or an answer was given", s.last())
	}
}

// TestWriterInstalls: what came before a snapshot is stored as of then, the
// entries that follow it after it, though all come at once; and so is a commit
// index that speaks of these.
func TestWriterInstalls(t *testing.T) {
	for _, commit := range []uint64{20, 21} {
		writerInstalls(t, commit)
	}
}

func writerInstalls(t *testing.T, commit uint64) {
	log := &memLog{now: logState{base: 1, baseTerm: 1, entries: []*raftpb.Entry{entry(2, 1)}}}
	w := newWriter(t, log)
	meta := Meta{Index: 20, Term: 3, ConfState: &raftpb.ConfState{Voters: []uint64{1}}}
	order := ""
	offered := false
	err := w.n.staged.stage(stagedBy{func() error {
		order += "state"
		if s := log.state(); s.last() != 3 || s.hs.GetCommit() != 1 {
			t.Errorf("when the state is installed the log ends at %d, commit %d", s.last(), s.hs.GetCommit())
		}
		return nil
	}}, meta, nil, func() { offered = true })
	if err != nil || !offered {
		t.Fatal(err)
	}
	w.n.wg.Go(func() {
		jobs, _ := w.n.applys.wait(nil)
		jobs[0].done <- jobs[0].install()
	})
	answer := &raftpb.Message{To: new(uint64(1))}
	snap := storageMessage(3, commit, []*raftpb.Entry{entry(21, 3)}, answer)
	snap.Snapshot = &raftpb.Snapshot{Metadata: &raftpb.SnapshotMetadata{Index: &meta.Index, Term: &meta.Term, ConfState: meta.ConfState}}
	if err := w.write([]*raftpb.Message{storageMessage(2, 1, []*raftpb.Entry{entry(3, 2)}, answer), snap}); err != nil {
		t.Fatal(err)
	}
	w.n.wg.Wait()
	if s := log.state(); order != "state" || s.base != 20 || s.last() != 21 || s.hs.GetTerm() != 3 || s.hs.GetCommit() != commit {
		t.Errorf("%q, log after %d to %d, %v, want commit %d", order, s.base, s.last(), s.hs, commit)
	}
	if w.n.staged.busy {
		t.Error("there is no room for the next snapshot")
	}
}

// TestWriterStops: whatever of a write fails, nothing after it is tried and no
// answer goes out.
func TestWriterStops(t *testing.T) {
	broken := errors.New("broken")
	answer := &raftpb.Message{To: new(uint64(1))}
	snap := storageMessage(3, 20, nil, answer)
	snap.Snapshot = &raftpb.Snapshot{Metadata: &raftpb.SnapshotMetadata{Index: new(uint64(20)), Term: new(uint64(3))}}
	for name, msgs := range map[string][]*raftpb.Message{
		"entries": {storageMessage(0, 0, []*raftpb.Entry{entry(2, 1)}, answer)},
		"entries that are replaced": {
			storageMessage(0, 0, []*raftpb.Entry{entry(2, 1)}, answer), storageMessage(0, 0, []*raftpb.Entry{entry(2, 2)}, answer)},
		"what comes before a snapshot": {storageMessage(0, 0, []*raftpb.Entry{entry(2, 1)}, answer), snap},
		"a snapshot that is not there": {snap},
	} {
		log := &memLog{now: logState{base: 1, baseTerm: 1}}
		w := newWriter(t, log)
		calls := 0
		log.setHook(func([]*raftpb.Entry) error { calls++; return broken })
		err := w.write(msgs)
		if missing := name == "a snapshot that is not there"; err == nil || !missing && !errors.Is(err, broken) || calls > 1 {
			t.Errorf("%s: %v after %d calls", name, err, calls)
		}
		if n := len(w.n.inbox.take().stored); n != 0 {
			t.Errorf("%s: %d answers went out", name, n)
		}
	}
}
