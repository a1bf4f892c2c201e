package server

import (
	"bytes"
	"math"
	"testing"

	doozerpb "github.com/doozer-store/doozer/proto"
	"github.com/doozer-store/doozer/store"
	"google.golang.org/protobuf/proto"
)

// wireEvents are events whose fields are empty, small, and large.
func wireEvents() []*store.Event {
	return []*store.Event{
		store.Version{Path: "/a", Rev: 1}.Event(),
		store.Version{Path: "/a/b", Rev: 127, Time: 128, Last: true, Value: []byte("v"), Author: "x", Message: "m"}.Event(),
		store.Version{Path: "/long", Rev: math.MaxInt64, Time: math.MaxInt64, Value: bytes.Repeat([]byte("v"), 70_000), Author: "who:1"}.Event(),
		store.Version{Path: "/gone", Del: true, Rev: 300, Time: 5, Message: "bye"}.Event(),
	}
}

// same unmarshals b over an empty message of want's type and compares.
func same(t *testing.T, b []byte, want proto.Message) {
	t.Helper()
	got := want.ProtoReflect().New().Interface()
	if err := proto.Unmarshal(b, got); err != nil {
		t.Fatalf("%v of %v", err, want)
	}
	if !proto.Equal(got, want) {
		t.Fatalf("got %.300v\nwant %.300v", got, want)
	}
}

func TestWireEvents(t *testing.T) {
	for _, e := range wireEvents() {
		same(t, watchEventBytes(e), &doozerpb.WatchResponse{Events: []*doozerpb.Event{eventOf(e, true)}})
		if b := appendFile(nil, e); len(b) != fileSize(e) {
			t.Errorf("%s: file of %d bytes, said to be %d", e.Path(), len(b), fileSize(e))
		}
	}
}

func TestWireAnswers(t *testing.T) {
	file := &doozerpb.File{Path: "/d", IsDir: true, Exists: true, Hash: 77, Len: 3}
	type row struct {
		a    answer
		want *doozerpb.Response
	}
	rows := []row{
		{answer{tag: 0, verb: verbSet, rev: 5}, &doozerpb.Response{Result: &doozerpb.Response_Set{Set: &doozerpb.SetResponse{Rev: 5}}}},
		{answer{tag: 1, verb: verbDel, rev: 1 << 40}, &doozerpb.Response{Tag: 1, Result: &doozerpb.Response_Del{Del: &doozerpb.DelResponse{Rev: 1 << 40}}}},
		{answer{tag: math.MaxUint64, verb: verbTxn, rev: 6}, &doozerpb.Response{Tag: math.MaxUint64, Result: &doozerpb.Response_Txn{Txn: &doozerpb.TxnResponse{Rev: 6}}}},
		{answer{tag: 2, verb: verbNop}, &doozerpb.Response{Tag: 2, Result: &doozerpb.Response_Nop{Nop: &doozerpb.NopResponse{}}}},
		{answer{tag: 3, verb: verbStat, msg: &doozerpb.StatResponse{File: file}}, &doozerpb.Response{Tag: 3, Result: &doozerpb.Response_Stat{Stat: &doozerpb.StatResponse{File: file}}}},
		{answer{tag: 4, verb: verbGet, err: fail(doozerpb.Code_NOENT, "no")}, &doozerpb.Response{Tag: 4, Result: &doozerpb.Response_Error{Error: fail(doozerpb.Code_NOENT, "no")}}},
		{answer{tag: 5, verb: verbRegister, msg: &doozerpb.RegisterResponse{Client: 8, TtlMs: 9, Window: 10}}, &doozerpb.Response{Tag: 5, Result: &doozerpb.Response_Register{Register: &doozerpb.RegisterResponse{Client: 8, TtlMs: 9, Window: 10}}}},
	}
	for _, e := range wireEvents() {
		if !e.Del() {
			rows = append(rows, row{answer{tag: 200, verb: verbGet, event: e},
				&doozerpb.Response{Tag: 200, Result: &doozerpb.Response_Get{Get: &doozerpb.GetResponse{File: fileOf(e, true)}}}})
		}
	}
	var all []byte
	want := &doozerpb.DoResponse{}
	for _, r := range rows {
		same(t, appendAnswer(nil, &r.a), &doozerpb.DoResponse{Responses: []*doozerpb.Response{r.want}})
		all = appendAnswer(all, &r.a)
		want.Responses = append(want.Responses, r.want)
	}
	same(t, all, want)
}

func TestWireHeader(t *testing.T) {
	n := start(t, Limits{})
	same(t, n.appendHeader(nil, fieldDoHeader), &doozerpb.DoResponse{Header: n.header()})
	n.configure(t, store.Config{ClusterID: [16]byte{1, 2, 3}, Epoch: 300})
	n.set(t, "/a", "v")
	h := n.header()
	if len(h.ClusterId) != 16 || h.Epoch != 300 || h.Rev != n.machine.Rev() || h.Rev == 0 || h.Leader != 1 || h.Node != 1 {
		t.Errorf("header %v", h)
	}
	same(t, n.appendHeader(nil, fieldDoHeader), &doozerpb.DoResponse{Header: h})
}
