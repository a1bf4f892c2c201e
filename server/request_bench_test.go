package server

import (
	"testing"

	"google.golang.org/protobuf/proto"

	doozerpb "github.com/doozer-store/doozer/proto"
)

// BenchmarkDecodeRequests decodes a message of 64 sets of 256 bytes, as Do does.
func BenchmarkDecodeRequests(b *testing.B) {
	m := &doozerpb.DoRequest{}
	for i := range 64 {
		m.Requests = append(m.Requests, setReq(uint64(i+1), "/bench/0042/file-0042000", string(make([]byte, 256))))
	}
	data, err := proto.Marshal(m)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		var r request
		n := 0
		for rest, ok, err := nextRequest(data, &r); ok || err != nil; rest, ok, err = nextRequest(rest, &r) {
			if err != nil || r.bad != nil {
				b.Fatal(err, r.bad)
			}
			n++
		}
		if n != 64 {
			b.Fatalf("%d requests", n)
		}
	}
}
