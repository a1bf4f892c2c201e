package rig

import (
	"slices"
	"sync"
	"time"
)

// Write is one attempt of a client to write an id of its own.
type Write struct {
	ID     int64
	Sent   time.Time
	Done   time.Time
	Server string // who acknowledged it; "" if nobody did
	// Stuck: its client knows one server only, the master of the beginning.
	Stuck bool
	// Waited is what WAIT returned for it; -1: it was not asked.
	Waited int
	Err    string // of a write that was not acknowledged
}

// Journal is what the clients of one trial did. It is safe for concurrent use.
type Journal struct {
	mu     sync.Mutex
	last   int64   // guarded by mu
	writes []Write // guarded by mu
}

// Next is an id that nobody has yet.
func (j *Journal) Next() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.last++
	return j.last
}

// Add takes a write whose outcome is known.
func (j *Journal) Add(w Write) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.writes = append(j.writes, w)
}

// Writes are all so far, in order of their ends.
func (j *Journal) Writes() []Write {
	j.mu.Lock()
	defer j.mu.Unlock()
	all := slices.Clone(j.writes)
	slices.SortStableFunc(all, func(a, b Write) int { return a.Done.Compare(b.Done) })
	return all
}

// LastError is why the last write of clients that follow was not acknowledged; "" if
// it was.
func (j *Journal) LastError() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, w := range slices.Backward(j.writes) {
		if !w.Stuck {
			return w.Err
		}
	}
	return ""
}

// Acked is how many writes of clients that follow were acknowledged since then.
func (j *Journal) Acked(since time.Time) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := 0
	for _, w := range j.writes {
		if w.Server != "" && !w.Stuck && !w.Sent.Before(since) {
			n++
		}
	}
	return n
}
