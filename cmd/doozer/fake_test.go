package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	doozerpb "github.com/doozer-store/doozer/proto"
	"github.com/doozer-store/doozer/test/watches"
)

// fakeStore is as much of a store as the verbs can tell apart: a list of
// changes, which every read replays. Its clock stands at fakeTime plus one
// second a rev.
type fakeStore struct {
	mu      sync.Mutex
	events  []*doozerpb.Event // by rev
	rev     int64
	changed chan struct{} // closed and replaced by every change
	oldest  int64
}

var fakeTime = time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)

// farRev is a rev that no test reaches.
const farRev = 1000

// fakeNode serves a fakeStore over gRPC.
type fakeNode struct {
	doozerpb.UnimplementedDoozerServer
	store *fakeStore
	addr  string
	id    uint64
	// Written by tests before the first call.
	age     uint64
	members []*doozerpb.Member
	refuse  *doozerpb.Error // the answer to every write
	cut     bool            // without a majority: what needs one has its answer when its time is over
	// valued: the last list or log asked for values. Guarded by store.mu.
	valued bool
}

// startNode serves an empty store on the network in memory until the test ends.
func startNode(t *testing.T) *fakeNode {
	t.Helper()
	return startNodeOn(t, network.Listen())
}

// startNodeTCP serves one on a port, for other processes.
func startNodeTCP(t *testing.T) *fakeNode {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return startNodeOn(t, lis)
}

func startNodeOn(t *testing.T, lis net.Listener) *fakeNode {
	t.Helper()
	n := &fakeNode{store: &fakeStore{changed: make(chan struct{})}, addr: lis.Addr().String(), id: 1}
	n.members = []*doozerpb.Member{{Id: 1, Name: "n1", Addr: n.addr, Voter: true, Connected: true, Version: "v1.2.3"}}
	srv := grpc.NewServer()
	doozerpb.RegisterDoozerServer(srv, n)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(lis) }()
	t.Cleanup(func() {
		srv.Stop()
		if err := <-served; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Error(err)
		}
	})
	return n
}

// fail is an error as a node sends it.
func fail(e *doozerpb.Error) error {
	st, err := status.New(codes.FailedPrecondition, e.Message).WithDetails(e)
	if err != nil {
		return err
	}
	return st.Err()
}

func (s *fakeStore) header(n *fakeNode) *doozerpb.Header {
	return &doozerpb.Header{ClusterId: []byte("0123456789abcdef"), Epoch: 1, Node: n.id, Rev: s.rev, AgeMs: n.age, Leader: 1}
}

// files are the files as they are at rev.
func (s *fakeStore) files(rev int64) map[string]*doozerpb.File {
	files := map[string]*doozerpb.File{}
	for _, ev := range s.events {
		if rev != 0 && ev.Rev > rev {
			break
		}
		if ev.Kind == doozerpb.Event_DEL {
			delete(files, ev.Path)
			continue
		}
		files[ev.Path] = &doozerpb.File{
			Path: ev.Path, Value: ev.Value, Rev: ev.Rev, Len: int64(len(ev.Value)), Time: ev.Time,
			Author: ev.Author, Message: ev.Message, Exists: true,
		}
	}
	return files
}

// stat finds a file or makes up the directory at path.
func (s *fakeStore) stat(path string, rev int64) (*doozerpb.File, *doozerpb.Error) {
	if rev != 0 && rev < s.oldest {
		return nil, &doozerpb.Error{Code: doozerpb.Code_TOO_LATE, Message: "too late", Rev: s.oldest}
	}
	files := s.files(rev)
	if f := files[path]; f != nil {
		return f, nil
	}
	names := map[string]bool{}
	for p := range files {
		if rest, ok := strings.CutPrefix(p, strings.TrimSuffix(path, "/")+"/"); ok {
			name, _, _ := strings.Cut(rest, "/")
			names[name] = true
		}
	}
	if len(names) == 0 && path != "/" {
		return nil, &doozerpb.Error{Code: doozerpb.Code_NOENT, Message: "no such file", Path: path}
	}
	return &doozerpb.File{Path: path, IsDir: true, Len: int64(len(names)), Exists: true, Hash: 0xfeed}, nil
}

// check is whether a condition holds.
func (s *fakeStore) check(path string, cond *doozerpb.If) *doozerpb.Error {
	var rev int64
	if f := s.files(0)[path]; f != nil {
		rev = f.Rev
	}
	switch cond.GetKind() {
	case doozerpb.If_MISSING:
		if rev == 0 {
			return nil
		}
	case doozerpb.If_UNCHANGED:
		if rev != 0 && rev <= cond.Rev {
			return nil
		}
	default:
		return nil
	}
	return &doozerpb.Error{Code: doozerpb.Code_REV_MISMATCH, Message: "revision mismatch", Path: path, Rev: rev}
}

// txn does a transaction; every write is one.
func (n *fakeNode) txn(req *doozerpb.TxnRequest) (int64, *doozerpb.Error) {
	s := n.store
	if n.refuse != nil {
		return 0, n.refuse
	}
	for i, c := range req.Conditions {
		if err := s.check(c.Path, c.If); err != nil {
			err.Index = uint32(i)
			return 0, err
		}
	}
	for i, op := range req.Ops {
		f, err := s.stat(op.Path, 0)
		switch {
		case strings.HasPrefix(op.Path, "/ctl"):
			return 0, &doozerpb.Error{Code: doozerpb.Code_READ_ONLY, Message: fmt.Sprintf("%q: belongs to doozer itself", op.Path), Path: op.Path, Index: uint32(i), Op: true}
		case op.Del && err != nil:
			return 0, &doozerpb.Error{Code: doozerpb.Code_NOENT, Message: "no such file", Path: op.Path, Index: uint32(i), Op: true}
		case err == nil && f.IsDir:
			return 0, &doozerpb.Error{Code: doozerpb.Code_ISDIR, Message: "is a directory", Path: op.Path, Index: uint32(i), Op: true}
		}
	}
	s.rev++
	for _, op := range req.Ops {
		ev := &doozerpb.Event{
			Path: op.Path, Value: op.Value, Len: int64(len(op.Value)), Rev: s.rev, Author: "tester", Message: req.Message,
			Time: fakeTime.Add(time.Duration(s.rev) * time.Second).UnixNano(),
		}
		if op.Del {
			ev.Kind, ev.Value = doozerpb.Event_DEL, nil
		}
		s.events = append(s.events, ev)
	}
	close(s.changed)
	s.changed = make(chan struct{})
	return s.rev, nil
}

// matching is a glob as a regular expression: slow, and plainly right.
func matching(glob string) *regexp.Regexp {
	r := strings.NewReplacer(`\*\*`, `.*`, `\*`, `[^/]*`, `\?`, `[^/]`)
	return regexp.MustCompile(`^` + r.Replace(regexp.QuoteMeta(glob)) + `$`)
}

// serve answers one request of a pipeline.
func (n *fakeNode) serve(req *doozerpb.Request) *doozerpb.Response {
	s := n.store
	s.mu.Lock()
	defer s.mu.Unlock()
	res := &doozerpb.Response{Tag: req.Tag}
	var err *doozerpb.Error
	switch op := req.Op.(type) {
	case *doozerpb.Request_Get:
		f, e := s.stat(op.Get.Path, op.Get.Rev)
		if err = e; err == nil && f.IsDir {
			err = &doozerpb.Error{Code: doozerpb.Code_ISDIR, Message: "is a directory", Path: op.Get.Path}
		}
		res.Result = &doozerpb.Response_Get{Get: &doozerpb.GetResponse{File: f}}
	case *doozerpb.Request_Stat:
		f, e := s.stat(op.Stat.Path, op.Stat.Rev)
		err = e
		res.Result = &doozerpb.Response_Stat{Stat: &doozerpb.StatResponse{File: f}}
	case *doozerpb.Request_Set:
		r, e := n.txn(&doozerpb.TxnRequest{
			Conditions: []*doozerpb.Condition{{Path: op.Set.Path, If: op.Set.If}},
			Ops:        []*doozerpb.Op{{Path: op.Set.Path, Value: op.Set.Value}}, Message: op.Set.Message,
		})
		err = e
		res.Result = &doozerpb.Response_Set{Set: &doozerpb.SetResponse{Rev: r}}
	case *doozerpb.Request_Del:
		r, e := n.txn(&doozerpb.TxnRequest{
			Conditions: []*doozerpb.Condition{{Path: op.Del.Path, If: op.Del.If}},
			Ops:        []*doozerpb.Op{{Path: op.Del.Path, Del: true}}, Message: op.Del.Message,
		})
		err = e
		res.Result = &doozerpb.Response_Del{Del: &doozerpb.DelResponse{Rev: r}}
	case *doozerpb.Request_Txn:
		r, e := n.txn(op.Txn)
		err = e
		res.Result = &doozerpb.Response_Txn{Txn: &doozerpb.TxnResponse{Rev: r}}
	case *doozerpb.Request_List:
		l, e := n.list(op.List)
		err = e
		res.Result = &doozerpb.Response_List{List: l}
	case *doozerpb.Request_Rev:
		res.Result = &doozerpb.Response_Rev{Rev: &doozerpb.RevResponse{Rev: s.rev, Oldest: s.oldest}}
	case *doozerpb.Request_Self:
		res.Result = &doozerpb.Response_Self{Self: &doozerpb.SelfResponse{Name: "n1", Version: "v1.2.3", Identity: "tester"}}
	case *doozerpb.Request_Nop:
		res.Result = &doozerpb.Response_Nop{Nop: &doozerpb.NopResponse{}}
	case *doozerpb.Request_Register:
		res.Result = &doozerpb.Response_Register{Register: &doozerpb.RegisterResponse{Client: 1, TtlMs: 600_000, Window: 4096}}
	case *doozerpb.Request_Status:
		res.Result = &doozerpb.Response_Status{Status: n.status()}
	default:
		err = &doozerpb.Error{Code: doozerpb.Code_BAD_REQUEST, Message: fmt.Sprintf("the fake does not know %T", op)}
	}
	if err != nil {
		res.Result = &doozerpb.Response_Error{Error: err}
	}
	return res
}

// list is all of a directory or glob in one page.
func (n *fakeNode) list(req *doozerpb.ListRequest) (*doozerpb.ListResponse, *doozerpb.Error) {
	s := n.store
	rev := cmp.Or(req.Rev, s.rev)
	res := &doozerpb.ListResponse{Header: s.header(n), Rev: rev}
	found := map[string]*doozerpb.File{}
	if req.Glob != "" {
		match := matching(req.Glob)
		for path, f := range s.files(rev) {
			if match.MatchString(path) {
				found[path] = f
			}
		}
		if req.Glob == "/ctl/node/*/addr" { // where a client looks for the members
			for _, m := range n.members {
				path := fmt.Sprintf("/ctl/node/%d/addr", m.Id)
				found[path] = &doozerpb.File{Path: path, Value: []byte(m.Addr), Len: int64(len(m.Addr))}
			}
		}
	} else {
		dir, err := s.stat(req.Dir, rev)
		if err != nil {
			return nil, err
		}
		if !dir.IsDir {
			return nil, &doozerpb.Error{Code: doozerpb.Code_NOTDIR, Message: "not a directory", Path: req.Dir}
		}
		prefix := strings.TrimSuffix(req.Dir, "/") + "/"
		for path := range s.files(rev) {
			if rest, ok := strings.CutPrefix(path, prefix); ok {
				name, _, _ := strings.Cut(rest, "/")
				found[prefix+name], _ = s.stat(prefix+name, rev)
			}
		}
	}
	if !strings.HasPrefix(req.Glob, "/ctl/") { // that is the client for itself
		n.valued = req.Values
	}
	for _, f := range found {
		if f.Path <= req.After && req.After != "" {
			continue
		}
		if !req.Values {
			f.Value = nil
		}
		res.Files = append(res.Files, f)
	}
	slices.SortFunc(res.Files, func(a, b *doozerpb.File) int { return strings.Compare(a.Path, b.Path) })
	return res, nil
}

func (n *fakeNode) status() *doozerpb.StatusResponse {
	return &doozerpb.StatusResponse{
		Header: n.store.header(n), Name: "n1", Role: doozerpb.StatusResponse_LEADER, Term: 3, OldestRev: n.store.oldest,
		DbSize: 3 << 20, LogSize: 64 << 20, Version: "v1.2.3", Members: n.members,
	}
}

func (n *fakeNode) Do(stream doozerpb.Doozer_DoServer) error {
	for {
		req, err := stream.Recv()
		if err != nil {
			return err
		}
		res := &doozerpb.DoResponse{}
		for _, r := range req.Requests {
			if n.cut && r.GetSelf() == nil && !r.GetGet().GetLocal() && !r.GetList().GetLocal() {
				time.Sleep(time.Duration(r.TimeoutMs) * time.Millisecond)
				res.Responses = append(res.Responses, &doozerpb.Response{Tag: r.Tag, Result: &doozerpb.Response_Error{Error: noQuorum()}})
				continue
			}
			// What should wait for a rev waits for ever.
			if get := r.GetGet(); get == nil || get.Rev < farRev {
				res.Responses = append(res.Responses, n.serve(r))
			}
		}
		n.store.mu.Lock()
		res.Header = n.store.header(n)
		n.store.mu.Unlock()
		if err := stream.Send(res); err != nil {
			return err
		}
	}
}

func (n *fakeNode) Self(context.Context, *doozerpb.SelfRequest) (*doozerpb.SelfResponse, error) {
	res := n.serve(&doozerpb.Request{Op: &doozerpb.Request_Self{}}).GetSelf()
	n.store.mu.Lock()
	defer n.store.mu.Unlock()
	res.Header = n.store.header(n)
	return res, nil
}

func (n *fakeNode) Status(context.Context, *doozerpb.StatusRequest) (*doozerpb.StatusResponse, error) {
	n.store.mu.Lock()
	defer n.store.mu.Unlock()
	return n.status(), nil
}

func (n *fakeNode) List(req *doozerpb.ListRequest, stream doozerpb.Doozer_ListServer) error {
	n.store.mu.Lock()
	res, err := n.list(req)
	n.store.mu.Unlock()
	if err != nil {
		return fail(err)
	}
	return stream.Send(res)
}

// noQuorum is the answer of a node that is cut off.
func noQuorum() *doozerpb.Error {
	return &doozerpb.Error{Code: doozerpb.Code_NO_QUORUM, Message: "no leader"}
}

func (n *fakeNode) Log(req *doozerpb.LogRequest, stream doozerpb.Doozer_LogServer) error {
	if n.cut {
		<-stream.Context().Done()
		return stream.Context().Err()
	}
	n.store.mu.Lock()
	res := &doozerpb.LogResponse{Header: n.store.header(n), Oldest: n.store.oldest}
	match := matching(req.Glob)
	for _, ev := range n.store.events {
		if match.MatchString(ev.Path) && ev.Rev >= req.From && (req.To == 0 || ev.Rev <= req.To) {
			if req.NoValues {
				ev = proto.CloneOf(ev)
				ev.Value = nil
			}
			res.Events = append(res.Events, ev)
		}
	}
	n.valued = !req.NoValues
	n.store.mu.Unlock()
	if limit := int(req.Limit); limit > 0 && len(res.Events) > limit {
		res.Events = res.Events[len(res.Events)-limit:]
	}
	return stream.Send(res)
}

// Watches serves many watches as Watch does one.
func (n *fakeNode) Watches(stream doozerpb.Doozer_WatchesServer) error {
	return watches.Serve(stream, func() *doozerpb.Header {
		n.store.mu.Lock()
		defer n.store.mu.Unlock()
		return n.store.header(n)
	}, n.Watch)
}

// Watch sends a progress mark or a snapshot, then changes as they come.
func (n *fakeNode) Watch(req *doozerpb.WatchRequest, stream doozerpb.Doozer_WatchServer) error {
	match := matching(req.Glob)
	n.store.mu.Lock()
	header, done := n.store.header(n), n.store.rev
	files := n.store.files(0)
	n.store.mu.Unlock()
	if req.Snapshot {
		var events []*doozerpb.Event
		for path, f := range files {
			if match.MatchString(path) {
				events = append(events, &doozerpb.Event{Path: path, Value: f.Value, Rev: f.Rev, Time: f.Time, Author: f.Author, Message: f.Message})
			}
		}
		slices.SortFunc(events, func(a, b *doozerpb.Event) int { return strings.Compare(a.Path, b.Path) })
		if err := stream.Send(&doozerpb.WatchResponse{Header: header, Kind: doozerpb.WatchResponse_SNAPSHOT, Rev: done, Events: events}); err != nil {
			return err
		}
		if err := stream.Send(&doozerpb.WatchResponse{Header: header, Kind: doozerpb.WatchResponse_SNAPSHOT_END, Rev: done}); err != nil {
			return err
		}
	} else {
		if req.From != 0 {
			done = req.From - 1
		}
		if err := stream.Send(&doozerpb.WatchResponse{Header: header, Kind: doozerpb.WatchResponse_PROGRESS, Rev: done}); err != nil {
			return err
		}
	}
	for {
		n.store.mu.Lock()
		changed := n.store.changed
		res := &doozerpb.WatchResponse{Header: n.store.header(n), Kind: doozerpb.WatchResponse_EVENTS, Rev: n.store.rev}
		for _, ev := range n.store.events {
			if ev.Rev > done && match.MatchString(ev.Path) {
				res.Events = append(res.Events, ev)
			}
		}
		done = max(done, n.store.rev)
		n.store.mu.Unlock()
		if len(res.Events) > 0 {
			if err := stream.Send(res); err != nil {
				return err
			}
		}
		select {
		case <-changed:
		case <-stream.Context().Done():
			return nil
		}
	}
}
