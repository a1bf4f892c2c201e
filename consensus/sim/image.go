package sim

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"slices"
	"syscall"

	"google.golang.org/protobuf/proto"

	"github.com/doozer-store/doozer/consensus/checkpoint"
	"github.com/doozer-store/doozer/consensus/wal/faultfs"
	"github.com/doozer-store/doozer/server"
	"github.com/doozer-store/doozer/store"
)

// image is a durable checkpoint; it never changes.
type image struct {
	meta    checkpoint.Meta
	records []record // in order of their keys
}

type record struct{ key, value []byte }

// firstImage is the state in which all nodes of a cluster begin.
func firstImage(nodes int) *image {
	im := &image{meta: metaOf(nodes)}
	_ = store.New().Snapshot(func(k, v []byte) error {
		im.records = append(im.records, record{k, v})
		return nil
	})
	return im
}

// with returns the image after changes, which are in order of their keys; a
// nil value deletes.
func (im *image) with(m checkpoint.Meta, changes []record) *image {
	out := &image{meta: m, records: make([]record, 0, len(im.records)+len(changes))}
	old := im.records
	for _, c := range changes {
		for len(old) > 0 && bytes.Compare(old[0].key, c.key) < 0 {
			out.records = append(out.records, old[0])
			old = old[1:]
		}
		if len(old) > 0 && bytes.Equal(old[0].key, c.key) {
			old = old[1:]
		}
		if c.value != nil {
			out.records = append(out.records, c)
		}
	}
	out.records = append(out.records, old...)
	return out
}

// state is a server.State over a disk, for one process.
type state struct {
	d       *disk
	life    int
	staging bool
}

var _ server.State = (*state)(nil)

func (d *disk) openState() *state { return &state{d: d, life: d.n.life} }

// Meta implements server.State.
func (s *state) Meta() checkpoint.Meta { return s.d.image.meta }

// Size implements server.State.
func (s *state) Size() int64 { return int64(len(s.d.image.records)) }

// Load implements server.State.
func (s *state) Load(fn func(k, v []byte) error) error {
	for _, r := range s.d.image.records {
		if err := fn(r.key, r.value); err != nil {
			return err
		}
	}
	return nil
}

// replace makes im the durable image, or says why not. After an error of the
// disk nobody knows which one is.
func (s *state) replace(im *image) error {
	d := s.d
	if d.cut {
		return faultfs.ErrPower
	}
	if d.full {
		return d.inject(syscall.ENOSPC)
	}
	if d.cutAfter >= 0 {
		if d.cutAfter--; d.cutAfter < 0 {
			if d.n.w.chance(0.5) {
				d.image = im
			}
			return d.powerCut("a checkpoint")
		}
	}
	failed := countDown(&d.failState)
	if !failed || d.n.w.chance(0.5) {
		d.image = im
	}
	if failed {
		return d.inject(syscall.EIO)
	}
	return nil
}

var errOrder = errors.New("sim: a checkpoint's records are out of order, or its index falls")

// Commit implements server.State.
func (s *state) Commit(m checkpoint.Meta, records func(put func(k, v []byte) error, del func(k []byte) error) error) error {
	var changes []record
	add := func(k, v []byte) error {
		if n := len(changes); n > 0 && bytes.Compare(changes[n-1].key, k) >= 0 {
			return errOrder
		}
		changes = append(changes, record{bytes.Clone(k), bytes.Clone(v)})
		return nil
	}
	put := func(k, v []byte) error {
		if v == nil {
			v = []byte{}
		}
		return add(k, v)
	}
	if err := records(put, func(k []byte) error { return add(k, nil) }); err != nil {
		return err
	}
	if m.Index < s.d.image.meta.Index {
		return errOrder
	}
	return s.replace(s.d.image.with(m, changes))
}

// Export implements server.State.
func (s *state) Export() (server.Export, error) {
	im := s.d.image
	return &export{Reader: bytes.NewReader(im.stream()), meta: im.meta}, nil
}

type export struct {
	*bytes.Reader
	meta checkpoint.Meta
}

// Meta implements server.Export.
func (e *export) Meta() checkpoint.Meta { return e.meta }

// Close implements io.Closer.
func (e *export) Close() error { return nil }

// stream writes the image as package checkpoint writes its own (see its
// export.go and meta.go).
func (im *image) stream() []byte {
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	meta := binary.BigEndian.AppendUint32(nil, checkpoint.Format)
	meta = binary.BigEndian.AppendUint64(meta, im.meta.Index)
	meta = binary.BigEndian.AppendUint64(meta, im.meta.Term)
	meta, _ = proto.MarshalOptions{Deterministic: true}.MarshalAppend(meta, im.meta.ConfState)
	meta = binary.BigEndian.AppendUint32(meta, crc32.Checksum(meta, castagnoli))
	b := append([]byte("DOOZERCK"), binary.BigEndian.AppendUint32(nil, uint32(len(meta)))...)
	b = append(b, meta...)
	for _, r := range im.records {
		b = binary.BigEndian.AppendUint32(b, uint32(len(r.key)))
		b = binary.BigEndian.AppendUint32(b, uint32(len(r.value)))
		b = append(append(b, r.key...), r.value...)
	}
	b = binary.BigEndian.AppendUint32(b, 0)
	b = binary.BigEndian.AppendUint64(b, uint64(len(im.records)))
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

// stage is an image that is built beside the present one.
type stage struct {
	s  *state
	im *image
}

// Stage implements server.State.
func (s *state) Stage(m checkpoint.Meta) (server.Stage, error) {
	if s.staging {
		return nil, checkpoint.ErrStaging
	}
	if s.d.full {
		return nil, syscall.ENOSPC // the process goes on without it
	}
	s.staging = true
	return &stage{s, &image{meta: m}}, nil
}

// Meta implements server.Stage.
func (g *stage) Meta() checkpoint.Meta { return g.im.meta }

// Put implements server.Stage.
func (g *stage) Put(k, v []byte) error {
	g.im.records = append(g.im.records, record{slices.Clone(k), append([]byte{}, v...)})
	return nil
}

// Commit implements server.Stage.
func (g *stage) Commit() error { return nil }

// Abort implements server.Stage.
func (g *stage) Abort() error {
	g.s.staging = false
	return nil
}

// Install implements server.State.
func (s *state) Install(g server.Stage) error {
	s.staging = false
	return s.replace(g.(*stage).im)
}

var _ io.Reader = (*export)(nil)
