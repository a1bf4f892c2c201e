package wal_test

import (
	"errors"
	"testing"

	"github.com/doozer-store/doozer/consensus/wal"
	"github.com/doozer-store/doozer/consensus/wal/faultfs"
)

// FuzzDecode opens arbitrary bytes as the only segment of a log: as they are,
// and as the payload of a batch whose checksums are right. Either the log is
// refused with a reason, or it works and is found the same again.
func FuzzDecode(f *testing.F) {
	o := small(nil)
	segment := wal.MakeSegment(o, 4096, wal.Payload(), wal.Payload()[:5])
	f.Add(segment)
	f.Add(segment[:1536])
	f.Add(wal.MakeSegment(o, 1024))
	f.Add(wal.Payload())
	f.Add([]byte{2, 8, 0, 0, 0, 0, 2, 1, 1, 'x'})
	f.Add([]byte{3, 3, 5, 1, 5, 2, 8, 0, 0, 0, 0, 2, 1, 6, 'x'})
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 64<<10 {
			return
		}
		for _, b := range [][]byte{
			data,
			wal.MakeSegment(o, 512+int64(len(data)+1024)&^511, data),
			wal.MakeSegment(o, 4096+int64(len(data)+1024)&^511, wal.Payload()[:0], data),
		} {
			fs := faultfs.New()
			fs.WriteFile(dir+"/"+wal.SegmentName(1, 1), b)
			reopens(t, fs)
		}
	})
}

func reopens(t *testing.T, fs *faultfs.MemFS) {
	l, err := wal.Open(small(fs))
	if err != nil {
		var damage *wal.CorruptError
		if !errors.As(err, &damage) && !errors.Is(err, wal.ErrForeign) && !errors.Is(err, wal.ErrNewerFormat) {
			t.Fatalf("refused without a reason: %v", err)
		}
		return
	}
	defer l.Close()
	first, _ := l.FirstIndex()
	last, _ := l.LastIndex()
	if _, err := l.Entries(first, last+1, ^uint64(0)); err != nil {
		var damage *wal.CorruptError
		if !errors.As(err, &damage) { // an entry's own checksum may be wrong
			t.Fatal(err)
		}
		return
	}
	m := content(t, l)
	must(t, l.Append(nil, span(last+1, 1, 1, 10), true))
	m.append(nil, span(last+1, 1, 1, 10))
	must(t, l.Close())
	l = open(t, small(fs))
	same(t, l, m)
	must(t, l.Close())
}
