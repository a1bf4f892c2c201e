package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"

	doozerpb "github.com/doozer-store/doozer/proto"
)

// attempt is the result of trying one node.
type attempt struct {
	l   *link
	n   *node
	err error
}

// race tries nodes, each a head start after the one before, or at once when
// that failed, and returns a link to the first that answers and that good
// accepts (nil: any); nil if none does. It is called off, with nil, when
// wanted says no after a kick (nil: never).
//
// The attempts that are still under way when it returns are called off and
// reaped on a goroutine of their own: a blackholed address holds nobody up.
func (r *router) race(list []*node, wanted func() bool, good func(*link) bool) *link {
	ctx, cancel := context.WithTimeout(r.ctx, dialTimeout+time.Duration(len(list))*dialStagger)
	results := make(chan attempt, len(list))
	pending := 0
	defer func() {
		cancel()
		r.wg.Go(func() { reap(results, pending) })
	}()
	// One timer for both: the head start, and at once after a failure.
	next := time.NewTimer(0)
	defer next.Stop()
	for len(list) > 0 || pending > 0 {
		var start <-chan time.Time
		if len(list) > 0 {
			start = next.C
		}
		select {
		case <-start:
			n := list[0]
			list = list[1:]
			pending++
			r.wg.Go(func() { results <- r.try(ctx, n) })
			next.Reset(dialStagger)
		case a := <-results:
			pending--
			if a.l != nil && (good == nil || good(a.l)) {
				return a.l
			}
			if a.l != nil {
				a.l.end(errLeft)
			}
			next.Reset(0)
		case <-r.kick:
			if wanted != nil && !wanted() {
				r.wake()
				return nil
			}
		case <-r.ctx.Done():
			return nil
		}
	}
	return nil
}

// reap ends the links of attempts that lost.
func reap(results chan attempt, pending int) {
	for range pending {
		if a := <-results; a.l != nil {
			a.l.end(errDrained)
		}
	}
}

// try opens a pipe to n and has the node say who it is. Only then is a node
// taken for alive: a connection alone proves that a kernel is. If it fails,
// the node's connection is closed, so that the next attempt starts afresh
// instead of waiting for gRPC's backoff or TCP's.
func (r *router) try(ctx context.Context, n *node) attempt {
	conn, err := r.nodes.conn(n)
	if err != nil {
		return attempt{n: n, err: err}
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	l, err := r.open(ctx, n, conn)
	if err == nil {
		err = r.greet(ctx, l)
	}
	if err == nil {
		r.nodes.good(n, l.node.Load())
		return attempt{l: l, n: n}
	}
	if l != nil {
		l.end(errLeft)
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		r.nodes.giveUp(n, conn)
	} else {
		r.log.Debug("a node does not answer", "addr", n.addr, "err", err)
		r.nodes.fail(n, conn, err)
	}
	return attempt{n: n, err: err}
}

// open opens the stream. It outlives ctx, which bounds only the opening. On an
// error nothing is left; else the link is the caller's, to be ended.
func (r *router) open(ctx context.Context, n *node, conn *grpc.ClientConn) (*link, error) {
	life, cancel := context.WithCancel(r.ctx)
	stop := context.AfterFunc(ctx, cancel)
	desc := &grpc.StreamDesc{StreamName: "Do", ServerStreams: true, ClientStreams: true}
	stream, err := conn.NewStream(life, desc, doozerpb.Doozer_Do_FullMethodName, grpc.ForceCodecV2(rawCodec{pool: &r.buffers}))
	if err != nil || !stop() {
		cancel()
		if ctx.Err() != nil {
			err = fmt.Errorf("no answer within %v", dialTimeout)
		}
		return nil, err
	}
	l := &link{n: n, conn: conn}
	l.pipe = newPipe(n.addr, stream, cancel, &r.buffers)
	l.hear = func(h *doozerpb.Header) error { return r.hear(l, h) }
	l.lost = func(cause error) { r.lost(l, cause) }
	l.run(&r.wg)
	return l, nil
}

// greet asks the node who it is. The header of the answer tells cluster,
// epoch and leader before any other call is sent: a write never meets a store
// that was restored without the client knowing.
func (r *router) greet(ctx context.Context, l *link) error {
	now := time.Now()
	k := &call{verb: verbSelf, done: make(chan struct{}, 1)}
	k.limit(ctx, now, dialTimeout)
	switch how := l.roundTrip(ctx, k, now); how {
	case endReply:
	case endBroken, endUnsent:
		return k.cause
	default:
		return fmt.Errorf("no answer within %v", dialTimeout)
	}
	refusal, err := decodeReply(k.reply, verbSelf, messageResult{&doozerpb.SelfResponse{}})
	if err == nil && refusal != nil {
		err = errorOf(refusal)
	}
	return err
}
