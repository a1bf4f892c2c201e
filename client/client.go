package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	doozerpb "github.com/doozer-store/doozer/proto"
)

// Client talks to one cluster. It is safe for use by many goroutines, which
// share its pipelines: one Client per program is the usual number.
type Client struct {
	cfg    config
	router *router
	ids    ids
	calls  callPool
	muxes  watchMuxes
	// awaits has a token for each Await that may be out at a node.
	awaits chan struct{}
	// backoff is the pause before the next attempt; tests look into it.
	backoff func(attempts int) time.Duration
	// stop ends router.ctx, and with it everything.
	stop   context.CancelFunc
	closed sync.Once
}

// Open makes a client of the cluster that target names: either
// "doozer:?ca=host:port&ca=host:port" or "host:port,host:port". Any members
// will do; the client learns the others from the cluster. Open waits until
// one node answered; if none does, the error Is ErrUnreachable and names each
// address and the reason. A target that cannot be understood is ErrBadTarget.
// The client lives until Close, not only as long as ctx.
func Open(ctx context.Context, target string, opts ...Option) (*Client, error) {
	addrs, err := parseTarget(target)
	if err != nil {
		return nil, &OpError{Op: "open", Err: err}
	}
	c := &Client{cfg: newConfig(opts), backoff: backoff, awaits: make(chan struct{}, maxAwaits)}
	life, stop := context.WithCancel(context.Background())
	c.stop = stop
	c.router = newRouter(life, &c.cfg, addrs)
	c.router.refresh = c.readMembers
	c.router.onEpoch = c.ids.forget
	c.ids.register = c.register
	c.router.wg.Go(c.router.run)
	if c.cfg.noWait {
		return c, nil
	}
	if err := c.waitOpen(ctx); err != nil {
		c.Close()
		return nil, &OpError{Op: "open", Err: err}
	}
	return c, nil
}

// waitOpen waits until a node answered, or all were tried in vain.
func (c *Client) waitOpen(ctx context.Context) error {
	r := c.router
	deadline := time.Now().Add(c.cfg.timeout)
	for {
		r.mu.Lock()
		changed, failed := r.changed, r.failed
		r.mu.Unlock()
		if r.main.Load() != nil {
			return nil
		}
		if failed != nil {
			return failed
		}
		if err := await(ctx, changed, deadline); err != nil {
			reason := r.nodes.describe()
			return &causes{text: reason.Error() + ": " + err.Error(), is: []error{reason, err}}
		}
	}
}

// Close ends all calls with ErrClosed and returns when everything the client
// started has ended. It may be called more than once.
func (c *Client) Close() error {
	c.closed.Do(func() {
		c.stop()
		c.router.close()
	})
	return nil
}

// Epoch is the store's epoch as last heard; it rises when a backup was
// restored: what was read before no longer holds.
func (c *Client) Epoch() uint64 {
	c.router.mu.Lock()
	defer c.router.mu.Unlock()
	return c.router.epoch
}

// ClusterID is the id of the cluster, 16 bytes; nil before the first answer.
func (c *Client) ClusterID() []byte {
	c.router.mu.Lock()
	defer c.router.mu.Unlock()
	return append([]byte(nil), c.router.cluster...)
}

// do makes attempts of k until one gives a definite answer, which it decodes
// into res, or time is over. Its errors are *OpError.
func (c *Client) do(ctx context.Context, k *call, res result) error {
	now := time.Now()
	if k.deadline.IsZero() {
		k.limit(ctx, now, c.cfg.timeout)
	}
	err := c.attempts(ctx, k, res, now)
	c.ids.release(k)
	if err != nil {
		return &OpError{Op: k.verb.String(), Path: k.path, Err: err}
	}
	if k.served != nil {
		k.served(headerOf(k.header()))
	}
	return nil
}

// attempts is the loop: take an id if it is a write, take a node, try, and do
// what the verdict says. The id stays the same from attempt to attempt, unless
// the verdict asks for another.
func (c *Client) attempts(ctx context.Context, k *call, res result, now time.Time) error {
	if len(k.msg) > maxRequest {
		return fmt.Errorf("%w: the request has %d bytes, the limit is %d", ErrTooLarge, len(k.msg), maxRequest)
	}
	for {
		if err := ctx.Err(); err != nil {
			return c.giveUp(k, err)
		}
		if !now.Before(k.deadline) {
			return c.giveUp(k, context.DeadlineExceeded)
		}
		if k.lease == nil && k.write() {
			if err := c.ids.acquire(ctx, k); err != nil {
				return c.noID(k, err)
			}
		}
		l, err := c.router.pick(ctx, k)
		if err != nil {
			return c.giveUp(k, err)
		}
		v, err := c.attempt(ctx, k, l, res, now)
		if err == nil {
			return nil
		}
		k.unknown = k.unknown || v.unknown
		k.last = err
		if !v.again {
			return c.final(k, err)
		}
		if err := c.prepare(ctx, k, l, v); err != nil {
			return err
		}
		now = time.Now()
	}
}

// attempt sends k to l once. A nil error means that it was done; else the error
// is the reason, which becomes the call's if the verdict ends it or if time
// runs out.
func (c *Client) attempt(ctx context.Context, k *call, l *link, res result, now time.Time) (verdict, error) {
	k.attempts++
	if k.lease != nil && otherEpoch(k.lease.epoch, l.epoch.Load()) {
		return decideExpired(true, k.unknown), fmt.Errorf("%w: the store was restored from a backup", ErrClientExpired)
	}
	switch how := l.roundTrip(ctx, k, now); how {
	case endReply:
	case endUnsent, endBroken:
		return decideBroken(how, k.cause, k.write(), k.attempts), lostError(l, k.cause)
	case endExpired, endCanceled:
		err := lateError(l)
		if isRefusal(k.last) {
			err = k.last // its words say more than its silence
		}
		return verdict{again: true, unknown: k.write()}, err
	case endWaiting:
		return verdict{again: true}, fmt.Errorf("%d calls are in flight", maxCalls)
	}
	refusal, err := decodeReply(k.reply, k.verb, res)
	if err != nil {
		return verdict{unknown: k.write()}, fmt.Errorf("%w: %w", ErrInternal, err)
	}
	if refusal == nil {
		return verdict{}, nil
	}
	return decideReply(refusal, k.write(), k.unknown), refusalOf(refusal, k, l)
}

// otherEpoch tells whether two epochs are of different lives of the store. A
// node that has not yet read its own state tells 0, which is none.
func otherEpoch(a, b uint64) bool { return a != b && a != 0 && b != 0 }

// prepare does what a verdict asks for before the next attempt.
func (c *Client) prepare(ctx context.Context, k *call, l *link, v verdict) error {
	if v.leave {
		l.leave.Store(true)
		c.router.wake()
	}
	if v.quit {
		c.router.nodes.avoid(l.n, k.last)
		l.goingAway.Store(true)
		c.router.wake()
	}
	if v.newID {
		if k.reids++; k.reids > maxReregister {
			return c.final(k, k.last)
		}
		old := k.lease
		c.ids.release(k)
		c.ids.expire(old)
	}
	if !v.pause {
		return nil
	}
	d := min(max(c.backoff(k.attempts), v.after), time.Until(k.deadline))
	t := time.NewTimer(d)
	defer t.Stop()
	var moved <-chan struct{}
	if v.leave || v.quit {
		// There is no reason to wait once calls go to another node.
		moved = c.router.moved(l)
	}
	select {
	case <-t.C:
		return nil
	case <-moved:
		return nil
	case <-ctx.Done():
		return c.giveUp(k, ctx.Err())
	case <-c.router.ctx.Done():
		return c.giveUp(k, ErrClosed)
	}
}

// noID is the error of a write that got no id: it was never sent, so whatever
// became of the registration, nothing was done. That the registration's own
// outcome is unknown is thus nothing to the caller.
func (c *Client) noID(k *call, err error) error {
	var op *OpError
	switch {
	case errors.Is(err, ErrUnknownOutcome) && errors.Is(err, context.Canceled):
		return c.late(context.Canceled, nil)
	case errors.Is(err, ErrUnknownOutcome):
		return c.late(context.DeadlineExceeded, nil)
	case errors.As(err, &op):
		return op.Err
	}
	return c.giveUp(k, err)
}

// final is the error of an attempt that is not to be repeated.
func (c *Client) final(k *call, err error) error {
	if k.write() && k.unknown && settlesNothing(err) {
		return unknownOutcome(err, nil)
	}
	return err
}

// giveUp is the error of a call whose time is over, or whose client was
// closed: with what is known of why it could not be done.
func (c *Client) giveUp(k *call, cause error) error {
	if c.router.ctx.Err() != nil {
		cause = ErrClosed
	}
	switch {
	case k.write() && k.unknown:
		return unknownOutcome(cause, k.last)
	case cause == ErrClosed:
		return ErrClosed
	case c.router.choose(k.local) == nil:
		reason := c.router.nodes.describe()
		return &causes{text: reason.Error(), is: withCause(reason, cause, k.last)}
	case k.last != nil:
		return &causes{text: k.last.Error(), is: withCause(k.last, cause, nil)}
	}
	return c.late(cause, nil)
}

// late is the error of a call that ended with its context, or at its deadline,
// before n said anything; n is nil if it is where calls go.
func (c *Client) late(cause error, n *node) error {
	for _, l := range [...]*link{c.router.main.Load(), c.router.near.Load()} {
		if l != nil && l.usable() && (n == nil || n == l.n) {
			reason := lateError(l)
			return &causes{text: reason.Error(), is: []error{reason, cause}}
		}
	}
	if n == nil {
		return cause
	}
	return &causes{text: n.addr + " has not answered", is: []error{cause}}
}

// withCause lists what an error Is, without what is nil.
func withCause(reason, cause, last error) []error {
	if last == nil {
		return []error{reason, cause}
	}
	return []error{reason, cause, last}
}

// register makes a client id for ids.
func (c *Client) register(ctx context.Context, deadline time.Time) (*doozerpb.RegisterResponse, uint64, error) {
	k := c.calls.get(verbRegister, "")
	defer c.calls.put(k)
	k.deadline = deadline
	var res doozerpb.RegisterResponse
	if err := c.do(ctx, k, messageResult{&res}); err != nil {
		return nil, 0, err
	}
	return &res, k.epoch, nil
}
