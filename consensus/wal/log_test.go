package wal_test

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/doozer-store/doozer/consensus/wal"
	"github.com/doozer-store/doozer/consensus/wal/faultfs"
)

func TestANewLogIsEmpty(t *testing.T) {
	l := open(t, small(faultfs.New()))
	same(t, l, &model{})
	if l.HardState() != nil {
		t.Errorf("HardState is %v", l.HardState())
	}
	if _, err := l.Entries(0, 1, 1); err != raft.ErrCompacted {
		t.Errorf("Entries(0, 1): %v", err)
	}
	if _, err := l.Entries(1, 2, 1); err != raft.ErrUnavailable {
		t.Errorf("Entries(1, 2): %v", err)
	}
	if _, err := l.Term(1); err != raft.ErrUnavailable {
		t.Errorf("Term(1): %v", err)
	}
}

func TestAppendedStateSurvivesReopen(t *testing.T) {
	fs, m := faultfs.New(), &model{}
	l := open(t, small(fs))
	for _, step := range []struct {
		what    string
		hs      *raftpb.HardState
		entries []*raftpb.Entry
		sync    bool
	}{
		{"first entries", hard(1, 2, 0), span(1, 5, 1, 100), true},
		{"commit alone, not synced", hard(1, 2, 5), nil, false},
		{"entries alone", nil, span(6, 3, 1, 10), true},
		{"a vote alone", hard(2, 3, 5), nil, true},
		{"a conflict", hard(3, 0, 5), span(7, 1, 3, 10), true},
		{"not synced", nil, span(8, 4, 3, 10), false},
		{"nothing", nil, nil, true},
		{"larger than a segment", hard(3, 0, 8), span(12, 3, 3, 9000), true},
		{"small again", nil, span(15, 1, 3, 0), false},
	} {
		must(t, l.Append(step.hs, step.entries, step.sync))
		m.append(step.hs, step.entries)
		same(t, l, m)
		must(t, l.Close())
		l = open(t, small(fs))
		if same(t, l, m); t.Failed() {
			t.Fatal(step.what)
		}
	}
}

func TestAppendRefusesWhatWouldBreakTheLog(t *testing.T) {
	fs := faultfs.New()
	l, m := open(t, small(fs)), &model{}
	must(t, l.Append(hard(2, 1, 4), span(1, 8, 2, 10), true))
	m.append(hard(2, 1, 4), span(1, 8, 2, 10))
	must(t, l.Compact(2, 2))
	m.compact(2)
	huge := make([]byte, 1<<20)
	var tooLarge []*raftpb.Entry
	for i := range uint64(257) {
		tooLarge = append(tooLarge, &raftpb.Entry{Term: new(uint64(2)), Index: new(9 + i), Data: huge})
	}
	for _, c := range []struct {
		what string
		call func() error
		want error
	}{
		{"gap", func() error { return l.Append(nil, span(10, 1, 2, 0), true) }, wal.ErrGap},
		{"hole between the entries", func() error {
			return l.Append(nil, append(span(9, 1, 2, 0), span(11, 1, 2, 0)...), true)
		}, wal.ErrGap},
		{"committed entry of another term", func() error { return l.Append(nil, span(4, 2, 3, 0), true) }, wal.ErrCommitted},
		{"commit beyond the log", func() error { return l.Append(hard(2, 1, 9), nil, true) }, wal.ErrBeyond},
		{"commit beyond a truncated log", func() error { return l.Append(hard(3, 1, 8), span(6, 1, 3, 0), true) }, wal.ErrBeyond},
		{"too large", func() error { return l.Append(nil, tooLarge, true) }, wal.ErrTooLarge},
		{"compact beyond the log", func() error { return l.Compact(9, 2) }, wal.ErrBeyond},
		{"compact with another term", func() error { return l.Compact(5, 1) }, wal.ErrBeyond},
		{"reset below its commit", func() error { return l.Reset(20, 2, hard(2, 1, 21)) }, wal.ErrBeyond},
		{"compact again", func() error { return l.Compact(2, 2) }, nil},
		{"compacted and committed entries again", func() error { return l.Append(nil, span(1, 4, 2, 0), true) }, nil},
	} {
		if err := c.call(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
		same(t, l, m)
	}
	must(t, l.Append(nil, span(9, 1, 2, 0), true))
	m.append(nil, span(9, 1, 2, 0))
	same(t, l, m)
}

func TestCompactRemovesWholeSegments(t *testing.T) {
	fs, m := faultfs.New(), &model{}
	l := open(t, small(fs))
	for i := uint64(1); i <= 20; i++ {
		must(t, l.Append(hard(1, 1, i), span(i, 1, 1, 900), true))
		m.append(hard(1, 1, i), span(i, 1, 1, 900))
	}
	before, size := len(fs.Files()), l.Size()
	must(t, l.Compact(2, 1))
	m.compact(2)
	if same(t, l, m); len(fs.Files()) != before {
		t.Errorf("%q: a segment with live entries was removed", fs.Files())
	}
	must(t, l.Compact(20, 1))
	m.compact(20)
	if same(t, l, m); len(fs.Files()) != 1 || l.Size() >= size || l.Size() == 0 {
		t.Errorf("%q, %d bytes remain of %d", fs.Files(), l.Size(), size)
	}
	if _, err := l.Entries(20, 21, 1); err != raft.ErrCompacted {
		t.Errorf("Entries(20, 21): %v", err)
	}
	must(t, l.Append(nil, span(21, 1, 1, 10), true))
	m.append(nil, span(21, 1, 1, 10))
	size = l.Size()
	must(t, l.Close())
	l = open(t, small(fs))
	if same(t, l, m); l.Size() != size {
		t.Errorf("%d bytes after reopen, %d before", l.Size(), size)
	}
}

// The segment a reader is about to read from goes away under it.
func TestAReadThatLosesItsSegment(t *testing.T) {
	for _, c := range []struct {
		what string
		call func(l *wal.Log) error
		want error
	}{
		{"compacted", func(l *wal.Log) error { return l.Compact(10, 1) }, raft.ErrCompacted},
		{"reset ahead", func(l *wal.Log) error { return l.Reset(30, 1, nil) }, raft.ErrCompacted},
		{"reset back", func(l *wal.Log) error { return l.Reset(1, 1, nil) }, raft.ErrUnavailable},
		{"closed", func(l *wal.Log) error { return l.Close() }, wal.ErrClosed},
	} {
		fs, m := faultfs.New(), &model{}
		l := open(t, small(fs))
		must(t, appendUntil(l, m, 12, 900))
		fs.SetFault(func(op faultfs.Op) error {
			if op.Kind != faultfs.OpRead {
				return nil
			}
			fs.SetFault(nil)
			return c.call(l)
		})
		if _, err := l.Entries(2, 5, 1<<20); err != c.want {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
	}
}

func TestResetStartsOver(t *testing.T) {
	for _, c := range []struct {
		what        string
		index, term uint64
		hs          *raftpb.HardState
	}{
		{"ahead", 100, 5, hard(6, 2, 100)},
		{"ahead, commit to be raised", 100, 5, hard(6, 2, 0)},
		{"back, HardState kept", 6, 5, nil},
	} {
		t.Run(c.what, func(t *testing.T) {
			fs, m := faultfs.New(), &model{}
			l := open(t, small(fs))
			must(t, l.Append(hard(4, 1, 5), span(1, 20, 4, 700), true))
			m.append(hard(4, 1, 5), nil)
			must(t, l.Reset(c.index, c.term, c.hs))
			m.reset(c.index, c.term, c.hs)
			if same(t, l, m); len(fs.Files()) != 1 {
				t.Errorf("old segments remain: %q", fs.Files())
			}
			must(t, l.Append(nil, span(c.index+1, 2, 6, 10), true))
			m.append(nil, span(c.index+1, 2, 6, 10))
			must(t, l.Close())
			same(t, open(t, small(fs)), m)
		})
	}
}

// A crash after Reset's commit point leaves old segments, whatever indexes they
// hold; the next Open removes them.
func TestOpenFinishesAReset(t *testing.T) {
	fs, m := faultfs.New(), &model{}
	l := open(t, small(fs))
	must(t, appendUntil(l, m, 20, 900))
	fs.SetFault(func(op faultfs.Op) error {
		if op.Kind == faultfs.OpRemove {
			return faultfs.ErrPower
		}
		return nil
	})
	if err := l.Reset(5, 1, hard(3, 1, 5)); !errors.Is(err, faultfs.ErrPower) {
		t.Fatalf("got %v", err)
	}
	m.reset(5, 1, hard(3, 1, 5))
	fs.SetFault(nil)
	if len(fs.Files()) < 3 {
		t.Fatalf("only %q", fs.Files())
	}
	l = open(t, small(fs))
	if same(t, l, m); len(fs.Files()) != 1 {
		t.Errorf("left %q", fs.Files())
	}
}

func TestOpenRefusesAForeignOrNewerLog(t *testing.T) {
	fs := faultfs.New()
	l := open(t, small(fs))
	must(t, l.Append(nil, span(1, 2, 1, 10), true))
	must(t, l.Close())
	o := small(fs)
	o.BootstrapID[5] = 9
	if _, err := wal.Open(o); !errors.Is(err, wal.ErrForeign) || !strings.Contains(err.Error(), "bootstrap id") {
		t.Errorf("another cluster: %v", err)
	}
	o = small(fs)
	o.Node = 8
	if _, err := wal.Open(o); !errors.Is(err, wal.ErrForeign) || !strings.Contains(err.Error(), "node id") {
		t.Errorf("another node: %v", err)
	}
	newer := replaced(t, fs, dir+"/"+wal.SegmentName(1, 1), func(b []byte) []byte {
		wal.SetVersion(b, 9)
		return b
	})
	if _, err := wal.Open(small(newer)); !errors.Is(err, wal.ErrNewerFormat) {
		t.Errorf("newer format: %v", err)
	}
	same(t, open(t, small(fs)), &model{entries: span(1, 2, 1, 10)})
}

func TestOptions(t *testing.T) {
	for what, change := range map[string]func(o *wal.Options){
		"no directory":   func(o *wal.Options) { o.Dir = "" },
		"tiny segment":   func(o *wal.Options) { o.SegmentSize = 512 },
		"huge segment":   func(o *wal.Options) { o.SegmentSize = 2 << 30 },
		"negative cache": func(o *wal.Options) { o.CacheBytes = -1 },
	} {
		o := small(faultfs.New())
		change(&o)
		if _, err := wal.Open(o); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
	o := wal.Options{Dir: t.TempDir()} // all defaults, on disk
	l := open(t, o)
	must(t, l.Append(hard(1, 1, 0), span(1, 1, 1, 10), true))
	must(t, l.Close())
	info, err := os.Stat(o.Dir + "/" + wal.SegmentName(1, 1))
	if err != nil || info.Size() != wal.DefaultSegmentSize {
		t.Errorf("%v, %v", info, err)
	}
	if left, _ := os.ReadDir(o.Dir); len(left) != 1 {
		t.Errorf("Close left %v", left)
	}
}

func TestOnSyncTellsWhatWasSynced(t *testing.T) {
	var synced []int
	o := small(faultfs.New())
	o.OnSync = func(d time.Duration, bytes int) { synced = append(synced, bytes) }
	l := open(t, o)
	must(t, l.Append(nil, span(1, 1, 1, 10), true))
	must(t, l.Append(nil, span(2, 1, 1, 10), false))
	must(t, l.Append(nil, span(3, 1, 1, 600), false))
	must(t, l.Append(nil, nil, true))
	must(t, l.Append(nil, nil, true))
	must(t, l.Append(hard(1, 1, 1), nil, false))
	if !slices.Equal(synced, []int{512, 512 + 1024}) {
		t.Errorf("synced %v", synced)
	}
}

func TestAClosedLogRefusesEverything(t *testing.T) {
	l := open(t, small(faultfs.New()))
	must(t, l.Append(nil, span(1, 5, 1, 900), true))
	must(t, l.Close())
	must(t, l.Close())
	_, entriesErr := l.Entries(1, 2, 0)
	for what, err := range map[string]error{
		"Append":  l.Append(nil, span(6, 1, 1, 10), true),
		"Compact": l.Compact(1, 1),
		"Reset":   l.Reset(1, 1, nil),
		"Entries": entriesErr,
	} {
		if err != wal.ErrClosed {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestReadsComeFromDiskWithinTheCacheBound(t *testing.T) {
	fs := faultfs.New()
	l := open(t, small(fs))
	must(t, l.Append(nil, span(1, 10, 1, 500), true))
	reads := 0
	fs.SetFault(func(op faultfs.Op) error {
		if op.Kind == faultfs.OpRead {
			reads++
		}
		return nil
	})
	got, err := l.Entries(9, 11, 1<<20)
	if err != nil || len(got) != 2 || reads != 0 {
		t.Errorf("newest: %d entries, %v, %d reads", len(got), err, reads)
	}
	got, err = l.Entries(1, 11, 1<<20)
	if err != nil || len(got) != 10 || reads != 1 {
		t.Errorf("all: %d entries, %v, %d reads", len(got), err, reads)
	}
	if !bytes.Equal(got[3].Data, entry(4, 1, 500).Data) {
		t.Errorf("entry 4 is %q", got[3].Data)
	}
}

// Readers and a compactor run beside a writer; the race detector judges the rest.
func TestReadersBesideAWriter(t *testing.T) {
	o := small(faultfs.New())
	o.Foreground = false
	l := open(t, o)
	const total = 600
	done, failed := make(chan struct{}), make(chan error, 8)
	read := func() error {
		first, _ := l.FirstIndex()
		last, _ := l.LastIndex()
		entries, err := l.Entries(first, last+1, 5000)
		if err == raft.ErrCompacted {
			return nil // compacted since
		}
		for i, e := range entries {
			if e.GetIndex() != first+uint64(i) || !bytes.Equal(e.Data, entry(first+uint64(i), 1, 200).Data) {
				return errors.New("read " + e.String())
			}
		}
		return err
	}
	loop := func(fn func() error) {
		for {
			select {
			case <-done:
				failed <- nil
				return
			default:
			}
			if err := fn(); err != nil {
				failed <- err
				return
			}
		}
	}
	go loop(read)
	go loop(read)
	go loop(func() error {
		if last, _ := l.LastIndex(); last > 20 {
			return l.Compact(last-20, 1)
		}
		_ = l.Size()
		return nil
	})
	for i := uint64(1); i <= total; i++ {
		must(t, l.Append(hard(1, 1, i), span(i, 1, 1, 200), true))
	}
	close(done)
	for range 3 {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
}
