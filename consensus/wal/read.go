package wal

import (
	"errors"
	"fmt"
	"io/fs"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
)

// FirstIndex is the lowest index Entries can return, once there is one.
func (l *Log) FirstIndex() (uint64, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.index.base + 1, nil
}

// LastIndex is the index of the newest entry, FirstIndex-1 when there is none.
func (l *Log) LastIndex() (uint64, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.index.last(), nil
}

// Term returns the term of entry i, which is in [FirstIndex-1, LastIndex].
// Errors: raft.ErrCompacted below, raft.ErrUnavailable above.
func (l *Log) Term(i uint64) (uint64, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	x := &l.index
	switch {
	case i < x.base:
		return 0, raft.ErrCompacted
	case i == x.base:
		return x.baseTerm, nil
	case i > x.last():
		return 0, raft.ErrUnavailable
	}
	return x.refs[i-x.lo].term, nil
}

// Entries returns the entries in [lo, hi), as many as fit into maxSize bytes of
// protobuf, but at least one. The slice is the caller's, the entries are not to
// be changed. Errors: raft.ErrCompacted, raft.ErrUnavailable, *CorruptError when
// the disk returns something else than was written.
func (l *Log) Entries(lo, hi, maxSize uint64) ([]*raftpb.Entry, error) {
	old, entries, err := l.plan(lo, hi, maxSize)
	if err != nil || len(old) == 0 {
		return entries, err
	}
	i := 0
	for i < len(old) {
		n := adjacent(old[i:])
		if err := readRun(old[i:i+n], entries[i:i+n], lo+uint64(i)); err != nil {
			return nil, l.explain(err, lo)
		}
		i += n
	}
	return entries, nil
}

// located is a ref with its segment looked up.
type located struct {
	ref
	in *segment
}

// plan decides under the lock which entries to return: old are to be read, the
// others are in place behind them.
func (l *Log) plan(lo, hi, maxSize uint64) (old []located, entries []*raftpb.Entry, err error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	x := &l.index
	switch {
	case errors.Is(l.err, ErrClosed):
		return nil, nil, ErrClosed
	case lo <= x.base:
		return nil, nil, raft.ErrCompacted
	case hi > x.last()+1:
		return nil, nil, raft.ErrUnavailable
	case lo >= hi:
		return nil, nil, nil
	}
	n, size := uint64(0), uint64(0)
	for _, r := range x.refs[lo-x.lo : hi-x.lo] {
		if size += uint64(r.proto); n > 0 && size > maxSize {
			break
		}
		n++
	}
	entries = make([]*raftpb.Entry, n)
	for i := range entries {
		if entries[i] = l.cache.get(lo + uint64(i)); entries[i] == nil {
			r := x.refs[lo+uint64(i)-x.lo]
			old = append(old, located{r, l.segments[r.segment-uint32(l.segments[0].seq)]})
		}
	}
	return old, entries, nil
}

// adjacent counts the leading refs that one read of bounded size covers.
func adjacent(refs []located) int {
	first, n := refs[0], 1
	for n < len(refs) && refs[n].in == first.in && refs[n].off > first.off &&
		refs[n].off+refs[n].size-first.off <= readSpan {
		n++
	}
	return n
}

// readRun reads the entries of refs, which lie in one segment, with one read;
// the first has index lo. What was written is never overwritten, so no lock is held.
func readRun(refs []located, out []*raftpb.Entry, lo uint64) error {
	s, first, last := refs[0].in, refs[0], refs[len(refs)-1]
	buf := make([]byte, last.off+last.size-first.off)
	if _, err := s.file.ReadAt(buf, int64(first.off)); err != nil {
		return fmt.Errorf("wal: read %s at %d: %w", s.name, first.off, err)
	}
	for i, r := range refs {
		at := r.off - first.off
		e, err := decodeEntry(buf[at:at+r.size:at+r.size], true)
		if err == nil && (e.index != lo+uint64(i) || e.term != r.term) {
			err = fmt.Errorf("found entry %d of term %d", e.index, e.term)
		}
		if err != nil {
			return &CorruptError{s.name, int64(r.off), fmt.Sprintf("entry %d: %v", lo+uint64(i), err)}
		}
		out[i] = e.proto()
	}
	return nil
}

// explain turns the error of a read from a segment that was removed meanwhile
// into what its caller would have got a moment later.
func (l *Log) explain(err error, lo uint64) error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	switch {
	case errors.Is(l.err, ErrClosed):
		return ErrClosed
	case lo <= l.index.base:
		return raft.ErrCompacted
	case errors.Is(err, fs.ErrClosed): // Reset to an index below lo
		return raft.ErrUnavailable
	}
	return err
}
