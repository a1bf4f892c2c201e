package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	doozerpb "github.com/doozer-store/doozer/proto"
)

// fakeCluster is a store in memory, behind one mutex, that several fake nodes
// serve by the real protocol over network. It keeps the rules that the client
// relies on (ids, revs, watches) and nothing else.
type fakeCluster struct {
	nodes []*fakeNode

	mu      sync.Mutex
	id      []byte
	epoch   uint64
	leader  uint64
	age     uint64
	rev     int64
	oldest  int64
	files   map[string]*doozerpb.File
	events  []*doozerpb.Event
	clients uint64
	// results has the answers by client id and sequence number; applied
	// counts how often a write of an id was really done.
	results map[[2]uint64]*doozerpb.Response
	known   map[uint64]bool
	applied map[[2]uint64]int
	changed chan struct{}
}

// fakeNode is one node. Its knobs may be turned at any time.
type fakeNode struct {
	c   *fakeCluster
	id  uint64
	lis *fakeListener
	srv *grpc.Server

	// hook, if set, decides what becomes of a request on Do.
	hook atomic.Pointer[func(*doozerpb.Request) fate]
	// leaving sets going_away in the next messages.
	leaving atomic.Bool
	// cutErr, if set, is what a cut Do stream ends with.
	cutErr atomic.Pointer[error]
	// leader and age, if not 0, are told instead of the cluster's.
	leader, age atomic.Uint64
	// dos and calls count Do streams and requests.
	dos, calls atomic.Int64

	mu sync.Mutex
	// cut ends the watches when it is closed; resync makes them resync.
	cut, resync chan struct{}
	watchErr    error
}

// fate is what becomes of one request.
type fate struct {
	cutBefore, cutAfter bool
	drop                bool // never answer
	refuse              *doozerpb.Error
}

func newCluster(t testing.TB, n int) *fakeCluster {
	c := &fakeCluster{
		id: []byte("0123456789abcdef"), epoch: 1, leader: 1,
		files: make(map[string]*doozerpb.File), results: make(map[[2]uint64]*doozerpb.Response),
		known: make(map[uint64]bool), applied: make(map[[2]uint64]int), changed: make(chan struct{}),
	}
	for i := range n {
		node := &fakeNode{c: c, id: uint64(i + 1), cut: make(chan struct{}), resync: make(chan struct{})}
		c.nodes = append(c.nodes, node)
		node.serve(network.Free())
		c.write(&doozerpb.Op{Path: fmt.Sprintf("/ctl/node/%d/addr", node.id), Value: []byte(node.addr())})
	}
	t.Cleanup(func() {
		for _, n := range c.nodes {
			n.lis.thaw()
			n.srv.Stop()
		}
	})
	return c
}

func (n *fakeNode) serve(addr string) {
	n.lis = &fakeListener{Listener: network.ListenAt(addr)}
	n.srv = grpc.NewServer(grpc.MaxRecvMsgSize(maxMessage), grpc.InitialWindowSize(1<<20), grpc.InitialConnWindowSize(1<<20))
	doozerpb.RegisterDoozerServer(n.srv, &fakeService{n: n})
	go n.srv.Serve(n.lis)
}

func (n *fakeNode) addr() string { return n.lis.Addr().String() }
func (n *fakeNode) kill()        { n.lis.thaw(); n.srv.Stop() }

func (n *fakeNode) setHook(fn func(*doozerpb.Request) fate) {
	if fn == nil {
		n.hook.Store(nil)
		return
	}
	n.hook.Store(&fn)
}

// cutWatches ends the node's present watches with err.
func (n *fakeNode) cutWatches(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.watchErr = err
	close(n.cut)
	n.cut = make(chan struct{})
}

// resyncWatches makes the node's present watches say RESYNC.
func (n *fakeNode) resyncWatches() {
	n.mu.Lock()
	defer n.mu.Unlock()
	close(n.resync)
	n.resync = make(chan struct{})
}

// addrs is a target that names the given nodes.
func (c *fakeCluster) target(nodes ...int) string {
	var list []string
	for i, n := range c.nodes {
		if len(nodes) == 0 || slices.Contains(nodes, i) {
			list = append(list, n.addr())
		}
	}
	return strings.Join(list, ",")
}

func (c *fakeCluster) set(fn func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fn()
}

func (c *fakeCluster) header(n *fakeNode) *doozerpb.Header {
	return &doozerpb.Header{
		ClusterId: c.id, Epoch: c.epoch, Node: n.id, Rev: c.rev,
		Leader: cmp.Or(n.leader.Load(), c.leader), AgeMs: cmp.Or(n.age.Load(), c.age),
	}
}

func (c *fakeCluster) lockedHeader(n *fakeNode) *doozerpb.Header {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.header(n)
}

// write applies ops at one rev and returns it.
func (c *fakeCluster) write(ops ...*doozerpb.Op) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.writeLocked(ops...)
}

func (c *fakeCluster) writeLocked(ops ...*doozerpb.Op) int64 {
	c.rev++
	for _, op := range ops {
		ev := &doozerpb.Event{Path: op.GetPath(), Value: op.GetValue(), Rev: c.rev, Time: c.rev}
		if op.GetDel() {
			ev.Kind, ev.Value = doozerpb.Event_DEL, nil
			delete(c.files, op.GetPath())
		} else {
			c.files[op.GetPath()] = &doozerpb.File{Path: op.GetPath(), Value: op.GetValue(), Rev: c.rev, Len: int64(len(op.GetValue())), Exists: true}
		}
		c.events = append(c.events, ev)
	}
	close(c.changed)
	c.changed = make(chan struct{})
	return c.rev
}

func fakeMatch(glob, p string) bool {
	if prefix, ok := strings.CutSuffix(glob, "**"); ok {
		return strings.HasPrefix(p, prefix)
	}
	ok, _ := path.Match(glob, p)
	return ok
}

// matching returns the files of a glob in order, without their values being
// copied.
func (c *fakeCluster) matching(glob string) []*doozerpb.File {
	var list []*doozerpb.File
	for _, p := range slices.Sorted(maps.Keys(c.files)) {
		if fakeMatch(glob, p) {
			list = append(list, c.files[p])
		}
	}
	return list
}

func refusal(code doozerpb.Code, msg string) *doozerpb.Error {
	return &doozerpb.Error{Code: code, Message: msg}
}

func refused(tag uint64, e *doozerpb.Error) *doozerpb.Response {
	return &doozerpb.Response{Tag: tag, Result: &doozerpb.Response_Error{Error: e}}
}

// rpcRefusal is a refusal as a gRPC error.
func rpcRefusal(code doozerpb.Code, rev int64) error {
	s, err := status.New(codes.Unknown, code.String()).WithDetails(&doozerpb.Error{Code: code, Message: code.String(), Rev: rev})
	if err != nil {
		panic(err)
	}
	return s.Err()
}

// apply answers one request. Holds mu.
func (c *fakeCluster) apply(n *fakeNode, r *doozerpb.Request) *doozerpb.Response {
	res := &doozerpb.Response{Tag: r.GetTag()}
	switch op := r.GetOp().(type) {
	case *doozerpb.Request_Get:
		f := c.files[op.Get.GetPath()]
		if f == nil {
			return refused(r.GetTag(), &doozerpb.Error{Code: doozerpb.Code_NOENT, Path: op.Get.GetPath()})
		}
		res.Result = &doozerpb.Response_Get{Get: &doozerpb.GetResponse{File: f}}
	case *doozerpb.Request_Set:
		return c.once(r.GetTag(), op.Set.GetId(), func() *doozerpb.Response {
			if e := c.check(op.Set.GetPath(), op.Set.GetIf()); e != nil {
				return refused(0, e)
			}
			rev := c.writeLocked(&doozerpb.Op{Path: op.Set.GetPath(), Value: op.Set.GetValue()})
			return &doozerpb.Response{Result: &doozerpb.Response_Set{Set: &doozerpb.SetResponse{Rev: rev}}}
		})
	case *doozerpb.Request_Del:
		return c.once(r.GetTag(), op.Del.GetId(), func() *doozerpb.Response {
			if c.files[op.Del.GetPath()] == nil {
				return refused(0, &doozerpb.Error{Code: doozerpb.Code_NOENT, Path: op.Del.GetPath()})
			}
			rev := c.writeLocked(&doozerpb.Op{Path: op.Del.GetPath(), Del: true})
			return &doozerpb.Response{Result: &doozerpb.Response_Del{Del: &doozerpb.DelResponse{Rev: rev}}}
		})
	case *doozerpb.Request_Txn:
		return c.once(r.GetTag(), op.Txn.GetId(), func() *doozerpb.Response {
			for i, cond := range op.Txn.GetConditions() {
				if e := c.check(cond.GetPath(), cond.GetIf()); e != nil {
					e.Index = uint32(i)
					e.Present = c.files[cond.GetPath()]
					return refused(0, e)
				}
			}
			rev := c.writeLocked(op.Txn.GetOps()...)
			return &doozerpb.Response{Result: &doozerpb.Response_Txn{Txn: &doozerpb.TxnResponse{Rev: rev}}}
		})
	case *doozerpb.Request_Stat:
		f := c.files[op.Stat.GetPath()]
		if f == nil {
			return refused(r.GetTag(), &doozerpb.Error{Code: doozerpb.Code_NOENT, Path: op.Stat.GetPath()})
		}
		res.Result = &doozerpb.Response_Stat{Stat: &doozerpb.StatResponse{File: f}}
	case *doozerpb.Request_List:
		res.Result = &doozerpb.Response_List{List: c.page(op.List)}
	case *doozerpb.Request_Rev:
		res.Result = &doozerpb.Response_Rev{Rev: &doozerpb.RevResponse{Rev: c.rev, Oldest: c.oldest}}
	case *doozerpb.Request_Await:
		return c.await(r.GetTag(), op.Await)
	case *doozerpb.Request_Self:
		res.Result = &doozerpb.Response_Self{Self: &doozerpb.SelfResponse{Name: fmt.Sprintf("n%d", n.id), Version: "fake", Identity: "me"}}
	case *doozerpb.Request_Nop:
		res.Result = &doozerpb.Response_Nop{Nop: &doozerpb.NopResponse{}}
	case *doozerpb.Request_Register:
		c.clients++
		c.known[c.clients] = true
		res.Result = &doozerpb.Response_Register{Register: &doozerpb.RegisterResponse{Client: c.clients, TtlMs: 60000, Window: 4096}}
	case *doozerpb.Request_Status:
		res.Result = &doozerpb.Response_Status{Status: c.status(n)}
	}
	return res
}

// page lists a few entries, so that paging has something to do.
func (c *fakeCluster) page(req *doozerpb.ListRequest) *doozerpb.ListResponse {
	glob := req.GetGlob()
	if glob == "" {
		glob = strings.TrimSuffix(req.GetDir(), "/") + "/*"
	}
	res := &doozerpb.ListResponse{Rev: c.rev}
	if req.GetRev() != 0 {
		res.Rev = req.GetRev()
	}
	for _, f := range c.matching(glob) {
		if f.GetPath() <= req.GetAfter() || f.GetRev() > res.GetRev() {
			continue
		}
		if len(res.Files) == 10 {
			res.More = true
			break
		}
		res.Files = append(res.Files, f)
	}
	return res
}

func (c *fakeCluster) check(p string, cond *doozerpb.If) *doozerpb.Error {
	rev := c.files[p].GetRev()
	ok := true
	switch cond.GetKind() {
	case doozerpb.If_MISSING:
		ok = rev == 0
	case doozerpb.If_UNCHANGED:
		ok = rev != 0 && rev <= cond.GetRev()
	}
	if ok {
		return nil
	}
	return &doozerpb.Error{Code: doozerpb.Code_REV_MISMATCH, Path: p, Rev: rev}
}

// once keeps the rule of WriteId.
func (c *fakeCluster) once(tag uint64, id *doozerpb.WriteId, fn func() *doozerpb.Response) *doozerpb.Response {
	key := [2]uint64{id.GetClient(), id.GetSeq()}
	if !c.known[id.GetClient()] {
		return refused(tag, refusal(doozerpb.Code_CLIENT_EXPIRED, "who is that?"))
	}
	for k := range c.results {
		if len(c.results) > 1000 && k[0] == id.GetClient() && k[1] < id.GetAck() {
			delete(c.results, k)
		}
	}
	kept := c.results[key]
	if kept == nil {
		kept = fn()
		c.results[key] = kept
		c.applied[key]++
	}
	return &doozerpb.Response{Tag: tag, Result: kept.GetResult()}
}

func (c *fakeCluster) status(n *fakeNode) *doozerpb.StatusResponse {
	res := &doozerpb.StatusResponse{Header: c.header(n), Name: fmt.Sprintf("n%d", n.id), Files: int64(len(c.files))}
	if n.id == c.leader {
		res.Role = doozerpb.StatusResponse_LEADER
	}
	for _, m := range c.nodes {
		res.Members = append(res.Members, &doozerpb.Member{Id: m.id, Addr: m.addr(), Voter: true})
	}
	return res
}

// fakeService is the gRPC face of a node.
type fakeService struct {
	doozerpb.UnimplementedDoozerServer
	n *fakeNode
}

var errCut = status.Error(codes.Unavailable, "cut")

func (s *fakeService) Status(context.Context, *doozerpb.StatusRequest) (*doozerpb.StatusResponse, error) {
	s.n.c.mu.Lock()
	defer s.n.c.mu.Unlock()
	return s.n.c.status(s.n), nil
}

func (s *fakeService) Do(stream doozerpb.Doozer_DoServer) error {
	n, c := s.n, s.n.c
	n.dos.Add(1)
	for {
		req, err := stream.Recv()
		if err != nil {
			return err
		}
		res := &doozerpb.DoResponse{}
		cut := false
		for _, r := range req.GetRequests() {
			n.calls.Add(1)
			var f fate
			if hook := n.hook.Load(); hook != nil {
				f = (*hook)(r)
			}
			if f.cutBefore {
				if err := n.cutErr.Load(); err != nil {
					return *err
				}
				return errCut
			}
			if f.drop {
				continue
			}
			if f.refuse != nil {
				res.Responses = append(res.Responses, refused(r.GetTag(), f.refuse))
				continue
			}
			c.mu.Lock()
			res.Responses = append(res.Responses, c.apply(n, r))
			c.mu.Unlock()
			cut = cut || f.cutAfter
		}
		if cut {
			return errCut
		}
		res.Header, res.GoingAway = c.lockedHeader(n), n.leaving.Load()
		if err := stream.Send(res); err != nil {
			return err
		}
	}
}

// open opens a client that is closed, and looked over for goroutines, at the
// end of the test.
func (c *fakeCluster) open(t testing.TB, opts ...Option) *Client {
	t.Helper()
	return openTarget(t, c.target(), opts...)
}

func openTarget(t testing.TB, target string, opts ...Option) *Client {
	t.Helper()
	cl, err := Open(t.Context(), target, append([]Option{onFakeNet()}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cl.Close()
		if left := leftovers(); left != "" {
			t.Errorf("goroutines of the client are left:\n%s", left)
		}
	})
	return cl
}

// eventually waits until ok says yes, looking after every message that the
// client can have received: by asking it.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	limit := time.After(time.Minute)
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("%s: not within a minute", what)
		}
	}
}

func mustSet(t testing.TB, cl *Client, path, value string, opts ...WriteOption) int64 {
	t.Helper()
	rev, err := cl.Set(t.Context(), path, []byte(value), opts...)
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

func isAll(err error, targets ...error) bool {
	for _, e := range targets {
		if !errors.Is(err, e) {
			return false
		}
	}
	return true
}
