package wal_test

import (
	"bytes"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/doozer-store/doozer/consensus/wal"
	"github.com/doozer-store/doozer/consensus/wal/faultfs"
)

// built is a closed log of several segments and what it should hold, with and
// without its last batch.
type built struct {
	fs            *faultfs.MemFS
	full, without *model
	files         []string
	tail          [2]int64 // extent of the last batch in the last file
}

// build appends synced batches, the last of lastBytes over several sectors.
func build(t *testing.T, lastBytes int) built {
	t.Helper()
	b := built{fs: faultfs.New(), full: &model{}}
	l := open(t, small(b.fs))
	for i := uint64(1); i <= 12; i++ {
		must(t, l.Append(hard(1, 1, i-1), span(i, 1, 1, int(200*(i%5))+20), true))
		b.full.append(hard(1, 1, i-1), span(i, 1, 1, int(200*(i%5))+20))
	}
	b.without = b.full.clone()
	must(t, l.Append(hard(1, 1, 12), span(13, 1, 1, lastBytes), true))
	b.full.append(hard(1, 1, 12), span(13, 1, 1, lastBytes))
	must(t, l.Close())
	b.files = b.fs.Files()
	if len(b.files) < 3 {
		t.Fatalf("only %q", b.files)
	}
	data, err := b.fs.ReadFile(b.files[len(b.files)-1])
	must(t, err)
	extents := wal.Batches(data)
	b.tail = extents[len(extents)-1]
	return b
}

// outcome opens fs: "full", "tail lost", or the damage it reported.
func (b *built) outcome(t *testing.T, fs *faultfs.MemFS) (string, *wal.CorruptError) {
	t.Helper()
	l, err := wal.Open(small(fs))
	if err != nil {
		var damage *wal.CorruptError
		if !errors.As(err, &damage) {
			t.Fatalf("open: %v", err)
		}
		if damage.Segment == "" || damage.Offset < 0 || damage.Reason == "" || damage.Error() == "" {
			t.Fatalf("vague: %+v", damage)
		}
		return "damage", damage
	}
	defer l.Close()
	m := content(t, l)
	next := m.last() + 1
	if err := l.Append(nil, span(next, 1, 1, 30), true); err != nil {
		t.Fatalf("append after repair: %v", err)
	}
	must(t, l.Close())
	l = open(t, small(fs))
	defer l.Close()
	if last, _ := l.LastIndex(); last != next {
		t.Fatalf("appended %d after repair, found %d", next, last)
	}
	switch m.String() {
	case b.full.String():
		return "full", nil
	case b.without.String():
		return "tail lost", nil
	}
	t.Fatalf("found\n%s\nof\n%s", m, b.full)
	return "", nil
}

// Every byte of the last batch is flipped, zeroed, cut off, or lost with all
// that follows it.
func TestDamageInTheLastBatch(t *testing.T) {
	b := build(t, 1400)
	name := b.files[len(b.files)-1]
	for at := b.tail[0]; at < b.tail[1]; at++ {
		for what, change := range map[string]func(d []byte) []byte{
			"flip": func(d []byte) []byte { d[at] ^= 1 << (at % 8); return d },
			"zero": func(d []byte) []byte { d[at] = 0; return d },
			"lost": func(d []byte) []byte { clear(d[at:b.tail[1]]); return d },
			"cut":  func(d []byte) []byte { return d[:at] },
		} {
			data, err := b.fs.ReadFile(name)
			must(t, err)
			changed := change(bytes.Clone(data))
			got, damage := b.outcome(t, replaced(t, b.fs, name, change))
			lostSector := false
			for off := b.tail[0]; off < b.tail[1] && len(changed) == len(data); off += 512 {
				lostSector = lostSector || bytes.Count(changed[off:off+512], []byte{0}) == 512
			}
			headerTorn := len(changed) == len(data) && bytes.Count(changed[b.tail[0]:b.tail[0]+512], []byte{0}) < 512 &&
				!bytes.Equal(changed[b.tail[0]:b.tail[0]+40], data[b.tail[0]:b.tail[0]+40])
			want := "damage"
			switch {
			case bytes.Equal(data, changed):
				want = "full"
			case lostSector && !headerTorn:
				want = "tail lost"
			}
			if got != want {
				t.Fatalf("%s at %d (batch at %d): %s, want %s; %v", what, at, b.tail[0], got, want, damage)
			}
			if damage != nil && (damage.Segment != filepath.Base(name) || damage.Offset != b.tail[0] && damage.Offset != at) {
				t.Fatalf("%s at %d (batch at %d): %v", what, at, b.tail[0], damage)
			}
		}
	}
}

// Every sector of every segment is zeroed, overwritten and flipped in one bit.
// Nothing before the last batch may be lost silently.
func TestDamageInEverySector(t *testing.T) {
	b := build(t, 1400)
	for _, name := range b.files {
		data, err := b.fs.ReadFile(name)
		must(t, err)
		last := name == b.files[len(b.files)-1]
		for off := int64(0); off < int64(len(data)); off += 512 {
			for what, change := range map[string]func(s []byte){
				"zero":      func(s []byte) { clear(s) },
				"overwrite": func(s []byte) { copy(s, bytes.Repeat([]byte("damage! "), 64)) },
				"flip":      func(s []byte) { s[(off/512*37)%512] ^= 4 },
			} {
				changed := bytes.Clone(data)
				change(changed[off : off+512])
				got, damage := b.outcome(t, replaced(t, b.fs, name, func([]byte) []byte { return changed }))
				want := "damage"
				switch {
				case bytes.Equal(data, changed):
					want = "full"
				case last && off > b.tail[1]:
					want = "full" // looks like a torn write after the last batch
				case last && off >= b.tail[0] && off < b.tail[1] && what == "zero":
					want = "tail lost"
				}
				if got != want {
					t.Errorf("%s %s at %d: %s, want %s; %v", what, filepath.Base(name), off, got, want, damage)
				}
				if damage != nil && (damage.Segment != filepath.Base(name) || damage.Offset > off) {
					t.Errorf("%s %s at %d: reported %v", what, filepath.Base(name), off, damage)
				}
			}
		}
	}
}

func TestASegmentIsMissing(t *testing.T) {
	b := build(t, 100)
	for i, name := range b.files[:len(b.files)-1] {
		fs := replaced(t, b.fs, name, func(d []byte) []byte { return d })
		must(t, fs.Remove(name))
		if got, damage := b.outcome(t, fs); got != "damage" {
			t.Errorf("segment %d: %s", i, got)
		} else if !strings.Contains(damage.Reason, "missing") {
			t.Errorf("segment %d: %v", i, damage)
		}
	}
}

func TestASegmentHasAWrongNameOrSize(t *testing.T) {
	b := build(t, 100)
	first := b.files[0]
	for what, change := range map[string]func(fs *faultfs.MemFS) error{
		"other sequence": func(fs *faultfs.MemFS) error { return fs.Rename(first, dir+"/"+wal.SegmentName(99, 1)) },
		"other index":    func(fs *faultfs.MemFS) error { return fs.Rename(first, dir+"/"+wal.SegmentName(1, 2)) },
		"no number":      func(fs *faultfs.MemFS) error { return fs.Rename(first, dir+"/first.wal") },
		"copied over another": func(fs *faultfs.MemFS) error {
			d, err := fs.ReadFile(b.files[1])
			fs.WriteFile(first, d)
			return err
		},
		"longer": func(fs *faultfs.MemFS) error {
			d, err := fs.ReadFile(first)
			fs.WriteFile(first, append(d, make([]byte, 512)...))
			return err
		},
		"empty": func(fs *faultfs.MemFS) error { fs.WriteFile(first, nil); return nil },
	} {
		fs := replaced(t, b.fs, first, func(d []byte) []byte { return d })
		must(t, change(fs))
		if got, _ := b.outcome(t, fs); got != "damage" {
			t.Errorf("%s: %s", what, got)
		}
	}
	fs := replaced(t, b.fs, first, func(d []byte) []byte { return d })
	for name, content := range map[string]string{"lost+found": "", "README": "x", "next.tmp": "half", "big.tmp": ""} {
		fs.WriteFile(dir+"/"+name, []byte(content))
	}
	if got, damage := b.outcome(t, fs); got != "full" {
		t.Errorf("stray files: %s, %v", got, damage)
	}
	if slices.Contains(fs.Files(), dir+"/next.tmp") || !slices.Contains(fs.Files(), dir+"/README") {
		t.Errorf("left %q", fs.Files())
	}
}

// Batches written without sync form a group: any of them may be lost in a crash,
// which is no damage until a later batch says that they had been synced.
func TestAnUnsyncedGroupMayTearAnywhere(t *testing.T) {
	fs := faultfs.New()
	name := dir + "/" + wal.SegmentName(1, 1)
	l := open(t, small(fs))
	for i := range uint64(5) {
		must(t, l.Append(nil, span(i+1, 1, 1, 10), i == 0)) // 1 synced, 2 to 5 not
	}
	data, err := fs.ReadFile(name)
	must(t, err)
	extents := wal.Batches(data)
	for lost := range 5 {
		torn := replaced(t, fs, name, func([]byte) []byte {
			d := bytes.Clone(data)
			clear(d[extents[lost][0]:extents[lost][1]])
			return d
		})
		l, err := wal.Open(small(torn))
		if lost == 0 {
			var damage *wal.CorruptError
			if !errors.As(err, &damage) || damage.Offset != extents[0][0] {
				t.Errorf("the synced one is lost: %v", err)
			}
			continue
		}
		must(t, err)
		same(t, l, &model{entries: span(1, lost, 1, 10)})
		must(t, l.Append(nil, span(uint64(lost)+1, 1, 2, 10), true))
		must(t, l.Close())
		l = open(t, small(torn))
		same(t, l, &model{entries: append(span(1, lost, 1, 10), entry(uint64(lost)+1, 2, 10))})
		must(t, l.Close())
	}
	must(t, l.Append(nil, nil, true))
	must(t, l.Append(nil, span(6, 1, 1, 10), true)) // vouches for 2 to 5
	for lost := range 5 {
		torn := replaced(t, fs, name, func(d []byte) []byte {
			clear(d[extents[lost][0]:extents[lost][1]])
			return d
		})
		var damage *wal.CorruptError
		if _, err := wal.Open(small(torn)); !errors.As(err, &damage) || damage.Offset != extents[lost][0] {
			t.Errorf("batch %d lost: %v", lost+1, err)
		}
	}
}

// Zeros inside the data do not make damage look like a torn write.
func TestFlippedBitBesideZeroData(t *testing.T) {
	fs := faultfs.New()
	l := open(t, small(fs))
	e := entry(1, 1, 0)
	e.Data = make([]byte, 2500)
	e.Data[0] = 1
	must(t, l.Append(nil, span(1, 1, 1, 10), true))
	e.Index = new(uint64(2))
	must(t, l.Append(nil, append(span(2, 0, 1, 0), e), true))
	must(t, l.Close())
	name := dir + "/" + wal.SegmentName(1, 1)
	data, err := fs.ReadFile(name)
	must(t, err)
	at := wal.Batches(data)[1][0]
	flipped := replaced(t, fs, name, func(d []byte) []byte { d[at+1200] ^= 1; return d })
	flipped2 := replaced(t, fs, name, func(d []byte) []byte { d[at+wal.BatchHeaderLen+3] ^= 1; return d })
	for _, fs := range []*faultfs.MemFS{flipped, flipped2} {
		var damage *wal.CorruptError
		if _, err := wal.Open(small(fs)); !errors.As(err, &damage) || damage.Offset != at {
			t.Errorf("got %v", err)
		}
	}
}

func TestAnEntryChangedUnderARunningLogIsNotReturned(t *testing.T) {
	fs := faultfs.New()
	o := small(fs)
	o.CacheBytes = 1
	l := open(t, o)
	must(t, l.Append(nil, span(1, 3, 1, 600), true))
	name := dir + "/" + wal.SegmentName(1, 1)
	f, err := fs.Open(name)
	must(t, err)
	_, err = f.WriteAt([]byte("XX"), 512+900) // inside entry 2
	must(t, err)
	var damage *wal.CorruptError
	if _, err := l.Entries(1, 4, 1<<20); !errors.As(err, &damage) || !strings.Contains(damage.Reason, "entry 2") {
		t.Errorf("got %v", err)
	}
	if got, err := l.Entries(1, 2, 1<<20); err != nil || len(got) != 1 {
		t.Errorf("entry 1: %v, %v", got, err)
	}
}

// Sound batches in each other's place.
func TestBatchesOutOfOrder(t *testing.T) {
	fs := faultfs.New()
	name := dir + "/" + wal.SegmentName(1, 1)
	l := open(t, small(fs))
	for i := range uint64(3) {
		must(t, l.Append(hard(1, i, 0), nil, true)) // would replay in any order
	}
	data, err := fs.ReadFile(name)
	must(t, err)
	x := wal.Batches(data)
	for what, change := range map[string]func(d []byte){
		"repeated": func(d []byte) { copy(d[x[2][0]:x[2][1]], d[x[1][0]:x[1][1]]) },
		"skipped":  func(d []byte) { copy(d[x[1][0]:x[1][1]], d[x[2][0]:x[2][1]]) },
	} {
		var damage *wal.CorruptError
		_, err := wal.Open(small(replaced(t, fs, name, func(d []byte) []byte { change(d); return d })))
		if !errors.As(err, &damage) || !strings.Contains(damage.Reason, "sequence") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// Payloads whose checksums are right and whose records make no sense.
func TestRecordsThatMakeNoSense(t *testing.T) {
	o := small(nil)
	good := wal.Payload()
	for what, payload := range map[string][]byte{
		"unknown kind":    {9, 0},
		"gap":             {2, 8, 0, 0, 0, 0, 2, 1, 5, 'x'},
		"truncated":       good[:len(good)-1],
		"reset too far":   {4, 11, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 1},
		"base too far":    {3, 12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 1, 1},
		"base past last":  {3, 3, 5, 1, 4},
		"commit unknown":  {1, 3, 1, 1, 9},
		"missing start":   {3, 3, 5, 1, 9},
		"short HardState": {1, 1, 1},
		"short entry":     {2, 1, 0},
		"short base":      {3, 1, 1},
		"short reset":     {4, 1, 1},
	} {
		fs := faultfs.New()
		o.FS = fs
		fs.WriteFile(dir+"/"+wal.SegmentName(1, 1), wal.MakeSegment(o, 4096, payload))
		var damage *wal.CorruptError
		if _, err := wal.Open(o); !errors.As(err, &damage) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// After older segments were removed, a log without a batch is no new log.
func TestTheOnlySegmentIsWiped(t *testing.T) {
	fs := faultfs.New()
	l := open(t, small(fs))
	must(t, l.Append(nil, span(1, 3, 1, 100), true))
	must(t, l.Reset(40, 2, nil))
	must(t, l.Close())
	name := fs.Files()[0]
	wiped := replaced(t, fs, name, func(d []byte) []byte { clear(d[512:]); return d })
	var damage *wal.CorruptError
	if _, err := wal.Open(small(wiped)); !errors.As(err, &damage) || damage.Offset != 512 || damage.Segment != filepath.Base(name) {
		t.Errorf("got %v", err)
	}
}

// A synced batch lost a sector, and the batch that vouches for it the beginning
// of its header: what is left there is no sector that was never written.
func TestTheVouchingHeaderIsDamagedToo(t *testing.T) {
	fs := faultfs.New()
	l := open(t, small(fs))
	for i := range uint64(2) {
		must(t, l.Append(nil, span(i+1, 1, 1, 900), true))
	}
	must(t, l.Close())
	name := fs.Files()[0]
	data, err := fs.ReadFile(name)
	must(t, err)
	x := wal.Batches(data)
	hurt := replaced(t, fs, name, func(d []byte) []byte { clear(d[x[0][0]+700 : x[1][0]+60]); return d })
	var damage *wal.CorruptError
	if _, err := wal.Open(small(hurt)); !errors.As(err, &damage) || damage.Offset != x[0][0] {
		t.Errorf("got %v", err)
	}
}

// What was cut off is told.
func TestTorn(t *testing.T) {
	b := build(t, 1400)
	name := b.files[len(b.files)-1]
	l := open(t, small(replaced(t, b.fs, name, func(d []byte) []byte { clear(d[b.tail[0]+512 : b.tail[0]+1024]); return d })))
	want := wal.Torn{Segment: filepath.Base(name), Offset: b.tail[0], Bytes: b.tail[1] - b.tail[0]}
	if got := l.Torn(); got == nil || *got != want {
		t.Errorf("Torn is %+v, want %+v", got, want)
	}
	if l := open(t, small(b.fs)); l.Torn() != nil {
		t.Errorf("Torn is %+v for a whole log", l.Torn())
	}
}
