package sim

import (
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/doozer-store/doozer/consensus/wal"
)

// promises is what the log has reported as synced.
type promises struct {
	first   uint64 // index of entries[0]
	entries []promise
	known   uint64 // entries below are synced
	// hard is the last HardState; synced the last that was synced.
	hard, synced *raftpb.HardState
}

type promise struct {
	term   uint64
	synced bool
}

// appended notes entries that were given to the log, which replace others.
func (p *promises) appended(entries []*raftpb.Entry) {
	for _, e := range entries {
		p.entries = append(p.entries, promise{term: e.GetTerm()})
	}
}

// replaced takes back what was promised of entries from index on.
func (p *promises) replaced(index uint64) {
	if len(p.entries) == 0 || index < p.first {
		p.first, p.entries = index, p.entries[:0]
	}
	p.entries = p.entries[:min(index-p.first, uint64(len(p.entries)))]
	p.known = min(p.known, index)
}

func (p *promises) sync() {
	for i := max(p.known, p.first); i < p.first+uint64(len(p.entries)); i++ {
		p.entries[i-p.first].synced = true
	}
	p.known = p.first + uint64(len(p.entries))
	p.synced = p.hard
}

// has tells whether the entry is synced.
func (p *promises) has(index, term uint64) bool {
	if index < p.first || index >= p.first+uint64(len(p.entries)) {
		return false
	}
	e := p.entries[index-p.first]
	return e.synced && e.term == term
}

// checkPromises compares a log that was just opened with what the one before
// had reported as synced, and begins anew with what it has, which is synced.
func (d *disk) checkPromises(log *wal.Log) {
	p := &d.promised
	first, _ := log.FirstIndex()
	last, _ := log.LastIndex()
	for i, e := range p.entries {
		index := p.first + uint64(i)
		if !e.synced || index < first && index <= d.image.meta.Index {
			continue
		}
		if term, err := log.Term(index); err != nil || term != e.term {
			d.n.w.fail("node %d lost entry %d of term %d, which was synced: the log is %d to %d, %v", d.n.id, index, e.term, first, last, err)
			return
		}
	}
	hs := log.HardState()
	if p.synced.GetTerm() > hs.GetTerm() || p.synced.GetTerm() == hs.GetTerm() && p.synced.GetVote() != 0 && p.synced.GetVote() != hs.GetVote() {
		d.n.w.fail("node %d lost the term and vote %v, which were synced: it has %v", d.n.id, p.synced, hs)
		return
	}
	*p = promises{first: first, hard: hs, synced: hs, known: last + 1}
	for i := first; i <= last; i++ {
		term, _ := log.Term(i)
		p.entries = append(p.entries, promise{term, true})
	}
}

// checkAnswer: a node votes, and confirms entries, only when that is synced.
func (d *disk) checkAnswer(m *raftpb.Message) {
	p := &d.promised
	switch {
	case m.GetReject():
	case m.GetType() == raftpb.MsgVoteResp:
		// A later term that is synced with it forbids another vote as well.
		if p.synced.GetTerm() < m.GetTerm() || p.synced.GetTerm() == m.GetTerm() && p.synced.GetVote() != m.GetTo() {
			d.n.w.fail("node %d votes for node %d in term %d, but has synced %v", d.n.id, m.GetTo(), m.GetTerm(), p.synced)
		}
	case m.GetType() == raftpb.MsgAppResp:
		index := m.GetIndex()
		unsynced := index >= p.first+uint64(len(p.entries)) || index >= p.first && !p.entries[index-p.first].synced
		if p.synced.GetTerm() < m.GetTerm() || unsynced && index > d.image.meta.Index {
			d.n.w.fail("node %d confirms index %d in term %d, but has synced up to %d, %v", d.n.id, index, m.GetTerm(), p.known, p.synced)
		}
	}
}

// simLog is a node's log; it notes what is promised.
type simLog struct {
	*wal.Log
	n *node
}

// Append implements consensus.Log.
func (l *simLog) Append(hs *raftpb.HardState, entries []*raftpb.Entry, sync bool) error {
	d, wrong := l.n.disk, &l.n.w.cfg.Wrong
	p := &d.promised
	if wrong.ForgetVote && hs != nil {
		hs = &raftpb.HardState{Term: hs.Term, Vote: new(uint64(0)), Commit: hs.Commit}
	}
	if len(entries) > 0 {
		p.replaced(entries[0].GetIndex())
	}
	early := wrong.EarlyAck && sync
	if err := l.Log.Append(hs, entries, sync && !early); err != nil {
		return err
	}
	p.appended(entries)
	if hs != nil {
		p.hard = hs
	}
	if early {
		l.n.exec(20*time.Millisecond, func() { _ = l.Log.Append(nil, nil, true) })
	}
	if sync {
		p.sync()
	}
	return nil
}

// Reset implements consensus.Log. Until it is done nothing is promised.
func (l *simLog) Reset(index, term uint64, hs *raftpb.HardState) error {
	p := &l.n.disk.promised
	p.replaced(0)
	if err := l.Log.Reset(index, term, hs); err != nil {
		return err
	}
	p.first = index + 1
	p.hard = l.Log.HardState()
	p.synced = p.hard
	return nil
}
