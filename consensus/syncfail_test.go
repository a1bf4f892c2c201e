package consensus

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/doozer-store/doozer/consensus/wal"
	"github.com/doozer-store/doozer/consensus/wal/faultfs"
)

// TestEverySyncFails runs a node on a real log, with all its goroutines, and
// fails its nth fdatasync, for many n: the node ends with that error, syncs
// nothing again, and acknowledges nothing from then on. After a power cut the
// log holds all that was acknowledged.
func TestEverySyncFails(t *testing.T) {
	count := 40
	if long() {
		count = 400
	}
	for n := 1; n <= count; n++ {
		fs := faultfs.New()
		var mu sync.Mutex
		syncs, later, failed := 0, 0, false
		fs.SetFault(func(op faultfs.Op) error {
			mu.Lock()
			defer mu.Unlock()
			if op.Kind != faultfs.OpSync {
				return nil
			}
			if syncs++; failed {
				later++
			}
			if syncs == n+3 { // the first three make the log's first segment, and the next
				failed = true
				return syscall.EIO
			}
			return nil
		})
		options := wal.Options{Dir: "/log", Node: 1, FS: fs, SegmentSize: 16 << 10, Foreground: true}
		log, err := wal.Open(options)
		if err != nil {
			t.Fatalf("sync %d: %v", n, err)
		}
		acked, err := proposeUntilItEnds(log, func() bool { mu.Lock(); defer mu.Unlock(); return failed })
		if !errors.Is(err, syscall.EIO) {
			t.Errorf("sync %d: it ended with %v", n, err)
		}
		if later > 0 {
			t.Errorf("sync %d: %d syncs after the failure", n, later)
		}
		options.FS = fs.CrashClone(rand.New(rand.NewPCG(uint64(n), 2)))
		if log, err = wal.Open(options); err != nil {
			t.Fatalf("sync %d: %v", n, err)
		}
		for _, cmd := range acked {
			if !slices.Contains(commandsOf(t, log), cmd) {
				t.Errorf("sync %d: %s was acknowledged and is lost", n, cmd)
			}
		}
		_ = log.Close()
		if t.Failed() {
			return
		}
	}
}

// proposeUntilItEnds runs a node alone on log and returns what it acknowledged,
// and why it ended: also that it acknowledged something once failed was true.
func proposeUntilItEnds(log *wal.Log, failed func() bool) (acked []string, err error) {
	w := newNetwork(1)
	defer w.close()
	defer log.Close()
	m := newMachine(Bootstrap([]uint64{1}))
	node, err := Open(Config{ID: 1, Nonce: 1, State: m.meta(), Log: log, Machine: m, Transport: wire{w, 1}, Wall: func() int64 { return 1 }})
	if err != nil {
		return nil, err
	}
	for i := 0; node.Err() == nil; i++ {
		cmd := fmt.Sprintf("command %d", i)
		done := make(chan error, 1)
		node.Propose([]byte(cmd), time.Now().Add(time.Hour), func(_ any, err error) {
			if err == nil && failed() {
				err = errors.New(cmd + " was acknowledged after the failure")
			} else if err != nil {
				err = nil // it was refused, and may be in the log
			} else {
				acked = append(acked, cmd)
			}
			done <- err
		})
		select {
		case err = <-done:
		case <-node.Done():
		}
		if err != nil {
			return acked, errors.Join(err, node.Stop())
		}
	}
	_ = node.Stop() // answers what waits
	return acked, node.Err()
}

// commandsOf returns the commands in a log.
func commandsOf(t *testing.T, log *wal.Log) (out []string) {
	t.Helper()
	first, _ := log.FirstIndex()
	last, _ := log.LastIndex()
	entries, err := log.Entries(first, last+1, ^uint64(0))
	if err != nil && last >= first {
		t.Fatal(err)
	}
	var r entryReader
	for _, e := range entries {
		if len(e.GetData()) == 0 {
			continue
		}
		_, groups, err := r.decode(e.GetData())
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range groups {
			for _, c := range g.commands {
				out = append(out, string(c))
			}
		}
	}
	return out
}
