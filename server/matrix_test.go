package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/doozer-store/doozer/consensus"
	doozerpb "github.com/doozer-store/doozer/proto"
	"github.com/doozer-store/doozer/store"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// rows are the ways in which a request can depend on the cluster.
type row uint8

const (
	isWrite  row = iota // goes through the log
	isGlobal            // a read that asks a majority
	isLocal             // asks nobody
)

// verbRows are a request of each verb and option that changes what it asks.
func verbRows() map[string]struct {
	req *doozerpb.Request
	row row
} {
	type r = struct {
		req *doozerpb.Request
		row row
	}
	get := func(m *doozerpb.GetRequest) *doozerpb.Request {
		return &doozerpb.Request{Op: &doozerpb.Request_Get{Get: m}}
	}
	stat := func(m *doozerpb.StatRequest) *doozerpb.Request {
		return &doozerpb.Request{Op: &doozerpb.Request_Stat{Stat: m}}
	}
	list := func(m *doozerpb.ListRequest) *doozerpb.Request {
		return &doozerpb.Request{Op: &doozerpb.Request_List{List: m}}
	}
	rev := func(m *doozerpb.RevRequest) *doozerpb.Request {
		return &doozerpb.Request{Op: &doozerpb.Request_Rev{Rev: m}}
	}
	return map[string]r{
		"get": {get(&doozerpb.GetRequest{Path: "/a"}), isGlobal}, "get local": {get(&doozerpb.GetRequest{Path: "/a", Local: true}), isLocal},
		"get at":    {get(&doozerpb.GetRequest{Path: "/a", Rev: 1}), isLocal},
		"set":       {setReq(0, "/a", "v"), isWrite},
		"set if":    {&doozerpb.Request{Op: &doozerpb.Request_Set{Set: &doozerpb.SetRequest{Path: "/a", If: &doozerpb.If{Kind: doozerpb.If_UNCHANGED, Rev: 1 << 40}}}}, isWrite},
		"del":       {&doozerpb.Request{Op: &doozerpb.Request_Del{Del: &doozerpb.DelRequest{Path: "/a"}}}, isWrite},
		"txn":       {&doozerpb.Request{Op: &doozerpb.Request_Txn{Txn: &doozerpb.TxnRequest{Ops: []*doozerpb.Op{{Path: "/a"}}}}}, isWrite},
		"txn check": {&doozerpb.Request{Op: &doozerpb.Request_Txn{Txn: &doozerpb.TxnRequest{Conditions: []*doozerpb.Condition{{Path: "/a"}}}}}, isWrite},
		"stat":      {stat(&doozerpb.StatRequest{Path: "/a"}), isGlobal}, "stat local": {stat(&doozerpb.StatRequest{Path: "/a", Local: true}), isLocal},
		"stat at":  {stat(&doozerpb.StatRequest{Path: "/a", Rev: 1}), isLocal},
		"list dir": {list(&doozerpb.ListRequest{Dir: "/"}), isGlobal}, "list dir local": {list(&doozerpb.ListRequest{Dir: "/", Local: true}), isLocal},
		"list glob": {list(&doozerpb.ListRequest{Glob: "/**"}), isGlobal}, "list glob at": {list(&doozerpb.ListRequest{Glob: "/**", Rev: 1}), isLocal},
		"rev": {rev(&doozerpb.RevRequest{}), isGlobal}, "rev local": {rev(&doozerpb.RevRequest{Local: true}), isLocal},
		"nop":      {&doozerpb.Request{Op: &doozerpb.Request_Nop{Nop: &doozerpb.NopRequest{}}}, isWrite},
		"register": {&doozerpb.Request{Op: &doozerpb.Request_Register{Register: &doozerpb.RegisterRequest{}}}, isWrite},
		"self":     {&doozerpb.Request{Op: &doozerpb.Request_Self{Self: &doozerpb.SelfRequest{}}}, isLocal},
		"await":    {&doozerpb.Request{Op: &doozerpb.Request_Await{Await: &doozerpb.AwaitRequest{Glob: "/**", Before: 1}}}, isLocal},
		"status":   {&doozerpb.Request{Op: &doozerpb.Request_Status{Status: &doozerpb.StatusRequest{}}}, isLocal},
	}
}

// Every verb with every option under everything that can be wrong with a node:
// Do and the unary RPC answer the same code, and it is the documented one. A
// verb without a row fails.
func TestVerbsUnderFaults(t *testing.T) {
	verbs := map[string]bool{}
	for _, r := range verbRows() {
		verbs[fmt.Sprintf("%T", r.req.Op)] = true
	}
	if want := (&doozerpb.Request{}).ProtoReflect().Descriptor().Oneofs().Get(0).Fields().Len(); len(verbs) != want {
		t.Errorf("%d verbs have rows, of %d", len(verbs), want)
	}
	const ok = doozerpb.Code_OK
	for name, f := range map[string]struct {
		spoil func(*node)
		codes [3]doozerpb.Code // by row
	}{
		"well":       {func(*node) {}, [3]doozerpb.Code{ok, ok, ok}},
		"no quorum":  {failing(consensus.ErrDeadline), [3]doozerpb.Code{doozerpb.Code_NO_QUORUM, doozerpb.Code_NO_QUORUM, ok}},
		"overloaded": {failing(consensus.ErrOverloaded), [3]doozerpb.Code{doozerpb.Code_OVERLOADED, doozerpb.Code_OVERLOADED, ok}},
		"stopped":    {failing(consensus.ErrStopped), [3]doozerpb.Code{doozerpb.Code_STOPPING, doozerpb.Code_STOPPING, ok}},
		"too large":  {failing(consensus.ErrTooLarge), [3]doozerpb.Code{doozerpb.Code_TOO_LARGE, doozerpb.Code_TOO_LARGE, ok}},
		"odd":        {failing(errors.New("odd")), [3]doozerpb.Code{doozerpb.Code_INTERNAL, doozerpb.Code_INTERNAL, ok}},
		"lost": {func(n *node) { n.c.set(func(f *fakeConsensus) { f.loses = consensus.ErrUnknown }) },
			[3]doozerpb.Code{doozerpb.Code_UNKNOWN_OUTCOME, ok, ok}},
		"quarantined": {func(n *node) { n.machine.SetQuarantine("x") },
			[3]doozerpb.Code{doozerpb.Code_QUARANTINED, doozerpb.Code_QUARANTINED, doozerpb.Code_QUARANTINED}},
	} {
		t.Run(name, func(t *testing.T) {
			n, ctx := start(t, Limits{}), background(t)
			d := openDo(t, n)
			d.do(setReq(0, "/a", "v")) // the stream is open
			unary := func(r *doozerpb.Request) doozerpb.Code {
				if _, ok := r.Op.(*doozerpb.Request_Status); ok {
					_, err := n.client.Status(ctx, &doozerpb.StatusRequest{})
					code, _ := codeOf(err)
					return code
				}
				return unaryDo(ctx, n.client, r).GetError().GetCode()
			}
			stream := func(r *doozerpb.Request) doozerpb.Code { return d.do(r)[0].GetError().GetCode() }
			for what, r := range verbRows() {
				for way, do := range map[string]func(*doozerpb.Request) doozerpb.Code{"Do": stream, "unary": unary} {
					n.c.set(func(c *fakeConsensus) { c.fail, c.loses = nil, nil })
					n.set(t, "/a", "v") // what the row before may have deleted
					f.spoil(n)
					if got := do(r.req); got != f.codes[r.row] {
						t.Errorf("%s by %s: %v, want %v", what, way, got, f.codes[r.row])
					}
				}
			}
		})
	}
}

func failing(err error) func(*node) {
	return func(n *node) { n.c.set(func(f *fakeConsensus) { f.fail = err }) }
}

// grpcsOwn are limits that grpc alone enforces, which its tests cover.
var grpcsOwn = "Window KeepaliveTime KeepaliveTimeout MinPing"

// Every limit is reached here, or in the test that is named, and gives what
// limits.go says. A limit without a row fails.
func TestEveryLimit(t *testing.T) {
	rows := map[string]func(*testing.T){
		"MaxValue":         limitMaxValue,
		"MaxCommand":       limitMaxCommand,
		"DefaultTimeout":   limitDefaultTimeout,
		"MaxTimeout":       limitMaxTimeout,
		"StreamRequests":   TestDoBounds,
		"StreamBytes":      TestDoOneLargeRequest,
		"MessageBytes":     limitMessageBytes,
		"PageEntries":      TestListPages,
		"Visits":           TestListLetsApplyIn,
		"RevWaiters":       limitRevWaiters,
		"Watchers":         limitWatchers,
		"WatchEvents":      func(t *testing.T) { limitHub(t, Limits{WatchEvents: 3}) },
		"WatchBytes":       func(t *testing.T) { limitHub(t, Limits{WatchBytes: 100}) },
		"HubBytes":         func(t *testing.T) { limitHub(t, Limits{HubBytes: 100}) },
		"WatchProgress":    limitProgress,
		"MinWatchProgress": limitProgress,
		"HashEvery":        TestHashRing,
		"HashRing":         TestHashRing,
		"ConnStreams":      limitConnStreams,
		"MaxMessage":       TestMessageLimit,
		"HandshakeTimeout": limitHandshake,
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Limits]()) {
		if fn := rows[f.Name]; fn != nil {
			t.Run(f.Name, fn)
		} else if !strings.Contains(grpcsOwn, f.Name) {
			t.Errorf("%s has no row", f.Name)
		}
	}
}

func limitMaxValue(t *testing.T) {
	n, ctx := start(t, Limits{MaxValue: 3}), background(t)
	if _, err := n.client.Set(ctx, &doozerpb.SetRequest{Path: "/a", Value: []byte("abc")}); err != nil {
		t.Error(err)
	}
	_, err := n.client.Set(ctx, &doozerpb.SetRequest{Path: "/a", Value: []byte("abcd")})
	wantCode(t, err, doozerpb.Code_TOO_LARGE)
}

func limitMaxCommand(t *testing.T) {
	n, ctx := start(t, Limits{MaxCommand: 1000}), background(t)
	ops := []*doozerpb.Op{{Path: "/a", Value: fill(450)}, {Path: "/b", Value: fill(450)}}
	if _, err := n.client.Txn(ctx, &doozerpb.TxnRequest{Ops: ops[:1]}); err != nil {
		t.Error(err)
	}
	_, err := n.client.Txn(ctx, &doozerpb.TxnRequest{Ops: ops})
	wantCode(t, err, doozerpb.Code_TOO_LARGE)
}

func limitDefaultTimeout(t *testing.T) {
	d := openDo(t, start(t, Limits{DefaultTimeout: time.Millisecond}))
	if r := d.do(getAtReq(1, "/a", 99))[0]; r.GetError().GetCode() != doozerpb.Code_DEADLINE {
		t.Errorf("got %v", r)
	}
}

func limitMaxTimeout(t *testing.T) {
	d := openDo(t, start(t, Limits{MaxTimeout: time.Millisecond}))
	r := getAtReq(1, "/a", 99)
	r.TimeoutMs = 1 << 31
	if r := d.do(r)[0]; r.GetError().GetCode() != doozerpb.Code_DEADLINE {
		t.Errorf("got %v", r)
	}
}

func limitMessageBytes(t *testing.T) {
	n := start(t, Limits{MessageBytes: 1000})
	for i := range 10 {
		n.set(t, fmt.Sprintf("/%d", i), strings.Repeat("v", 400))
	}
	if got, _, pages := listAll(t, n, &doozerpb.ListRequest{Glob: "/*", Values: true}); len(got) != 10 || pages != 4 {
		t.Errorf("%d files in %d messages", len(got), pages)
	}
}

func limitRevWaiters(t *testing.T) {
	n := start(t, Limits{RevWaiters: 1})
	d := openDo(t, n)
	d.send(getAtReq(1, "/a", 1))
	wait(t, "the first to wait", func() bool { return n.machine.Stats().RevWaiters == 1 })
	if r := d.do(getAtReq(2, "/a", 2))[0]; r.GetError().GetCode() != doozerpb.Code_OVERLOADED || r.GetError().GetRetryMs() == 0 {
		t.Errorf("got %v", r)
	}
	n.set(t, "/a", "v")
	if r := d.recv(1)[0]; r.Tag != 1 || r.GetGet().GetFile().GetRev() != 1 {
		t.Errorf("got %v", r)
	}
}

func limitWatchers(t *testing.T) {
	n := start(t, Limits{Watchers: 1})
	runDirect(t, n, &doozerpb.WatchRequest{Glob: "/**"}).next()
	if e := <-runDirect(t, n, &doozerpb.WatchRequest{Glob: "/**"}).end; e.GetCode() != doozerpb.Code_OVERLOADED || e.RetryMs == 0 {
		t.Errorf("got %v", e)
	}
}

// limitHub fills the queue of a watch that takes nothing: it falls back to the
// window, and takes up no more.
func limitHub(t *testing.T, l Limits) {
	n := start(t, l)
	g, _ := store.CompileGlob("/**")
	sub := n.machine.hub.subscribe(g)
	defer sub.close()
	for range 10 {
		n.set(t, "/a", strings.Repeat("v", 20))
	}
	if events, lagging := sub.take(nil); !lagging || len(events) > 0 || n.machine.Stats().WatchBytes != 0 {
		t.Errorf("%d events, lagging %v, %d bytes", len(events), lagging, n.machine.Stats().WatchBytes)
	}
	if got := n.metrics.watchLags.Load(); got != 1 {
		t.Errorf("%d lags", got)
	}
	sub.resume()
	n.set(t, "/a", "v")
	if events, lagging := sub.take(nil); lagging || len(events) != 1 {
		t.Errorf("after resume: %d events, lagging %v", len(events), lagging)
	}
}

func limitProgress(t *testing.T) {
	l := Limits{WatchProgress: 2 * time.Millisecond, MinWatchProgress: time.Millisecond}
	n := start(t, l)
	for _, ms := range []uint32{0, 1} {
		d := runDirect(t, n, &doozerpb.WatchRequest{Glob: "/**", ProgressMs: ms})
		for range 3 {
			if m := d.next(); m.GetKind() != doozerpb.WatchResponse_PROGRESS {
				t.Errorf("got %v", m)
			}
		}
	}
	l = Limits{}.orDefault()
	if l.progress(0) != l.WatchProgress || l.progress(1) != l.MinWatchProgress || l.progress(5000) != 5*time.Second {
		t.Error("what a watch may ask for")
	}
}

func limitConnStreams(t *testing.T) {
	n := start(t, Limits{ConnStreams: 1})
	d := openDo(t, n)
	d.do(setReq(1, "/a", "")) // the stream is open
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := n.client.Self(ctx, &doozerpb.SelfRequest{}); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("a second call of one connection: %v", err)
	}
}

func limitHandshake(t *testing.T) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	startOn(t, Limits{HandshakeTimeout: 10 * time.Millisecond}, lis)
	c, err := net.Dial("tcp", lis.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(c); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a silent connection stays open: %v", err)
	}
}

// Pages of a past rev, read while the store goes on, are that rev; or the
// stream says that it is gone.
func TestListUnderWrites(t *testing.T) {
	for seed := range uint64(20) {
		l := tiny()
		n, rng := start(t, l), rand.New(rand.NewPCG(seed, 5))
		n.configure(t, store.Config{History: 40 + int64(seed)*20})
		rev := n.scribble(t, rng, 60)
		want := map[string]string{}
		n.machine.View(func(st *store.Store) {
			g, _ := store.CompileGlob("/?/*")
			st.Find(g, &store.Scan{Rev: rev}, func(e *store.Event) bool { want[e.Path()] = string(e.Value()); return true })
		})
		st, err := n.client.List(background(t), &doozerpb.ListRequest{Glob: "/?/*", Rev: rev, Values: true})
		if err != nil {
			t.Fatal(err)
		}
		last, got := "", 0
		for {
			m, err := st.Recv()
			if err == io.EOF {
				if got != len(want) {
					t.Errorf("seed %d: %d files of %d", seed, got, len(want))
				}
				break
			}
			if err != nil {
				wantCode(t, err, doozerpb.Code_TOO_LATE)
				break
			}
			for _, f := range m.Files {
				if v, ok := want[f.Path]; !ok || v != string(f.Value) || f.Path <= last || m.Rev != rev {
					t.Fatalf("seed %d: %v after %s, at %d of %d", seed, f, last, m.Rev, rev)
				}
				last = f.Path
				got++
			}
			n.scribble(t, rng, rng.IntN(20))
		}
	}
}

// A watch that is cut at random and begun again after the last rev it heard of
// is, all its pieces together, one watch.
func TestWatchCuts(t *testing.T) {
	for seed := range uint64(8) {
		n, rng := start(t, tiny()), rand.New(rand.NewPCG(seed, 6))
		n.scribble(t, rng, 20)
		req := &doozerpb.WatchRequest{Glob: []string{"/**", "/a/*", "/?/3"}[seed%3], From: 1, ProgressMs: 1}
		whole := newRecording(t, n, req)
		last := int64(0)
		for cuts := 0; cuts < 30 || last < n.machine.Rev(); cuts++ {
			if cuts < 30 {
				n.scribble(t, rng, rng.IntN(8))
			}
			d := runDirect(t, n, req)
			for k := range 1 + rng.IntN(5) {
				m := d.next()
				if k == 0 && whole.messages > 0 {
					if m.Rev != last {
						t.Fatalf("seed %d: it begins after %d, not %d", seed, m.Rev, last)
					}
					continue // the first message of a piece but the first
				}
				whole.take(m)
				last = max(whole.mark, whole.sent)
			}
			req.From = last + 1
		}
		whole.reliable()
		whole.sameTree(last)
	}
}
