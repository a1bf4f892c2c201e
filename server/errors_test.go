package server

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doozer-store/doozer/consensus"
	doozerpb "github.com/doozer-store/doozer/proto"
	"github.com/doozer-store/doozer/store"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// codeOf returns doozer's code of an RPC's error, and the detail.
func codeOf(err error) (doozerpb.Code, *doozerpb.Error) {
	if err == nil {
		return doozerpb.Code_OK, nil
	}
	for _, d := range status.Convert(err).Details() {
		if e, ok := d.(*doozerpb.Error); ok {
			return e.Code, e
		}
	}
	return doozerpb.Code_INTERNAL, nil
}

// wantCode fails the test unless err carries code, in detail and gRPC code.
func wantCode(t testing.TB, err error, code doozerpb.Code) *doozerpb.Error {
	t.Helper()
	got, e := codeOf(err)
	if got != code {
		t.Fatalf("error %v has code %v, want %v", err, got, code)
	}
	if c := status.Code(err); c != grpcCodes[code] {
		t.Fatalf("code %v came as gRPC %v, want %v", code, c, grpcCodes[code])
	}
	return e
}

func TestEveryCodeHasARow(t *testing.T) {
	for n, name := range doozerpb.Code_name {
		if int(n) >= len(grpcCodes) {
			t.Errorf("%s has no gRPC code", name)
			continue
		}
		c := grpcCodes[n]
		if (c == codes.OK) != (n == 0) {
			t.Errorf("%s has gRPC code %v", name, c)
		}
		if n == 0 {
			continue
		}
		want := &doozerpb.Error{Code: doozerpb.Code(n), Message: "why", Path: "/a", Rev: 7}
		if e := wantCode(t, grpcError(want), want.Code); !proto.Equal(e, want) {
			t.Errorf("detail of %s is %v", name, e)
		}
	}
	if len(grpcCodes) != len(doozerpb.Code_name) || len(grpcCodes) != codeCount {
		t.Errorf("%d rows and %d counters for %d codes", len(grpcCodes), codeCount, len(doozerpb.Code_name))
	}
}

func TestEveryStoreCodeHasARow(t *testing.T) {
	for c := range len(storeCodes) {
		name := store.Code(c).String()
		if got := storeCodes[c].String(); got != name {
			t.Errorf("%s becomes %s", name, got)
		}
	}
	if next := store.Code(len(storeCodes)).String(); next != fmt.Sprintf("CODE_%d", len(storeCodes)) {
		t.Errorf("the store's code %s has no row", next)
	}
}

func TestStoreError(t *testing.T) {
	present := store.Version{Path: "/a", Rev: 9, Value: []byte("v"), Author: "x"}.Event()
	e := storeError(&store.Error{Code: store.RevMismatch, Path: "/a", Rev: 9, Index: 2, Present: present})
	if e.Code != doozerpb.Code_REV_MISMATCH || e.Rev != 9 || e.Index != 2 || !e.Present.Exists || string(e.Present.Value) != "v" {
		t.Errorf("got %v", e)
	}
	if e = storeError(&store.Error{Code: store.RevMismatch, Path: "/a"}); e.Present == nil || e.Present.Exists {
		t.Errorf("a missing file is reported as %v", e.Present)
	}
	if e = storeError(&store.Error{Code: store.BadPath, Path: "/\xff"}); e.Code != doozerpb.Code_BAD_PATH {
		t.Errorf("got %v", e)
	}
	if _, err := proto.Marshal(e); err != nil {
		t.Errorf("the error of a path that is not UTF-8 can't be sent: %v", err)
	}
	if storeError(nil) != nil || asStoreError(nil) != nil {
		t.Error("no error became one")
	}
	if e := asStoreError(errors.New("odd")); e.Code != doozerpb.Code_BAD_REQUEST {
		t.Errorf("got %v", e)
	}
}

// consensusErrors has a row for every sentinel error of package consensus; 0 is
// for those that Propose and ReadIndex never answer with.
var consensusErrors = map[string]struct {
	err  error
	want doozerpb.Code
}{
	"ErrDeadline":       {consensus.ErrDeadline, doozerpb.Code_NO_QUORUM},
	"ErrUnknown":        {consensus.ErrUnknown, doozerpb.Code_UNKNOWN_OUTCOME},
	"ErrOverloaded":     {consensus.ErrOverloaded, doozerpb.Code_OVERLOADED},
	"ErrStopped":        {consensus.ErrStopped, doozerpb.Code_STOPPING},
	"ErrTooLarge":       {consensus.ErrTooLarge, doozerpb.Code_TOO_LARGE},
	"ErrNoLeader":       {consensus.ErrNoLeader, 0},       // of TransferLeadership
	"ErrInvalidMessage": {consensus.ErrInvalidMessage, 0}, // told to peers
	"ErrLostEntries":    {consensus.ErrLostEntries, 0},    // ends the node
}

// A sentinel error that consensus gets has to be thought of here: the test reads
// its source.
func TestEveryConsensusErrorHasARow(t *testing.T) {
	pkgs, err := filepath.Glob("../consensus/*.go")
	if err != nil || len(pkgs) == 0 {
		t.Fatal(pkgs, err)
	}
	found := 0
	for _, name := range pkgs {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			for _, spec := range g.Specs {
				for _, id := range spec.(*ast.ValueSpec).Names {
					if !strings.HasPrefix(id.Name, "Err") {
						continue
					}
					found++
					if _, ok := consensusErrors[id.Name]; !ok {
						t.Errorf("consensus.%s has no row", id.Name)
					}
				}
			}
		}
	}
	if found != len(consensusErrors) {
		t.Errorf("%d sentinel errors, %d rows", found, len(consensusErrors))
	}
}

func TestConsensusError(t *testing.T) {
	for name, c := range consensusErrors {
		want := c.want
		if want == 0 {
			want = doozerpb.Code_INTERNAL // it can't be, so it is a bug
		}
		e := consensusError(fmt.Errorf("wrapped: %w", c.err), 3*time.Second)
		if e.Code != want || e.Message == "" {
			t.Errorf("%s became %v", name, e)
		}
		if want == doozerpb.Code_OVERLOADED && e.RetryMs == 0 {
			t.Errorf("%s does not say when to retry", name)
		}
	}
	if e := consensusError(errors.New("odd"), 0); e.Code != doozerpb.Code_INTERNAL {
		t.Errorf("an odd error became %v", e)
	}
	if e := consensusError(nil, 0); e != nil {
		t.Errorf("nil became %v", e)
	}
}
