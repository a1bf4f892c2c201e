package client

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	doozerpb "github.com/doozer-store/doozer/proto"
)

// leftovers returns the stacks of goroutines that the package has started.
func leftovers() string {
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	var left []string
	for _, g := range strings.Split(string(buf), "\n\n") {
		for _, owner := range []string{"client.(*pipe).", "client.(*router).", "client.(*watchStream)."} {
			if strings.Contains(g, owner) {
				left = append(left, g)
				break
			}
		}
	}
	return strings.Join(left, "\n\n")
}

func TestVerbs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		cl := c.open(t)
		ctx := t.Context()
		rev := mustSet(t, cl, "/a/b", "one", Message("why"))
		f, err := cl.Get(ctx, "/a/b")
		if err != nil || string(f.Value) != "one" || f.Rev != rev {
			t.Fatalf("get = %+v, %v", f, err)
		}
		if f, err = cl.Get(ctx, "/a/b", Local()); err != nil || f.Rev != rev {
			t.Fatalf("local get = %+v, %v", f, err)
		}
		info, err := cl.Stat(ctx, "/a/b")
		if err != nil || info.Len != 3 || info.Rev != rev {
			t.Fatalf("stat = %+v, %v", info, err)
		}
		rev2, err := cl.Txn(ctx, Txn{If: []Cond{Unchanged("/a/b", rev), Missing("/c")}, Do: []Op{SetOp("/c", nil), DelOp("/a/b")}})
		if err != nil || rev2 != rev+1 {
			t.Fatalf("txn = %d, %v", rev2, err)
		}
		if got, err := cl.Rev(ctx); err != nil || got != rev2 {
			t.Fatalf("rev = %d, %v", got, err)
		}
		if _, err := cl.Del(ctx, "/c"); err != nil {
			t.Fatal(err)
		}
		if err := cl.Nop(ctx); err != nil {
			t.Fatal(err)
		}
		self, err := cl.Self(ctx)
		if err != nil || self.Version != "fake" || self.Node == 0 || self.Leader != 1 {
			t.Fatalf("self = %+v, %v", self, err)
		}
		if m, err := cl.Members(ctx); err != nil || len(m) != 3 {
			t.Fatalf("members = %+v, %v", m, err)
		}
		if cl.Epoch() != 1 || len(cl.ClusterID()) != 16 {
			t.Fatalf("epoch %d, cluster %x", cl.Epoch(), cl.ClusterID())
		}
	})
}

func TestErrorTexts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		cl := c.open(t)
		ctx := t.Context()
		rev := mustSet(t, cl, "/a/b", "one")
		for _, test := range []struct {
			call func() error
			is   error
			text string
		}{
			{func() error { _, err := cl.Get(ctx, "/x"); return err }, ErrNotExist, "get /x: no such file or directory"},
			{func() error { _, err := cl.Set(ctx, "/a/b", nil, IfRev(1)); return err }, ErrRevMismatch,
				fmt.Sprintf("set /a/b: revision mismatch: the file is at rev %d", rev)},
			{func() error { _, err := cl.Set(ctx, "/n", nil, IfRev(1)); return err }, ErrRevMismatch,
				"set /n: revision mismatch: there is no file"},
			{func() error { _, err := cl.Txn(ctx, Txn{If: []Cond{Missing("/q"), Missing("/a/b")}}); return err }, ErrRevMismatch,
				fmt.Sprintf("txn: condition 1 on /a/b: revision mismatch: the file is at rev %d", rev)},
			{func() error { _, err := cl.Set(ctx, "/big", make([]byte, maxRequest)); return err }, ErrTooLarge,
				"set /big: too large: the request has 16777227 bytes, the limit is 16777216"},
			{func() error { _, err := cl.Get(ctx, "/\xff"); return err }, ErrBadPath, `get "/\xff": bad path: string field contains invalid UTF-8`},
		} {
			err := test.call()
			if !errors.Is(err, test.is) || err.Error() != test.text {
				t.Errorf("error %q, want %q", err, test.text)
			}
		}
		var m *RevMismatchError
		_, err := cl.Txn(ctx, Txn{If: []Cond{Missing("/a/b")}})
		if !errors.As(err, &m) || m.Path != "/a/b" || m.Rev != rev || m.Present == nil || string(m.Present.Value) != "one" {
			t.Errorf("mismatch = %+v", m)
		}
	})
}

// TestBadGlobs: what no node could understand is refused at once, not sent to
// one node after the other.
func TestBadGlobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		cl := c.open(t)
		ctx := t.Context()
		for _, glob := range []string{"", "/\xff"} {
			var errs []error
			for _, err := range cl.Walk(ctx, glob) {
				errs = append(errs, err)
			}
			for _, err := range cl.Log(ctx, glob) {
				errs = append(errs, err)
			}
			for _, err := range cl.Watch(ctx, glob) {
				errs = append(errs, err)
			}
			_, err := cl.Wait(ctx, glob, 1)
			if errs = append(errs, err); len(errs) != 4 {
				t.Errorf("%q: %v", glob, errs)
			}
			for _, err := range errs {
				if !errors.Is(err, ErrBadGlob) {
					t.Errorf("%q: %v", glob, err)
				}
			}
		}
		if _, err := cl.List(ctx, ""); !errors.Is(err, ErrBadPath) {
			t.Error(err)
		}
	})
}

func TestOpenNamesEveryAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead, other := network.Free(), network.Free()
		_, err := Open(t.Context(), dead+","+other, onFakeNet())
		if !errors.Is(err, ErrUnreachable) {
			t.Fatalf("open = %v", err)
		}
		for _, part := range []string{dead, other, "refused"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q does not name %s", err, part)
			}
		}
		if left := leftovers(); left != "" {
			t.Error(left)
		}
	})
}

func TestOpenWithoutWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cl := openTarget(t, network.Free(), WithoutWait(), WithTimeout(50*time.Millisecond))
		_, err := cl.Get(t.Context(), "/x")
		if !isAll(err, ErrUnreachable, context.DeadlineExceeded) || errors.Is(err, ErrUnknownOutcome) {
			t.Errorf("get = %v", err)
		}
		if _, err := cl.Set(t.Context(), "/x", nil); !errors.Is(err, ErrUnreachable) || errors.Is(err, ErrUnknownOutcome) {
			t.Errorf("set = %v", err)
		}
	})
}

func TestOpenPassesABlackhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		c.nodes[0].lis.freeze()
		c.set(func() { c.leader = 2 })
		start := time.Now()
		cl := c.open(t)
		mustSet(t, cl, "/x", "1")
		if d := time.Since(start); d > time.Second {
			t.Errorf("a silent node cost %v", d)
		}
	})
}

func TestLearnsMembersAndOutlivesItsTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		cl := openTarget(t, c.target(0))
		eventually(t, "the members are known", func() bool { return len(cl.router.nodes.targets()) == 3 })
		c.set(func() { c.leader = 3 })
		c.nodes[0].kill()
		mustSet(t, cl, "/x", "1")
		eventually(t, "calls go to the leader", func() bool {
			s, err := cl.Self(t.Context())
			return err == nil && s.Node == 3
		})
	})
}

func TestFollowsTheLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		cl := c.open(t)
		for round := range 6 {
			want := uint64(round%3 + 1)
			c.set(func() { c.leader = want })
			eventually(t, "calls go to the leader", func() bool {
				mustSet(t, cl, "/x", "1")
				s, err := cl.Self(t.Context())
				return err == nil && s.Node == want
			})
		}
		for key, n := range c.applied {
			if n != 1 {
				t.Errorf("write %v was applied %d times", key, n)
			}
		}
	})
}

// TestLocalReadsOutliveTheirNode: local reads stay at a node of their own when
// calls moved to the leader, and go elsewhere when it dies.
func TestLocalReadsOutliveTheirNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		c.set(func() { c.leader = 3 })
		cl := openTarget(t, c.target(0))
		eventually(t, "calls go to the leader", func() bool {
			s, err := cl.Self(t.Context())
			return err == nil && s.Node == 3 && cl.router.near.Load() != nil
		})
		rev := mustSet(t, cl, "/x", "1")
		synctest.Wait() // the client has read the members
		before := c.nodes[0].calls.Load()
		if f, err := cl.Get(t.Context(), "/x", Local()); err != nil || f.Rev != rev {
			t.Fatalf("get = %+v, %v", f, err)
		}
		if c.nodes[0].calls.Load() != before+1 {
			t.Error("a local read went to the leader")
		}
		c.nodes[0].kill()
		for range 3 {
			if f, err := cl.Get(t.Context(), "/x", Local()); err != nil || f.Rev != rev {
				t.Errorf("get = %+v, %v", f, err)
			}
		}
	})
}

func TestGoingAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		cl := c.open(t)
		eventually(t, "at the leader", func() bool { s, err := cl.Self(t.Context()); return err == nil && s.Node == 1 })
		c.nodes[0].leaving.Store(true)
		eventually(t, "calls go elsewhere", func() bool {
			mustSet(t, cl, "/x", "1")
			s, err := cl.Self(t.Context())
			return err == nil && s.Node != 1
		})
	})
}

func TestCloseEndsCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		cl := c.open(t)
		entered := make(chan struct{}, 10)
		c.nodes[0].setHook(func(r *doozerpb.Request) fate {
			if r.GetGet() != nil || r.GetSet() != nil {
				entered <- struct{}{}
				return fate{drop: true}
			}
			return fate{}
		})
		errs := make(chan error, 3)
		go func() { _, err := cl.Get(context.Background(), "/x"); errs <- err }()
		go func() { _, err := cl.Set(context.Background(), "/x", nil); errs <- err }()
		go func() {
			for _, err := range cl.Watch(context.Background(), "/**") {
				errs <- err
			}
		}()
		<-entered
		<-entered
		cl.Close()
		for range 3 {
			if err := <-errs; !errors.Is(err, ErrClosed) {
				t.Errorf("a call ended with %v", err)
			}
		}
		if err := cl.Close(); err != nil {
			t.Error(err)
		}
		if _, err := cl.Get(context.Background(), "/x"); !errors.Is(err, ErrClosed) {
			t.Errorf("get after close = %v", err)
		}
		if _, err := cl.Status(context.Background()); !errors.Is(err, ErrClosed) {
			t.Errorf("status after close = %v", err)
		}
	})
}

func TestWrongClusterIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newCluster(t, 1), newCluster(t, 1)
		b.set(func() { b.id = []byte("another cluster!") })
		cl := openTarget(t, a.target())
		mustSet(t, cl, "/x", "1")
		synctest.Wait() // the members were read, and are not again for a while
		cl.router.nodes.learn(map[uint64]string{2: b.nodes[0].addr()})
		a.nodes[0].kill()
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		_, err := cl.Get(ctx, "/x")
		if !isAll(err, ErrUnreachable, ErrWrongCluster, context.DeadlineExceeded) {
			t.Errorf("get = %v", err)
		}
	})
}

func TestStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		cl := openTarget(t, c.target(0))
		c.nodes[2].kill()
		list, err := cl.Status(t.Context())
		if err != nil || len(list) != 3 {
			t.Fatalf("status = %+v, %v", list, err)
		}
		for i, s := range list {
			if s.ID != uint64(i+1) || s.Reachable != (i != 2) || (s.Err != nil) != (i == 2) || s.Addr != c.nodes[i].addr() {
				t.Errorf("node %d: %+v", i+1, s)
			}
		}
		if list[0].Role != RoleLeader || len(list[0].Members) != 3 {
			t.Errorf("leader = %+v", list[0])
		}
	})
}

// TestStatusTellsTheReason: while the router tries the same dead nodes over and
// over, Status tells why each cannot be reached, and nothing of its own affairs.
func TestStatusTellsTheReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		dead := network.Free()
		for i := range 200 {
			target, want := dead+","+network.Free(), 2
			if i%2 == 0 {
				target += "," + c.target()
			}
			cl := openTarget(t, target, WithoutWait())
			list, err := cl.Status(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range list {
				if s.Reachable {
					continue
				}
				want--
				if !errors.Is(s.Err, ErrUnreachable) || !strings.Contains(s.Err.Error(), "connection refused") {
					t.Fatalf("round %d: %s: %v", i, s.Addr, s.Err)
				}
			}
			if want != 0 {
				t.Fatalf("round %d: %d nodes too few: %+v", i, want, list)
			}
			cl.Close()
		}
	})
}

// TestStatusEndsWithTheClient: Close ends it, also while a node is silent.
func TestStatusEndsWithTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		cl := c.open(t)
		mustSet(t, cl, "/x", "1")
		c.nodes[0].lis.freeze()
		got := make(chan error)
		go func() {
			_, err := cl.Status(context.Background())
			got <- err
		}()
		cl.Close()
		if err := <-got; !errors.Is(err, ErrClosed) {
			t.Errorf("status = %v", err)
		}
	})
}

func TestPagesAtOneRev(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		cl := c.open(t)
		for i := range 35 {
			c.write(&doozerpb.Op{Path: fmt.Sprintf("/d/%02d", i), Value: []byte("v")})
		}
		var once sync.Once
		for _, n := range c.nodes {
			n.setHook(func(r *doozerpb.Request) fate {
				if r.GetList().GetAfter() != "" {
					// A change between pages must not be seen; nor the loss of
					// the node.
					cut := false
					once.Do(func() { c.write(&doozerpb.Op{Path: "/d/999", Value: nil}); cut = true })
					return fate{cutAfter: cut}
				}
				return fate{}
			})
		}
		var got []string
		for f, err := range cl.Walk(t.Context(), "/d/**") {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, f.Path)
		}
		if len(got) != 35 || got[34] != "/d/34" {
			t.Errorf("walk = %v", got)
		}
		if list, err := cl.List(t.Context(), "/d"); err != nil || len(list) != 36 {
			t.Errorf("list = %d entries, %v", len(list), err)
		}
	})
}

func TestLogGoesOnAfterALoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		cl := c.open(t)
		for i := range 10 {
			c.write(&doozerpb.Op{Path: fmt.Sprintf("/d/%d", i)}, &doozerpb.Op{Path: fmt.Sprintf("/e/%d", i)})
		}
		for _, n := range c.nodes {
			n.cutWatches(errCut)
		}
		var got []string
		for ev, err := range cl.Log(t.Context(), "/**", Last(9)) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, ev.Path)
		}
		if want := "/e/5 /d/6 /e/6 /d/7 /e/7 /d/8 /e/8 /d/9 /e/9"; strings.Join(got, " ") != want {
			t.Errorf("log = %v", got)
		}
	})
}

func TestEpochChangeDropsTheID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		cl := c.open(t)
		mustSet(t, cl, "/x", "1")
		c.set(func() { c.epoch = 2; clear(c.known) })
		if err := cl.Nop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if cl.Epoch() != 2 {
			t.Errorf("epoch = %d", cl.Epoch())
		}
		var writes atomic.Int64
		c.nodes[0].setHook(func(r *doozerpb.Request) fate {
			if r.GetSet() != nil {
				writes.Add(1)
			}
			return fate{}
		})
		mustSet(t, cl, "/x", "2")
		if n := writes.Load(); n != 1 {
			t.Errorf("%d attempts: an id of the old epoch was used", n)
		}
	})
}
