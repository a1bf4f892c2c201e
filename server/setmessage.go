package server

import (
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// setMessage is a WatchesResponse that is being filled. Events are referred to,
// and not copied, as in tellAlone.
type setMessage struct {
	t     *watchSet
	parts mem.BufferSlice // without the header
	size  int
}

// Fields of WatchesResponse and of its Told, whose events have the number of those
// of a WatchResponse, so that they share their bytes.
const (
	fieldSetHeader = 1
	fieldSetTold   = 2
	fieldToldIDs   = 1
	fieldToldKind  = 2
	fieldToldRev   = 3
	fieldToldError = 5
)

// add puts x into the message. What would become too large by it is sent before.
func (b *setMessage) add(x *told) error {
	ids := 0
	for _, id := range x.ids {
		ids += protowire.SizeVarint(id)
	}
	n := bytesSize(ids) + uintSize(uint64(x.kind)) + uintSize(uint64(x.rev))
	events := 0
	for _, e := range x.events {
		events += e.buffer().Len()
	}
	var why []byte
	if x.err != nil {
		// Can't fail: every string in it passed utf8 checks on its way in.
		why, _ = proto.Marshal(x.err)
		n += bytesSize(len(why))
	}
	if b.size > 0 && b.size+n+events > b.t.s.limits.MessageBytes {
		if err := b.flush(); err != nil {
			return err
		}
	}
	head := make([]byte, 0, n+16)
	head = appendLen(head, fieldSetTold, n+events)
	head = appendLen(head, fieldToldIDs, ids)
	for _, id := range x.ids {
		head = protowire.AppendVarint(head, id)
	}
	head = appendUint(head, fieldToldKind, uint64(x.kind))
	head = appendUint(head, fieldToldRev, uint64(x.rev))
	head = appendBytes(head, fieldToldError, why)
	b.parts = append(b.parts, mem.SliceBuffer(head))
	for _, e := range x.events {
		b.parts = append(b.parts, e.buffer())
	}
	b.size += len(head) + events
	return nil
}

// flush sends the message, if there is anything in it.
func (b *setMessage) flush() error {
	if len(b.parts) == 0 {
		return nil
	}
	head := b.t.s.appendHeader(make([]byte, 0, 64), fieldSetHeader)
	parts := append(mem.BufferSlice{mem.SliceBuffer(head)}, b.parts...)
	b.parts, b.size = nil, 0
	return b.t.stream.SendMsg(&encoded{parts: parts})
}
