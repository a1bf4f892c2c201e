package server

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	doozerpb "github.com/doozer-store/doozer/proto"
	"github.com/doozer-store/doozer/store"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// unaryDo does r with its unary RPC and returns the response it would have had
// on Do. List has none: its stream's one message is compared.
func unaryDo(ctx context.Context, c doozerpb.DoozerClient, r *doozerpb.Request) *doozerpb.Response {
	out := &doozerpb.Response{Tag: r.Tag}
	var err error
	switch op := r.Op.(type) {
	case *doozerpb.Request_Get:
		x := &doozerpb.Response_Get{}
		x.Get, err = c.Get(ctx, op.Get)
		out.Result = x
	case *doozerpb.Request_Set:
		x := &doozerpb.Response_Set{}
		x.Set, err = c.Set(ctx, op.Set)
		out.Result = x
	case *doozerpb.Request_Del:
		x := &doozerpb.Response_Del{}
		x.Del, err = c.Del(ctx, op.Del)
		out.Result = x
	case *doozerpb.Request_Txn:
		x := &doozerpb.Response_Txn{}
		x.Txn, err = c.Txn(ctx, op.Txn)
		out.Result = x
	case *doozerpb.Request_Stat:
		x := &doozerpb.Response_Stat{}
		x.Stat, err = c.Stat(ctx, op.Stat)
		out.Result = x
	case *doozerpb.Request_List:
		x := &doozerpb.Response_List{}
		st, e := c.List(ctx, op.List)
		if err = e; err == nil {
			x.List, err = st.Recv()
		}
		out.Result = x
	case *doozerpb.Request_Rev:
		x := &doozerpb.Response_Rev{}
		x.Rev, err = c.Rev(ctx, op.Rev)
		out.Result = x
	case *doozerpb.Request_Await:
		x := &doozerpb.Response_Await{}
		x.Await, err = c.Await(ctx, op.Await)
		out.Result = x
	case *doozerpb.Request_Self:
		x := &doozerpb.Response_Self{}
		x.Self, err = c.Self(ctx, op.Self)
		out.Result = x
	case *doozerpb.Request_Nop:
		x := &doozerpb.Response_Nop{}
		x.Nop, err = c.Nop(ctx, op.Nop)
		out.Result = x
	case *doozerpb.Request_Register:
		x := &doozerpb.Response_Register{}
		x.Register, err = c.Register(ctx, op.Register)
		out.Result = x
	}
	if err != nil {
		_, e := codeOf(err)
		out.Result = &doozerpb.Response_Error{Error: e}
	}
	return out
}

// bare removes the headers of unary responses, which on Do are the message's.
func bare(r *doozerpb.Response) *doozerpb.Response {
	m := r.ProtoReflect()
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if fd.Message() != nil {
			if h := fd.Message().Fields().ByName("header"); h != nil {
				v.Message().Clear(h)
			}
		}
		return true
	})
	return r
}

// randomRequest makes a request of any verb, right and wrong ones, about a
// small tree at about rev.
func randomRequest(rng *rand.Rand, tag uint64, rev int64) *doozerpb.Request {
	paths := []string{"/a", "/b", "/d/a", "/d/b", "/d", "/", "/a/x", "bad", "/ctl/x", "/d/*", ""}
	path := func() string { return paths[rng.IntN(len(paths))] }
	at := func() int64 { return max(-1, rng.Int64N(rev+2)-1) } // never after rev
	cond := func() *doozerpb.If {
		return []*doozerpb.If{nil, {}, {Kind: doozerpb.If_MISSING}, {Kind: doozerpb.If_UNCHANGED, Rev: at()}, {Kind: 7}}[rng.IntN(5)]
	}
	id := func() *doozerpb.WriteId {
		return []*doozerpb.WriteId{nil, nil, nil, {Client: 1, Seq: 1 + rng.Uint64N(30)}, {Client: 9, Seq: 1}, {Client: 1}}[rng.IntN(6)]
	}
	value := make([]byte, rng.IntN(30))
	message := []string{"", "why", "\u2713"}[rng.IntN(3)]
	r := &doozerpb.Request{Tag: tag}
	switch rng.IntN(11) {
	case 0:
		r.Op = &doozerpb.Request_Get{Get: &doozerpb.GetRequest{Path: path(), Rev: at(), Local: rng.IntN(2) == 0}}
	case 1, 2, 3:
		r.Op = &doozerpb.Request_Set{Set: &doozerpb.SetRequest{Path: path(), Value: value, If: cond(), Id: id(), Message: message}}
	case 4:
		r.Op = &doozerpb.Request_Del{Del: &doozerpb.DelRequest{Path: path(), If: cond(), Id: id(), Message: message}}
	case 5:
		x := &doozerpb.TxnRequest{Id: id(), Message: message}
		for range rng.IntN(3) {
			x.Conditions = append(x.Conditions, &doozerpb.Condition{Path: path(), If: cond()})
			x.Ops = append(x.Ops, &doozerpb.Op{Path: path(), Value: value, Del: rng.IntN(3) == 0})
		}
		r.Op = &doozerpb.Request_Txn{Txn: x}
	case 6:
		r.Op = &doozerpb.Request_Stat{Stat: &doozerpb.StatRequest{Path: path(), Rev: at()}}
	case 7:
		r.Op = &doozerpb.Request_List{List: &doozerpb.ListRequest{Dir: path(), Rev: at(), Values: rng.IntN(2) == 0, After: path()}}
	case 8:
		r.Op = &doozerpb.Request_List{List: &doozerpb.ListRequest{Glob: path(), Rev: at(), Limit: rng.Uint32N(3)}}
	case 9:
		x := &doozerpb.AwaitRequest{Glob: []string{"/**", "/d/*", path()}[rng.IntN(3)], Before: at(), Known: []string{"", path()}[rng.IntN(2)], WaitMs: rng.Uint32N(2)}
		if rng.IntN(2) == 0 {
			x.Conditions = []*doozerpb.Condition{{Path: path(), If: cond()}}
		}
		r.Op = &doozerpb.Request_Await{Await: x}
	case 10:
		r.Op = []*doozerpb.Request{
			{Op: &doozerpb.Request_Rev{Rev: &doozerpb.RevRequest{}}}, {Op: &doozerpb.Request_Nop{Nop: &doozerpb.NopRequest{}}},
			{Op: &doozerpb.Request_Register{Register: &doozerpb.RegisterRequest{}}}, {Op: &doozerpb.Request_Self{Self: &doozerpb.SelfRequest{}}},
		}[rng.IntN(4)].Op
	}
	return r
}

// The same requests, one after another, on Do of one node and by unary RPCs of
// another: the answers are the same, checks and errors included, and so are
// the trees. What one path forgets the other does not.
func TestDoAndUnaryAgree(t *testing.T) {
	ctx := background(t)
	a, b := start(t, Limits{MaxValue: 25, Visits: 2}), start(t, Limits{MaxValue: 25})
	rng := rand.New(rand.NewPCG(11, 12))
	d := openDo(t, a)
	codes := map[doozerpb.Code]int{}
	for _, n := range []*node{a, b} {
		n.configure(t, store.Config{History: 20})
		n.apply(t, store.Command{Kind: store.Register})
	}
	for i := range 3000 {
		r := randomRequest(rng, uint64(i), a.machine.Rev())
		got, want := bare(d.do(r)[0]), bare(unaryDo(ctx, b.client, r))
		if !proto.Equal(got, want) {
			t.Fatalf("request %d: %v\nDo:    %v\nunary: %v", i, r, got, want)
		}
		codes[got.GetError().GetCode()]++
	}
	if x, y := digest(a.machine), digest(b.machine); x != y {
		t.Errorf("the trees differ: %s\n%s", x, y)
	}
	for _, c := range []doozerpb.Code{
		doozerpb.Code_OK, doozerpb.Code_REV_MISMATCH, doozerpb.Code_NOENT, doozerpb.Code_ISDIR, doozerpb.Code_NOTDIR,
		doozerpb.Code_BAD_PATH, doozerpb.Code_BAD_GLOB, doozerpb.Code_BAD_REQUEST, doozerpb.Code_TOO_LATE,
		doozerpb.Code_TOO_LARGE, doozerpb.Code_CLIENT_EXPIRED, doozerpb.Code_READ_ONLY,
	} {
		if codes[c] == 0 {
			t.Errorf("no request was answered %v: %v", c, codes)
		}
	}
}

// The hub against a dumb twin: every subscription gets the events its glob
// matches, in order, as long as it takes them.
func TestHubTwin(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 14))
	limits := Limits{}.orDefault()
	h := newHub(&limits, NewMetrics())
	globs := []string{"/**", "/a", "/a/*", "/a**", "/?/b", "/**/b", "/c/d/e", "/*/*/e"}
	paths := []string{"/a", "/a/b", "/x/b", "/c/d/e", "/ab", "/z", "/a/b/c/b"}
	type twin struct {
		sub  *subscription
		glob *store.Glob
		want []string
	}
	var twins []*twin
	rev := int64(0)
	for range 2000 {
		switch n := rng.IntN(10); {
		case n == 0 && len(twins) < 50:
			g, err := store.CompileGlob(globs[rng.IntN(len(globs))])
			if err != nil {
				t.Fatal(err)
			}
			twins = append(twins, &twin{sub: h.subscribe(g), glob: g})
		case n == 1 && len(twins) > 0:
			i := rng.IntN(len(twins))
			twins[i].sub.close()
			twins = append(twins[:i], twins[i+1:]...)
		case n < 5:
			for _, tw := range twins {
				var got []string
				events, lagging := tw.sub.take(nil)
				for _, e := range events {
					got = append(got, fmt.Sprint(e.Rev, e.Path()))
				}
				if lagging || fmt.Sprint(got) != fmt.Sprint(tw.want) {
					t.Fatalf("%s got %v, want %v (lagging %v)", tw.glob, got, tw.want, lagging)
				}
				tw.want = nil
			}
		default:
			var events []*store.Event
			for range 1 + rng.IntN(4) {
				rev++
				events = append(events, store.Version{Path: paths[rng.IntN(len(paths))], Rev: rev, Last: true}.Event())
			}
			h.publish(events)
			for _, tw := range twins {
				for _, e := range events {
					if tw.glob.Match(e.Path()) {
						tw.want = append(tw.want, fmt.Sprint(e.Rev, e.Path()))
					}
				}
			}
			if h.rev.Load() != rev {
				t.Fatalf("published to %d, want %d", h.rev.Load(), rev)
			}
		}
	}
	for _, tw := range twins {
		tw.sub.close()
	}
	if h.len() != 0 || h.queued.Load() != 0 || h.index.Len() != 0 {
		t.Errorf("left: %d watches, %d bytes, %d globs", h.len(), h.queued.Load(), h.index.Len())
	}
}
