package consensus

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// logState is what a log holds.
type logState struct {
	base, baseTerm uint64
	entries        []*raftpb.Entry
	hs             *raftpb.HardState
}

func (s logState) last() uint64 { return s.base + uint64(len(s.entries)) }

// memLog is a Log in memory that knows what a power cut would leave of it.
type memLog struct {
	mu      sync.Mutex
	now     logState
	durable logState
	syncs   int
	// onAppend is called before an append or a reset, without the mutex; its
	// error is theirs.
	onAppend func(entries []*raftpb.Entry) error
	// onTerm replaces Term's error.
	onTerm error
	resets int
}

var errMemLog = errors.New("memLog: misused")

func (l *memLog) HardState() *raftpb.HardState {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.now.hs == nil {
		return nil
	}
	return proto.Clone(l.now.hs).(*raftpb.HardState)
}

func (l *memLog) FirstIndex() (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now.base + 1, nil
}

func (l *memLog) LastIndex() (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now.last(), nil
}

func (l *memLog) Term(i uint64) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.onTerm != nil:
		return 0, l.onTerm
	case i < l.now.base:
		return 0, raft.ErrCompacted
	case i > l.now.last():
		return 0, raft.ErrUnavailable
	case i == l.now.base:
		return l.now.baseTerm, nil
	}
	return l.now.entries[i-l.now.base-1].GetTerm(), nil
}

func (l *memLog) Entries(lo, hi, maxSize uint64) ([]*raftpb.Entry, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case lo <= l.now.base:
		return nil, raft.ErrCompacted
	case hi > l.now.last()+1:
		return nil, raft.ErrUnavailable
	}
	es := l.now.entries[lo-l.now.base-1 : hi-l.now.base-1]
	size := uint64(0)
	for i, e := range es {
		if size += uint64(proto.Size(e)); size > maxSize && i > 0 {
			return slices.Clone(es[:i]), nil
		}
	}
	return slices.Clone(es), nil
}

func (l *memLog) Append(hs *raftpb.HardState, entries []*raftpb.Entry, sync bool) error {
	if f := l.hook(); f != nil {
		if err := f(entries); err != nil {
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(entries) > 0 {
		first := entries[0].GetIndex()
		if first > l.now.last()+1 || first <= l.now.base || first <= l.now.hs.GetCommit() {
			return fmt.Errorf("%w: append at %d, log %d..%d, commit %d", errMemLog, first, l.now.base, l.now.last(), l.now.hs.GetCommit())
		}
		l.now.entries = append(slices.Clone(l.now.entries[:first-l.now.base-1]), entries...)
	}
	if hs != nil {
		if hs.GetCommit() > l.now.last() {
			return fmt.Errorf("%w: commit %d, last %d", errMemLog, hs.GetCommit(), l.now.last())
		}
		l.now.hs = hs
	}
	if sync {
		l.syncs++
		l.durable = l.now
	}
	return nil
}

func (l *memLog) hook() func([]*raftpb.Entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.onAppend
}

func (l *memLog) setHook(f func([]*raftpb.Entry) error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.onAppend = f
}

func (l *memLog) Reset(index, term uint64, hs *raftpb.HardState) error {
	if f := l.hook(); f != nil {
		if err := f(nil); err != nil {
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if hs.GetCommit() > index {
		return fmt.Errorf("%w: commit %d, reset to %d", errMemLog, hs.GetCommit(), index)
	}
	l.now = logState{base: index, baseTerm: term, hs: hs}
	l.durable = l.now
	l.resets++
	return nil
}

func (l *memLog) Compact(index, term uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range []*logState{&l.now, &l.durable} {
		if index <= s.base {
			continue
		}
		if index > s.last() {
			return fmt.Errorf("%w: compact to %d, last %d", errMemLog, index, s.last())
		}
		s.entries = slices.Clone(s.entries[index-s.base:])
		s.base, s.baseTerm = index, term
	}
	return nil
}

func (l *memLog) Size() int64 { return 0 }

// crash leaves what was synced.
func (l *memLog) crash() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now, l.onAppend = l.durable, nil
}

func (l *memLog) state() logState {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now
}

func (l *memLog) syncCount() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.syncs
}
