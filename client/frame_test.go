package client

import (
	"bytes"
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"

	doozerpb "github.com/doozer-store/doozer/proto"
)

// TestRequestFrames compares appendRequest with its twin, the generated code.
func TestRequestFrames(t *testing.T) {
	id := &doozerpb.WriteId{Client: 1 << 60, Seq: 300, Ack: 7}
	for _, test := range []struct {
		verb verb
		msg  proto.Message
		want *doozerpb.Request
	}{
		{verbGet, &doozerpb.GetRequest{Path: "/a", Rev: 3}, &doozerpb.Request{Op: &doozerpb.Request_Get{Get: &doozerpb.GetRequest{Path: "/a", Rev: 3}}}},
		{verbSet, &doozerpb.SetRequest{Path: "/a", Value: make([]byte, 300)}, &doozerpb.Request{
			Op: &doozerpb.Request_Set{Set: &doozerpb.SetRequest{Path: "/a", Value: make([]byte, 300), Id: id}}}},
		{verbDel, &doozerpb.DelRequest{Path: "/a"}, &doozerpb.Request{Op: &doozerpb.Request_Del{Del: &doozerpb.DelRequest{Path: "/a", Id: id}}}},
		{verbTxn, &doozerpb.TxnRequest{Message: "m"}, &doozerpb.Request{Op: &doozerpb.Request_Txn{Txn: &doozerpb.TxnRequest{Message: "m", Id: id}}}},
		{verbNop, &doozerpb.NopRequest{}, &doozerpb.Request{Op: &doozerpb.Request_Nop{Nop: &doozerpb.NopRequest{}}}},
		{verbStatus, &doozerpb.StatusRequest{}, &doozerpb.Request{Op: &doozerpb.Request_Status{Status: &doozerpb.StatusRequest{}}}},
	} {
		k := &call{verb: test.verb}
		if err := k.encode(test.msg); err != nil {
			t.Fatal(err)
		}
		if k.write() {
			k.lease, k.seq, k.ack = &lease{client: id.Client}, id.Seq, id.Ack
		}
		frame := appendRequest(nil, k, 1<<40, 5000)
		frame = appendRequest(frame, k, 2, 1)
		var got doozerpb.DoRequest
		if err := proto.Unmarshal(frame, &got); err != nil {
			t.Fatalf("%v: %v", test.verb, err)
		}
		first, second := proto.CloneOf(test.want), proto.CloneOf(test.want)
		first.Tag, first.TimeoutMs, second.Tag, second.TimeoutMs = 1<<40, 5000, 2, 1
		if want := (&doozerpb.DoRequest{Requests: []*doozerpb.Request{first, second}}); !proto.Equal(&got, want) {
			t.Errorf("%v:\n got %v\nwant %v", test.verb, &got, want)
		}
	}
	var probe doozerpb.DoRequest
	if err := proto.Unmarshal(probeFrame(nil), &probe); err != nil || len(probe.Requests) != 1 || probe.Requests[0].GetSelf() == nil {
		t.Errorf("probe = %v, %v", &probe, err)
	}
}

func TestVerbsHaveTheProtocolsNumbers(t *testing.T) {
	for _, m := range []proto.Message{&doozerpb.Request{}, &doozerpb.Response{}} {
		fields := m.ProtoReflect().Descriptor().Oneofs().Get(0).Fields()
		seen := 0
		for i := range fields.Len() {
			if v := verb(fields.Get(i).Number()); fields.Get(i).Name() != "error" {
				seen++
				if v < verbGet || v > verbAwait || v.String() != string(fields.Get(i).Name()) {
					t.Errorf("%s has number %d", fields.Get(i).Name(), v)
				}
			}
		}
		if seen != 12 {
			t.Errorf("%d verbs", seen)
		}
	}
}

func someResponse() *doozerpb.DoResponse {
	return &doozerpb.DoResponse{
		Header: &doozerpb.Header{Node: 3, Rev: 9},
		Responses: []*doozerpb.Response{
			{Tag: 77, Result: &doozerpb.Response_Get{Get: &doozerpb.GetResponse{File: &doozerpb.File{Path: "/a", Value: []byte("v")}}}},
			{Tag: 1 << 50, Result: &doozerpb.Response_Error{Error: &doozerpb.Error{Code: doozerpb.Code_NOENT}}},
			{Tag: 5},
		},
		GoingAway: true,
	}
}

func TestResponseFrames(t *testing.T) {
	b, err := proto.Marshal(someResponse())
	if err != nil {
		t.Fatal(err)
	}
	var d batch
	if err := d.parse(b); err != nil {
		t.Fatal(err)
	}
	if !d.goingAway || len(d.replies) != 3 || d.replies[0].tag != 77 || d.replies[1].tag != 1<<50 {
		t.Fatalf("%+v", d)
	}
	var get getResult
	if e, err := decodeReply(d.replies[0].body, verbGet, &get); e != nil || err != nil || string(get.file.Value) != "v" {
		t.Errorf("%v, %v, %v", &get, e, err)
	}
	if e, err := decodeReply(d.replies[1].body, verbGet, &get); err != nil || e.GetCode() != doozerpb.Code_NOENT {
		t.Errorf("%v, %v", e, err)
	}
	for _, r := range []reply{d.replies[0], d.replies[2]} {
		if _, err := decodeReply(r.body, verbSet, &setResult{}); !errors.Is(err, ErrInternal) {
			t.Errorf("a response without the result asked for: %v", err)
		}
	}
}

// FuzzParse: parse accepts what the generated code accepts of an encoded
// message, finds the same tags, and never panics.
func FuzzParse(f *testing.F) {
	b, err := proto.Marshal(someResponse())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:len(b)-3])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		var d batch
		err := d.parse(b)
		var twin doozerpb.DoResponse
		if proto.Unmarshal(b, &twin) != nil {
			return
		}
		if err != nil {
			t.Fatalf("a good message is refused: %v", err)
		}
		again, _ := proto.Marshal(&twin)
		if err := d.parse(again); err != nil || len(d.replies) != len(twin.Responses) || d.goingAway != twin.GoingAway {
			t.Fatalf("%+v, %v; twin %v", d, err, &twin)
		}
		for i, r := range twin.Responses {
			if d.replies[i].tag != r.Tag {
				t.Fatalf("tag %d, twin %d", d.replies[i].tag, r.Tag)
			}
		}
	})
}

func TestBufferPool(t *testing.T) {
	var p bufferPool
	b := p.Get(10)
	*b = append(*b, bytes.Repeat([]byte{1}, 100)...)
	p.Put(b)
	if b = p.Get(10_000); len(*b) != 0 || cap(*b) < 10_000 {
		t.Errorf("a buffer of %d bytes, room for %d", len(*b), cap(*b))
	}
}
