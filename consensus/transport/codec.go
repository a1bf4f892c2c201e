package transport

import (
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	grpcproto "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/doozer-store/doozer/proto/peerpb"
)

// codec is grpc's protobuf codec, but for an inbound: the raft messages of a
// received Envelope are decoded where they lie in grpc's buffer, which copies
// their entries once, where Envelope's own field of bytes would be a copy more.
type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2(grpcproto.Name)} }

func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	in, ok := v.(*inbound)
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}
	buf := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer buf.Free()
	in.err = in.decode(buf.ReadOnlyData())
	return nil
}

// inbound is a received Envelope.
type inbound struct {
	check func(*raftpb.Message) error // of each; nothing after a wrong one is decoded

	raft []*raftpb.Message
	rest peerpb.Envelope // all but raft
	err  error           // a status: what is wrong with it
}

// decode takes an encoded Envelope apart, and keeps nothing of b.
func (in *inbound) decode(b []byte) error {
	in.raft = nil
	var rest []byte
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return status.Errorf(codes.InvalidArgument, "envelope: %v", protowire.ParseError(n))
		}
		k := protowire.ConsumeFieldValue(num, typ, b[n:])
		if k < 0 {
			return status.Errorf(codes.InvalidArgument, "envelope: %v", protowire.ParseError(k))
		}
		if num == raftField && typ == protowire.BytesType {
			raw, _ := protowire.ConsumeBytes(b[n : n+k])
			m := new(raftpb.Message)
			if err := proto.Unmarshal(raw, m); err != nil {
				return status.Errorf(codes.InvalidArgument, "raft message: %v", err)
			}
			if err := in.check(m); err != nil {
				return err
			}
			in.raft = append(in.raft, m)
		} else {
			rest = append(rest, b[:n+k]...)
		}
		b = b[n+k:]
	}
	if err := proto.Unmarshal(rest, &in.rest); err != nil {
		return status.Errorf(codes.InvalidArgument, "envelope: %v", err)
	}
	return nil
}

// raftField is the number of Envelope.raft.
const raftField = 2
