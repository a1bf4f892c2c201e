package wal_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"testing"

	"github.com/doozer-store/doozer/consensus/wal"
	"github.com/doozer-store/doozer/consensus/wal/faultfs"
)

// long says that tests may take minutes.
func long() bool { return os.Getenv("DOOZER_TEST_LONG") != "" }

// image is a log of several segments as files, and what it holds after each of
// its batches.
type image struct {
	name    string
	o       wal.Options
	files   []string // paths, in order
	content map[string][]byte
	states  []string // before the first batch, and after each
	synced  int      // states[synced-1] was on disk before the tail was written
	extents [][2]int64
	tail    [2]int64 // extent in the last file of the batches after states[synced-1]
}

// step is one change of an image's log.
type change struct {
	count, size int // entries and their bytes; zeros fills them with zeros
	zeros       bool
	sync        bool
	compact     uint64 // instead, if not 0
	reset       uint64 // instead, if not 0
}

// images are logs whose ends differ: in size, in what was synced, in what the
// data looks like, and in what the last segment begins with.
func images(t testing.TB) []image {
	filled := func(n int) (cs []change) {
		for i := range n {
			cs = append(cs, change{count: 1 + i%3, size: 20 + 190*(i%5), sync: true})
		}
		return cs
	}
	size := int64(4096)
	if long() {
		size = 16 << 10
	}
	n := int(size / 400)
	return []image{
		makeImage(t, "one sector", size, append(filled(n), change{count: 1, size: 60, sync: true})),
		makeImage(t, "many sectors", size, append(filled(n), change{count: 2, size: 900, sync: true})),
		makeImage(t, "a group without sync", size, append(filled(n), change{count: 1, size: 700},
			change{count: 1, size: 20}, change{count: 2, size: 300})),
		makeImage(t, "data of zeros", size, append(filled(n), change{count: 1, size: 1500, zeros: true, sync: true})),
		makeImage(t, "after compaction", size, append(filled(n), change{compact: uint64(n)}, change{count: 1, size: 600, sync: true})),
		makeImage(t, "after a reset", size, append(filled(n), change{reset: 500}, change{count: 1, size: 800, sync: true})),
		makeImage(t, "a batch larger than a segment", size, append(filled(n), change{count: 1, size: int(size) + 500, sync: true})),
		makeImage(t, "the first batch of a segment", size, append(filled(n), change{count: 1, size: int(size) - 1200, sync: true})),
	}
}

func makeImage(t testing.TB, name string, segmentSize int64, changes []change) image {
	t.Helper()
	fs := faultfs.New()
	o := small(fs)
	o.SegmentSize = segmentSize
	l, m := open(t, o), &model{}
	im := image{name: name, o: o, states: []string{m.String()}, synced: 1}
	note := func() { im.states = append(im.states, m.String()) }
	for _, c := range changes {
		switch {
		case c.compact > 0:
			term := m.term(c.compact)
			m.compact(c.compact)
			must(t, l.Compact(c.compact, term))
			im.synced = len(im.states) // older segments are gone: all was flushed
			note()
			continue
		case c.reset > 0:
			m.reset(c.reset, 7, nil)
			must(t, l.Reset(c.reset, 7, nil))
			im.synced = len(im.states)
			note()
			continue
		}
		hs := hard(9, 1, m.last())
		entries := span(m.last()+1, c.count, 9, c.size)
		if c.zeros {
			for _, e := range entries {
				clear(e.Data[min(len(e.Data), 30) : len(e.Data)-1])
			}
		}
		m.append(hs, entries)
		must(t, l.Append(hs, entries, c.sync))
		if c.sync {
			im.synced = len(im.states)
		}
		note()
	}
	im.files = fs.Files()
	im.content = map[string][]byte{}
	for _, f := range im.files {
		b, err := fs.ReadFile(f)
		must(t, err)
		im.content[f] = b
	}
	// The batches of the last sync, and those after it, are the tail.
	im.extents = wal.Batches(im.content[im.last()])
	n := len(im.extents)
	im.synced = max(im.synced, len(im.states)-n) // a rotation syncs what was before
	im.tail = [2]int64{im.extents[n-(len(im.states)-im.synced)][0], im.extents[n-1][1]}
	must(t, l.Close())
	if len(im.files) < 2 && name != "after a reset" {
		t.Fatalf("%s: only %q", name, im.files)
	}
	return im
}

func (im *image) last() string { return im.files[len(im.files)-1] }

// with is the image's file system with one file replaced.
func (im *image) with(file string, b []byte) *faultfs.MemFS {
	fs := faultfs.New()
	for _, f := range im.files {
		if f != file {
			fs.WriteFile(f, im.content[f])
		}
	}
	fs.WriteFile(file, b)
	return fs
}

// mutations counts what became of them.
type mutations struct{ total, refused, cut, wiped, identical, panics, lost int }

func (c *mutations) add(d mutations) {
	c.total += d.total
	c.refused += d.refused
	c.cut += d.cut
	c.wiped += d.wiped
	c.identical += d.identical
	c.panics += d.panics
	c.lost += d.lost
}

func (c mutations) String() string {
	return fmt.Sprintf("%d mutations: %d refused, %d cut as torn tail, %d wiped to the end, %d identical; %d panics, %d losses",
		c.total, c.refused, c.cut, c.wiped, c.identical, c.panics, c.lost)
}

// try opens the image with one file changed to b and judges what comes of it.
func (im *image) try(t *testing.T, c *mutations, what, file string, b []byte) {
	c.total++
	defer func() {
		if r := recover(); r != nil {
			c.panics++
			t.Errorf("%s, %s of %s: panic %v\n%s", im.name, what, filepath.Base(file), r, debug.Stack())
		}
	}()
	bad := func(format string, a ...any) {
		c.lost++
		t.Errorf("%s, %s of %s: %s", im.name, what, filepath.Base(file), fmt.Sprintf(format, a...))
	}
	o := im.o
	o.FS = im.with(file, b)
	l, err := wal.Open(o)
	if err != nil {
		c.refused++
		var damage *wal.CorruptError
		if !errors.As(err, &damage) {
			bad("refused as %v", err)
		} else if why := im.vague(damage, file, b); why != "" {
			bad("%s: %v", why, damage)
		}
		return
	}
	defer l.Close()
	m := content(t, l)
	k := slices.Index(im.states, m.String())
	same := bytes.Equal(b, im.content[file])
	switch {
	case k == len(im.states)-1:
		c.identical++
		if !same && (file != im.last() || im.firstChange(file, b) < im.tail[1]) {
			bad("damage inside a batch went unnoticed")
		}
	case k >= 0 && file == im.last() && k < im.synced-1 && im.wiped(k, b):
		c.wiped++
	case k < im.synced-1:
		bad("state %d of %d, of which %d were synced before the last batch: %s", k, len(im.states), im.synced, m)
	case file != im.last() || !im.missing(b):
		bad("state %d of %d was cut off, though no sector of it is missing", k, len(im.states))
	default:
		c.cut++
		torn := l.Torn()
		if torn == nil && !zero(b[im.firstChange(file, b):]) || torn != nil &&
			(torn.Segment != filepath.Base(file) || torn.Offset < im.tail[0] || torn.Offset+torn.Bytes > int64(len(b))) {
			bad("cut, and said %+v", torn)
		}
	}
	// Whatever was found goes on, and is found again.
	next := m.last() + 1
	if err := l.Append(nil, span(next, 1, 9, 30), true); err != nil {
		bad("append afterwards: %v", err)
		return
	}
	m.append(nil, span(next, 1, 9, 30))
	if err := l.Close(); err != nil {
		bad("close: %v", err)
		return
	}
	if l, err = wal.Open(o); err != nil {
		bad("open again: %v", err)
		return
	}
	defer l.Close()
	if got := content(t, l); got.String() != m.String() {
		bad("found again as %s, want %s", got, m)
	}
}

// vague says why a refusal does not lead to the damage: it must name a segment
// that is there, and an offset at or before the first changed byte; or the
// next segment, or where the log begins, as where something is missing before.
func (im *image) vague(d *wal.CorruptError, file string, b []byte) string {
	at := slices.IndexFunc(im.files, func(f string) bool { return filepath.Base(f) == d.Segment })
	hurt := slices.Index(im.files, file)
	switch {
	case at < 0:
		return "it names no segment of this log"
	case d.Reason == "" || d.Offset < 0:
		return "it says nothing"
	case at == hurt && d.Offset > im.firstChange(file, b):
		return fmt.Sprintf("the first changed byte is %d", im.firstChange(file, b))
	case at != hurt && at != hurt+1 && at != 0:
		return "the damage is in another segment"
	}
	return ""
}

func (im *image) firstChange(file string, b []byte) int64 {
	a := im.content[file]
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return int64(i)
		}
	}
	return int64(min(len(a), len(b)))
}

// wiped says whether b, of the last file, holds no header any more of the
// batches that were written after what is missing from state k: then nothing
// in the log tells a disk that lost them all from one that never had them.
func (im *image) wiped(k int, b []byte) bool {
	whole := im.content[im.last()]
	kept := len(im.extents) - (len(im.states) - 1 - k) // batches of the file that are in state k
	if kept < 0 || len(b) != len(whole) {
		return false
	}
	for i, x := range im.extents[kept:] {
		if i > 0 && bytes.Equal(b[x[0]:x[0]+wal.BatchHeaderLen], whole[x[0]:x[0]+wal.BatchHeaderLen]) {
			return false
		}
	}
	return true
}

// missing says whether a sector of the tail that was written is all zero: then
// nothing on the disk tells it from a write that a power cut tore.
func (im *image) missing(b []byte) bool {
	a := im.content[im.last()]
	for off := im.tail[0]; off < im.tail[1] && off+512 <= int64(len(b)); off += 512 {
		if zero(b[off:off+512]) && !zero(a[off:off+512]) {
			return true
		}
	}
	return false
}

func zero(b []byte) bool { return bytes.Count(b, []byte{0}) == len(b) }

// Every byte of the tail, and every sector of the log, in every way a disk is
// known to spoil them; and the rest at random. A log either holds all of it, or
// is refused with the place, or ends where a write may have been torn.
func TestMutations(t *testing.T) {
	var all mutations
	all8 := images(t)
	if raced && !long() {
		all8 = all8[:2] // one goroutine does all of it
	}
	for _, im := range all8 {
		var tail, sectors, sampled mutations
		im.eachTailByte(t, &tail)
		im.eachSector(t, &sectors)
		im.sample(t, &sampled)
		t.Logf("%s, %d segments, %d batches", im.name, len(im.files), len(im.states)-1)
		t.Logf("  every byte of the tail:  %v", tail)
		t.Logf("  every sector of the log: %v", sectors)
		t.Logf("  sampled elsewhere:       %v", sampled)
		for _, c := range []mutations{tail, sectors, sampled} {
			all.add(c)
		}
		if t.Failed() {
			break
		}
	}
	t.Logf("all: %v", all)
	if all.refused == 0 || all.cut == 0 || all.identical == 0 {
		t.Error("one of the outcomes never came: the test tests nothing")
	}
}

// eachTailByte flips each bit of each byte of the tail, zeroes and fills the
// byte, ends the file there, and loses all that follows. The short form flips
// one bit of a byte far inside, and takes fewer of those beyond 2 KiB.
func (im *image) eachTailByte(t *testing.T, c *mutations) {
	file := im.last()
	whole := im.content[file]
	for at := im.tail[0]; at < im.tail[1] && !t.Failed(); at++ {
		far := !long() && at-im.tail[0] >= 256
		if far && at-im.tail[0] >= 2048 && at%5 > 0 {
			continue
		}
		try := func(what string, spoil func(b []byte) []byte) {
			im.try(t, c, fmt.Sprintf("byte %d %s", at, what), file, spoil(bytes.Clone(whole)))
		}
		for bit := range 8 {
			if !far || int64(bit) == at%8 {
				try(fmt.Sprintf("with bit %d flipped", bit), func(b []byte) []byte { b[at] ^= 1 << bit; return b })
			}
		}
		if whole[at] != 0 {
			try("zeroed", func(b []byte) []byte { b[at] = 0; return b })
		}
		if !far || at%64 == 0 || at%512 > 504 {
			try("filled", func(b []byte) []byte { b[at] = 0xff; return b })
			try("the file's end", func(b []byte) []byte { return b[:at:at] })
			try("and all that follows lost", func(b []byte) []byte { clear(b[at:]); return b })
		}
	}
}

// eachSector spoils each sector of each segment, written or not.
func (im *image) eachSector(t *testing.T, c *mutations) {
	for _, file := range im.files {
		whole := im.content[file]
		for off := 0; off < len(whole) && !t.Failed(); off += 512 {
			for what, spoil := range map[string]func(b []byte) []byte{
				"zeroed":         func(b []byte) []byte { clear(b[off : off+512]); return b },
				"filled":         func(b []byte) []byte { copy(b[off:off+512], bytes.Repeat([]byte{0xff}, 512)); return b },
				"overwritten":    func(b []byte) []byte { copy(b[off:off+512], bytes.Repeat([]byte("damage! "), 64)); return b },
				"first bit":      func(b []byte) []byte { b[off] ^= 0x80; return b },
				"last bit":       func(b []byte) []byte { b[off+511] ^= 1; return b },
				"a bit":          func(b []byte) []byte { b[off+(off/512*37)%512] ^= 4; return b },
				"first half":     func(b []byte) []byte { clear(b[off : off+256]); return b },
				"second half":    func(b []byte) []byte { clear(b[off+256 : off+512]); return b },
				"file cut":       func(b []byte) []byte { return b[:off:off] },
				"rest lost":      func(b []byte) []byte { clear(b[off:]); return b },
				"shifted up":     func(b []byte) []byte { copy(b[off:], whole[:len(whole)-off]); return b },
				"header again":   func(b []byte) []byte { copy(b[off:off+512], whole[:512]); return b },
				"sector missing": func(b []byte) []byte { copy(b[off:], whole[off+512:]); clear(b[len(b)-512:]); return b },
				"as the next":    func(b []byte) []byte { copy(b[off:off+512], whole[min(off+512, len(whole)-512):]); return b },
			} {
				im.try(t, c, fmt.Sprintf("%s at %d", what, off), file, spoil(bytes.Clone(whole)))
			}
		}
	}
}

// sample spoils bits and ranges anywhere; the long form also every bit of the
// whole log.
func (im *image) sample(t *testing.T, c *mutations) {
	n := 600
	if long() {
		n = 50_000
		for _, file := range im.files {
			for i := range im.content[file] {
				b := bytes.Clone(im.content[file])
				b[i] ^= 1 << (i % 8)
				im.try(t, c, fmt.Sprintf("byte %d", i), file, b)
			}
		}
	}
	rng := rand.New(rand.NewPCG(uint64(len(im.name)), 5))
	for i := 0; i < n && !t.Failed(); i++ {
		file := im.files[rng.IntN(len(im.files))]
		b := bytes.Clone(im.content[file])
		from := rng.IntN(len(b))
		to := min(len(b), from+1+rng.IntN(3000))
		what := ""
		switch rng.IntN(4) {
		case 0:
			bit := rng.IntN(8)
			b[from] ^= 1 << bit
			what = fmt.Sprintf("bit %d of byte %d", bit, from)
		case 1:
			clear(b[from:to])
			what = fmt.Sprintf("bytes %d to %d zeroed", from, to)
		case 2:
			for i := from; i < to; i++ {
				b[i] = byte(rng.Uint32())
			}
			what = fmt.Sprintf("bytes %d to %d random", from, to)
		case 3:
			copy(b[from:to], im.content[im.files[rng.IntN(len(im.files))]])
			what = fmt.Sprintf("bytes %d to %d of another place", from, to)
		}
		im.try(t, c, what, file, b)
	}
}
