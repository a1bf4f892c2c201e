package server

import (
	"bytes"
	"testing"

	doozerpb "github.com/doozer-store/doozer/proto"
	"google.golang.org/protobuf/proto"
)

func requests() *doozerpb.DoRequest {
	id := &doozerpb.WriteId{Client: 1, Seq: 300, Ack: 299}
	unchanged := &doozerpb.If{Kind: doozerpb.If_UNCHANGED, Rev: 70_000}
	return &doozerpb.DoRequest{Requests: []*doozerpb.Request{
		{Tag: 1, TimeoutMs: 50, Op: &doozerpb.Request_Get{Get: &doozerpb.GetRequest{Path: "/a", Rev: 9, Local: true}}},
		{Tag: 2, Op: &doozerpb.Request_Set{Set: &doozerpb.SetRequest{Path: "/a", Value: []byte("value"), If: unchanged, Id: id, Message: "why"}}},
		{Tag: 3, Op: &doozerpb.Request_Del{Del: &doozerpb.DelRequest{Path: "/b", If: &doozerpb.If{Kind: doozerpb.If_MISSING}, Id: id, Message: "gone"}}},
		{Tag: 4, Op: &doozerpb.Request_Txn{Txn: &doozerpb.TxnRequest{
			Conditions: []*doozerpb.Condition{{Path: "/c", If: unchanged}, {Path: "/d"}},
			Ops:        []*doozerpb.Op{{Path: "/e", Value: []byte("x")}, {Path: "/f", Del: true}}, Id: id,
		}}},
		{Tag: 5, Op: &doozerpb.Request_Stat{Stat: &doozerpb.StatRequest{Path: "/s", Rev: 3, Local: true}}},
		{Tag: 6, Op: &doozerpb.Request_List{List: &doozerpb.ListRequest{Glob: "/**", Limit: 3, After: "/a", Values: true}}},
		{Tag: 7, Op: &doozerpb.Request_Rev{Rev: &doozerpb.RevRequest{Local: true}}},
		{Tag: 8, Op: &doozerpb.Request_Self{Self: &doozerpb.SelfRequest{}}},
		{Tag: 9, Op: &doozerpb.Request_Nop{Nop: &doozerpb.NopRequest{}}},
		{Tag: 10, Op: &doozerpb.Request_Register{Register: &doozerpb.RegisterRequest{}}},
		{Tag: 11, Op: &doozerpb.Request_Status{Status: &doozerpb.StatusRequest{}}},
		{Tag: 12, Op: &doozerpb.Request_Await{Await: &doozerpb.AwaitRequest{
			Glob: "/*", Before: 8, Conditions: []*doozerpb.Condition{{Path: "/c", If: unchanged}}, Known: "/k", WaitMs: 9,
		}}},
		{Tag: 13},
		{},
	}}
}

// back makes a request that was decoded by hand into a message again.
func back(r *request) *doozerpb.Request {
	out := &doozerpb.Request{Tag: r.tag, TimeoutMs: r.timeout}
	var id *doozerpb.WriteId
	if r.id != (writeID{}) {
		id = &doozerpb.WriteId{Client: r.id.client, Seq: r.id.seq, Ack: r.id.ack}
	}
	var cond *doozerpb.If
	if r.cond != 0 || r.condRev != 0 {
		cond = &doozerpb.If{Kind: r.cond, Rev: r.condRev}
	}
	switch r.verb {
	case verbGet:
		out.Op = &doozerpb.Request_Get{Get: &doozerpb.GetRequest{Path: r.path, Rev: r.rev, Local: r.local}}
	case verbSet:
		out.Op = &doozerpb.Request_Set{Set: &doozerpb.SetRequest{Path: r.path, Value: r.value, If: cond, Id: id, Message: r.text}}
	case verbDel:
		out.Op = &doozerpb.Request_Del{Del: &doozerpb.DelRequest{Path: r.path, If: cond, Id: id, Message: r.text}}
	case verbTxn:
		out.Op = &doozerpb.Request_Txn{Txn: r.msg.(*doozerpb.TxnRequest)}
	case verbStat:
		out.Op = &doozerpb.Request_Stat{Stat: &doozerpb.StatRequest{Path: r.path, Rev: r.rev, Local: r.local}}
	case verbList:
		out.Op = &doozerpb.Request_List{List: r.msg.(*doozerpb.ListRequest)}
	case verbRev:
		out.Op = &doozerpb.Request_Rev{Rev: &doozerpb.RevRequest{Local: r.local}}
	case verbSelf:
		out.Op = &doozerpb.Request_Self{Self: &doozerpb.SelfRequest{}}
	case verbNop:
		out.Op = &doozerpb.Request_Nop{Nop: &doozerpb.NopRequest{}}
	case verbRegister:
		out.Op = &doozerpb.Request_Register{Register: &doozerpb.RegisterRequest{}}
	case verbAwait:
		out.Op = &doozerpb.Request_Await{Await: r.msg.(*doozerpb.AwaitRequest)}
	case verbStatus:
		out.Op = &doozerpb.Request_Status{Status: &doozerpb.StatusRequest{}}
	}
	return out
}

// decodeAll decodes a DoRequest by hand.
func decodeAll(b []byte) (*doozerpb.DoRequest, error) {
	out := &doozerpb.DoRequest{}
	for {
		var r request
		rest, ok, err := nextRequest(b, &r)
		if err != nil || !ok {
			return out, err
		}
		b = rest
		r.value = bytes.Clone(r.value)
		if r.bad == nil {
			out.Requests = append(out.Requests, back(&r))
		}
	}
}

func TestDecodeRequests(t *testing.T) {
	want := requests()
	b, err := proto.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeAll(b)
	if err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(got, want) {
		t.Fatalf("got  %v\nwant %v", got, want)
	}
	for i := range b {
		if _, err := decodeAll(b[:i]); err == nil {
			continue // a message may end between two requests
		}
	}
}

func TestDecodeSkipsUnknownFields(t *testing.T) {
	b, _ := proto.Marshal(requests())
	// Field 9 of DoRequest, fixed64, and field 100 of a Request, a varint.
	b = append(b, 9<<3|1, 1, 2, 3, 4, 5, 6, 7, 8)
	b = append(b, 1<<3|2, 3, 0xa0, 6, 1)
	got, err := decodeAll(b)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Requests) != len(requests().Requests)+1 {
		t.Errorf("%d requests", len(got.Requests))
	}
}

func TestTxnWithTooManyPartsIsNotUnpacked(t *testing.T) {
	txn := &doozerpb.TxnRequest{}
	for range maxTxnParts + 1 {
		txn.Ops = append(txn.Ops, &doozerpb.Op{})
	}
	b, _ := proto.Marshal(&doozerpb.DoRequest{Requests: []*doozerpb.Request{{Tag: 1, Op: &doozerpb.Request_Txn{Txn: txn}}}})
	var r request
	if _, ok, err := nextRequest(b, &r); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if r.bad.GetCode() != doozerpb.Code_BAD_REQUEST || len(r.msg.(*doozerpb.TxnRequest).Ops) != 0 {
		t.Errorf("got %v with %v", r.bad, r.msg)
	}
}

// plain returns m as its own bytes in order, without what a hand-decoded
// request can't tell from nothing: empty conditions and ids, unknown fields.
func plain(m *doozerpb.DoRequest) *doozerpb.DoRequest {
	m = proto.Clone(m).(*doozerpb.DoRequest)
	m.ProtoReflect().SetUnknown(nil)
	bare := func(cond **doozerpb.If, id **doozerpb.WriteId) {
		if (*cond).GetKind() == 0 && (*cond).GetRev() == 0 {
			*cond = nil
		}
		if writeIDOf(*id) == (writeID{}) {
			*id = nil
		}
	}
	for _, r := range m.Requests {
		if s := r.GetSet(); s != nil {
			bare(&s.If, &s.Id)
		}
		if d := r.GetDel(); d != nil {
			bare(&d.If, &d.Id)
		}
	}
	b, _ := proto.Marshal(m)
	out := &doozerpb.DoRequest{}
	_ = proto.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(b, out)
	return out
}

// FuzzDecodeRequests: no input panics the hand-written decoder, and what
// protobuf makes of an input it makes too, once the fields are in order.
func FuzzDecodeRequests(f *testing.F) {
	b, _ := proto.Marshal(requests())
	f.Add(b)
	for _, r := range requests().Requests {
		b, _ := proto.Marshal(&doozerpb.DoRequest{Requests: []*doozerpb.Request{r}})
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = decodeAll(b)
		want := &doozerpb.DoRequest{}
		if proto.Unmarshal(b, want) != nil {
			return
		}
		want = plain(want)
		for _, r := range want.Requests {
			if x := r.GetTxn(); len(x.GetOps())+len(x.GetConditions()) > 256 {
				return
			}
		}
		if b, _ = proto.Marshal(want); b == nil {
			return
		}
		got, err := decodeAll(b)
		if err != nil || !proto.Equal(plain(got), want) {
			t.Fatalf("got  %v, %v\nwant %v", got, err, want)
		}
	})
}
