package wal

import (
	"fmt"
	"path/filepath"

	"go.etcd.io/raft/v3/raftpb"
)

// Compact says that the entries up to index, which is of term, are not needed
// any more: a durable checkpoint has them. Whole segments below it are removed;
// if there is none, only memory changes and the rest rides with the next batch.
// An index at or below the present base is no work and no error.
//
// ErrBeyond: index is not in the log, or has another term. Any other error is
// final, as in Append.
func (l *Log) Compact(index, term uint64) error {
	l.rmu.Lock()
	defer l.rmu.Unlock()
	dead, err := l.compact(index, term)
	if err != nil || dead == 0 {
		return err
	}
	return l.removeOldest(dead)
}

// compact moves the base and returns how many segments that leaves without a
// live entry. The base is durable before it says so: a segment that is gone
// must not be missed by a replay of the others. Caller holds rmu.
func (l *Log) compact(index, term uint64) (dead int, err error) {
	l.wmu.Lock()
	defer l.wmu.Unlock()
	if err := l.failure(); err != nil {
		return 0, err
	}
	x := &l.index
	if index <= x.base {
		return 0, nil
	}
	if index > x.last() {
		return 0, fmt.Errorf("%w: compact to %d, last entry %d", ErrBeyond, index, x.last())
	}
	if have := x.refs[index-x.lo].term; have != term {
		return 0, fmt.Errorf("%w: compact to %d of term %d, the log's is of term %d", ErrBeyond, index, term, have)
	}
	l.mu.Lock()
	err = x.compact(index, term)
	l.cache.compact(index)
	l.mu.Unlock()
	l.metaDue = true
	if err != nil {
		return 0, l.fail(err)
	}
	if dead = l.deadSegments(); dead == 0 {
		return 0, nil
	}
	if err := l.flush(); err != nil {
		return 0, l.fail(err)
	}
	return l.deadSegments(), nil // flush may have rotated
}

// Reset starts the log over after a snapshot: it holds no entry, FirstIndex is
// index+1 and Term(index) is term. hs replaces the HardState, nil keeps term and
// vote; Commit becomes index. It is durable before Reset returns.
//
// The commit point is one batch, the first of a new segment: a crash leaves the
// old log or the new one. The old segments go afterwards.
//
// ErrBeyond: hs.Commit is above index. Any other error is final, as in Append.
func (l *Log) Reset(index, term uint64, hs *raftpb.HardState) error {
	l.rmu.Lock()
	defer l.rmu.Unlock()
	dead, err := l.reset(position{index, term}, hs)
	if err != nil {
		return err
	}
	return l.removeOldest(dead)
}

// reset writes the batch and returns how many segments that makes dead. Caller
// holds rmu.
func (l *Log) reset(to position, hs *raftpb.HardState) (dead int, err error) {
	l.wmu.Lock()
	defer l.wmu.Unlock()
	if err := l.failure(); err != nil {
		return 0, err
	}
	if hs.GetCommit() > to.index {
		return 0, fmt.Errorf("%w: commit %d, reset to %d", ErrBeyond, hs.GetCommit(), to.index)
	}
	h := l.index.hs
	if hs != nil {
		h = hardState{term: hs.GetTerm(), vote: hs.GetVote()}
	}
	h.commit, h.set = to.index, true
	if err := l.write(batch{hs: h, reset: &to}, true); err != nil {
		return 0, l.fail(err)
	}
	return len(l.segments) - 1, nil
}

// deadSegments counts the oldest segments that hold no entry above base. They
// may go only if the active segment holds a batch: its first one repeats the
// base, which is otherwise written nowhere else. Caller holds wmu, and rmu or is Open.
func (l *Log) deadSegments() int {
	n := 0
	for n < len(l.segments)-1 && l.segments[n].maxIndex <= l.index.base {
		n++
	}
	return n
}

// removeOldest removes the n oldest segments, each durably before the next: a
// crash never leaves a hole in the sequence. Caller holds rmu, or is Open.
func (l *Log) removeOldest(n int) error {
	for range n {
		l.mu.Lock()
		s := l.segments[0]
		l.segments = l.segments[1:]
		l.mu.Unlock()
		l.size.Add(-s.end)
		// A reader that still holds s finds its entries below base when the read fails.
		s.file.Close()
		if err := l.o.FS.Remove(filepath.Join(l.o.Dir, s.name)); err != nil {
			return l.fail(fmt.Errorf("wal: remove %s: %w", s.name, err))
		}
		if err := l.o.FS.SyncDir(l.o.Dir); err != nil {
			return l.fail(fmt.Errorf("wal: remove %s: %w", s.name, err))
		}
	}
	return nil
}
