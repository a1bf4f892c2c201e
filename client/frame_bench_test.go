package client

import (
	"testing"

	"google.golang.org/protobuf/proto"

	doozerpb "github.com/doozer-store/doozer/proto"
)

// BenchmarkFrame is what the client does for each call with bytes, without a
// stream: the request of a set of 256 bytes, the response to a get of as many.
func BenchmarkFrame(b *testing.B) {
	b.Run("encode set", func(b *testing.B) {
		k := &call{verb: verbSet, lease: &lease{client: 7}, seq: 1000, ack: 900}
		k.setReq.Path, k.setReq.Value = "/bench/0042/file-0042000", make([]byte, 256)
		var buf []byte
		b.ReportAllocs()
		for b.Loop() {
			if err := k.encode(&k.setReq); err != nil {
				b.Fatal(err)
			}
			buf = appendRequest(buf[:0], k, 1, 1000)
		}
		b.SetBytes(int64(len(buf)))
	})
	b.Run("decode get", func(b *testing.B) {
		f := &doozerpb.File{Path: "/bench/0042/file-0042000", Value: make([]byte, 256), Len: 256, Rev: 1 << 20, Exists: true}
		data, err := proto.Marshal(&doozerpb.DoResponse{Header: &doozerpb.Header{Rev: 1}, Responses: []*doozerpb.Response{
			{Tag: 1, Result: &doozerpb.Response_Get{Get: &doozerpb.GetResponse{File: f}}},
		}})
		if err != nil {
			b.Fatal(err)
		}
		var d batch
		b.SetBytes(int64(len(data)))
		b.ReportAllocs()
		for b.Loop() {
			if err := d.parse(data); err != nil {
				b.Fatal(err)
			}
			var res getResult
			res.reset(f.Path)
			if _, err := decodeReply(d.replies[0].body, verbGet, &res); err != nil || res.file.Len != 256 {
				b.Fatal(err)
			}
		}
	})
}
