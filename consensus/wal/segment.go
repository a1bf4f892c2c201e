package wal

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
)

const (
	segmentSuffix = ".wal"
	nextName      = "next.tmp" // the segment prepared ahead
	bigName       = "big.tmp"  // one made for a batch larger than a segment
)

// segment is one file of the log.
type segment struct {
	name     string // without its directory
	file     File
	seq      uint64
	size     int64
	sum      uint32 // CRC of its header: the seed of its batches
	end      int64  // where the next batch goes; owned by Log.wmu, final once not active
	maxIndex uint64 // highest index ever written to it; owned by Log.wmu
}

func segmentName(seq, first uint64) string {
	return fmt.Sprintf("%016x-%016x%s", seq, first, segmentSuffix)
}

// parseSegmentName is the inverse of segmentName.
func parseSegmentName(name string) (seq, first uint64, ok bool) {
	if _, err := fmt.Sscanf(name, "%016x-%016x.wal", &seq, &first); err != nil {
		return 0, 0, false
	}
	return seq, first, segmentName(seq, first) == name
}

func isSegment(name string) bool { return strings.HasSuffix(name, segmentSuffix) }

// prepared is a file of zeros of a segment's size, durable under a temporary name.
type prepared struct {
	name string
	file File
	err  error
}

// prepare makes one. What it could not finish it removes.
func prepare(fs FS, dir, name string, size int64) prepared {
	path := filepath.Join(dir, name)
	f, err := fs.Create(path)
	if err != nil {
		return prepared{err: fmt.Errorf("wal: create %s: %w", name, err)}
	}
	if err = f.Allocate(size); err != nil {
		err = fmt.Errorf("wal: allocate %d bytes for %s: %w", size, name, err)
	} else if err = f.Sync(); err != nil {
		err = fmt.Errorf("wal: sync %s: %w", name, err)
	} else if err = fs.SyncDir(dir); err != nil {
		err = fmt.Errorf("wal: sync the directory of %s: %w", name, err)
	}
	if err != nil {
		f.Close()
		fs.Remove(path) // best effort: Open removes leftovers
		return prepared{err: err}
	}
	return prepared{name: name, file: f}
}

// prepareNext starts preparing the segment after the active one. The goroutine
// it starts ends by itself after a few file operations; takeNext waits for it,
// and so does Close. Caller holds wmu.
func (l *Log) prepareNext() {
	if l.o.Foreground {
		return
	}
	ch := make(chan prepared, 1)
	l.next = ch
	go func() { ch <- prepare(l.o.FS, l.o.Dir, nextName, l.o.SegmentSize) }()
}

// takeNext returns a prepared file of at least size bytes. A preparation that
// found the disk full is tried once more: space may have come free since.
// Caller holds wmu.
func (l *Log) takeNext(size int64) (prepared, int64) {
	if size > l.o.SegmentSize {
		return prepare(l.o.FS, l.o.Dir, bigName, size), size
	}
	if l.next != nil {
		p := <-l.next // the sender is between file operations, it cannot hang on us
		l.next = nil
		if p.err == nil || !errors.Is(p.err, syscall.ENOSPC) {
			return p, l.o.SegmentSize
		}
	}
	return prepare(l.o.FS, l.o.Dir, nextName, l.o.SegmentSize), l.o.SegmentSize
}

// rotate makes a new active segment with room for a batch of need bytes whose
// first entry is first. Everything before it is durable first; the segment gets
// its final name only once its header is durable, so a *.wal file without a
// valid header is damage. Caller holds wmu.
func (l *Log) rotate(first uint64, need int64) error {
	if err := l.sync(); err != nil {
		return err
	}
	p, size := l.takeNext(roundUp(sectorSize + need))
	if p.err != nil {
		return p.err
	}
	h := segmentHeader{
		bootstrap: l.o.BootstrapID, node: l.o.Node, size: size,
		seq: 1, first: first, batch: l.written + 1,
	}
	if l.active != nil {
		h.seq = l.active.seq + 1
	}
	sector := h.encode()
	name := segmentName(h.seq, first)
	if err := install(l.o.FS, l.o.Dir, p, name, sector); err != nil {
		p.file.Close()
		return fmt.Errorf("wal: make segment %s: %w", name, err)
	}
	l.mu.Lock()
	l.active = &segment{name: name, file: p.file, seq: h.seq, size: size, sum: headerSum(sector), end: sectorSize}
	l.segments = append(l.segments, l.active)
	l.mu.Unlock()
	l.size.Add(sectorSize)
	if l.next == nil {
		l.prepareNext()
	}
	return nil
}

func install(fs FS, dir string, p prepared, name string, header []byte) error {
	if _, err := p.file.WriteAt(header, 0); err != nil {
		return err
	}
	if err := p.file.Datasync(); err != nil {
		return err
	}
	if err := fs.Rename(filepath.Join(dir, p.name), filepath.Join(dir, name)); err != nil {
		return err
	}
	return fs.SyncDir(dir)
}
