package checkpoint

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
)

// Reader takes the stream of an Export apart. It trusts nothing in it.
type Reader struct {
	r     *bufio.Reader
	sum   hash.Hash
	meta  Meta
	count uint64
	key   []byte
	last  []byte // the key before
	val   []byte
	err   error
}

// NewReader reads the header of a stream. Errors: ErrBadStream,
// ErrNewerFormat, or r's own.
func NewReader(r io.Reader) (*Reader, error) {
	d := &Reader{r: bufio.NewReaderSize(r, exportBlock), sum: sha256.New()}
	var head [len(magic) + 4]byte
	if err := d.full(head[:]); err != nil {
		return nil, err
	}
	if string(head[:len(magic)]) != magic {
		return nil, fmt.Errorf("%w: it does not begin as one", ErrBadStream)
	}
	n := binary.BigEndian.Uint32(head[len(magic):])
	if n > maxMeta {
		return nil, fmt.Errorf("%w: meta of %d bytes", ErrBadStream, n)
	}
	enc, err := d.take(nil, int(n))
	if err != nil {
		return nil, err
	}
	if d.meta, err = decodeMeta(enc); err != nil {
		if errors.Is(err, ErrNewerFormat) {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %v", ErrBadStream, err)
	}
	return d, nil
}

// Meta says what state the stream carries.
func (d *Reader) Meta() Meta { return d.meta }

// Next returns the next record, valid until the call after. It returns io.EOF
// when the trailer was read and the count, the sum and the end were right;
// until then nothing of the stream may be relied on. Errors: ErrBadStream, or
// that of the underlying reader.
func (d *Reader) Next() (k, v []byte, err error) {
	if d.err == nil {
		d.err = d.next()
	}
	if d.err != nil {
		return nil, nil, d.err
	}
	return d.key, d.val, nil
}

func (d *Reader) next() error {
	var n [8]byte
	if err := d.full(n[:4]); err != nil {
		return err
	}
	kl := binary.BigEndian.Uint32(n[:4])
	if kl == 0 {
		return d.trailer()
	}
	if err := d.full(n[4:]); err != nil {
		return err
	}
	vl := binary.BigEndian.Uint32(n[4:])
	if kl > maxKey || vl > maxValue {
		return d.bad("key of %d bytes, value of %d", kl, vl)
	}
	d.last, d.key = d.key, d.last
	var err error
	if d.key, err = d.take(d.key[:0], int(kl)); err != nil {
		return err
	}
	if d.count > 0 && bytes.Compare(d.last, d.key) >= 0 {
		return d.bad("out of order")
	}
	if d.val, err = d.take(d.val[:0], int(vl)); err != nil {
		return err
	}
	d.count++
	return nil
}

// trailer checks the end of the stream and returns io.EOF if it is right.
func (d *Reader) trailer() error {
	var b [8 + sha256.Size]byte
	if err := d.full(b[:8]); err != nil {
		return err
	}
	if n := binary.BigEndian.Uint64(b[:8]); n != d.count {
		return d.bad("the trailer counts %d records", n)
	}
	want := d.sum.Sum(nil)
	if err := d.full(b[8:]); err != nil {
		return err
	}
	if !bytes.Equal(want, b[8:]) {
		return d.bad("wrong SHA-256")
	}
	switch _, err := d.r.ReadByte(); {
	case err == nil:
		return d.bad("it goes on after its trailer")
	case err != io.EOF:
		return fmt.Errorf("checkpoint: read a stream: %w", err)
	}
	return io.EOF
}

func (d *Reader) bad(format string, args ...any) error {
	return fmt.Errorf("%w: after %d records: %s", ErrBadStream, d.count, fmt.Sprintf(format, args...))
}

// full reads and sums exactly len(p) bytes.
func (d *Reader) full(p []byte) error {
	_, err := io.ReadFull(d.r, p)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return d.bad("it is cut short")
	}
	if err != nil {
		return fmt.Errorf("checkpoint: read a stream: %w", err)
	}
	d.sum.Write(p)
	return nil
}

// take appends n bytes to p, making room as they come: a length that lies
// costs no memory.
func (d *Reader) take(p []byte, n int) ([]byte, error) {
	for n > 0 {
		step := min(n, exportBlock)
		at := len(p)
		if cap(p)-at < step {
			p = append(p, make([]byte, step)...)
		}
		p = p[:at+step]
		if err := d.full(p[at:]); err != nil {
			return nil, err
		}
		n -= step
	}
	return p, nil
}
