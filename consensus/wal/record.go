package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/raft/v3/raftpb"
)

// Kinds of record in a batch's payload. A new kind needs a new formatVersion.
const (
	recordHardState = 1
	recordEntry     = 2
	recordBase      = 3 // entries up to an index are compacted; opens each segment
	recordReset     = 4 // the log starts over after an index
)

// What an entry record carries, so that an entry read back from disk is the
// same protobuf as the one appended.
const (
	entryHasType = 1 << 0
	entryHasData = 1 << 1
)

var errRecord = errors.New("malformed record")

// hardState is raftpb.HardState by value; set is false until one was appended.
type hardState struct {
	term, vote, commit uint64
	set                bool
}

func (h hardState) proto() *raftpb.HardState {
	if !h.set {
		return nil
	}
	return &raftpb.HardState{Term: new(h.term), Vote: new(h.vote), Commit: new(h.commit)}
}

// A record:
//
//	+------+----------------+------+
//	| kind | uvarint length | body |
//	+------+----------------+------+
//
// Bodies, in uvarints unless said otherwise:
//
//	HardState    term | vote | commit
//	Entry        CRC32C of what follows (4 bytes) | flags (1 byte) | term | index | [type] | data
//	Base         index | term | last index of the log before this batch
//	Reset        index | term
//
// An entry has a checksum of its own so that it can be read back alone.

// appendUints appends a record of plain uvarints.
func appendUints(b []byte, kind byte, v ...uint64) []byte {
	var body [3 * binary.MaxVarintLen64]byte
	p := body[:0]
	for _, x := range v {
		p = binary.AppendUvarint(p, x)
	}
	b = append(b, kind, byte(len(p)))
	return append(b, p...)
}

// appendEntry appends the record of e and returns where its body lies in b.
func appendEntry(b []byte, e *raftpb.Entry) (out []byte, off, size int) {
	var head [4 + 1 + 3*binary.MaxVarintLen64]byte
	p := binary.AppendUvarint(head[:5], e.GetTerm())
	p = binary.AppendUvarint(p, e.GetIndex())
	if e.Type != nil {
		p[4] |= entryHasType
		p = binary.AppendUvarint(p, uint64(uint32(e.GetType())))
	}
	data := e.GetData()
	if data != nil {
		p[4] |= entryHasData
	}
	binary.LittleEndian.PutUint32(p, checksum(checksum(0, p[4:]), data))
	size = len(p) + len(data)
	b = append(b, recordEntry)
	b = binary.AppendUvarint(b, uint64(size))
	off = len(b)
	b = append(b, p...)
	return append(b, data...), off, size
}

// entryBody is a decoded entry; data aliases the record.
type entryBody struct {
	flags            byte
	term, index, typ uint64
	data             []byte
}

// decodeEntry parses the body of an entry record; check is false where a
// checksum of the whole batch has vouched for it.
func decodeEntry(body []byte, check bool) (e entryBody, err error) {
	if len(body) < 5 {
		return e, errRecord
	}
	if check && binary.LittleEndian.Uint32(body) != checksum(0, body[4:]) {
		return e, errors.New("entry fails its checksum")
	}
	e.flags = body[4]
	p := body[5:]
	if e.term, p, err = uvarint(p); err != nil {
		return e, err
	}
	if e.index, p, err = uvarint(p); err != nil {
		return e, err
	}
	if e.flags&entryHasType != 0 {
		if e.typ, p, err = uvarint(p); err != nil {
			return e, err
		}
	}
	if e.flags&entryHasData != 0 {
		e.data = p
	} else if len(p) != 0 {
		return e, errRecord
	}
	if e.flags&^(entryHasType|entryHasData) != 0 || e.index == 0 || e.typ > 1<<32-1 {
		return e, errRecord
	}
	return e, nil
}

func (e entryBody) proto() *raftpb.Entry {
	p := &raftpb.Entry{Term: new(e.term), Index: new(e.index)}
	if e.flags&entryHasType != 0 {
		p.Type = new(raftpb.EntryType(int32(uint32(e.typ))))
	}
	if e.flags&entryHasData != 0 {
		p.Data = slices.Clip(e.data)
	}
	return p
}

// protoSize is proto.Size of the entry: what raft's size limits count.
func (e entryBody) protoSize() int {
	n := 2 + uvarintLen(e.term) + uvarintLen(e.index)
	if e.flags&entryHasType != 0 {
		n += 1 + uvarintLen(uint64(int64(int32(uint32(e.typ)))))
	}
	if e.flags&entryHasData != 0 {
		n += 1 + uvarintLen(uint64(len(e.data))) + len(e.data)
	}
	return n
}

// bodyOf is e as decodeEntry would return it.
func bodyOf(e *raftpb.Entry) entryBody {
	b := entryBody{term: e.GetTerm(), index: e.GetIndex(), data: e.GetData()}
	if e.Type != nil {
		b.flags |= entryHasType
		b.typ = uint64(uint32(e.GetType()))
	}
	if b.data != nil {
		b.flags |= entryHasData
	}
	return b
}

// eachRecord calls fn for every record of a payload; off is where body lies in it.
func eachRecord(payload []byte, fn func(kind byte, body []byte, off int) error) error {
	for off := 0; off < len(payload); {
		kind := payload[off]
		n, rest, err := uvarint(payload[off+1:])
		if err != nil {
			return err
		}
		if n > uint64(len(rest)) {
			return fmt.Errorf("%w: %d bytes of %d", errRecord, len(rest), n)
		}
		off = len(payload) - len(rest)
		if err := fn(kind, rest[:n:n], off); err != nil {
			return err
		}
		off += int(n)
	}
	return nil
}

// decodeUints parses a body of exactly len(v) uvarints.
func decodeUints(body []byte, v ...*uint64) (err error) {
	for _, p := range v {
		if *p, body, err = uvarint(body); err != nil {
			return err
		}
	}
	if len(body) != 0 {
		return errRecord
	}
	return nil
}

func uvarint(b []byte) (uint64, []byte, error) {
	v, n := binary.Uvarint(b)
	if n <= 0 {
		return 0, nil, errRecord
	}
	return v, b[n:], nil
}

func uvarintLen(v uint64) int {
	n := 1
	for ; v >= 0x80; v >>= 7 {
		n++
	}
	return n
}
