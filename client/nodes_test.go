package client

import (
	"errors"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	doozerpb "github.com/doozer-store/doozer/proto"
)

func newTable(addrs ...string) *nodes {
	cfg := newConfig(nil)
	return newNodes(addrs, cfg.dialOptions())
}

func addrsOf(list []*node) string {
	var addrs []string
	for _, n := range list {
		addrs = append(addrs, n.addr)
	}
	return strings.Join(addrs, " ")
}

func TestNodeOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := newTable("a:1", "b:1", "c:1", "d:1")
		now := time.Now()
		by := make(map[string]*node)
		for i, n := range table.all {
			by[n.addr] = n
			n.id = uint64(i + 1)
		}
		if _, err := table.conn(by["c:1"]); err != nil {
			t.Fatal(err)
		}
		defer table.close()
		table.avoid(by["b:1"], errSilent)
		for range 20 {
			if got := addrsOf(table.order(4, now)); got != "d:1 c:1 a:1 b:1" {
				t.Fatalf("order %s", got)
			}
		}
		if got := addrsOf(table.order(2, now)); !strings.HasSuffix(got, "b:1") {
			t.Errorf("a suspect is preferred: %s", got)
		}
		if got := addrsOf(table.order(2, now.Add(2*suspectFor))); !strings.HasPrefix(got, "b:1 c:1") {
			t.Errorf("still a suspect: %s", got)
		}
		firsts := make(map[string]bool)
		for range 200 {
			firsts[table.order(0, now)[1].addr] = true
		}
		if len(firsts) != 2 {
			t.Errorf("equals are not shuffled: %v", firsts)
		}
	})
}

func TestNodesLearn(t *testing.T) {
	table := newTable("a:1", "b:1")
	table.learn(map[uint64]string{1: "a:1", 2: "x:2", 3: "x:3"})
	if n := table.byID(2); n == nil || n.addr != "x:2" || table.byID(9) != nil {
		t.Errorf("node 2 is %+v", n)
	}
	table.learn(map[uint64]string{1: "a:1", 3: "y:3"})
	if got := addrsOf(table.all); !strings.Contains(got, "a:1") || !strings.Contains(got, "b:1") ||
		!strings.Contains(got, "y:3") || strings.Contains(got, "x:") {
		t.Errorf("table: %s", got)
	}
	var many = make(map[uint64]string)
	for i := range uint64(3 * maxNodes) {
		many[i+1] = "h" + strings.Repeat("x", int(i)) + ":1"
	}
	table.learn(many)
	if len(table.all) > maxNodes {
		t.Errorf("%d nodes", len(table.all))
	}
}

func TestNodeConnections(t *testing.T) {
	table := newTable("127.0.0.1:1")
	n := table.all[0]
	a, err := table.conn(n)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := table.conn(n); b != a {
		t.Error("two connections")
	}
	table.fail(n, a, status.Error(codes.Unavailable, `connection error: desc = "transport: Error while dialing: no way"`))
	b, _ := table.conn(n)
	if b == a {
		t.Error("a failed connection is used again")
	}
	table.fail(n, a, errSilent)
	if c, _ := table.conn(n); c != b {
		t.Error("an old failure closed the connection in use")
	}
	if err := table.describe(); !errors.Is(err, ErrUnreachable) || err.Error() != "no node can be reached: 127.0.0.1:1: no way" {
		t.Errorf("%v", err)
	}
	table.close()
	if _, err := table.conn(n); !errors.Is(err, ErrClosed) {
		t.Errorf("conn after close: %v", err)
	}
}

func TestDialOptionsAndLogger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		var log strings.Builder
		agent := grpc.WithUserAgent("custom")
		cl := c.open(t, WithDialOptions(agent), WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))))
		mustSet(t, cl, "/x", "1")
		cl.Close()
		if !strings.Contains(log.String(), "calls go to") || len(cl.cfg.dial) != 2 {
			t.Errorf("log: %s", log.String())
		}
	})
}

// TestOptionsOnTheWire: what each option asks the node for.
func TestOptionsOnTheWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		cl := c.open(t)
		mustSet(t, cl, "/x", "1")
		synctest.Wait() // the client has read the members
		var last *doozerpb.Request
		requests := make(chan *doozerpb.Request, 10)
		c.nodes[0].setHook(func(r *doozerpb.Request) fate { requests <- r; return fate{} })
		ctx := t.Context()
		for _, test := range []struct {
			name string
			call func()
			ok   func(r *doozerpb.Request) bool
		}{
			{"get at", func() { cl.Get(ctx, "/x", AtRev(7)) }, func(r *doozerpb.Request) bool { return r.GetGet().GetRev() == 7 && !r.GetGet().GetLocal() }},
			{"get local", func() { cl.Get(ctx, "/x", Local()) }, func(r *doozerpb.Request) bool { return r.GetGet().GetLocal() && r.GetGet().GetRev() == 0 }},
			{"stat", func() { cl.Stat(ctx, "/x", AtRev(7), Local()) }, func(r *doozerpb.Request) bool { return r.GetStat().GetRev() == 7 && r.GetStat().GetLocal() }},
			{"rev", func() { cl.Rev(ctx, Local()) }, func(r *doozerpb.Request) bool { return r.GetRev().GetLocal() }},
			{"walk", func() {
				for range cl.Walk(ctx, "/x", NoValues(), AtRev(7)) {
				}
			}, func(r *doozerpb.Request) bool {
				return r.GetList().GetGlob() == "/x" && !r.GetList().GetValues() && r.GetList().GetRev() == 7
			}},
			{"set", func() { cl.Set(ctx, "/x", nil, IfMissing(), Message("m")) }, func(r *doozerpb.Request) bool {
				return r.GetSet().GetIf().GetKind() == doozerpb.If_MISSING && r.GetSet().GetMessage() == "m" && r.GetSet().GetId().GetSeq() > 1
			}},
			{"del", func() { cl.Del(ctx, "/x", IfRev(5)) }, func(r *doozerpb.Request) bool {
				return r.GetDel().GetIf().GetKind() == doozerpb.If_UNCHANGED && r.GetDel().GetIf().GetRev() == 5 && r.GetDel().GetId() != nil
			}},
			{"plain set", func() { cl.Set(ctx, "/x", nil) }, func(r *doozerpb.Request) bool { return r.GetSet().GetIf() == nil && r.GetSet().GetMessage() == "" }},
			{"plain get", func() { cl.Get(ctx, "/x") }, func(r *doozerpb.Request) bool { return !r.GetGet().GetLocal() && r.GetGet().GetRev() == 0 }},
		} {
			test.call()
			for last = <-requests; len(requests) > 0; {
				last = <-requests
			}
			if !test.ok(last) {
				t.Errorf("%s: %v", test.name, last)
			}
		}
		v := newView(watchConfig{})
		var cfg watchConfig
		for _, o := range []WatchOption{Local(), NoResync(), From(9), Progress(func(int64) {})} {
			o.watch(&cfg)
		}
		req := v.request("/**", cfg)
		if !req.GetLocal() || !req.GetNoResync() || cfg.from != 9 || cfg.progress == nil {
			t.Errorf("watch: %v", req)
		}
		var lc logConfig
		for _, o := range []LogOption{Local(), NoValues(), From(2), To(3), Last(4)} {
			o.log(&lc)
		}
		if want := (logConfig{from: 2, to: 3, limit: 4, local: true, noValues: true}); !reflect.DeepEqual(lc, want) {
			t.Errorf("log: %+v", lc)
		}
	})
}

// TestDeniedStream: what a node will not do for this caller is not tried again.
func TestDeniedStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		cl := c.open(t)
		mustSet(t, cl, "/x", "1")
		denied := status.Error(codes.PermissionDenied, "not you")
		c.nodes[0].setHook(func(r *doozerpb.Request) fate { return fate{cutBefore: r.GetGet() != nil || r.GetSet() != nil} })
		c.nodes[0].cutErr.Store(&denied)
		if _, err := cl.Get(t.Context(), "/x"); !errors.Is(err, ErrDenied) || !strings.Contains(err.Error(), "not you") {
			t.Errorf("get = %v", err)
		}
		if _, err := cl.Set(t.Context(), "/x", nil); !errors.Is(err, ErrUnknownOutcome) || !errors.Is(err, ErrDenied) {
			t.Errorf("set = %v", err)
		}
	})
}

func TestRoles(t *testing.T) {
	want := map[string]Role{"FOLLOWER": RoleFollower, "LEADER": RoleLeader, "CANDIDATE": RoleCandidate, "LEARNER": RoleLearner}
	for n, name := range doozerpb.StatusResponse_Role_name {
		if got := roleOf(doozerpb.StatusResponse_Role(n)); got != want[name] {
			t.Errorf("%s is %q", name, got)
		}
	}
}
