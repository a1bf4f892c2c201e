package checkpoint

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"

	"go.etcd.io/bbolt"
)

// A commit that is too large for one transaction of bbolt, which holds all pages
// that it touches in memory, is written to a redo file first, and then brought
// into the database part by part. Its commit point is the rename of the complete
// and synced redo file. After a crash from there on Open brings in all of it,
// again if need be: putting and deleting twice is the same as once.
//
// The file, big-endian, is a list of blocks:
//
//	length 4 | CRC-32C of the body 4 | body
//
// The first byte of a body is its kind:
//
//	"h"  "DOOZERRD" | bbolt's number of the transaction before 8 | Meta as in the file
//	"o"  operations: key length 4 | value length 4 | key | value, in which a
//	     value length of 2^32-1 is a deletion, without a value
//	"e"  count of operations 8; the last
const (
	redoMagic = "DOOZERRD"
	redoBlock = 64 << 10
	redoDel   = 1<<32 - 1
	maxBlock  = maxKey + maxValue + redoBlock + 16
)

func (db *DB) redoPath() string { return db.path + ".redo" }

// redoWriter makes a redo file under another name.
type redoWriter struct {
	db    *DB
	f     *os.File
	meta  Meta
	buf   []byte // the block, with room for its header
	count uint64
	err   error // of the first write that failed; none follows it
}

func (db *DB) newRedo(b *bbolt.DB, m Meta) (*redoWriter, error) {
	before, err := lastTx(b)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(db.redoPath()+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	db.o.step("redo")
	w := &redoWriter{db: db, f: f, meta: m}
	w.begin('h')
	w.buf = append(w.buf, redoMagic...)
	w.buf = binary.BigEndian.AppendUint64(w.buf, before)
	w.buf = append(w.buf, m.encode()...)
	w.flush('o')
	return w, nil
}

// lastTx is the number of the last transaction of b.
func lastTx(b *bbolt.DB) (id uint64, err error) {
	err = b.View(func(tx *bbolt.Tx) error {
		id = uint64(tx.ID())
		return nil
	})
	return id, err
}

func (w *redoWriter) begin(kind byte) {
	w.buf = append(append(w.buf[:0], make([]byte, 8)...), kind)
}

// flush writes the block and begins one of another kind.
func (w *redoWriter) flush(next byte) {
	w.seal()
	if w.err == nil {
		_, w.err = w.f.Write(w.buf)
	}
	w.begin(next)
}

// seal completes the header of the block.
func (w *redoWriter) seal() {
	binary.BigEndian.PutUint32(w.buf, uint32(len(w.buf)-8))
	binary.BigEndian.PutUint32(w.buf[4:], crc32.Checksum(w.buf[8:], castagnoli))
}

func (w *redoWriter) add(o op) error {
	w.count++
	n := uint32(redoDel)
	if !o.del {
		n = uint32(len(o.value))
	}
	w.buf = binary.BigEndian.AppendUint32(w.buf, uint32(len(o.key)))
	w.buf = binary.BigEndian.AppendUint32(w.buf, n)
	w.buf = append(append(w.buf, o.key...), o.value...)
	if len(w.buf) >= redoBlock {
		w.flush('o')
	}
	return w.err
}

// finish writes the rest of the file, but does not make it durable.
func (w *redoWriter) finish() error {
	w.flush('e')
	w.buf = binary.BigEndian.AppendUint64(w.buf, w.count)
	w.flush(0)
	w.db.o.step("redo written")
	return w.err
}

// publish makes the file durable under its name.
func (w *redoWriter) publish() error {
	err := w.f.Sync()
	if err = errors.Join(err, w.f.Close()); err != nil {
		return err
	}
	w.db.o.step("redo synced")
	if err := os.Rename(w.db.redoPath()+".new", w.db.redoPath()); err != nil {
		return err
	}
	w.db.o.step("redo renamed")
	return syncDir(w.db.path)
}

// abandon removes the file.
func (w *redoWriter) abandon() error {
	return errors.Join(w.f.Close(), os.Remove(w.db.redoPath()+".new"))
}

// inParts commits what w has been given.
func (db *DB) inParts(b *bbolt.DB, w *redoWriter) (final bool, err error) {
	if err := w.finish(); err != nil {
		return false, errors.Join(err, w.abandon())
	}
	db.whole.Lock()
	defer db.whole.Unlock()
	if err := w.publish(); err != nil {
		return true, err // whether it is on the disk the next Open will see
	}
	r, err := db.openRedo()
	if err != nil {
		return true, err
	}
	return true, db.bring(b, r)
}

// redoReader reads a redo file, and trusts nothing in it.
type redoReader struct {
	path   string
	f      *os.File
	r      *bufio.Reader
	before uint64 // bbolt's number of the transaction before
	meta   Meta
	block  []byte
	rest   []byte // of the block
	count  uint64
}

func (db *DB) openRedo() (*redoReader, error) {
	f, err := os.Open(db.redoPath())
	if err != nil {
		return nil, err
	}
	r := &redoReader{path: db.redoPath(), f: f, r: bufio.NewReaderSize(f, redoBlock)}
	if err := r.header(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return r, nil
}

func (r *redoReader) header() error {
	kind, err := r.nextBlock()
	if err != nil {
		return err
	}
	if kind != 'h' || len(r.rest) < len(redoMagic)+8 || string(r.rest[:len(redoMagic)]) != redoMagic {
		return r.damaged("it does not begin as one")
	}
	r.before = binary.BigEndian.Uint64(r.rest[len(redoMagic):])
	m, err := decodeMeta(r.rest[len(redoMagic)+8:])
	switch {
	case errors.Is(err, ErrNewerFormat):
		return fmt.Errorf("%w: %s", err, r.path)
	case err != nil:
		return r.damaged(err.Error())
	}
	r.meta, r.rest = m, nil
	return nil
}

func (r *redoReader) damaged(reason string) error {
	return &CorruptError{Path: r.path, Reason: fmt.Sprintf("after %d operations: %s", r.count, reason)}
}

// nextBlock reads a block and returns its kind; the rest is in r.rest.
func (r *redoReader) nextBlock() (kind byte, err error) {
	var head [8]byte
	if err := r.full(head[:]); err != nil {
		return 0, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n == 0 || n > maxBlock {
		return 0, r.damaged(fmt.Sprintf("a block of %d bytes", n))
	}
	r.block = r.block[:0]
	for left := int(n); left > 0; {
		step := min(left, 4*redoBlock) // a length that lies costs no memory
		r.block = append(r.block, make([]byte, step)...)
		if err := r.full(r.block[len(r.block)-step:]); err != nil {
			return 0, err
		}
		left -= step
	}
	if crc32.Checksum(r.block, castagnoli) != binary.BigEndian.Uint32(head[4:]) {
		return 0, r.damaged("a wrong checksum")
	}
	r.rest = r.block[1:]
	return r.block[0], nil
}

func (r *redoReader) full(p []byte) error {
	_, err := io.ReadFull(r.r, p)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return r.damaged("it is cut short")
	}
	return err
}

// next returns the next operation, valid until the call after, and io.EOF when
// the file has ended as it should.
func (r *redoReader) next() (op, error) {
	for len(r.rest) == 0 {
		kind, err := r.nextBlock()
		switch {
		case err != nil:
			return op{}, err
		case kind == 'e' && len(r.rest) == 8 && binary.BigEndian.Uint64(r.rest) == r.count:
			return op{}, io.EOF
		case kind != 'o':
			return op{}, r.damaged("a block out of place")
		}
	}
	if len(r.rest) < 8 {
		return op{}, r.damaged("an operation is cut short")
	}
	kl, vl := binary.BigEndian.Uint32(r.rest), binary.BigEndian.Uint32(r.rest[4:])
	o := op{del: vl == redoDel}
	if o.del {
		vl = 0
	}
	b := r.rest[8:]
	if uint64(kl)+uint64(vl) > uint64(len(b)) {
		return op{}, r.damaged("an operation is cut short")
	}
	o.key, o.value, r.rest = b[:kl:kl], b[kl:kl+vl:kl+vl], b[kl+vl:]
	r.count++
	return o, nil
}

// bring puts what r has into the database, in transactions of a bounded size,
// and removes the file. Until the last one the meta says that more is to come.
// Caller holds whole, or nobody else has the database.
func (db *DB) bring(b *bbolt.DB, r *redoReader) error {
	defer func() { _ = r.f.Close() }()
	var values arena
	for last := false; !last; {
		p, err := newPart(b)
		if err != nil {
			return err
		}
		last, err = p.take(db.o.inPart, r, &values)
		if err == nil {
			enc := r.meta.encode()
			if !last {
				enc = r.meta.unfinished()
			}
			err = p.putMeta(enc)
		}
		if err != nil {
			return errors.Join(err, p.rollback())
		}
		if err := p.commit(); err != nil {
			return err
		}
		values.reset()
		letGo(b)
		db.o.step("part")
	}
	if err := os.Remove(r.path); err != nil {
		return err
	}
	db.o.step("redo removed")
	// It must be gone for good before another file can take the database's place.
	return syncDir(db.path)
}

// take does operations of r, ops at most, until the part is full or r at its end.
func (p *part) take(ops int, r *redoReader, values *arena) (last bool, err error) {
	for !p.full(ops) {
		o, err := r.next()
		if err == io.EOF {
			return true, nil
		}
		if err == nil && o.fault() != nil {
			err = r.damaged(o.fault().Error())
		}
		if err == nil {
			o.value = values.copy(o.value)
			err = p.do(o)
		}
		if err != nil {
			return false, err
		}
	}
	return false, nil
}

// redone completes a large commit that a crash interrupted, before anybody uses
// the database, and removes what one before its commit point left.
func (db *DB) redone(b *bbolt.DB) error {
	if err := os.Remove(db.redoPath() + ".new"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("checkpoint: remove a leftover: %w", err)
	}
	r, err := db.openRedo()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("checkpoint: complete a commit: %w", err)
	}
	meta, err := readMeta(b, db.path)
	half := errors.Is(err, errUnfinished)
	if err != nil && !half {
		return errors.Join(err, r.f.Close())
	}
	last, err := lastTx(b)
	switch {
	case err != nil:
	case half && meta.Index != r.meta.Index, !half && last < r.before:
		err = r.damaged("it is not of this database")
	case half || last == r.before:
		if err = db.bring(b, r); err != nil {
			return fmt.Errorf("checkpoint: complete a commit: %w", err)
		}
		return nil
	default: // all was brought in; its removal was not yet on the disk
		return errors.Join(r.f.Close(), os.Remove(r.path), syncDir(db.path))
	}
	return errors.Join(err, r.f.Close())
}
