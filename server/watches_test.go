package server

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	doozerpb "github.com/doozer-store/doozer/proto"
)

// setClient is a Watches stream in a test.
type setClient struct {
	t      testing.TB
	stream doozerpb.Doozer_WatchesClient
	last   uint64
	recs   map[uint64]*recording
	reqs   map[uint64]*doozerpb.WatchRequest
}

func openSet(t testing.TB, n *node) *setClient {
	t.Helper()
	st, err := n.client.Watches(background(t))
	if err != nil {
		t.Fatal(err)
	}
	return &setClient{t: t, stream: st, recs: map[uint64]*recording{}, reqs: map[uint64]*doozerpb.WatchRequest{}}
}

// open opens a watch for each request, in one message.
func (c *setClient) open(n *node, reqs ...*doozerpb.WatchRequest) {
	c.t.Helper()
	m := &doozerpb.WatchesRequest{}
	for _, req := range reqs {
		c.last++
		c.recs[c.last], c.reqs[c.last] = newRecording(c.t, n, req), req
		m.Open = append(m.Open, &doozerpb.WatchesRequest_Open{Id: c.last, Watch: req})
	}
	if err := c.stream.Send(m); err != nil {
		c.t.Fatal(err)
	}
}

// recv gives one message to the recordings, and returns how many watches it was for.
func (c *setClient) recv() (watches int) {
	c.t.Helper()
	m, err := c.stream.Recv()
	if err != nil {
		c.t.Fatal(err)
	}
	for _, x := range m.Told {
		if x.Error != nil {
			c.t.Fatalf("watches %d end with %v", x.Ids, x.Error)
		}
		watches += len(x.Ids)
		for _, id := range x.Ids {
			if c.recs[id] == nil {
				c.t.Fatalf("watch %d is told %v", id, x)
			}
			c.recs[id].take(&doozerpb.WatchResponse{Header: m.Header, Kind: x.Kind, Rev: x.Rev, Events: x.Events})
		}
	}
	return watches
}

// recvUntil receives until every watch has all up to rev.
func (c *setClient) recvUntil(rev int64) {
	c.t.Helper()
	for {
		behind := false
		for _, rec := range c.recs {
			behind = behind || rec.messages == 0 || rec.snapshot || max(rec.mark, rec.sent) < rev
		}
		if !behind {
			return
		}
		c.recv()
	}
}

// TestWatchesRules: each watch of a stream of many keeps the rules of Watch, live or
// catching up, alone or with others that are told the same.
func TestWatchesRules(t *testing.T) {
	for name, limits := range map[string]Limits{"wide": {MinWatchProgress: time.Millisecond}, "tiny": tiny()} {
		t.Run(name, func(t *testing.T) {
			n := start(t, limits)
			rng := rand.New(rand.NewPCG(1, 2))
			n.scribble(t, rng, 100)
			c := openSet(t, n)
			for range 3 {
				c.open(n, []*doozerpb.WatchRequest{
					{Glob: "/**", ProgressMs: 1}, {Glob: "/a/*", ProgressMs: 1}, {Glob: "/b/3", ProgressMs: 1}, {Glob: "/none", ProgressMs: 1},
					{Glob: "/**", From: 1, ProgressMs: 1}, {Glob: "/a/*", From: 50, ProgressMs: 1}, {Glob: "/**", From: 300, ProgressMs: 1},
					{Glob: "/**", Snapshot: true, ProgressMs: 1}, {Glob: "/a/*", Snapshot: true, ProgressMs: 1},
					{Glob: "/c/?", Snapshot: true, Local: true, ProgressMs: 1},
				}...)
				for range 10 {
					rev := n.scribble(t, rng, 30)
					if name == "wide" && rev >= 300 {
						c.recvUntil(rev)
					}
				}
			}
			last := n.machine.Rev()
			c.recvUntil(last)
			for id, rec := range c.recs {
				rec.reliable()
				if req := c.reqs[id]; req.Snapshot || req.From == 1 {
					rec.sameTree(max(rec.mark, rec.sent))
				}
			}
		})
	}
}

// TestWatchesTogether: what many are told alike is sent once.
func TestWatchesTogether(t *testing.T) {
	n := start(t, Limits{})
	c := openSet(t, n)
	var reqs []*doozerpb.WatchRequest
	for range 100 {
		reqs = append(reqs, &doozerpb.WatchRequest{Glob: "/a/*"})
	}
	c.open(n, reqs...)
	c.recvUntil(0)
	n.set(t, "/a/b", "v")
	for {
		m, err := c.stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range m.Told {
			if x.Kind != doozerpb.WatchResponse_EVENTS {
				continue
			}
			if len(x.Ids) != 100 || len(x.Events) != 1 {
				t.Errorf("%d of 100 watches are told %d events together", len(x.Ids), len(x.Events))
			}
			return
		}
	}
}

// TestWatchesClose: a watch that is closed leaves nothing behind, and the others go on.
func TestWatchesClose(t *testing.T) {
	n := start(t, Limits{})
	c := openSet(t, n)
	c.open(n, &doozerpb.WatchRequest{Glob: "/**"}, &doozerpb.WatchRequest{Glob: "/**"}, &doozerpb.WatchRequest{Glob: "/a"})
	c.recvUntil(0)
	if err := c.stream.Send(&doozerpb.WatchesRequest{Close: []uint64{2, 3, 99}}); err != nil {
		t.Fatal(err)
	}
	wait(t, "two watches to end", func() bool { return n.machine.hub.len() == 1 })
	delete(c.recs, 2)
	delete(c.recs, 3)
	rev := n.set(t, "/a", "v")
	c.recvUntil(rev)
	if err := c.stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if err := c.stream.Send(&doozerpb.WatchesRequest{}); err == nil {
		t.Error("a closed stream takes requests")
	}
}

// TestWatchesRefused: one watch that can't be is told so; the stream goes on.
func TestWatchesRefused(t *testing.T) {
	n := start(t, Limits{Watchers: 2})
	c := openSet(t, n)
	send := func(list ...*doozerpb.WatchesRequest_Open) {
		if err := c.stream.Send(&doozerpb.WatchesRequest{Open: list}); err != nil {
			t.Fatal(err)
		}
	}
	want := func(id uint64, code doozerpb.Code) {
		t.Helper()
		for {
			m, err := c.stream.Recv()
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range m.Told {
				if x.Error == nil {
					continue
				}
				if x.Ids[0] != id || x.Error.Code != code {
					t.Errorf("watch %d ends with %v, want %d with %v", x.Ids, x.Error, id, code)
				}
				return
			}
		}
	}
	all := &doozerpb.WatchRequest{Glob: "/**", Local: true}
	send(&doozerpb.WatchesRequest_Open{Id: 1, Watch: &doozerpb.WatchRequest{Glob: "no glob"}})
	want(1, doozerpb.Code_BAD_GLOB)
	send(&doozerpb.WatchesRequest_Open{Id: 2, Watch: &doozerpb.WatchRequest{Glob: "/**", From: 1, Snapshot: true}})
	want(2, doozerpb.Code_BAD_REQUEST)
	send(&doozerpb.WatchesRequest_Open{Watch: all})
	want(0, doozerpb.Code_BAD_REQUEST)
	send(&doozerpb.WatchesRequest_Open{Id: 3, Watch: all}, &doozerpb.WatchesRequest_Open{Id: 3, Watch: all})
	want(3, doozerpb.Code_BAD_REQUEST)
	send(&doozerpb.WatchesRequest_Open{Id: 4, Watch: all}, &doozerpb.WatchesRequest_Open{Id: 5, Watch: all})
	want(5, doozerpb.Code_OVERLOADED)
}

// TestWatchesBrokenWhileOpening: a stream that breaks while watches are being opened
// leaves none of them behind.
func TestWatchesBrokenWhileOpening(t *testing.T) {
	n := start(t, Limits{})
	for i := range 200 {
		ctx, cancel := context.WithCancel(background(t))
		st, err := n.client.Watches(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for j := range 1 + i%8 {
			m := &doozerpb.WatchesRequest{}
			for k := range 8 {
				req := &doozerpb.WatchRequest{Glob: "/a/*", Local: i%2 == 0, Snapshot: k%2 == 0}
				m.Open = append(m.Open, &doozerpb.WatchesRequest_Open{Id: uint64(j*8 + k + 1), Watch: req})
			}
			if err := st.Send(m); err != nil {
				t.Fatal(err)
			}
		}
		if i%3 == 0 {
			if _, err := st.Recv(); err != nil {
				t.Fatal(err)
			}
		}
		cancel()
	}
	ctx, cancel := context.WithCancel(background(t))
	cancel()
	n.Stop(ctx) // waits for all calls
	if left := n.machine.hub.len(); left > 0 {
		t.Errorf("%d watches are left behind", left)
	}
}
