package cluster_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/drill/check"
	"github.com/doozer-store/doozer/drill/cluster"
)

// Numbers of the fields of DoResponse and Response that tell of a write done,
// as proto/doozer/v1/doozer.proto has them. The protocol never changes them.
const (
	fieldResponses = 2
	fieldSet       = 4
)

// tellsOfSet says whether a DATA frame of a Do stream begins a message in which
// a Set succeeded.
func tellsOfSet(frame []byte) bool {
	const prefix = 5 // of every gRPC message: a flag, and the length
	if len(frame) < prefix || frame[0] != 0 {
		return false
	}
	msg := frame[prefix:]
	if n := binary.BigEndian.Uint32(frame[1:]); uint32(len(msg)) > n {
		msg = msg[:n]
	}
	found := false
	fields(msg, func(num protowire.Number, response []byte) {
		if num == fieldResponses {
			fields(response, func(num protowire.Number, _ []byte) { found = found || num == fieldSet })
		}
	})
	return found
}

// fields calls fn for each embedded message of a protobuf message, up to where
// it ends or is cut off.
func fields(msg []byte, fn func(num protowire.Number, value []byte)) {
	for len(msg) > 0 {
		num, kind, n := protowire.ConsumeTag(msg)
		if n < 0 {
			return
		}
		msg = msg[n:]
		if kind != protowire.BytesType {
			if n = protowire.ConsumeFieldValue(num, kind, msg); n < 0 {
				return
			}
			msg = msg[n:]
			continue
		}
		value, n := protowire.ConsumeBytes(msg)
		if n < 0 {
			return
		}
		fn(num, value)
		msg = msg[n:]
	}
}

func TestTellsOfSet(t *testing.T) {
	message := func(result protowire.Number) []byte {
		r := protowire.AppendTag(nil, 1, protowire.VarintType)
		r = protowire.AppendVarint(r, 7)
		r = protowire.AppendTag(r, result, protowire.BytesType)
		r = protowire.AppendBytes(r, []byte{0x10, 5})
		m := protowire.AppendTag(nil, 1, protowire.BytesType)
		m = protowire.AppendBytes(m, []byte("header"))
		m = protowire.AppendTag(m, fieldResponses, protowire.BytesType)
		m = protowire.AppendBytes(m, r)
		return append([]byte{0, 0, 0, 0, byte(len(m))}, m...)
	}
	if !tellsOfSet(message(fieldSet)) {
		t.Error("a reply to Set was not recognised")
	}
	if tellsOfSet(message(3)) || tellsOfSet(message(2)) || tellsOfSet(nil) || tellsOfSet([]byte("settings")) {
		t.Error("something else was taken for a reply to Set")
	}
	for n := range message(fieldSet) {
		tellsOfSet(message(fieldSet)[:n]) // whatever is cut off must not panic
	}
}

// cutter loses one in every few replies to a Set, up to a limit.
type cutter struct {
	every, limit int64
	replies      atomic.Int64
	cuts         atomic.Int64
}

func (c *cutter) lose(frame []byte) bool {
	if !tellsOfSet(frame) || c.replies.Add(1)%c.every != 0 {
		return false
	}
	return c.cuts.Add(1) <= c.limit
}

// TestExactlyOnce increments one counter from 8 clients by read, compare and
// set, while replies of writes that were done get lost.
func TestExactlyOnce(t *testing.T) {
	const callers = 8
	increments, cuts := int64(cluster.Scale(100, 1000)), int64(cluster.Scale(50, 1000))
	cut := &cutter{every: max(1, callers*increments/cuts), limit: cuts}
	c := start(t, cluster.Options{History: history, LoseReply: cut.lose})
	h := check.NewHistory()
	var all sync.WaitGroup
	start := time.Now()
	for i, cl := range clients(c, callers) {
		all.Go(func() { incrementShared(t, h, i, cl, increments) })
	}
	all.Wait()
	took := time.Since(start)
	cl := c.Client()
	log := cluster.Below("/n", c.Log(cl))
	sum, err := check.Counters("/n/", log)
	if err != nil {
		t.Error(err)
	}
	f, err := cl.Get(within(t, cluster.RecoverLimit), "/n/shared")
	if err != nil {
		t.Fatal(err)
	}
	if n, _ := check.CounterOf(string(f.Value)); n != callers*increments || sum != n {
		t.Errorf("%d clients that incremented %d times each made %d (the log %d)", callers, increments, n, sum)
	}
	ops := h.Ops()
	if err := check.Acked(ops, log, c.Tree(cl, "/n/**")); err != nil {
		t.Error(err)
	}
	done := min(cut.cuts.Load(), cuts)
	t.Logf("%d replies lost after the commit; counter at %d after %d clients incremented it %d times each, in %v",
		done, sum, callers, increments, took.Round(time.Millisecond))
	if done < cuts {
		t.Errorf("only %d of %d replies were lost", done, cuts)
	}
	c.WaitEqual(cluster.StartLimit)
}

// incrementShared increments /n/shared n times, trying again after each
// mismatch. There is a majority all the time, so no outcome may be unknown.
func incrementShared(t *testing.T, h *check.History, id int, cl *client.Client, n int64) {
	for done, try := int64(0), 0; done < n; try++ {
		read := cluster.Call(h, cl, cluster.RecoverLimit, check.Op{Client: id, Kind: check.Read, Path: "/n/shared"})
		if read.Outcome != check.OK {
			t.Errorf("%v", read)
			return
		}
		count, err := check.CounterOf(read.Value)
		if err != nil {
			t.Error(err)
			return
		}
		op := cluster.Call(h, cl, cluster.RecoverLimit, check.Op{
			Client: id, Kind: check.CAS, Path: "/n/shared", If: read.Rev,
			Value: check.CounterValue(count+1, fmt.Sprintf("%d.%d", id, try)),
		})
		switch op.Outcome {
		case check.OK:
			done++
		case check.Mismatch:
		default:
			t.Errorf("%v", op)
			return
		}
	}
}

// timeUp is a context whose time is over when the test says so.
type timeUp struct {
	context.Context
	once sync.Once
	done chan struct{}
}

func (c *timeUp) expire() { c.once.Do(func() { close(c.done) }) }

func (c *timeUp) Done() <-chan struct{} { return c.done }

func (c *timeUp) Err() error {
	select {
	case <-c.done:
		return context.DeadlineExceeded
	default:
		return c.Context.Err()
	}
}

// TestLostReplyWithoutRetry asks what a caller is told whose deadline ends
// while the reply of a write that was done is lost for good.
func TestLostReplyWithoutRetry(t *testing.T) {
	lose := atomic.Bool{}
	ctx := &timeUp{Context: t.Context(), done: make(chan struct{})}
	c := start(t, cluster.Options{LoseReply: func(frame []byte) bool {
		if !lose.Load() || !tellsOfSet(frame) {
			return false
		}
		ctx.expire()
		return true
	}})
	cl := c.Client()
	mustSet(t, cl, "/x", "before")
	lose.Store(true)
	_, err := cl.Set(ctx, "/x", []byte("after"))
	lose.Store(false)
	if !errors.Is(err, client.ErrUnknownOutcome) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("set whose replies are all lost: %v; want ErrUnknownOutcome and DeadlineExceeded", err)
	}
	mustGet(t, cl, "/x", "after")
}
