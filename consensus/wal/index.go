package wal

import (
	"fmt"

	"go.etcd.io/raft/v3/raftpb"
)

// ref says where an entry's record body lies.
type ref struct {
	term    uint64
	segment uint32 // low bits of the segment's sequence number
	off     uint32
	size    uint32
	proto   uint32 // proto.Size of the entry
}

// index is what the log holds, without the data. Replay and Append drive it
// with the same calls, so what was accepted is what is found again.
//
// Invariants outside replay: lo == base+1; refs[i] is entry lo+i. In replay of
// a log whose oldest segments were removed, lo may be above base+1 until the
// record of the compaction is met.
type index struct {
	base, baseTerm uint64 // entries up to base are gone; base's term is kept
	lo             uint64
	refs           []ref
	hs             hardState
}

func (x *index) last() uint64 { return x.lo + uint64(len(x.refs)) - 1 }

// put adds entry i, replacing it and what follows when it is there already.
func (x *index) put(i uint64, r ref) error {
	switch {
	case i <= x.base:
		return fmt.Errorf("entry %d is at or below the log's base %d", i, x.base)
	case i > x.last()+1:
		return fmt.Errorf("entry %d follows entry %d", i, x.last())
	case i < x.lo:
		x.lo, x.refs = i, x.refs[:0]
	}
	x.refs = append(x.refs[:i-x.lo], r)
	return nil
}

// compact forgets the entries up to i.
func (x *index) compact(i, term uint64) error {
	if i < x.base || i > x.last() {
		return fmt.Errorf("base %d is outside the log's %d to %d", i, x.base, x.last())
	}
	x.base, x.baseTerm = i, term
	if i >= x.lo {
		x.refs = x.refs[i-x.lo+1:]
		x.lo = i + 1
	}
	x.raiseCommit()
	return nil
}

// reset drops all entries; the log goes on after i.
func (x *index) reset(i, term uint64) {
	x.base, x.baseTerm, x.lo, x.refs = i, term, i+1, nil
	x.raiseCommit()
}

// raiseCommit keeps the commit index at or above base: what is compacted was
// committed, and raft refuses to start from less.
func (x *index) raiseCommit() {
	if x.hs.commit < x.base {
		x.hs.commit, x.hs.set = x.base, true
	}
}

func (x *index) setHardState(h hardState) {
	x.hs = h
	x.raiseCommit()
}

// check verifies after replay what must hold between the records.
func (x *index) check() error {
	if x.lo > x.base+1 {
		return fmt.Errorf("entries %d to %d are missing: an older segment is gone", x.base+1, x.lo-1)
	}
	if x.hs.commit > x.last() {
		return fmt.Errorf("entry %d is committed, but the log ends at %d", x.hs.commit, x.last())
	}
	return nil
}

// cache holds the newest entries, consecutive and ending with the log's last,
// up to a number of bytes. Entries are the caller's own and never changed.
type cache struct {
	lo      uint64 // index of entries[0]
	entries []*raftpb.Entry
	bytes   int64
	limit   int64
}

func entryCost(e *raftpb.Entry) int64 { return int64(len(e.GetData())) + cacheOverhead }

// add appends e, after dropping what e replaces, and evicts the oldest.
func (c *cache) add(e *raftpb.Entry) {
	if i := e.GetIndex(); len(c.entries) == 0 || i < c.lo || i > c.lo+uint64(len(c.entries)) {
		c.clear()
		c.lo = i
	} else {
		c.dropBack(int(i - c.lo))
	}
	c.entries = append(c.entries, e)
	c.bytes += entryCost(e)
	for c.bytes > c.limit {
		c.dropFront()
	}
}

// dropBack keeps the first n entries.
func (c *cache) dropBack(n int) {
	for i := n; i < len(c.entries); i++ {
		c.bytes -= entryCost(c.entries[i])
		c.entries[i] = nil
	}
	c.entries = c.entries[:n]
}

func (c *cache) dropFront() {
	c.bytes -= entryCost(c.entries[0])
	c.entries[0] = nil
	c.entries = c.entries[1:]
	c.lo++
}

// compact drops the entries up to i.
func (c *cache) compact(i uint64) {
	for len(c.entries) > 0 && c.lo <= i {
		c.dropFront()
	}
}

func (c *cache) clear() { c.entries, c.bytes = nil, 0 }

// get returns entry i, or nil when only the disk has it.
func (c *cache) get(i uint64) *raftpb.Entry {
	if i < c.lo || i-c.lo >= uint64(len(c.entries)) {
		return nil
	}
	return c.entries[i-c.lo]
}
