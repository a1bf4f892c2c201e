package client

import (
	"reflect"
	"testing"

	"google.golang.org/protobuf/proto"

	doozerpb "github.com/doozer-store/doozer/proto"
)

// decodesAlike compares what is taken apart by hand with what the generated code
// makes of it, on top of whatever the result before has left.
func decodesAlike(t *testing.T, before *getResult, b []byte) {
	t.Helper()
	var want doozerpb.GetResponse
	if proto.Unmarshal(b, &want) != nil {
		return
	}
	before.reset("/some/path")
	if err := before.decode(b); err != nil {
		t.Fatalf("%v, and the generated code takes it", err)
	}
	if want := fileOf(want.GetFile()); !reflect.DeepEqual(before.file, want) {
		t.Errorf("%+v\nthe generated code: %+v", before.file, want)
	}
}

func TestGetResult(t *testing.T) {
	full := &doozerpb.File{Path: "/some/path", Value: []byte("value"), Rev: 1 << 40, Len: 5, Time: 1e18, Author: "10.0.0.1:99", Message: "why", Exists: true}
	other := proto.Clone(full).(*doozerpb.File)
	other.Path, other.Author, other.Message, other.Value = "/sömewhere", "mtls:x", "", nil
	var r getResult
	for _, f := range []*doozerpb.File{full, full, other, {}, nil, {Path: "/some/path", IsDir: true, Hash: 1 << 63, Rev: -1}, full} {
		b, err := proto.Marshal(&doozerpb.GetResponse{Header: &doozerpb.Header{Rev: 9}, File: f})
		if err != nil {
			t.Fatal(err)
		}
		decodesAlike(t, &r, b)
	}
	value := r.file.Value
	r.reset("/next")
	if r.file.Value != nil || &value[0] == &full.Value[0] {
		t.Error("the value is not the caller's own")
	}
}

func TestSetResult(t *testing.T) {
	for _, rev := range []int64{0, 1, 1 << 62, -1} {
		b, err := proto.Marshal(&doozerpb.SetResponse{Header: &doozerpb.Header{Rev: 9}, Rev: rev})
		if err != nil {
			t.Fatal(err)
		}
		var r setResult
		if err := r.decode(b); err != nil || r.rev != rev {
			t.Errorf("%d, %v, want %d", r.rev, err, rev)
		}
	}
}

// FuzzGetResult: any file is the same by hand, and no bytes break it.
func FuzzGetResult(f *testing.F) {
	f.Add("/a", []byte("v"), int64(1), int64(1), int64(1), "author", "message", []byte("\x12\x03\x0a\x01/"))
	f.Fuzz(func(t *testing.T, path string, value []byte, rev, length, ns int64, author, message string, raw []byte) {
		var r getResult
		b, err := proto.Marshal(&doozerpb.GetResponse{File: &doozerpb.File{
			Path: path, Value: value, Rev: rev, Len: length, Time: ns, Author: author, Message: message}})
		if err == nil {
			decodesAlike(t, &r, b)
			decodesAlike(t, &r, b)
		}
		_ = r.decode(raw)
	})
}
