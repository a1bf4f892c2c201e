package fakestore

import (
	"context"
	"fmt"
	"time"

	"github.com/doozer-store/doozer/client"
)

// Await does what client.Client's does. Faults, of op "await", are those of the
// request. What it comes to while the client is cut is told when it is healed,
// unless that takes too long.
func (c *Client) Await(ctx context.Context, a client.Await) (client.Awaited, error) {
	var out client.Awaited
	var wait chan struct{}
	err := c.call(ctx, "await", a.Glob, func() (err error) {
		c.s.mu.Lock()
		c.s.counts.Awaits++
		c.s.mu.Unlock()
		out, wait, err = c.s.look(&a)
		return err
	})
	if err != nil {
		return client.Awaited{}, err
	}
	end := time.NewTimer(a.For)
	defer end.Stop()
	for err == nil && wait != nil {
		select {
		case <-wait:
			var waited chan struct{}
			if out, waited, err = c.s.look(&a); waited == nil {
				c.s.woke()
			}
			wait, out.Waited = waited, true
		case <-end.C:
			c.s.forget(wait)
			wait, out.Waited = nil, true
		case <-ctx.Done():
			c.s.forget(wait)
			return client.Awaited{}, opError("await", a.Glob, ctx.Err())
		}
	}
	if err == nil {
		err = c.reached(ctx)
	}
	if err != nil {
		return client.Awaited{}, opError("await", a.Glob, err)
	}
	return out, nil
}

// reached waits until an answer can reach the client.
func (c *Client) reached(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	for {
		c.mu.Lock()
		cut := c.cut
		c.mu.Unlock()
		if cut == nil {
			return nil
		}
		select {
		case <-cut:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", client.ErrUnreachable, ctx.Err())
		}
	}
}

// woke counts an answer that came of a change.
func (s *Store) woke() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts.Wakes++
}
