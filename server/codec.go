package server

import (
	"fmt"

	doozerpb "github.com/doozer-store/doozer/proto"
	"google.golang.org/grpc/encoding"
	grpcproto "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
)

// codec is grpc's protobuf codec with two short cuts for the busy streams:
//
//   - an encoded is a message that is bytes already (on Do, where responses
//     are written straight from the store's events, and on Watch, where a
//     thousand watchers share the bytes of one event);
//   - a batch is a received DoRequest kept as bytes, to be decoded request by
//     request: a message of millions of empty requests costs its own bytes.
//
// Every other message is left to grpc's codec.
type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2(grpcproto.Name)} }

// encoded is a protobuf message as bytes. grpc frees them when they are
// written, or dropped.
type encoded struct{ parts mem.BufferSlice }

// batch is a received DoRequest as bytes, valid until free.
type batch struct{ buf mem.Buffer }

// bytes returns the message; it is not to be kept beyond free.
func (b *batch) bytes() []byte { return b.buf.ReadOnlyData() }

// free gives the bytes back; b may then receive another message.
func (b *batch) free() {
	if b.buf != nil {
		b.buf.Free()
		b.buf = nil
	}
}

func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if e, ok := v.(*encoded); ok {
		return e.parts, nil
	}
	return c.CodecV2.Marshal(v)
}

func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	b, ok := v.(*batch)
	if !ok {
		if _, ok := v.(*doozerpb.TxnRequest); ok {
			if err := countTxn(data.Materialize()); err != nil {
				return err
			}
		}
		return c.CodecV2.Unmarshal(data, v)
	}
	if b.buf != nil {
		return fmt.Errorf("server: batch received into before it was freed")
	}
	b.buf = data.MaterializeToBuffer(mem.DefaultBufferPool())
	return nil
}
