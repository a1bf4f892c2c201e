package consensus

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// TestGather has a leader that yields before it makes an entry: what comes
// meanwhile is in the entry, and one that others never stop adding to is made
// all the same.
func TestGather(t *testing.T) {
	var yield atomic.Pointer[func()]
	c := newCluster(t, 1, 1, func(cfg *Config) {
		cfg.Yield = func() {
			if f := yield.Load(); f != nil {
				(*f)()
			}
		}
	})
	n := c.node(c.leader())

	// An entry of two writes: both come while the loop is held up.
	held, hold := make(chan struct{}), make(chan struct{})
	n.event(func(*core, time.Time) { close(held); <-hold })
	get(t, "the loop", held)
	first := []<-chan answer{c.propose(1, "one", patience), c.propose(1, "two", patience)}
	close(hold)
	for _, a := range first {
		get(t, "one and two", a)
	}

	var later []<-chan answer
	add := func() {
		if len(later) < 3 {
			later = append(later, c.propose(1, fmt.Sprint("later ", len(later)), patience))
		}
	}
	yield.Store(&add)
	get(t, "the one that gathers", c.propose(1, "gathers", patience))
	yield.Store(nil)
	for _, a := range later {
		get(t, "one that was gathered", a)
	}
	want := []string{"gathers", "later 0", "later 1", "later 2"}
	if got := entryOf(t, c.hosts[1].log, "gathers"); !slices.Equal(got, want) {
		t.Errorf("the entry has %q, want %q", got, want)
	}

	var count atomic.Int64
	always := func() {
		n.Propose(fmt.Appendf(nil, "endless %d", count.Add(1)), time.Now().Add(patience), func(any, error) {})
	}
	yield.Store(&always)
	get(t, "a write while others come for ever", c.propose(1, "in between", patience))
	yield.Store(nil)
	if count.Load() == 0 {
		t.Error("the last entry did not wait at all")
	}
}

// entryOf returns the commands of the entry that has command.
func entryOf(t *testing.T, log *memLog, command string) (all []string) {
	t.Helper()
	log.mu.Lock()
	defer log.mu.Unlock()
	for _, e := range log.now.entries {
		var r entryReader
		if _, _, err := r.decode(e.GetData()); err != nil || len(e.GetData()) == 0 {
			continue
		}
		all = all[:0]
		for _, b := range r.commands {
			all = append(all, string(b))
		}
		if slices.Contains(all, command) {
			return all
		}
	}
	t.Fatalf("no entry has %q", command)
	return nil
}
