package wal

import (
	"errors"
	"fmt"
	"path/filepath"
)

// replay reads the segments in order into a Log that is being opened.
type replay struct {
	l *Log
	// recent are the offsets in the active segment of the newest batches that
	// no later batch vouches for: the newest group that was, or was not, synced.
	recent []int64
	// dirty is where the bytes to clear end; they begin at the active segment's end.
	dirty int64
}

// verdict is what was found where a batch should begin.
type verdict string

const (
	sound      verdict = ""
	blank      verdict = "no batch header, the sector is zero"
	badHeader  verdict = "batch header fails its checksum"
	badSeq     verdict = "batch is out of sequence"
	badLength  verdict = "batch is longer than its segment"
	badPayload verdict = "batch fails its checksum"
)

// segment opens and reads one file; last says that nothing was ever written
// behind its end.
func (r *replay) segment(name string, last bool) error {
	l := r.l
	s, w, err := r.header(name)
	if err != nil {
		return err
	}
	r.recent = r.recent[:0]
	for s.end < s.size {
		h, payload, v, err := readBatch(w, s, l.written+1)
		if err != nil {
			return err
		}
		if v != sound {
			return r.tail(w, s, h, payload, v, last)
		}
		if err := r.apply(s, payload); err != nil {
			return &CorruptError{name, s.end, err.Error()}
		}
		l.written, l.durable = h.seq, h.seq // settle makes the last of them so
		r.recent = append(r.recent, s.end)
		if n := h.seq - min(h.durable, h.seq); uint64(len(r.recent)) > n {
			r.recent = r.recent[uint64(len(r.recent))-n:]
		}
		s.end += h.extent()
	}
	return nil
}

// header opens a segment, checks that it is the one that must come here and
// appends it to the log's.
func (r *replay) header(name string) (*segment, *window, error) {
	l := r.l
	f, err := l.o.FS.Open(filepath.Join(l.o.Dir, name))
	if err != nil {
		return nil, nil, fmt.Errorf("wal: open %s: %w", name, err)
	}
	s := &segment{name: name, file: f, end: sectorSize}
	previous := l.active
	l.segments, l.active = append(l.segments, s), s
	corrupt := func(format string, a ...any) error {
		return &CorruptError{name, 0, fmt.Sprintf(format, a...)}
	}
	size, err := f.Size()
	if err != nil {
		return nil, nil, fmt.Errorf("wal: size of %s: %w", name, err)
	}
	if size < sectorSize {
		return nil, nil, &CorruptError{name, size, "file ends inside the segment header"}
	}
	w := &window{s: s, size: size}
	sector, err := w.load(0, sectorSize)
	if err != nil {
		return nil, nil, err
	}
	h, err := decodeSegmentHeader(sector)
	switch {
	case errors.Is(err, ErrNewerFormat):
		return nil, nil, fmt.Errorf("segment %s: %w", name, err)
	case err != nil:
		return nil, nil, corrupt("%v", err)
	case h.bootstrap != l.o.BootstrapID:
		return nil, nil, fmt.Errorf("%w: segment %s has bootstrap id %x, not %x", ErrForeign, name, h.bootstrap, l.o.BootstrapID)
	case h.node != l.o.Node:
		return nil, nil, fmt.Errorf("%w: segment %s has node id %x, not %x", ErrForeign, name, h.node, l.o.Node)
	case segmentName(h.seq, h.first) != name:
		return nil, nil, corrupt("header is that of segment %s", segmentName(h.seq, h.first))
	case size != h.size:
		return nil, nil, &CorruptError{name, min(size, h.size), fmt.Sprintf("file has %d bytes, was made with %d", size, h.size)}
	case size%sectorSize != 0 || size > 2*maxSegmentSize:
		return nil, nil, corrupt("impossible size %d", size)
	}
	s.seq, s.size, s.sum = h.seq, h.size, headerSum(sector)
	return s, w, r.follows(previous, s, h)
}

// follows checks that no segment and no batch is missing before s.
func (r *replay) follows(previous, s *segment, h segmentHeader) error {
	l := r.l
	if previous == nil {
		if h.batch == 0 {
			return &CorruptError{s.name, 0, "impossible segment header"}
		}
		l.written, l.durable = h.batch-1, h.batch-1
		return nil
	}
	if s.seq != previous.seq+1 {
		return &CorruptError{s.name, 0, fmt.Sprintf("segments %d to %d before it are missing", previous.seq+1, s.seq-1)}
	}
	if h.batch != l.written+1 {
		return &CorruptError{previous.name, previous.end,
			fmt.Sprintf("batches %d to %d are missing, segment %s was made after they were synced", l.written+1, h.batch-1, s.name)}
	}
	return nil
}

// readBatch reads the batch at s.end, which must have sequence number seq. The
// payload, or all of a batch whose payload is bad, is valid until the next read.
func readBatch(w *window, s *segment, seq uint64) (h batchHeader, payload []byte, v verdict, err error) {
	sector, err := w.load(s.end, sectorSize)
	if err != nil {
		return h, nil, "", err
	}
	if isZero(sector) {
		return h, nil, blank, nil
	}
	h, ok := decodeBatchHeader(sector, s.sum)
	switch {
	case !ok:
		return h, nil, badHeader, nil
	case h.seq != seq:
		return h, nil, badSeq, nil
	case h.extent() > s.size-s.end:
		return h, nil, badLength, nil
	}
	b, err := w.load(s.end, h.extent())
	if err != nil {
		return h, nil, "", err
	}
	if checksum(0, b[batchHeaderLen:]) != h.sum {
		return h, b, badPayload, nil
	}
	return h, b[batchHeaderLen : batchHeaderLen+int64(h.length)], sound, nil
}

// apply replays the records of one batch, as publish did.
func (r *replay) apply(s *segment, payload []byte) error {
	x := &r.l.index
	return eachRecord(payload, func(kind byte, body []byte, off int) error {
		var a, b, c uint64
		switch kind {
		case recordHardState:
			if err := decodeUints(body, &a, &b, &c); err != nil {
				return fmt.Errorf("HardState: %w", err)
			}
			x.setHardState(hardState{a, b, c, true})
		case recordEntry:
			e, err := decodeEntry(body, false)
			if err != nil {
				return fmt.Errorf("entry: %w", err)
			}
			s.maxIndex = max(s.maxIndex, e.index)
			return x.put(e.index, ref{
				term: e.term, segment: uint32(s.seq), size: uint32(len(body)), proto: uint32(e.protoSize()),
				off: uint32(s.end) + batchHeaderLen + uint32(off),
			})
		case recordBase:
			if err := decodeUints(body, &a, &b, &c); err != nil {
				return fmt.Errorf("base: %w", err)
			}
			if max(a, c) > maxIndexValue {
				return fmt.Errorf("base %d, last %d: impossible index", a, c)
			}
			if len(r.l.segments) == 1 && s.end == sectorSize { // where the log begins
				x.lo = c + 1
			}
			if c != x.last() {
				return fmt.Errorf("entry %d should be the last before it, it is %d", c, x.last())
			}
			return x.compact(a, b)
		case recordReset:
			if err := decodeUints(body, &a, &b); err != nil {
				return fmt.Errorf("reset: %w", err)
			}
			if a > maxIndexValue {
				return fmt.Errorf("reset to %d: impossible index", a)
			}
			x.reset(a, b)
			for _, older := range r.l.segments[:len(r.l.segments)-1] {
				older.maxIndex = 0 // nothing in it is live, however high its indexes were
			}
		default:
			return fmt.Errorf("unknown record kind %d", kind)
		}
		return nil
	})
}

// tail decides what it means that no sound batch begins at s.end: the end of
// the log, the torn tail of a write that was never synced, or damage. h is valid
// unless v is blank or badHeader, and bad is the batch if its payload is.
// doc.go argues each case.
func (r *replay) tail(w *window, s *segment, h batchHeader, bad []byte, v verdict, last bool) error {
	corrupt := func(format string, a ...any) error {
		return &CorruptError{s.name, s.end, string(v) + fmt.Sprintf(format, a...)}
	}
	want := r.l.written + 1
	torn, nonzero := v == blank, int64(0)
	boundary := int64(0) // where the batch number seq begins; 0: not known
	seq := want + 1
	if v == badPayload {
		boundary = s.end + h.extent()
		torn = zeroSectors(bad) > h.zeros
	}
	for off := s.end; off < s.size; off += sectorSize {
		sector, err := w.load(off, sectorSize)
		if err != nil {
			return err
		}
		if isZero(sector) {
			continue
		}
		nonzero = off + sectorSize
		if !last && v == blank {
			return corrupt("; data follows at %d, and a later segment exists", off)
		}
		later, ok := decodeBatchHeader(sector, s.sum)
		if ok && off > s.end && later.seq > want && later.durable >= want {
			return corrupt("; batch %d at %d was written after it had been synced", later.seq, off)
		}
		if off == boundary {
			// Not zero, so the batch's first sector was written, and whole.
			if !ok || later.seq != seq {
				return corrupt("; what follows it at %d is not batch %d", off, seq)
			}
			boundary, seq = off+later.extent(), seq+1
		}
	}
	switch {
	case nonzero == 0:
		return nil
	case !last:
		return corrupt("; a later segment exists")
	case !torn:
		return corrupt(", and no sector of it is missing")
	}
	r.dirty = nonzero
	return nil
}

// settle makes what replay found true on the disk: the torn tail is cleared,
// and the newest batches, which may never have been synced, are written again
// and synced. Writing them again matters after a sync failed: the kernel may
// then hold pages that look clean and never reached the disk.
func (r *replay) settle() error {
	s, w := r.l.active, &window{s: r.l.active, size: r.l.active.size}
	fail := func(err error) error { return fmt.Errorf("wal: repair the tail of %s: %w", s.name, err) }
	if len(r.recent) == 0 && r.dirty == 0 {
		return nil
	}
	if len(r.recent) > 0 {
		for off := r.recent[0]; off < s.end; {
			n := min(readSpan, s.end-off)
			b, err := w.load(off, n)
			if err != nil {
				return err
			}
			if _, err := s.file.WriteAt(b, off); err != nil {
				return fail(err)
			}
			off += n
		}
	}
	if r.dirty > s.end {
		r.l.torn = &Torn{s.name, s.end, r.dirty - s.end}
	}
	zeros := make([]byte, min(readSpan, max(0, r.dirty-s.end)))
	for off := s.end; off < r.dirty; off += int64(len(zeros)) {
		if _, err := s.file.WriteAt(zeros[:min(int64(len(zeros)), r.dirty-off)], off); err != nil {
			return fail(err)
		}
	}
	if err := s.file.Datasync(); err != nil {
		return fail(err)
	}
	return nil
}

// window reads a segment forward in large pieces.
type window struct {
	s    *segment
	size int64
	off  int64
	buf  []byte
}

// load returns n bytes at off, which lie inside the file, until the next load.
func (w *window) load(off, n int64) ([]byte, error) {
	if off < w.off || off+n > w.off+int64(len(w.buf)) {
		want := min(max(n, readSpan), w.size-off)
		if int64(cap(w.buf)) < want {
			w.buf = make([]byte, want)
		}
		w.buf = w.buf[:want]
		if _, err := w.s.file.ReadAt(w.buf, off); err != nil {
			w.buf = w.buf[:0]
			return nil, fmt.Errorf("wal: read %s at %d: %w", w.s.name, off, err)
		}
		w.off = off
	}
	return w.buf[off-w.off:][:n], nil
}
