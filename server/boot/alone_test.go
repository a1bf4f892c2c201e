package boot

import (
	"context"
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	doozerpb "github.com/doozer-store/doozer/proto"
)

// TestStopWithoutAMajority: a node that nobody can answer any more does not wait
// for what is in flight, and tells nobody that it was not done.
func TestStopWithoutAMajority(t *testing.T) {
	c := newTestCluster(t)
	c.start("a", "b", "c")
	c.set("c", "/x", "1")
	n := c.nodes["c"]
	client := dial(t, n)
	eventually(t, "c reaches a majority", func() error {
		if !n.inMajority() {
			return errors.New("it does not")
		}
		return nil
	})
	c.stop("a")
	c.stop("b")
	eventually(t, "the others are lost", func() error {
		if n.inMajority() {
			return errors.New("they are not")
		}
		return nil
	})
	answer := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*patience)
		defer cancel()
		_, err := client.Set(ctx, &doozerpb.SetRequest{Path: "/x", Value: []byte("2")})
		answer <- err
	}()
	eventually(t, "a write is in flight", func() error {
		if n.consensus.Status().Waiting == 0 {
			return errors.New("it is not")
		}
		return nil
	})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	n.Stop(ctx)
	if ctx.Err() != nil {
		t.Error("it waited until its time was over")
	}
	select {
	case err := <-answer:
		// As from a connection that is lost: the client can't know.
		if code := status.Code(err); code != codes.Unavailable && code != codes.Canceled && code != codes.Unknown {
			t.Errorf("the write was answered with %v: %v", code, err)
		}
	case <-time.After(patience):
		t.Error("the write has no end")
	}
}
