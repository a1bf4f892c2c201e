package wal

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/raft/v3/raftpb"
)

// Options say where a log lives and whose it is. Zero means the default where
// there is one.
type Options struct {
	Dir         string   // made if it does not exist; one Log at a time, which the caller ensures
	BootstrapID [16]byte // of the cluster; another in the directory is ErrForeign
	Node        uint64   // raft id; another in the directory is ErrForeign
	SegmentSize int64    // bytes of a segment, header included; 0 is DefaultSegmentSize
	CacheBytes  int64    // newest entries kept in memory; 0 is DefaultCacheBytes
	FS          FS       // nil is the operating system's
	// Foreground prepares each segment when it is needed, in the call that
	// needs it: file operations then come in one order, as simulations want.
	Foreground bool
	// OnSync, if set, is told how long each fdatasync of batches took and how
	// many bytes it covered. It is called with the log locked for writing.
	OnSync func(d time.Duration, bytes int)
}

func (o Options) withDefaults() (Options, error) {
	o.SegmentSize = roundUp(cmp.Or(o.SegmentSize, DefaultSegmentSize))
	o.CacheBytes = cmp.Or(o.CacheBytes, DefaultCacheBytes)
	if o.FS == nil {
		o.FS = osFS{}
	}
	if o.Dir == "" {
		return o, errors.New("wal: no directory given")
	}
	if o.SegmentSize < minSegmentSize || o.SegmentSize > maxSegmentSize {
		return o, fmt.Errorf("wal: segment size %d is not between %d and %d", o.SegmentSize, minSegmentSize, maxSegmentSize)
	}
	if o.CacheBytes < 0 {
		return o, fmt.Errorf("wal: cache size %d is negative", o.CacheBytes)
	}
	return o, nil
}

// Log is a raft log on disk. Its methods may be called from any goroutine.
//
// Three locks, taken in this order: rmu, wmu, mu. No file operation runs under mu.
type Log struct {
	o Options

	rmu sync.Mutex // held while segments are removed, and by Close

	wmu      sync.Mutex    // held by the one writer, through write and fdatasync; owns the fields below
	buf      []byte        // encoding buffer
	written  uint64        // sequence number of the last batch
	durable  uint64        // sequence number of the last synced batch
	unsynced int           // bytes of batches above durable
	metaDue  bool          // HardState or base changed in memory only: they ride with the next batch
	next     chan prepared // segment being prepared; nil when none is

	size atomic.Int64 // of headers and batches, for Size
	torn *Torn        // set by Open, never changed

	mu       sync.RWMutex // protects the fields below; written only with wmu or rmu held as well
	index    index
	cache    cache
	segments []*segment // by seq, consecutive; the last is active
	active   *segment   // written only with wmu held, so the writer reads it without mu
	err      error      // the first failure, or ErrClosed: what every later change returns
}

// HardState returns the last HardState appended, nil if there never was one.
// Its Commit is at least FirstIndex-1.
func (l *Log) HardState() *raftpb.HardState {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.index.hs.proto()
}

// Torn is the remains of an interrupted write, as Open found and cleared them.
type Torn struct {
	Segment       string // file name, without its directory
	Offset, Bytes int64  // from the end of the last whole batch to the last byte that was not zero, in sectors
}

// Torn returns what Open cut off, nil if there was nothing. A write of which
// no byte had reached the disk leaves nothing to cut.
func (l *Log) Torn() *Torn { return l.torn }

// Size returns the bytes that a start would replay. Preallocated space that was
// not written yet is not counted. It never waits for the disk.
func (l *Log) Size() int64 { return l.size.Load() }

// Close makes what was appended without sync durable, stops the preparation of
// the next segment and closes the files. A second Close does nothing.
func (l *Log) Close() error {
	l.rmu.Lock()
	defer l.rmu.Unlock()
	l.wmu.Lock()
	defer l.wmu.Unlock()
	err := l.failure()
	if errors.Is(err, ErrClosed) {
		return nil
	}
	if err == nil {
		err = l.flush()
	}
	l.mu.Lock()
	l.err = ErrClosed
	l.mu.Unlock()
	return errors.Join(err, l.closeFiles())
}

// closeFiles also waits for the preparing goroutine. Caller holds wmu.
func (l *Log) closeFiles() error {
	var errs []error
	if l.next != nil {
		if p := <-l.next; p.err == nil {
			errs = append(errs, p.file.Close())
			l.o.FS.Remove(filepath.Join(l.o.Dir, p.name)) // best effort: Open removes leftovers
		}
		l.next = nil
	}
	for _, s := range l.segments {
		errs = append(errs, s.file.Close())
	}
	return errors.Join(errs...)
}

// failure is the error that ended the log, if one did.
func (l *Log) failure() error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.err
}

// fail ends the log: what the disk holds after a failed write or sync is not
// known, and asking again proves nothing. It returns the first failure.
func (l *Log) fail(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = err
	}
	return l.err
}
