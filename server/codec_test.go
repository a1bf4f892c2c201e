package server

import (
	"testing"

	doozerpb "github.com/doozer-store/doozer/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
)

// rawMessage is any bytes as a message.
func rawMessage(b string) *encoded {
	return &encoded{parts: mem.BufferSlice{mem.SliceBuffer(b)}}
}

func TestCodec(t *testing.T) {
	c := newCodec()
	in := requests()
	data, err := c.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var b batch
	if err := c.Unmarshal(data, &b); err != nil {
		t.Fatal(err)
	}
	got, err := decodeAll(b.bytes())
	if err != nil || !proto.Equal(got, in) {
		t.Fatalf("got %v, %v", got, err)
	}
	if err := c.Unmarshal(data, &b); err == nil {
		t.Error("a batch in use was overwritten")
	}
	b.free()
	b.free()
	plain := &doozerpb.DoRequest{}
	if err := c.Unmarshal(data, plain); err != nil || !proto.Equal(plain, in) {
		t.Fatalf("got %v, %v", plain, err)
	}
}

func TestCodecRefusesHugeTransactions(t *testing.T) {
	txn := &doozerpb.TxnRequest{}
	for range maxTxnParts + 1 {
		txn.Ops = append(txn.Ops, &doozerpb.Op{})
	}
	c := newCodec()
	data, _ := c.Marshal(txn)
	if err := c.Unmarshal(data, &doozerpb.TxnRequest{}); err == nil {
		t.Error("it was unpacked")
	}
}
