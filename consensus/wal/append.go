package wal

import (
	"fmt"
	"time"

	"go.etcd.io/raft/v3/raftpb"
)

// Append adds entries and sets the HardState (nil leaves it). An entry at or
// below LastIndex replaces it and all that follow; entries below FirstIndex are
// skipped. The log keeps the entries: they must not change any more.
//
// With sync it returns once everything appended so far is durable: one write,
// one fdatasync, and that is the commit point. Without, nothing is promised
// until a later call with sync, or Close; a HardState alone is then not even
// written, it rides with the next batch.
//
// ErrGap, ErrCommitted, ErrBeyond and ErrTooLarge refuse the call and change
// nothing. Any other error is final: this and every later change returns it.
func (l *Log) Append(hs *raftpb.HardState, entries []*raftpb.Entry, sync bool) error {
	l.wmu.Lock()
	defer l.wmu.Unlock()
	if err := l.failure(); err != nil {
		return err
	}
	entries, err := l.admit(hs, entries)
	if err != nil {
		return err
	}
	b := batch{hs: l.index.hs, entries: entries}
	if hs != nil {
		b.hs = hardState{hs.GetTerm(), hs.GetVote(), max(hs.GetCommit(), l.index.base), true}
	}
	changed := b.hs != l.index.hs
	switch {
	case len(entries) > 0, sync && (changed || l.metaDue):
		err = l.write(b, sync)
	case sync:
		err = l.sync()
	case changed:
		l.metaDue = true
		l.mu.Lock()
		l.index.setHardState(b.hs)
		l.mu.Unlock()
	}
	if err != nil {
		return l.fail(err)
	}
	return nil
}

// admit refuses what would break the log and returns the entries that are not
// in it yet. Caller holds wmu.
func (l *Log) admit(hs *raftpb.HardState, entries []*raftpb.Entry) ([]*raftpb.Entry, error) {
	x, bytes := &l.index, 0
	for i, e := range entries {
		if e.GetIndex() != entries[0].GetIndex()+uint64(i) {
			return nil, fmt.Errorf("%w: %d comes %d after %d", ErrGap, e.GetIndex(), i, entries[0].GetIndex())
		}
		if bytes += len(e.GetData()) + 64; bytes > MaxBatch {
			return nil, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, MaxBatch)
		}
	}
	// What is compacted or committed is there for good; raft never sends
	// another entry in its place.
	for len(entries) > 0 && entries[0].GetIndex() <= x.hs.commit {
		e := entries[0]
		if i := e.GetIndex(); i > x.base && x.refs[i-x.lo].term != e.GetTerm() {
			return nil, fmt.Errorf("%w: %d of term %d by term %d", ErrCommitted, i, x.refs[i-x.lo].term, e.GetTerm())
		}
		entries = entries[1:]
	}
	last := x.last()
	if len(entries) > 0 {
		if i := entries[0].GetIndex(); i > last+1 {
			return nil, fmt.Errorf("%w: %d after %d", ErrGap, i, last)
		}
		last = entries[len(entries)-1].GetIndex()
	}
	if hs.GetCommit() > last {
		return nil, fmt.Errorf("%w: commit %d, last entry %d", ErrBeyond, hs.GetCommit(), last)
	}
	return entries, nil
}

// position is an entry's index and term.
type position struct{ index, term uint64 }

// batch is what one write carries: the HardState always, the base when it is
// due or the batch is the first of its segment, or a reset.
type batch struct {
	hs      hardState
	entries []*raftpb.Entry
	reset   *position
}

// encode fills l.buf with b, header left free, and returns the refs of its
// entries with offsets relative to the batch. Caller holds wmu.
func (l *Log) encode(b batch, withBase bool) []ref {
	buf := append(l.buf[:0], make([]byte, batchHeaderLen)...)
	switch {
	case b.reset != nil:
		buf = appendUints(buf, recordReset, b.reset.index, b.reset.term)
	case withBase:
		buf = appendUints(buf, recordBase, l.index.base, l.index.baseTerm, l.index.last())
	}
	if b.hs.set {
		buf = appendUints(buf, recordHardState, b.hs.term, b.hs.vote, b.hs.commit)
	}
	refs := make([]ref, len(b.entries))
	for i, e := range b.entries {
		var off, size int
		buf, off, size = appendEntry(buf, e)
		refs[i] = ref{term: e.GetTerm(), off: uint32(off), size: uint32(size), proto: uint32(bodyOf(e).protoSize())}
	}
	l.buf = buf
	return refs
}

// write puts b on disk, into the next segment if it does not fit into the
// active one, and then makes it visible. Any error is final. Caller holds wmu.
func (l *Log) write(b batch, sync bool) error {
	refs := l.encode(b, l.metaDue || l.active.end == sectorSize)
	if b.reset != nil || l.active.end+roundUp(int64(len(l.buf))) > l.active.size {
		refs = l.encode(b, true)
		first := l.index.last() + 1
		switch {
		case b.reset != nil:
			first = b.reset.index + 1
		case len(b.entries) > 0:
			first = b.entries[0].GetIndex()
		}
		if err := l.rotate(first, int64(len(l.buf))); err != nil {
			return err
		}
	}
	s := l.active
	l.buf = sealBatch(l.buf, s.sum, l.written+1, l.durable)
	if _, err := s.file.WriteAt(l.buf, s.end); err != nil {
		return fmt.Errorf("wal: write %s at %d: %w", s.name, s.end, err)
	}
	start := s.end
	l.written++
	l.unsynced += len(l.buf)
	l.metaDue = false
	s.end += int64(len(l.buf))
	l.size.Add(int64(len(l.buf)))
	if cap(l.buf) > keepBuffer {
		l.buf = nil
	}
	if sync {
		if err := l.sync(); err != nil {
			return err
		}
	}
	return l.publish(b, refs, start)
}

// publish makes a written batch visible to readers. Caller holds wmu.
func (l *Log) publish(b batch, refs []ref, start int64) error {
	s := l.active
	l.mu.Lock()
	defer l.mu.Unlock()
	if b.reset != nil {
		l.index.reset(b.reset.index, b.reset.term)
		l.cache.clear()
	}
	l.index.setHardState(b.hs)
	for i, r := range refs {
		e := b.entries[i]
		r.segment, r.off = uint32(s.seq), r.off+uint32(start)
		if err := l.index.put(e.GetIndex(), r); err != nil {
			return fmt.Errorf("wal: %w", err) // admit let through what the index refuses
		}
		l.cache.add(e)
		s.maxIndex = max(s.maxIndex, e.GetIndex())
	}
	return nil
}

// sync makes all written batches durable. Caller holds wmu.
func (l *Log) sync() error {
	if l.unsynced == 0 {
		return nil
	}
	begin := time.Now()
	if err := l.active.file.Datasync(); err != nil {
		return fmt.Errorf("wal: sync %s: %w", l.active.name, err)
	}
	if l.o.OnSync != nil {
		l.o.OnSync(time.Since(begin), l.unsynced)
	}
	l.durable, l.unsynced = l.written, 0
	return nil
}

// flush is sync for Close: what rides with the next batch goes too.
func (l *Log) flush() error {
	if l.metaDue {
		return l.write(batch{hs: l.index.hs}, true)
	}
	return l.sync()
}
