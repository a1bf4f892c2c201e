package server

import (
	"sync"

	"github.com/doozer-store/doozer/store"
)

// hashRing remembers the root hash at every so many log indexes, for
// comparison with the peers'. Entries that are no commands (a leader's empty
// first one, changes of members) are not applied to the store, so the hash
// after index b is taken either after applying b or before applying whatever
// comes next.
type hashRing struct {
	every uint64
	tellF func(index uint64, rev int64, hash uint64) // may be nil

	// The applier's alone.
	last   uint64      // index the state includes
	untold []hashEntry // not yet given to tellF

	mu   sync.Mutex
	ring []hashEntry // by (index / every) % len
}

type hashEntry struct {
	index uint64
	rev   int64
	hash  uint64
}

// newHashRing returns a ring for a state that includes everything up to last.
func newHashRing(every uint64, size int, last uint64, tell func(uint64, int64, uint64)) hashRing {
	return hashRing{every: every, tellF: tell, last: last, ring: make([]hashEntry, size)}
}

// before is called before the entry at index is applied to st.
func (h *hashRing) before(index uint64, st *store.Store) {
	if b := (index - 1) / h.every * h.every; b > h.last {
		h.record(b, st)
	}
}

// after is called after the entry at index was applied to st.
func (h *hashRing) after(index uint64, st *store.Store) {
	h.last = index
	if index%h.every == 0 {
		h.record(index, st)
	}
}

// jump says that the state is another, which includes everything up to index.
func (h *hashRing) jump(index uint64) { h.last = index }

func (h *hashRing) record(index uint64, st *store.Store) {
	e := hashEntry{index: index, rev: st.Rev(), hash: st.Hash()}
	h.mu.Lock()
	h.ring[index/h.every%uint64(len(h.ring))] = e
	h.mu.Unlock()
	if h.tellF != nil {
		h.untold = append(h.untold, e)
	}
}

// tell calls tellF for what was recorded; the state's lock is not held.
func (h *hashRing) tell() {
	for _, e := range h.untold {
		h.tellF(e.index, e.rev, e.hash)
	}
	h.untold = h.untold[:0]
}

func (h *hashRing) at(index uint64) (rev int64, hash uint64, ok bool) {
	if index == 0 || index%h.every != 0 {
		return 0, 0, false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	e := h.ring[index/h.every%uint64(len(h.ring))]
	return e.rev, e.hash, e.index == index
}
