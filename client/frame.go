package client

import (
	"fmt"
	"sync"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	doozerpb "github.com/doozer-store/doozer/proto"
)

// The messages of Do are put together and taken apart here, at the level of
// protobuf fields: every caller encodes its own request and decodes its own
// response, and the two goroutines of the stream move bytes only. What is on
// the wire is exactly a DoRequest and a DoResponse.

// verb is one member of Request.op: its field number, the same in
// Response.result.
type verb protowire.Number

const (
	verbGet      verb = 3
	verbSet      verb = 4
	verbDel      verb = 5
	verbTxn      verb = 6
	verbStat     verb = 7
	verbList     verb = 8
	verbRev      verb = 9
	verbSelf     verb = 10
	verbNop      verb = 11
	verbRegister verb = 12
	verbStatus   verb = 13
	verbAwait    verb = 14
)

// String is the verb's name in errors and logs, the same as in the protocol.
func (v verb) String() string {
	names := [...]string{"get", "set", "del", "txn", "stat", "list", "rev", "self", "nop", "register", "status", "await"}
	return names[v-verbGet]
}

// idField is the number of the WriteId field in the verb's request; 0 where
// it has none.
func (v verb) idField() protowire.Number {
	switch v {
	case verbSet:
		return 4
	case verbDel, verbTxn:
		return 3
	}
	return 0
}

const (
	fieldTag     = protowire.Number(1)
	fieldTimeout = protowire.Number(2)
	fieldError   = protowire.Number(2)

	doRequests   = protowire.Number(1)
	doHeader     = protowire.Number(1)
	doResponses  = protowire.Number(2)
	doGoingAway  = protowire.Number(3)
	probeTag     = 0
	smallBuffer  = 4 << 10
	writeIDBound = 40
)

// appendRequest appends one element of DoRequest.requests: the call k under
// tag, to be answered within timeout milliseconds.
func appendRequest(b []byte, k *call, tag uint64, timeout uint32) []byte {
	var id [writeIDBound]byte
	idField := appendWriteID(id[:0], k)
	opLen := len(k.msg) + len(idField)
	n := protowire.SizeTag(fieldTag) + protowire.SizeVarint(tag) +
		protowire.SizeTag(fieldTimeout) + protowire.SizeVarint(uint64(timeout)) +
		protowire.SizeTag(protowire.Number(k.verb)) + protowire.SizeBytes(opLen)
	b = protowire.AppendTag(b, doRequests, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(n))
	b = protowire.AppendTag(b, fieldTag, protowire.VarintType)
	b = protowire.AppendVarint(b, tag)
	b = protowire.AppendTag(b, fieldTimeout, protowire.VarintType)
	b = protowire.AppendVarint(b, uint64(timeout))
	b = protowire.AppendTag(b, protowire.Number(k.verb), protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(opLen))
	b = append(b, k.msg...)
	return append(b, idField...)
}

// appendWriteID appends the WriteId field of a write's request; nothing for a
// read. It stands outside k.msg because a retry may take another id.
func appendWriteID(b []byte, k *call) []byte {
	if k.lease == nil {
		return b
	}
	var m [writeIDBound]byte
	id := m[:0]
	for i, v := range [...]uint64{k.lease.client, k.seq, k.ack} {
		id = protowire.AppendTag(id, protowire.Number(i+1), protowire.VarintType)
		id = protowire.AppendVarint(id, v)
	}
	b = protowire.AppendTag(b, k.verb.idField(), protowire.BytesType)
	return protowire.AppendBytes(b, id)
}

// reply is one element of DoResponse.responses, still encoded; body aliases
// the message.
type reply struct {
	tag  uint64
	body []byte
}

// batch is a DoResponse taken apart.
type batch struct {
	header    []byte
	replies   []reply
	goingAway bool
}

// parse fills d from an encoded DoResponse, keeping d's memory.
func (d *batch) parse(b []byte) error {
	d.header, d.replies, d.goingAway = nil, d.replies[:0], false
	return eachField(b, func(num protowire.Number, typ protowire.Type, varint uint64, body []byte) error {
		switch {
		case num == doHeader && typ == protowire.BytesType:
			d.header = body
		case num == doResponses && typ == protowire.BytesType:
			r := reply{body: body}
			err := eachField(body, func(num protowire.Number, typ protowire.Type, varint uint64, _ []byte) error {
				if num == fieldTag && typ == protowire.VarintType {
					r.tag = varint
				}
				return nil
			})
			if err != nil {
				return err
			}
			d.replies = append(d.replies, r)
		case num == doGoingAway && typ == protowire.VarintType:
			d.goingAway = varint != 0
		}
		return nil
	})
}

// eachField calls fn for every field of a message. As in the generated code a
// field of another wire type than its own is none: fn looks at typ.
func eachField(b []byte, fn func(num protowire.Number, typ protowire.Type, varint uint64, body []byte) error) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		var varint uint64
		var body []byte
		switch typ {
		case protowire.VarintType:
			varint, n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			body, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(num, typ, b)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		if err := fn(num, typ, varint, body); err != nil {
			return err
		}
	}
	return nil
}

// decodeReply decodes the response of verb v into res, or returns the error
// that the node answered with. Bytes in res are copies.
func decodeReply(body []byte, v verb, res result) (refusal *doozerpb.Error, err error) {
	found := false
	err = eachField(body, func(num protowire.Number, typ protowire.Type, _ uint64, field []byte) error {
		switch {
		case typ != protowire.BytesType:
		case num == fieldError:
			found, refusal = true, &doozerpb.Error{}
			return proto.Unmarshal(field, refusal)
		case num == protowire.Number(v):
			found = true
			return res.decode(field)
		}
		return nil
	})
	if err == nil && !found {
		err = fmt.Errorf("%w: the response to %s has no result", ErrInternal, v)
	}
	return refusal, err
}

// outFrame and inFrame are what the stream sends and receives: whole encoded
// messages.
type (
	outFrame struct{ buf *[]byte }
	inFrame  struct{ data []byte }
)

// rawCodec moves frames. Its name is that of the codec whose bytes they are.
type rawCodec struct{ pool *bufferPool }

func (rawCodec) Name() string { return "proto" }

// Marshal gives the buffer away: gRPC puts it back into the pool when it has
// written it.
func (c rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.NewBuffer(v.(*outFrame).buf, c.pool)}, nil
}

// Unmarshal makes one copy, which the replies of the message then share: it
// lives until the last of their callers has decoded its own.
func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	v.(*inFrame).data = data.Materialize()
	return nil
}

// bufferPool keeps the buffers of batches. It is safe for concurrent use.
type bufferPool struct{ pool sync.Pool }

// Get returns an empty buffer with room for length bytes.
func (p *bufferPool) Get(length int) *[]byte {
	if b, ok := p.pool.Get().(*[]byte); ok && cap(*b) >= length {
		*b = (*b)[:0]
		return b
	}
	b := make([]byte, 0, max(length, smallBuffer))
	return &b
}

// Put takes a buffer back; a very large one is left to the collector.
func (p *bufferPool) Put(b *[]byte) {
	if cap(*b) <= 2*batchBytes {
		p.pool.Put(b)
	}
}
