package client

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	doozerpb "github.com/doozer-store/doozer/proto"
)

// await answers at once, as a node whose time is over. Holds mu.
func (c *fakeCluster) await(tag uint64, req *doozerpb.AwaitRequest) *doozerpb.Response {
	for i, cond := range req.GetConditions() {
		if e := c.check(cond.GetPath(), cond.GetIf()); e != nil {
			e.Index = uint32(i)
			return refused(tag, e)
		}
	}
	res := &doozerpb.AwaitResponse{Rev: c.rev, Waited: req.GetWaitMs() > 0}
	for _, f := range c.matching(req.GetGlob()) {
		if f.GetRev() < req.GetBefore() && f.GetRev() > res.GetNewest().GetRev() {
			res.Newest = &doozerpb.File{Path: f.GetPath(), Rev: f.GetRev()}
		}
	}
	return &doozerpb.Response{Tag: tag, Result: &doozerpb.Response_Await{Await: res}}
}

func TestAwait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cl := newCluster(t, 1).open(t)
		a, b := mustSet(t, cl, "/l/a", ""), mustSet(t, cl, "/l/b", "")
		own := mustSet(t, cl, "/l/c", "")
		got, err := cl.Await(t.Context(), Await{Glob: "/l/*", Before: own, For: time.Second, If: []Cond{Unchanged("/l/c", own)}})
		if err != nil || got.Rev < own || got.Newest == nil || got.Newest.Path != "/l/b" || got.Newest.Rev != b || !got.Waited {
			t.Errorf("await = %+v, %v", got, err)
		}
		if got, err := cl.Await(t.Context(), Await{Glob: "/l/*", Before: a}); err != nil || got.Newest != nil || got.Waited {
			t.Errorf("await = %+v, %v", got, err)
		}
		var mismatch *RevMismatchError
		_, err = cl.Await(t.Context(), Await{Glob: "/l/*", Before: own, If: []Cond{Unchanged("/l/c", own), Missing("/l/a")}})
		if !errors.As(err, &mismatch) || mismatch.Index != 1 {
			t.Errorf("await = %v", err)
		}
	})
}

// A node may take all the time there is, as long as it lives; one that does not
// is left, and the next asked.
func TestAwaitOverNodeLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		cl := c.open(t)
		own := mustSet(t, cl, "/l/c", "")
		asked := make(chan *fakeNode, 10)
		var silent atomic.Bool
		silent.Store(true)
		for _, n := range c.nodes {
			n.setHook(func(r *doozerpb.Request) fate {
				if r.GetAwait() == nil {
					return fate{}
				}
				asked <- n
				return fate{drop: silent.Load()}
			})
		}
		done := make(chan error, 1)
		go func() {
			_, err := cl.Await(t.Context(), Await{Glob: "/l/*", Before: own, For: 30 * time.Second})
			done <- err
		}()
		at := <-asked
		select {
		case err := <-done:
			t.Fatalf("it did not wait for a node that lives: %v", err)
		case <-time.After(20 * time.Second):
		}
		for len(asked) > 0 {
			at = <-asked // calls had not come to the leader before
		}
		silent.Store(false)
		c.set(func() { c.leader = 3 - at.id })
		at.kill()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// Of very many only some wait at a node, so that other calls get through; the
// others ask again and again. Those whose callers went are waiting still.
func TestAwaitsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		cl := c.open(t)
		mustSet(t, cl, "/l/a", "")
		own := mustSet(t, cl, "/l/c", "")
		c.nodes[0].setHook(func(r *doozerpb.Request) fate { return fate{drop: r.GetAwait().GetWaitMs() > 0} })
		for range maxAwaits - 1 {
			cl.reserve()
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			cl.Await(ctx, Await{Glob: "/l/*", Before: own, For: time.Minute})
			close(done)
		}()
		synctest.Wait()
		cancel()
		<-done
		start := time.Now()
		got, err := cl.Await(t.Context(), Await{Glob: "/l/*", Before: own, For: time.Minute})
		if err != nil || got.Newest == nil || got.Waited || time.Since(start) != awaitPause {
			t.Errorf("one more: %+v, %v after %v", got, err, time.Since(start))
		}
		mustSet(t, cl, "/other", "")
		time.Sleep(time.Minute)
		c.nodes[0].setHook(nil)
		if got, err := cl.Await(t.Context(), Await{Glob: "/l/*", Before: own, For: time.Minute}); err != nil || !got.Waited {
			t.Errorf("later: %+v, %v", got, err)
		}
	})
}
