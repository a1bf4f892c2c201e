package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/doozer-store/doozer/consensus"
	doozerpb "github.com/doozer-store/doozer/proto"
	"google.golang.org/grpc"
)

// doClient is a Do stream in a test.
type doClient struct {
	t      testing.TB
	stream grpc.BidiStreamingClient[doozerpb.DoRequest, doozerpb.DoResponse]
	header *doozerpb.Header // of the last message
	away   bool             // the node said it goes away
}

func openDo(t testing.TB, n *node) *doClient {
	t.Helper()
	st, err := n.client.Do(background(t))
	if err != nil {
		t.Fatal(err)
	}
	return &doClient{t: t, stream: st}
}

// send sends requests in one message.
func (d *doClient) send(reqs ...*doozerpb.Request) {
	d.t.Helper()
	if err := d.stream.Send(&doozerpb.DoRequest{Requests: reqs}); err != nil {
		d.t.Fatal(err)
	}
}

// recv receives n responses.
func (d *doClient) recv(n int) (out []*doozerpb.Response) {
	d.t.Helper()
	for len(out) < n {
		m, err := d.stream.Recv()
		if err != nil {
			d.t.Fatal(err)
		}
		d.header, d.away = m.Header, d.away || m.GoingAway
		out = append(out, m.Responses...)
	}
	if len(out) > n {
		d.t.Fatalf("%d responses, want %d", len(out), n)
	}
	return out
}

func (d *doClient) do(reqs ...*doozerpb.Request) []*doozerpb.Response {
	d.t.Helper()
	d.send(reqs...)
	return d.recv(len(reqs))
}

func setReq(tag uint64, path, value string) *doozerpb.Request {
	return &doozerpb.Request{Tag: tag, Op: &doozerpb.Request_Set{Set: &doozerpb.SetRequest{Path: path, Value: []byte(value)}}}
}

func getReq(tag uint64, path string) *doozerpb.Request {
	return &doozerpb.Request{Tag: tag, Op: &doozerpb.Request_Get{Get: &doozerpb.GetRequest{Path: path}}}
}

func getAtReq(tag uint64, path string, rev int64) *doozerpb.Request {
	return &doozerpb.Request{Tag: tag, Op: &doozerpb.Request_Get{Get: &doozerpb.GetRequest{Path: path, Rev: rev}}}
}

func TestDoEveryVerb(t *testing.T) {
	n := start(t, Limits{})
	d := openDo(t, n)
	if r := d.do(setReq(7, "/a", "v"))[0]; r.Tag != 7 || r.GetSet().GetRev() != 1 {
		t.Fatalf("set answered %v", r)
	}
	if d.header.GetRev() < 1 || d.header.GetNode() != 1 {
		t.Errorf("header %v", d.header)
	}
	reqs := []*doozerpb.Request{
		getReq(1, "/a"),
		{Tag: 2, Op: &doozerpb.Request_Stat{Stat: &doozerpb.StatRequest{Path: "/a"}}},
		{Tag: 3, Op: &doozerpb.Request_List{List: &doozerpb.ListRequest{Glob: "/*", Values: true}}},
		{Tag: 4, Op: &doozerpb.Request_Rev{Rev: &doozerpb.RevRequest{}}},
		{Tag: 5, Op: &doozerpb.Request_Self{Self: &doozerpb.SelfRequest{}}},
		{Tag: 6, Op: &doozerpb.Request_Nop{Nop: &doozerpb.NopRequest{}}},
		{Tag: 7, Op: &doozerpb.Request_Register{Register: &doozerpb.RegisterRequest{}}},
		{Tag: 8, Op: &doozerpb.Request_Status{Status: &doozerpb.StatusRequest{}}},
		{Tag: 9, Op: &doozerpb.Request_Txn{Txn: &doozerpb.TxnRequest{Ops: []*doozerpb.Op{{Path: "/b"}}}}},
		getReq(10, "/nope"),
		{Tag: 11, Op: &doozerpb.Request_Del{Del: &doozerpb.DelRequest{Path: "/nope"}}},
		{Tag: 12},
		setReq(13, "bad", ""),
		{Tag: 14, Op: &doozerpb.Request_List{List: &doozerpb.ListRequest{}}},
		getAtReq(15, "/a", -4),
	}
	got := map[uint64]*doozerpb.Response{}
	for _, r := range d.do(reqs...) {
		got[r.Tag] = r
	}
	checks := map[uint64]bool{
		1:  string(got[1].GetGet().GetFile().GetValue()) == "v" && got[1].GetGet().File.Author != "",
		2:  got[2].GetStat().GetFile().GetLen() == 1,
		3:  len(got[3].GetList().GetFiles()) >= 1 && got[3].GetList().Rev >= 1,
		4:  got[4].GetRev().GetRev() >= 1,
		5:  got[5].GetSelf().GetName() == "a" && got[5].GetSelf().Identity != "",
		6:  got[6].GetNop() != nil,
		7:  got[7].GetRegister().GetClient() == 1 && got[7].GetRegister().Window > 0,
		8:  got[8].GetStatus().GetName() == "a",
		9:  got[9].GetTxn().GetRev() == 2,
		10: got[10].GetError().GetCode() == doozerpb.Code_NOENT,
		11: got[11].GetError().GetCode() == doozerpb.Code_NOENT,
		12: got[12].GetError().GetCode() == doozerpb.Code_BAD_REQUEST,
		13: got[13].GetError().GetCode() == doozerpb.Code_BAD_PATH,
		14: got[14].GetError().GetCode() == doozerpb.Code_BAD_REQUEST,
		15: got[15].GetError().GetCode() == doozerpb.Code_BAD_REQUEST,
	}
	for tag, ok := range checks {
		if !ok {
			t.Errorf("request %v was answered %v", reqs[tag-1], got[tag])
		}
	}
}

// Thousands of requests in few messages, more than may be in flight: each is
// answered once, and reads see what was acknowledged before them.
func TestDoThousands(t *testing.T) {
	n := start(t, Limits{StreamRequests: 100, MessageBytes: 4 << 10})
	d := openDo(t, n)
	const total, batch = 20_000, 2000
	go func() {
		for i := 0; i < total; i += batch {
			m := &doozerpb.DoRequest{}
			for j := i; j < i+batch; j++ {
				r := setReq(uint64(j), fmt.Sprintf("/k/%d", j%500), fmt.Sprint(j))
				if j%2 == 1 {
					r = getReq(uint64(j), fmt.Sprintf("/k/%d", j%500))
				}
				m.Requests = append(m.Requests, r)
			}
			if d.stream.Send(m) != nil {
				return
			}
		}
		d.stream.CloseSend()
	}()
	seen := make([]bool, total)
	revs := map[int64]bool{}
	for range total {
		for _, r := range d.recvAny() {
			if seen[r.Tag] {
				t.Fatalf("%d was answered twice", r.Tag)
			}
			seen[r.Tag] = true
			if r.Tag%2 == 0 {
				rev := r.GetSet().GetRev()
				if rev == 0 || revs[rev] {
					t.Fatalf("set %d answered %v", r.Tag, r)
				}
				revs[rev] = true
			}
		}
	}
	for tag, ok := range seen {
		if !ok {
			t.Fatalf("%d was not answered", tag)
		}
	}
	wait(t, "the requests to be counted out", func() bool { return n.metrics.inFlight.Load() == 0 })
}

// recvAny receives one message, nothing at the end.
func (d *doClient) recvAny() []*doozerpb.Response {
	m, err := d.stream.Recv()
	if err != nil && !errors.Is(err, io.EOF) {
		d.t.Fatal(err)
	}
	return m.GetResponses()
}

// One message's reads ask a majority once; reads of one rev and local ones do
// not ask.
func TestDoReadsAskOnce(t *testing.T) {
	n := start(t, Limits{})
	n.set(t, "/a", "v")
	d := openDo(t, n)
	var reqs []*doozerpb.Request
	for i := range 1000 {
		reqs = append(reqs, getReq(uint64(i), "/a"))
	}
	d.do(reqs...)
	if n.c.confirms != 1 {
		t.Errorf("1000 reads asked %d times", n.c.confirms)
	}
	local := getReq(1, "/a")
	local.GetGet().Local = true
	d.do(local, getAtReq(2, "/a", 1))
	if n.c.confirms != 1 {
		t.Errorf("reads that need no majority asked %d times", n.c.confirms-1)
	}
}

// A read that is not local is not answered before a majority is; a local one
// is, and both kinds are told apart within one message.
func TestReadsWaitForTheMajority(t *testing.T) {
	n := start(t, Limits{})
	n.set(t, "/a", "old")
	n.c.set(func(f *fakeConsensus) { f.held = true })
	d := openDo(t, n)
	local := getReq(1, "/a")
	local.GetGet().Local = true
	d.send(getReq(2, "/a"), local, setReq(3, "/a", "new"))
	if r := d.recv(1)[0]; r.Tag != 1 || string(r.GetGet().GetFile().GetValue()) != "old" {
		t.Fatalf("answered first: %v", r)
	}
	short, cancel := context.WithTimeout(background(t), 20*time.Millisecond)
	defer cancel()
	if r, err := n.client.Get(short, &doozerpb.GetRequest{Path: "/a"}); err == nil {
		t.Errorf("a unary read was answered %v", r)
	}
	wait(t, "the write", func() bool {
		n.c.mu.Lock()
		defer n.c.mu.Unlock()
		return len(n.c.pending) == 1
	})
	n.c.set(func(f *fakeConsensus) { f.held = false })
	for _, r := range d.recv(2) {
		if r.Tag == 2 && string(r.GetGet().GetFile().GetValue()) != "new" {
			t.Errorf("the read was answered %v", r)
		}
	}
}

func TestDoFutureRev(t *testing.T) {
	n := start(t, Limits{})
	n.set(t, "/a", "1")
	d := openDo(t, n)
	late := getAtReq(3, "/a", 99)
	late.TimeoutMs = 20
	if r := d.do(late)[0]; r.GetError().GetCode() != doozerpb.Code_DEADLINE {
		t.Errorf("a rev that never came was answered %v", r)
	}
	d.send(getAtReq(1, "/a", 3), getAtReq(2, "/a", 1))
	if r := d.recv(1)[0]; r.Tag != 2 {
		t.Errorf("answered first: %v", r)
	}
	n.set(t, "/a", "2")
	n.set(t, "/a", "3")
	if r := d.recv(1)[0]; r.Tag != 1 || string(r.GetGet().GetFile().GetValue()) != "3" {
		t.Errorf("got %v", r)
	}
	d.send(getAtReq(4, "/a", 99))
	d.stream.CloseSend()
	n.set(t, "/a", "4")
}

// Reads parked by a stream that went away do not stay.
func TestDoParkedReadsEndWithTheStream(t *testing.T) {
	n := start(t, Limits{})
	ctx, cancel := context.WithCancel(background(t))
	st, err := n.client.Do(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Send(&doozerpb.DoRequest{Requests: []*doozerpb.Request{getAtReq(1, "/a", 9), setReq(2, "/a", "")}}); err != nil {
		t.Fatal(err)
	}
	if _, err := st.Recv(); err != nil {
		t.Fatal(err)
	}
	wait(t, "the read to be parked", func() bool { return n.machine.revs.len() == 1 })
	cancel()
	wait(t, "the read to be dropped", func() bool { return n.machine.revs.len() == 0 })
	wait(t, "the stream to be counted out", func() bool { return n.metrics.inFlight.Load() == 0 })
}

// wait polls until ok; for states that nothing announces.
func wait(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for limit := time.After(patience); !ok(); {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// A stream holds no more than its bound while nothing is answered.
func TestDoBounds(t *testing.T) {
	for _, l := range []Limits{{StreamRequests: 10}, {StreamBytes: 300}} {
		n := start(t, l)
		n.c.set(func(f *fakeConsensus) { f.held = true })
		d := openDo(t, n)
		var reqs []*doozerpb.Request
		for i := range 50 {
			reqs = append(reqs, setReq(uint64(i), "/a", strings.Repeat("v", 20)))
		}
		d.send(reqs...)
		pending := func() int {
			n.c.mu.Lock()
			defer n.c.mu.Unlock()
			return len(n.c.pending)
		}
		wait(t, "the first requests", func() bool { return pending() > 5 })
		if p := pending(); p > 10 {
			t.Errorf("%+v: %d requests are in flight", l, p)
		}
		n.c.set(func(f *fakeConsensus) { f.held = false })
		d.recv(50)
	}
}

// A request larger than the bound passes when it is alone.
func TestDoOneLargeRequest(t *testing.T) {
	n := start(t, Limits{StreamBytes: 10})
	d := openDo(t, n)
	if r := d.do(setReq(1, "/a", strings.Repeat("v", 1<<20)))[0]; r.GetSet().GetRev() != 1 {
		t.Fatalf("got %v", r)
	}
	if r := d.do(getReq(2, "/a"), getReq(3, "/a")); len(r[1].GetGet().GetFile().GetValue()) != 1<<20 {
		t.Error("the value did not come back")
	}
}

func TestDoErrorsOfConsensus(t *testing.T) {
	n := start(t, Limits{})
	n.set(t, "/a", "v")
	d := openDo(t, n)
	n.c.set(func(f *fakeConsensus) { f.fail = consensus.ErrDeadline })
	for _, r := range d.do(setReq(1, "/a", ""), getReq(2, "/a")) {
		if r.GetError().GetCode() != doozerpb.Code_NO_QUORUM {
			t.Errorf("got %v", r)
		}
	}
	n.c.set(func(f *fakeConsensus) { f.fail, f.loses = nil, consensus.ErrUnknown })
	if r := d.do(setReq(3, "/a", ""))[0]; r.GetError().GetCode() != doozerpb.Code_UNKNOWN_OUTCOME {
		t.Errorf("got %v", r)
	}
}

func TestDoMalformed(t *testing.T) {
	n := start(t, Limits{})
	st, err := n.conn.NewStream(background(t), &doozerpb.Doozer_ServiceDesc.Streams[3], doozerpb.Doozer_Do_FullMethodName, grpc.ForceCodecV2(newCodec()))
	if err != nil {
		t.Fatal(err)
	}
	if err := st.SendMsg(rawMessage("\x0a\xff\xff")); err != nil {
		t.Fatal(err)
	}
	wantCode(t, st.RecvMsg(&doozerpb.DoResponse{}), doozerpb.Code_BAD_REQUEST)
}

// A stopping node tells its streams, answers what is in flight, refuses the
// rest, and ends.
func TestDoStop(t *testing.T) {
	n := start(t, Limits{})
	n.set(t, "/a", "v")
	n.c.set(func(f *fakeConsensus) { f.held = true })
	d := openDo(t, n)
	d.send(setReq(1, "/a", "w"), getAtReq(2, "/a", 50))
	wait(t, "the requests", func() bool { return n.machine.revs.len() == 1 })
	stopped := make(chan struct{})
	go func() {
		n.Stop(background(t))
		close(stopped)
	}()
	if r := d.recv(1)[0]; r.Tag != 2 || r.GetError().GetCode() != doozerpb.Code_STOPPING || !d.away {
		t.Errorf("the parked read was answered %v, going away %v", r, d.away)
	}
	if r := d.do(setReq(3, "/a", ""))[0]; r.GetError().GetCode() != doozerpb.Code_STOPPING {
		t.Errorf("a late request was answered %v", r)
	}
	n.c.set(func(f *fakeConsensus) { f.held = false })
	if r := d.recv(1)[0]; r.Tag != 1 || r.GetSet().GetRev() != 2 {
		t.Errorf("the request in flight was answered %v", r)
	}
	_, err := d.stream.Recv()
	wantCode(t, err, doozerpb.Code_STOPPING)
	<-stopped
}
