package wal_test

import (
	"bytes"
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

// FuzzReplay spoils one segment of a sound log in several places, of which the
// input tells: four bytes each, where (two), how many bytes and what with. The
// judge is that of TestMutations.
func FuzzReplay(f *testing.F) {
	all := images(f)
	f.Add([]byte{0, 0, 2, 0, 1, 0xff})
	f.Add([]byte{1, 3, 14, 0, 200, 0, 10, 0, 3, 4})
	f.Add([]byte{7, 4, 2, 40, 255, 0, 6, 0, 255, 0})
	f.Add([]byte{2, 1, 2, 8, 1, 1, 2, 16, 1, 7})
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) < 6 || len(in) > 40 {
			return
		}
		im := &all[int(in[0])%len(all)]
		file := im.files[int(in[1])%len(im.files)]
		b := bytes.Clone(im.content[file])
		for in = in[2:]; len(in) >= 4; in = in[4:] {
			from := (int(in[0])<<8 | int(in[1])) % len(b)
			for i := from; i < min(len(b), from+int(in[2])); i++ {
				if in[3] == 0 {
					b[i] = 0
				} else {
					b[i] ^= in[3]
				}
			}
		}
		var c mutations
		im.try(t, &c, "what the input says", file, b)
	})
}
