package wal_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/doozer-store/doozer/consensus/wal"
	"github.com/doozer-store/doozer/consensus/wal/faultfs"
)

// appendUntil appends synced entries until an error comes or count are in.
func appendUntil(l *wal.Log, m *model, count int, size int) error {
	for range count {
		i := m.last() + 1
		entries := span(i, 1, 1, size)
		if err := l.Append(hard(1, 1, i-1), entries, true); err != nil {
			return err
		}
		m.append(hard(1, 1, i-1), entries)
	}
	return nil
}

// afterFailure checks that l is dead with exactly this error, and that a restart
// finds what was acknowledged, and nothing beyond what was tried.
func afterFailure(t *testing.T, fs *faultfs.MemFS, l *wal.Log, m *model, first error) {
	t.Helper()
	fs.SetFault(nil) // the disk is well again: that must not matter
	next := m.last() + 1
	for what, err := range map[string]error{
		"Append":      l.Append(nil, span(next, 1, 1, 10), true),
		"Append hs":   l.Append(hard(9, 1, 0), nil, false),
		"Append sync": l.Append(nil, nil, true),
		"Compact":     l.Compact(1, 1),
		"Reset":       l.Reset(50, 1, nil),
	} {
		if err != first {
			t.Errorf("%s after the failure: %v, want %v", what, err, first)
		}
	}
	if err := l.Close(); !errors.Is(err, first) && err != nil {
		t.Errorf("Close: %v", err)
	}
	for seed := range uint64(8) {
		crashed := fs.CrashClone(rand.New(rand.NewPCG(seed, 3)))
		l, err := wal.Open(small(crashed))
		if err != nil {
			t.Errorf("open after the failure: %v", err)
			return
		}
		got := content(t, l)
		must(t, l.Close())
		for i, e := range m.entries {
			if i >= len(got.entries) || string(got.entries[i].Data) != string(e.Data) {
				t.Errorf("acknowledged entry %d is lost", e.GetIndex())
			}
		}
		if got.last() > m.last()+1 || got.hs.GetCommit() < m.hs.GetCommit() {
			t.Errorf("found %s after %s", got, m)
		}
	}
}

func TestAFailedSyncIsFinal(t *testing.T) {
	for _, kind := range []faultfs.OpKind{faultfs.OpSync, faultfs.OpWrite, faultfs.OpSyncDir, faultfs.OpRename} {
		for n := 1; ; n++ {
			fs, m := faultfs.New(), &model{}
			l := open(t, small(fs))
			fs.SetFault(faultfs.FailNth(kind, n, syscall.EIO))
			err := appendUntil(l, m, 12, 900)
			if err == nil {
				break
			}
			if !errors.Is(err, syscall.EIO) {
				t.Fatalf("%v %d: %v", kind, n, err)
			}
			afterFailure(t, fs, l, m, err)
			if t.Failed() {
				t.Fatalf("%v %d", kind, n)
			}
		}
	}
}

// A reader never sees an entry whose sync failed.
func TestAnEntryThatFailedToSyncIsNotReadable(t *testing.T) {
	fs, m := faultfs.New(), &model{}
	l := open(t, small(fs))
	must(t, appendUntil(l, m, 2, 10))
	fs.SetFault(faultfs.FailNth(faultfs.OpSync, 1, syscall.EIO))
	if err := l.Append(hard(2, 2, 3), span(3, 1, 2, 10), true); !errors.Is(err, syscall.EIO) {
		t.Fatalf("got %v", err)
	}
	same(t, l, m)
}

func TestADiskThatIsFull(t *testing.T) {
	for _, foreground := range []bool{true, false} {
		t.Run(fmt.Sprintf("foreground=%v", foreground), func(t *testing.T) {
			fs, m := faultfs.New(), &model{}
			o := small(fs)
			o.Foreground = foreground
			fs.SetFault(func(op faultfs.Op) error {
				if op.Kind == faultfs.OpAllocate && op.N > 10 {
					return syscall.ENOSPC
				}
				return nil
			})
			l := open(t, o)
			err := appendUntil(l, m, 100, 900)
			if !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("got %v", err)
			}
			afterFailure(t, fs, l, m, err)
			for _, name := range fs.Files() {
				if name == dir+"/next.tmp" {
					t.Error("the unfinished segment was left behind")
				}
			}
		})
	}
}

// Space that came free since the background preparation failed is used.
func TestAFullDiskIsTriedAgainWhenTheSegmentIsNeeded(t *testing.T) {
	fs, m := faultfs.New(), &model{}
	o := small(fs)
	o.Foreground = false
	prepared := make(chan struct{})
	count := 0 // allocations come one after the other
	fs.SetFault(func(op faultfs.Op) error {
		if op.Kind != faultfs.OpAllocate {
			return nil
		}
		if count++; count == 2 {
			close(prepared)
			return syscall.ENOSPC
		}
		return nil
	})
	l := open(t, o)
	<-prepared
	must(t, appendUntil(l, m, 10, 900))
	same(t, l, m)
}

func TestOpenReportsWhatFails(t *testing.T) {
	fs, m := faultfs.New(), &model{}
	l := open(t, small(fs))
	must(t, appendUntil(l, m, 10, 900))
	must(t, l.Close())
	for n := range 100 {
		fs := fs.CrashClone(rand.New(rand.NewPCG(1, 1)))
		begun := 0
		fs.SetFault(func(op faultfs.Op) error {
			if begun++; begun == n+1 {
				return syscall.EIO
			}
			return nil
		})
		l, err := wal.Open(small(fs))
		if err == nil {
			fs.SetFault(nil)
			same(t, l, m)
			must(t, l.Close())
			if n < 8 {
				t.Errorf("operation %d failed unnoticed", n)
			}
			return
		}
		if !errors.Is(err, syscall.EIO) {
			t.Errorf("operation %d: %v", n, err)
		}
	}
	t.Error("Open has no end")
}

// A log of more than one read is spoiled so that Open has to look at its tail,
// and each of its reads fails in turn.
func TestOpenReportsEveryFailedRead(t *testing.T) {
	fs := faultfs.New()
	o := small(fs)
	o.SegmentSize = 4 << 20
	l := open(t, o)
	must(t, l.Append(nil, span(1, 1, 1, 600<<10), true))
	must(t, l.Append(nil, span(2, 3, 1, 400<<10), true))
	must(t, l.Append(nil, span(5, 3, 1, 400<<10), true)) // of which sectors are lost
	name := fs.Files()[0]
	data, err := fs.ReadFile(name)
	must(t, err)
	last := wal.Batches(data)[2]
	clear(data[last[0]+512 : last[0]+1024])
	for n := 1; ; n++ {
		torn := replaced(t, fs, name, func([]byte) []byte { return data })
		torn.SetFault(faultfs.FailNth(faultfs.OpRead, n, syscall.EIO))
		o.FS = torn
		l, err := wal.Open(o)
		if err == nil {
			torn.SetFault(nil)
			same(t, l, &model{entries: append(span(1, 1, 1, 600<<10), span(2, 3, 1, 400<<10)...)})
			if n < 7 {
				t.Errorf("only %d reads", n-1)
			}
			return
		}
		if !errors.Is(err, syscall.EIO) {
			t.Errorf("read %d: %v", n, err)
		}
	}
}

// What a process left unsynced, or synced in vain, may be in the page cache only:
// Open writes the newest group of batches again before it counts on them.
func TestOpenWritesTheNewestBatchesAgain(t *testing.T) {
	fs := faultfs.New()
	l := open(t, small(fs))
	must(t, l.Append(nil, span(1, 1, 1, 10), true))
	must(t, l.Append(nil, span(2, 1, 1, 10), true))
	must(t, l.Append(nil, span(3, 1, 1, 10), false)) // the group: batch 3 and 4
	must(t, l.Append(nil, span(4, 1, 1, 10), false))
	var wrote []faultfs.Op
	synced := 0
	fs.SetFault(func(op faultfs.Op) error {
		switch {
		case op.Kind == faultfs.OpWrite:
			wrote = append(wrote, op)
		case op.Kind == faultfs.OpSync && len(wrote) > 0:
			synced++
		}
		return nil
	})
	again := open(t, small(fs)) // as after a kill: l was not closed
	if len(wrote) != 1 || wrote[0].Off != 512+2*512 || wrote[0].Len != 2*512 || synced != 1 {
		t.Errorf("wrote %+v, %d syncs", wrote, synced)
	}
	fs.SetFault(nil)
	crashed := fs.CrashClone(rand.New(rand.NewPCG(2, 2)))
	same(t, again, &model{entries: span(1, 4, 1, 10)})
	same(t, open(t, small(crashed)), &model{entries: span(1, 4, 1, 10)})
}

// A canary: a disk whose sync does nothing must fail the check that power cuts
// are held against, or the check proves nothing.
func TestCanaryASyncThatLiesIsCaught(t *testing.T) {
	caught := false
	for seed := range uint64(20) {
		fs := faultfs.New()
		l := open(t, small(lyingFS{fs}))
		var entries []*raftpb.Entry
		for i := range uint64(5) {
			entries = append(entries, entry(i+1, 1, 10))
			must(t, l.Append(nil, entries[i:], true))
		}
		again, err := wal.Open(small(fs.CrashClone(rand.New(rand.NewPCG(seed, 4)))))
		if err != nil {
			caught = true
			continue
		}
		caught = caught || content(t, again).String() != (&model{entries: entries}).String()
		must(t, again.Close())
	}
	if !caught {
		t.Error("nothing was lost by a disk that never syncs")
	}
}

// lyingFS says that data is durable when it is not.
type lyingFS struct{ *faultfs.MemFS }

type lyingFile struct{ wal.File }

func (lyingFile) Datasync() error { return nil }

func (l lyingFS) Create(name string) (wal.File, error) {
	f, err := l.MemFS.Create(name)
	return lyingFile{f}, err
}
