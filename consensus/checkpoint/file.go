package checkpoint

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

const (
	lockPoll = 20 * time.Millisecond

	// Sequential keys fill a page to this, where bbolt's default would leave
	// each half empty.
	fillAppend = 0.95
	// Scattered keys split a full page into halves, so that both have room.
	fillRandom = 0.5
)

// The two buckets, and the key of the one value in the second.
const (
	recordsBucket = "records"
	metaBucket    = "meta"
	metaKey       = "meta"
)

// boltOptions are the same for every file. The freelist is stored: without it
// every open reads the whole file to find the free pages.
func boltOptions(mapSize int64, files *[]*os.File) *bbolt.Options {
	o := &bbolt.Options{
		Timeout:      50 * time.Millisecond, // bbolt tries once for any Timeout up to this
		FreelistType: bbolt.FreelistMapType,
		NoStatistics: true,
		OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
			f, err := os.OpenFile(name, flag, mode)
			if err == nil {
				*files = append(*files, f)
			}
			return f, err
		},
	}
	if strconv.IntSize == 64 {
		o.InitialMmapSize = int(mapSize)
	}
	return o
}

// openBolt opens or creates a bbolt file, with the error that fits.
func openBolt(path string, mapSize int64, change func(*bbolt.Options)) (*bbolt.DB, error) {
	var files []*os.File
	o := boltOptions(mapSize, &files)
	if change != nil {
		change(o)
	}
	var b *bbolt.DB
	err := guard(path, func() (err error) {
		b, err = bbolt.Open(path, 0o600, o)
		return err
	})
	var corrupt *CorruptError
	switch {
	case err == nil:
		return b, nil
	case errors.As(err, &corrupt):
		// bbolt panicked half-way: what it opened, and locked, is still open.
		// It is still mapped too, and so the lock outlives the descriptor.
		for _, f := range files {
			_ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN)
			_ = f.Close()
		}
		return nil, err
	case errors.Is(err, berrors.ErrTimeout):
		return nil, fmt.Errorf("%w: %s", ErrInUse, path)
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrChecksum), errors.Is(err, berrors.ErrVersionMismatch):
		return nil, &CorruptError{Path: path, Reason: err.Error()}
	}
	return nil, fmt.Errorf("checkpoint: open %s: %w", path, err)
}

// initialize gives an open file both buckets and m, in one transaction.
func initialize(b *bbolt.DB, m Meta) error {
	return b.Update(func(tx *bbolt.Tx) error {
		_, recordsErr := tx.CreateBucketIfNotExists([]byte(recordsBucket))
		mb, err := tx.CreateBucketIfNotExists([]byte(metaBucket))
		if err := errors.Join(recordsErr, err); err != nil {
			return err
		}
		return mb.Put([]byte(metaKey), m.encode())
	})
}

// readMeta checks the outline of an open file and returns its meta.
func readMeta(b *bbolt.DB, path string) (m Meta, err error) {
	err = guard(path, func() error {
		return b.View(func(tx *bbolt.Tx) error {
			fi, err := os.Stat(path)
			if err != nil {
				return err
			}
			if fi.Size() < tx.Size() {
				return &CorruptError{Path: path, Reason: fmt.Sprintf("it has %d bytes of %d", fi.Size(), tx.Size())}
			}
			mb := tx.Bucket([]byte(metaBucket))
			if mb == nil || tx.Bucket([]byte(recordsBucket)) == nil {
				return &CorruptError{Path: path, Reason: "it lacks a bucket"}
			}
			m, err = decodeMeta(mb.Get([]byte(metaKey)))
			switch {
			case errors.Is(err, ErrNewerFormat), errors.Is(err, errUnfinished):
				return fmt.Errorf("%w: %s", err, path)
			case err != nil:
				return &CorruptError{Path: path, Reason: err.Error()}
			}
			return nil
		})
	})
	return m, err
}

// lockFile takes the exclusive lock of the file at path, waiting up to
// timeout for the process that has it. Closing the file gives the lock up. The
// file itself stays: removing it would let two processes lock two files.
func lockFile(path string, timeout time.Duration) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: open the lock: %w", err)
	}
	poll := time.NewTicker(lockPoll)
	defer poll.Stop()
	deadline := time.After(timeout)
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if err != syscall.EWOULDBLOCK && err != syscall.EINTR {
			_ = f.Close()
			return nil, fmt.Errorf("checkpoint: lock %s: %w", path, err)
		}
		select {
		case <-poll.C:
		case <-deadline:
			_ = f.Close()
			return nil, fmt.Errorf("%w: %s", ErrInUse, path)
		}
	}
}

// syncDir makes the names in the directory of path durable.
func syncDir(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
