package server

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/doozer-store/doozer/consensus"
	doozerpb "github.com/doozer-store/doozer/proto"
	"github.com/doozer-store/doozer/store"
	"google.golang.org/grpc/status"
)

func TestSetGetStatDel(t *testing.T) {
	n, ctx := start(t, Limits{}), background(t)
	set, err := n.client.Set(ctx, &doozerpb.SetRequest{Path: "/a/b", Value: []byte("v"), Message: "why"})
	if err != nil {
		t.Fatal(err)
	}
	if set.Rev != 1 || set.Header.Rev < 1 || set.Header.Node != 1 || set.Header.Leader != 1 {
		t.Errorf("set answered %v", set)
	}
	get, err := n.client.Get(ctx, &doozerpb.GetRequest{Path: "/a/b"})
	if err != nil {
		t.Fatal(err)
	}
	f := get.File
	if string(f.Value) != "v" || f.Rev != 1 || f.Len != 1 || f.Message != "why" || f.Author == "" || !f.Exists || f.Time == 0 {
		t.Errorf("get answered %v", f)
	}
	st, err := n.client.Stat(ctx, &doozerpb.StatRequest{Path: "/a/b", Local: true})
	if err != nil {
		t.Fatal(err)
	}
	if st.File.Value != nil || st.File.Len != 1 || st.File.Rev != 1 {
		t.Errorf("stat answered %v", st.File)
	}
	if st, err = n.client.Stat(ctx, &doozerpb.StatRequest{Path: "/a"}); err != nil || !st.File.IsDir || st.File.Hash == 0 || st.File.Rev != 0 || st.File.Len != 1 {
		t.Errorf("stat of a directory answered %v, %v", st, err)
	}
	del, err := n.client.Del(ctx, &doozerpb.DelRequest{Path: "/a/b", If: &doozerpb.If{Kind: doozerpb.If_UNCHANGED, Rev: 1}})
	if err != nil || del.Rev != 2 {
		t.Fatalf("del answered %v, %v", del, err)
	}
	_, err = n.client.Get(ctx, &doozerpb.GetRequest{Path: "/a/b"})
	wantCode(t, err, doozerpb.Code_NOENT)
	if get, err = n.client.Get(ctx, &doozerpb.GetRequest{Path: "/a/b", Rev: 1}); err != nil || string(get.File.Value) != "v" {
		t.Errorf("get at a past rev answered %v, %v", get, err)
	}
}

func TestRefusals(t *testing.T) {
	n, ctx := start(t, Limits{MaxValue: 10, MaxCommand: 300}), background(t)
	n.set(t, "/d/f", "v")
	set := func(r *doozerpb.SetRequest) error { _, err := n.client.Set(ctx, r); return err }
	get := func(r *doozerpb.GetRequest) error { _, err := n.client.Get(ctx, r); return err }
	txn := func(r *doozerpb.TxnRequest) error { _, err := n.client.Txn(ctx, r); return err }
	ops := make([]*doozerpb.Op, 129)
	for i := range ops {
		ops[i] = &doozerpb.Op{Path: fmt.Sprintf("/o/%d", i)}
	}
	for _, c := range []struct {
		name string
		err  error
		want doozerpb.Code
	}{
		{"missing, present", set(&doozerpb.SetRequest{Path: "/d/f", If: &doozerpb.If{Kind: doozerpb.If_MISSING}}), doozerpb.Code_REV_MISMATCH},
		{"changed", set(&doozerpb.SetRequest{Path: "/nope", If: &doozerpb.If{Kind: doozerpb.If_UNCHANGED, Rev: 1}}), doozerpb.Code_REV_MISMATCH},
		{"unknown condition", set(&doozerpb.SetRequest{Path: "/d/f", If: &doozerpb.If{Kind: 9}}), doozerpb.Code_BAD_REQUEST},
		{"directory", set(&doozerpb.SetRequest{Path: "/d"}), doozerpb.Code_ISDIR},
		{"below a file", set(&doozerpb.SetRequest{Path: "/d/f/g"}), doozerpb.Code_NOTDIR},
		{"path", set(&doozerpb.SetRequest{Path: "no"}), doozerpb.Code_BAD_PATH},
		{"value", set(&doozerpb.SetRequest{Path: "/v", Value: make([]byte, 11)}), doozerpb.Code_TOO_LARGE},
		{"command", set(&doozerpb.SetRequest{Path: "/v", Message: strings.Repeat("m", 400)}), doozerpb.Code_TOO_LARGE},
		{"doozer's own", set(&doozerpb.SetRequest{Path: "/ctl/x"}), doozerpb.Code_READ_ONLY},
		{"unknown client", set(&doozerpb.SetRequest{Path: "/v", Id: &doozerpb.WriteId{Client: 99, Seq: 1}}), doozerpb.Code_CLIENT_EXPIRED},
		{"no seq", set(&doozerpb.SetRequest{Path: "/v", Id: &doozerpb.WriteId{Client: 99}}), doozerpb.Code_BAD_REQUEST},
		{"no file", get(&doozerpb.GetRequest{Path: "/nope"}), doozerpb.Code_NOENT},
		{"get a directory", get(&doozerpb.GetRequest{Path: "/d"}), doozerpb.Code_ISDIR},
		{"rev below 0", get(&doozerpb.GetRequest{Path: "/d/f", Rev: -1}), doozerpb.Code_BAD_REQUEST},
		{"129 operations", txn(&doozerpb.TxnRequest{Ops: ops}), doozerpb.Code_BAD_REQUEST},
		{"empty transaction", txn(&doozerpb.TxnRequest{}), doozerpb.Code_BAD_REQUEST},
	} {
		if got, _ := codeOf(c.err); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, c.err, c.want)
		}
	}
	_, err := n.client.Del(ctx, &doozerpb.DelRequest{Path: "/nope"})
	wantCode(t, err, doozerpb.Code_NOENT)
	if n.machine.Rev() != 1 {
		t.Errorf("refused writes used revs: %d", n.machine.Rev())
	}
}

func TestTxn(t *testing.T) {
	n, ctx := start(t, Limits{}), background(t)
	rev := n.set(t, "/lock", "me")
	cond := func(rev int64) []*doozerpb.Condition {
		return []*doozerpb.Condition{{Path: "/x", If: &doozerpb.If{Kind: doozerpb.If_MISSING}}, {Path: "/lock", If: &doozerpb.If{Kind: doozerpb.If_UNCHANGED, Rev: rev}}}
	}
	ops := []*doozerpb.Op{{Path: "/x", Value: []byte("1")}, {Path: "/y", Value: []byte("2")}}
	r, err := n.client.Txn(ctx, &doozerpb.TxnRequest{Conditions: cond(rev), Ops: ops, Message: "both"})
	if err != nil || r.Rev != rev+1 {
		t.Fatalf("txn answered %v, %v", r, err)
	}
	n.set(t, "/lock", "you")
	n.del(t, "/x")
	_, err = n.client.Txn(ctx, &doozerpb.TxnRequest{Conditions: cond(rev), Ops: ops})
	e := wantCode(t, err, doozerpb.Code_REV_MISMATCH)
	if e.Index != 1 || e.Op || e.Path != "/lock" || e.Rev != rev+2 || string(e.Present.Value) != "you" {
		t.Errorf("detail %v", e)
	}
	_, err = n.client.Txn(ctx, &doozerpb.TxnRequest{Ops: []*doozerpb.Op{{Path: "/y"}, {Path: "/zz", Del: true}}})
	if e = wantCode(t, err, doozerpb.Code_NOENT); !e.Op || e.Index != 1 {
		t.Errorf("detail %v", e)
	}
}

func TestExactlyOnce(t *testing.T) {
	n, ctx := start(t, Limits{}), background(t)
	reg, err := n.client.Register(ctx, &doozerpb.RegisterRequest{})
	if err != nil || reg.Client == 0 || reg.TtlMs != 600_000 || reg.Window != store.DefaultClientWindow {
		t.Fatalf("register answered %v, %v", reg, err)
	}
	req := &doozerpb.SetRequest{Path: "/a", Id: &doozerpb.WriteId{Client: reg.Client, Seq: 1}}
	first, err := n.client.Set(ctx, req)
	if err != nil {
		t.Fatal(err)
	}
	n.set(t, "/b", "")
	again, err := n.client.Set(ctx, req)
	if err != nil || again.Rev != first.Rev {
		t.Fatalf("the retry answered %v, %v; the write %v", again, err, first)
	}
}

func TestRevSelfNop(t *testing.T) {
	n, ctx := start(t, Limits{}), background(t)
	n.set(t, "/a", "")
	for _, local := range []bool{false, true} {
		if r, err := n.client.Rev(ctx, &doozerpb.RevRequest{Local: local}); err != nil || r.Rev != 1 || r.Oldest != 0 {
			t.Errorf("rev answered %v, %v", r, err)
		}
	}
	if r, err := n.client.Self(ctx, &doozerpb.SelfRequest{}); err != nil || r.Name != "a" || r.Version != "v1" || r.Identity == "" {
		t.Errorf("self answered %v, %v", r, err)
	}
	if r, err := n.client.Nop(ctx, &doozerpb.NopRequest{}); err != nil || r.Header.Rev != 1 {
		t.Errorf("nop answered %v, %v", r, err)
	}
}

func TestStatus(t *testing.T) {
	n, ctx := start(t, Limits{}), background(t)
	n.apply(t, store.Command{Kind: store.System, Ops: []store.Op{
		{Path: "/ctl/node/1/name", Value: []byte("a")}, {Path: "/ctl/node/1/addr", Value: []byte("h:1")},
		{Path: "/ctl/node/1/peer-addr", Value: []byte("h:2")}, {Path: "/ctl/node/1/version", Value: []byte("v1")},
	}})
	n.c.set(func(f *fakeConsensus) {
		f.status.Members = append(f.status.Members, MemberStatus{ID: 2, Match: 5, Connected: true})
		f.status.LogSize = 11
	})
	r, err := n.client.Status(ctx, &doozerpb.StatusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Role != doozerpb.StatusResponse_LEADER || r.Term != 3 || r.AppliedIndex != 1 || r.Files != 4 || r.LogSize != 11 ||
		r.DbSize == 0 || r.Hash == 0 || r.Started == 0 || r.NotReady != "" || r.Name != "a" {
		t.Errorf("status %v", r)
	}
	if m := r.Members[0]; m.Name != "a" || m.Addr != "h:1" || m.PeerAddr != "h:2" || m.Version != "v1" || !m.Connected || !m.Voter {
		t.Errorf("member %v", m)
	}
	if m := r.Members[1]; m.Name != "" || m.Match != 5 || m.Voter {
		t.Errorf("member %v", m)
	}
	n.c.set(func(f *fakeConsensus) { f.status.Leader = 0 })
	if r, err = n.client.Status(ctx, &doozerpb.StatusRequest{}); err != nil || r.NotReady == "" {
		t.Errorf("status without a leader: %v, %v", r, err)
	}
}

func TestFutureRevWaits(t *testing.T) {
	n, ctx := start(t, Limits{RevWaiters: 1}), background(t)
	n.set(t, "/a", "1")
	got := make(chan string, 1)
	go func() {
		r, err := n.client.Get(ctx, &doozerpb.GetRequest{Path: "/a", Rev: 3})
		got <- fmt.Sprint(string(r.GetFile().GetValue()), err)
	}()
	wait(t, "the call", func() bool { return n.machine.revs.len() == 1 })
	_, err := n.client.Get(ctx, &doozerpb.GetRequest{Path: "/a", Rev: 9})
	wantCode(t, err, doozerpb.Code_OVERLOADED)
	n.set(t, "/a", "2")
	select {
	case s := <-got:
		t.Fatalf("rev 3 was answered at rev 2: %s", s)
	default:
	}
	n.set(t, "/a", "3")
	if s := <-got; s != "3<nil>" {
		t.Errorf("got %s", s)
	}
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	_, err = n.client.Get(short, &doozerpb.GetRequest{Path: "/a", Rev: 99})
	if s := status.Code(err).String(); s != "DeadlineExceeded" {
		t.Errorf("got %v", err)
	}
}

func TestTooLate(t *testing.T) {
	n, ctx := start(t, Limits{}), background(t)
	n.configure(t, store.Config{History: 2})
	for i := range 5 {
		n.set(t, "/a", fmt.Sprint(i))
	}
	_, err := n.client.Get(ctx, &doozerpb.GetRequest{Path: "/a", Rev: 2})
	if e := wantCode(t, err, doozerpb.Code_TOO_LATE); e.Rev != 3 {
		t.Errorf("oldest is said to be %d", e.Rev)
	}
	if r, err := n.client.Get(ctx, &doozerpb.GetRequest{Path: "/a", Rev: 3}); err != nil || string(r.File.Value) != "2" {
		t.Errorf("got %v, %v", r, err)
	}
}

func TestConsensusRefuses(t *testing.T) {
	n, ctx := start(t, Limits{}), background(t)
	n.set(t, "/a", "v")
	for err, want := range map[error]doozerpb.Code{
		consensus.ErrDeadline:   doozerpb.Code_NO_QUORUM,
		consensus.ErrOverloaded: doozerpb.Code_OVERLOADED, consensus.ErrStopped: doozerpb.Code_STOPPING, consensus.ErrUnknown: doozerpb.Code_UNKNOWN_OUTCOME,
	} {
		n.c.set(func(f *fakeConsensus) { f.fail = err })
		_, got := n.client.Set(ctx, &doozerpb.SetRequest{Path: "/a"})
		wantCode(t, got, want)
		if _, got := n.client.Get(ctx, &doozerpb.GetRequest{Path: "/a", Local: true}); got != nil {
			t.Errorf("local read: %v", got)
		}
		if err != consensus.ErrUnknown {
			_, got = n.client.Get(ctx, &doozerpb.GetRequest{Path: "/a"})
			wantCode(t, got, want)
		}
	}
	n.c.set(func(f *fakeConsensus) { f.fail, f.loses = nil, consensus.ErrUnknown })
	_, err := n.client.Set(ctx, &doozerpb.SetRequest{Path: "/a"})
	wantCode(t, err, doozerpb.Code_UNKNOWN_OUTCOME)
}

func TestAgeWithoutLeader(t *testing.T) {
	n, ctx := start(t, Limits{}), background(t)
	n.c.set(func(f *fakeConsensus) { f.status.Leader, f.status.Age = 0, time.Hour })
	n.status.p.Store(nil)
	r, err := n.client.Rev(ctx, &doozerpb.RevRequest{Local: true})
	if err != nil || r.Header.AgeMs < 3_600_000 || r.Header.Leader != 0 {
		t.Errorf("got %v, %v", r, err)
	}
}

func TestQuarantine(t *testing.T) {
	n, ctx := start(t, Limits{}), background(t)
	w, err := n.client.Watch(ctx, &doozerpb.WatchRequest{Glob: "/**"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Recv(); err != nil {
		t.Fatal(err)
	}
	d := openDo(t, n)
	d.do(requests().Requests[7])
	n.machine.SetQuarantine("/a differs")
	n.machine.SetQuarantine("another")
	_, err = w.Recv()
	if e := wantCode(t, err, doozerpb.Code_QUARANTINED); !strings.Contains(e.Message, "/a differs") {
		t.Errorf("message %q", e.Message)
	}
	all := everyRPC(ctx, n.client)
	if d := doozerpb.Doozer_ServiceDesc; len(all)+1 != len(d.Methods)+len(d.Streams) {
		t.Errorf("an RPC has no row: %d of %d", len(all)+1, len(d.Methods)+len(d.Streams))
	}
	for name, err := range all {
		if got, _ := codeOf(err); got != doozerpb.Code_QUARANTINED {
			t.Errorf("%s answered %v", name, err)
		}
	}
	for _, r := range requests().Requests[:12] {
		if got := d.do(r)[0].GetError().GetCode(); got != doozerpb.Code_QUARANTINED {
			t.Errorf("%v answered %v", r, got)
		}
	}
	if err := n.Ready(ctx); err == nil || !strings.Contains(err.Error(), "/a differs") {
		t.Errorf("ready: %v", err)
	}
}

// everyRPC calls each of the RPCs but Do and returns what they fail with.
func everyRPC(ctx context.Context, c doozerpb.DoozerClient) map[string]error {
	out := map[string]error{}
	_, out["get"] = c.Get(ctx, &doozerpb.GetRequest{Path: "/a", Local: true})
	_, out["set"] = c.Set(ctx, &doozerpb.SetRequest{Path: "/a"})
	_, out["del"] = c.Del(ctx, &doozerpb.DelRequest{Path: "/a"})
	_, out["txn"] = c.Txn(ctx, &doozerpb.TxnRequest{Ops: []*doozerpb.Op{{Path: "/a"}}})
	_, out["stat"] = c.Stat(ctx, &doozerpb.StatRequest{Path: "/a", Local: true})
	_, out["rev"] = c.Rev(ctx, &doozerpb.RevRequest{Local: true})
	_, out["await"] = c.Await(ctx, &doozerpb.AwaitRequest{Glob: "/**", Before: 1})
	_, out["self"] = c.Self(ctx, &doozerpb.SelfRequest{})
	_, out["nop"] = c.Nop(ctx, &doozerpb.NopRequest{})
	_, out["register"] = c.Register(ctx, &doozerpb.RegisterRequest{})
	_, out["status"] = c.Status(ctx, &doozerpb.StatusRequest{})
	list, err := c.List(ctx, &doozerpb.ListRequest{Dir: "/", Local: true})
	if err == nil {
		_, err = list.Recv()
	}
	out["list"] = err
	log, err := c.Log(ctx, &doozerpb.LogRequest{Glob: "/**", Local: true})
	if err == nil {
		_, err = log.Recv()
	}
	out["log"] = err
	watch, err := c.Watch(ctx, &doozerpb.WatchRequest{Glob: "/**", Local: true})
	if err == nil {
		_, err = watch.Recv()
	}
	out["watch"] = err
	watches, err := c.Watches(ctx)
	if err == nil {
		_, err = watches.Recv()
	}
	out["watches"] = err
	return out
}

// listAll receives all pages and returns the paths, and the last message.
func listAll(t *testing.T, n *node, req *doozerpb.ListRequest) (paths []string, last *doozerpb.ListResponse, pages int) {
	t.Helper()
	st, err := n.client.List(background(t), req)
	if err != nil {
		t.Fatal(err)
	}
	for {
		m, err := st.Recv()
		if err == io.EOF {
			return paths, last, pages
		}
		if err != nil {
			t.Fatal(err)
		}
		if last != nil && (last.More || m.Rev != last.Rev) {
			t.Errorf("page %d follows one that says more=%v at rev %d", pages, last.More, last.Rev)
		}
		last = m
		pages++
		for _, f := range m.Files {
			paths = append(paths, f.Path)
		}
	}
}

func TestListPages(t *testing.T) {
	n := start(t, Limits{PageEntries: 7, Visits: 3})
	var want []string
	for i := range 30 {
		want = append(want, fmt.Sprintf("/d/%02d", i))
		n.set(t, want[i], "v")
	}
	n.set(t, "/d/sub/x", "v")
	n.set(t, "/e", "v")

	got, last, pages := listAll(t, n, &doozerpb.ListRequest{Dir: "/d"})
	if fmt.Sprint(got) != fmt.Sprint(append(want, "/d/sub")) || last.More || pages != 5 {
		t.Errorf("dir: %v in %d pages, more=%v", got, pages, last.More)
	}
	got, _, _ = listAll(t, n, &doozerpb.ListRequest{Glob: "/d/**", Values: true})
	if fmt.Sprint(got) != fmt.Sprint(append(want, "/d/sub/x")) {
		t.Errorf("glob: %v", got)
	}
	got, last, _ = listAll(t, n, &doozerpb.ListRequest{Glob: "/d/*", Limit: 10})
	if len(got) != 10 || !last.More {
		t.Errorf("limit: %v, more=%v", got, last.More)
	}
	got, last, _ = listAll(t, n, &doozerpb.ListRequest{Glob: "/d/*", After: got[9], Rev: last.Rev, Limit: 20})
	if fmt.Sprint(got) != fmt.Sprint(want[10:]) || last.More {
		t.Errorf("after: %v, more=%v", got, last.More)
	}
	if got, last, _ = listAll(t, n, &doozerpb.ListRequest{Dir: "/", Rev: 1}); fmt.Sprint(got) != "[/d]" || last.Rev != 1 {
		t.Errorf("at rev 1: %v", got)
	}
	for _, req := range []*doozerpb.ListRequest{{}, {Dir: "/", Glob: "/**"}, {Dir: "/", Rev: -1}} {
		st, _ := n.client.List(background(t), req)
		_, err := st.Recv()
		wantCode(t, err, doozerpb.Code_BAD_REQUEST)
	}
}

func TestLog(t *testing.T) {
	n := start(t, Limits{Visits: 3, MessageBytes: 100})
	n.configure(t, store.Config{History: 15})
	for i := range 20 {
		n.set(t, fmt.Sprintf("/a/%d", i%2), strings.Repeat("v", 50))
	}
	logOf := func(req *doozerpb.LogRequest) (revs []int64, oldest int64, err error) {
		st, err := n.client.Log(background(t), req)
		if err != nil {
			t.Fatal(err)
		}
		for {
			m, err := st.Recv()
			if err == io.EOF {
				return revs, oldest, nil
			}
			if err != nil {
				return revs, oldest, err
			}
			oldest = m.Oldest
			for _, e := range m.Events {
				revs = append(revs, e.Rev)
				if (len(e.Value) == 0) != req.NoValues {
					t.Errorf("%v has a value of %d bytes", req, len(e.Value))
				}
			}
		}
	}
	for _, c := range []struct {
		req  *doozerpb.LogRequest
		want string
	}{
		{&doozerpb.LogRequest{Glob: "/**"}, "[6 7 8 9 10 11 12 13 14 15 16 17 18 19 20]"},
		{&doozerpb.LogRequest{Glob: "/a/1", From: 10, To: 15}, "[10 12 14]"},
		{&doozerpb.LogRequest{Glob: "/a/1", Limit: 2, NoValues: true}, "[18 20]"},
		{&doozerpb.LogRequest{Glob: "/none"}, "[]"},
		{&doozerpb.LogRequest{Glob: "/**", From: 50, To: 60}, "[]"},
	} {
		got, oldest, err := logOf(c.req)
		if err != nil || fmt.Sprint(got) != c.want || oldest != 5 {
			t.Errorf("%v: %v, oldest %d, %v; want %s", c.req, got, oldest, err, c.want)
		}
	}
	// oldest has one meaning: it can be read at, and changes come after it.
	_, _, err := logOf(&doozerpb.LogRequest{Glob: "/**", From: 5})
	if e := wantCode(t, err, doozerpb.Code_TOO_LATE); e.Rev != 5 {
		t.Errorf("the oldest rev is 5: %v", e)
	}
	ctx := background(t)
	if _, err := n.client.Get(ctx, &doozerpb.GetRequest{Path: "/a/0", Rev: 5}); err != nil {
		t.Errorf("at the oldest rev: %v", err)
	}
	_, err = n.client.Get(ctx, &doozerpb.GetRequest{Path: "/a/0", Rev: 4})
	if e := wantCode(t, err, doozerpb.Code_TOO_LATE); e.Rev != 5 {
		t.Errorf("the oldest rev is 5: %v", e)
	}
	if r, err := n.client.Rev(ctx, &doozerpb.RevRequest{}); err != nil || r.Oldest != 5 {
		t.Errorf("the oldest rev is 5: %v, %v", r, err)
	}
	w, _ := n.client.Watch(ctx, &doozerpb.WatchRequest{Glob: "/**", From: 5, NoResync: true})
	for err = nil; err == nil; _, err = w.Recv() {
	}
	if e := wantCode(t, err, doozerpb.Code_TOO_LATE); e.Rev != 5 {
		t.Errorf("the oldest rev is 5: %v", e)
	}
	w, _ = n.client.Watch(ctx, &doozerpb.WatchRequest{Glob: "/**", From: 6, NoResync: true})
	for range 2 {
		if m, err := w.Recv(); err != nil || m.Kind == doozerpb.WatchResponse_EVENTS && m.Events[0].Rev != 6 {
			t.Errorf("after the oldest rev: %v, %v", m, err)
		}
	}
	_, _, err = logOf(&doozerpb.LogRequest{Glob: "nope"})
	wantCode(t, err, doozerpb.Code_BAD_GLOB)
	_, _, err = logOf(&doozerpb.LogRequest{Glob: "/**", From: 9, To: 8})
	wantCode(t, err, doozerpb.Code_BAD_REQUEST)
}
