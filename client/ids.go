package client

import (
	"context"
	"sync"
	"time"

	doozerpb "github.com/doozer-store/doozer/proto"
)

// lease is one client id and the sequence numbers given out under it. Its
// fields but the first three belong to ids.mu.
type lease struct {
	client uint64
	// epoch in which the id was registered: it means nothing in another.
	epoch  uint64
	window uint64

	// next is the sequence number to be given out, low the lowest without a
	// result; ended tells which of low..next have one, at seq % window.
	// Invariant: low <= next <= low+window.
	next, low uint64
	ended     []bool
	// room is closed, and made anew, when low rises.
	room chan struct{}
}

// ids gives writes their ids: a client id is registered before the first
// write and again whenever it turns out to be forgotten.
//
// The store applies a write only if seq < ack+window, and forgets the results
// below ack. So a number is given out only within the window of the lowest one
// that has no result, and a number is released only when its write's caller
// has been told, or never will ask again.
type ids struct {
	mu sync.Mutex
	// cur is what the next write uses; nil if there is none.
	cur *lease
	// making is non-nil while one goroutine registers; closed when it ended.
	making chan struct{}
	// register makes a new client id.
	register func(ctx context.Context, deadline time.Time) (*doozerpb.RegisterResponse, uint64, error)
}

// acquire gives k an id. It waits while there is none.
func (d *ids) acquire(ctx context.Context, k *call) error {
	for {
		d.mu.Lock()
		l := d.cur
		if l != nil && l.next-l.low < l.window {
			k.lease, k.seq, k.ack = l, l.next, l.low
			l.next++
			d.mu.Unlock()
			return nil
		}
		var err error
		switch {
		case l != nil:
			room := l.room
			d.mu.Unlock()
			err = d.waitRoom(ctx, k, l, room)
		case d.making != nil:
			making := d.making
			d.mu.Unlock()
			err = await(ctx, making, k.deadline)
		default:
			d.making = make(chan struct{})
			d.mu.Unlock()
			err = d.renew(ctx, k.deadline)
		}
		if err != nil {
			return err
		}
	}
}

// waitRoom waits until l has a free number; if that takes long, it gives l
// up for further writes: one write that hangs must not stop all others.
func (d *ids) waitRoom(ctx context.Context, k *call, l *lease, room chan struct{}) error {
	soon := time.Now().Add(windowWait)
	if k.deadline.Before(soon) {
		soon = k.deadline
	}
	err := await(ctx, room, soon)
	if err == nil || ctx.Err() != nil || !time.Now().Before(k.deadline) {
		return err
	}
	d.expire(l)
	return nil
}

// renew registers a client id. The caller has set d.making.
func (d *ids) renew(ctx context.Context, deadline time.Time) error {
	res, epoch, err := d.register(ctx, deadline)
	d.mu.Lock()
	defer d.mu.Unlock()
	close(d.making)
	d.making = nil
	if err != nil {
		return err
	}
	window := uint64(res.GetWindow())
	if window == 0 {
		window = defaultWindow
	}
	d.cur = &lease{
		client: res.GetClient(), epoch: epoch, window: window, next: 1, low: 1,
		ended: make([]bool, window), room: make(chan struct{}),
	}
	return nil
}

// release says that k's number has a result, or never will be sent again. From
// here on the store may refuse it.
func (d *ids) release(k *call) {
	l := k.lease
	if l == nil {
		return
	}
	k.lease = nil
	d.mu.Lock()
	defer d.mu.Unlock()
	l.ended[k.seq%l.window] = true
	if k.seq != l.low {
		return
	}
	full := l.next-l.low >= l.window
	for l.low < l.next && l.ended[l.low%l.window] {
		l.ended[l.low%l.window] = false
		l.low++
	}
	if full {
		close(l.room)
		l.room = make(chan struct{})
	}
}

// expire makes further writes register a new id instead of l.
func (d *ids) expire(l *lease) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cur == l {
		d.cur = nil
	}
}

// forget drops the id whatever it is, after an epoch change.
func (d *ids) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cur = nil
}

// await waits for ch until deadline. It returns the context's error or
// context.DeadlineExceeded.
func await(ctx context.Context, ch <-chan struct{}, deadline time.Time) error {
	t := time.NewTimer(time.Until(deadline))
	defer t.Stop()
	select {
	case <-ch:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return context.DeadlineExceeded
	}
}
