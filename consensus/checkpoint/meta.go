package checkpoint

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// Format is the version of the file and of the exported stream.
const Format = 1

// partFormat is the version of the meta in a file that holds a part of a commit.
// It is above that of any whole file, so that older programs refuse it.
const partFormat = 1<<31 | Format

// errUnfinished: the file holds a part of the commit that the meta names.
var errUnfinished = errors.New("a part of a commit")

// Meta says what a state stands for: everything up to and including the entry
// at Index, of Term, with the members ConfState. A zero Index is the empty
// state.
type Meta struct {
	Index, Term uint64
	ConfState   *raftpb.ConfState
}

func (m Meta) clone() Meta {
	if m.ConfState != nil {
		m.ConfState = proto.Clone(m.ConfState).(*raftpb.ConfState)
	}
	return m
}

// The encoding of a Meta, big-endian:
//
//	format 4 | index 8 | term 8 | ConfState (protobuf, may be empty) | CRC-32C of all before 4
const metaFixed = 4 + 8 + 8 + 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (m Meta) encode() []byte { return m.encodeAs(Format) }

// unfinished encodes m for a database that holds a part of the commit of m. A
// program that does not know what that is refuses it, as a newer format.
func (m Meta) unfinished() []byte { return m.encodeAs(partFormat) }

func (m Meta) encodeAs(format uint32) []byte {
	b := make([]byte, 0, 64)
	b = binary.BigEndian.AppendUint32(b, format)
	b = binary.BigEndian.AppendUint64(b, m.Index)
	b = binary.BigEndian.AppendUint64(b, m.Term)
	if m.ConfState != nil {
		var err error
		if b, err = (proto.MarshalOptions{Deterministic: true}).MarshalAppend(b, m.ConfState); err != nil {
			panic(fmt.Sprintf("checkpoint: encode members %v: %v", m.ConfState, err)) // numbers always encode
		}
	}
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// decodeMeta returns ErrNewerFormat, wrapped, for a format it does not know,
// even if the rest makes no sense to it, and the meta with errUnfinished.
func decodeMeta(b []byte) (Meta, error) {
	if len(b) < metaFixed {
		return Meta{}, errors.New("meta is too short")
	}
	f := binary.BigEndian.Uint32(b)
	if f > Format && f != partFormat {
		return Meta{}, fmt.Errorf("%w: format %d, this version reads %d", ErrNewerFormat, f, Format)
	} else if f == 0 {
		return Meta{}, errors.New("meta has format 0")
	}
	body := b[:len(b)-4]
	if crc32.Checksum(body, castagnoli) != binary.BigEndian.Uint32(b[len(b)-4:]) {
		return Meta{}, errors.New("meta has a wrong checksum")
	}
	m := Meta{Index: binary.BigEndian.Uint64(b[4:]), Term: binary.BigEndian.Uint64(b[12:])}
	if len(body) > 20 {
		m.ConfState = &raftpb.ConfState{}
		if err := proto.Unmarshal(body[20:], m.ConfState); err != nil {
			return Meta{}, fmt.Errorf("meta has unreadable members: %w", err)
		}
	}
	if f == partFormat {
		return m, errUnfinished
	}
	return m, nil
}
