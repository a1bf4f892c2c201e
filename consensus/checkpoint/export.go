package checkpoint

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"io"

	"go.etcd.io/bbolt"
)

// The exported stream, big-endian:
//
//	header   "DOOZERCK" | length 4 | Meta as in the file
//	record   key length 4 (> 0) | value length 4 | key | value      keys rise
//	trailer  0 4 | count of records 8 | SHA-256 of all before 32
const (
	magic       = "DOOZERCK"
	exportBlock = 64 << 10
	// Bounds for a reader, which has no reason yet to trust the stream. Keys
	// as in bbolt.
	maxMeta  = 1 << 20
	maxKey   = bbolt.MaxKeySize
	maxValue = 256 << 20
)

// Export reads one state of a DB as a stream. It is used by one goroutine at
// a time, and must be closed.
type Export struct {
	db   *DB
	h    *handle
	tx   *bbolt.Tx
	meta Meta

	s     *scan
	sum   hash.Hash
	count uint64
	buf   []byte // encoded, not yet read
	out   []byte // the rest of buf
	done  bool   // the trailer is in buf
	err   error
}

// Export begins to read the state as it is, when a large commit under way has
// ended. Commits go on meanwhile, and the
// file grows by what they write until the Export is closed.
func (db *DB) Export() (*Export, error) {
	h, err := db.acquire()
	if err != nil {
		return nil, err
	}
	e := &Export{db: db, h: h, sum: sha256.New()}
	if e.tx, err = db.begin(h); err != nil {
		return nil, errors.Join(err, db.release(h))
	}
	if err := e.start(); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

func (e *Export) start() error {
	var enc []byte
	err := guard(e.db.path, func() error {
		enc = e.tx.Bucket([]byte(metaBucket)).Get([]byte(metaKey))
		return nil
	})
	if err != nil {
		return err
	}
	if e.meta, err = decodeMeta(enc); err != nil {
		return &CorruptError{Path: e.db.path, Reason: err.Error()}
	}
	if e.s, err = newScan(e.tx, e.db.path); err != nil {
		return err
	}
	e.buf = append(e.buf, magic...)
	e.buf = binary.BigEndian.AppendUint32(e.buf, uint32(len(enc)))
	e.buf = append(e.buf, enc...)
	e.hashed(0)
	return nil
}

// hashed takes buf from an offset on into the sum and offers it to Read.
func (e *Export) hashed(from int) {
	e.sum.Write(e.buf[from:])
	e.out = e.buf
}

// Meta says what state is exported.
func (e *Export) Meta() Meta { return e.meta }

// Read implements io.Reader. Errors: *CorruptError, ErrClosed.
func (e *Export) Read(p []byte) (int, error) {
	if err := e.fill(); err != nil {
		return 0, err
	}
	n := copy(p, e.out)
	e.out = e.out[n:]
	return n, nil
}

// WriteTo implements io.WriterTo.
func (e *Export) WriteTo(w io.Writer) (int64, error) {
	var total int64
	for {
		if err := e.fill(); err == io.EOF {
			return total, nil
		} else if err != nil {
			return total, err
		}
		n, err := w.Write(e.out)
		e.out = e.out[n:]
		total += int64(n)
		if err != nil {
			return total, err
		}
	}
}

// fill sees to it that out is not empty, unless it returns an error.
func (e *Export) fill() error {
	if e.err != nil {
		return e.err
	}
	if len(e.out) > 0 {
		return nil
	}
	if e.done {
		return io.EOF
	}
	e.buf = e.buf[:0]
	for len(e.buf) < exportBlock {
		k, v, err := e.s.next()
		if err != nil {
			e.err = err
			return err
		}
		if k == nil {
			e.finish()
			return nil
		}
		if e.err = e.append(k, v); e.err != nil {
			return e.err
		}
	}
	e.hashed(0)
	return nil
}

// append copies a record out of the map. A length of a damaged page can point
// beyond the map, so the copy is guarded as well.
func (e *Export) append(k, v []byte) error {
	return guard(e.db.path, func() error {
		e.buf = binary.BigEndian.AppendUint32(e.buf, uint32(len(k)))
		e.buf = binary.BigEndian.AppendUint32(e.buf, uint32(len(v)))
		e.buf = append(e.buf, k...)
		e.buf = append(e.buf, v...)
		e.count++
		return nil
	})
}

func (e *Export) finish() {
	e.buf = binary.BigEndian.AppendUint32(e.buf, 0)
	e.buf = binary.BigEndian.AppendUint64(e.buf, e.count)
	e.hashed(0)
	e.buf = e.sum.Sum(e.buf)
	e.out = e.buf
	e.done = true
}

// Close ends the read transaction. Closing twice does nothing.
func (e *Export) Close() error {
	if e.tx == nil {
		return nil
	}
	err := e.tx.Rollback()
	e.tx, e.err = nil, ErrClosed
	return errors.Join(err, e.db.release(e.h))
}
