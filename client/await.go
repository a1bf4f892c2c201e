package client

import (
	"context"
	"time"

	doozerpb "github.com/doozer-store/doozer/proto"
)

// Await says what Client.Await waits for: that of the files that match Glob none
// is older than Before any more, that is, has a lower rev.
type Await struct {
	Glob   string
	Before int64
	// If are conditions that hold all the while.
	If []Cond
	// Known ends the wait also as soon as the newest of the older files is not
	// the one at this path. Empty: it does not matter which it is.
	Known string
	// For is how long it may take; 0 asks for what there is.
	For time.Duration
}

// Awaited is what an Await came to.
type Awaited struct {
	// Rev is one at which the conditions held and Newest was: Before or later.
	// That there is no older file is true from Rev on for ever, since changes
	// have ever higher revs.
	Rev int64
	// Newest of the older files, without its value; nil: there is none.
	Newest *Info
	// Waited: it was not so at once.
	Waited bool
	// Older is how many older files there are, at most.
	Older int
}

// Await waits at a node until the answer is there, or For has passed: then it
// returns what there is by then. That costs one request and one answer however
// long it takes, and the node looks only when a file of the conditions or the
// newest of the older files changes. It may return sooner, as if For had passed:
// after a minute, or where very many wait.
//
// What it tells was so at a rev, at or after Before. That is no linearizable read:
// later changes may have been made by others. A condition that fails is
// a *RevMismatchError, or ErrIsDir; a Before that does not come in time
// context.DeadlineExceeded.
func (c *Client) Await(ctx context.Context, a Await) (Awaited, error) {
	wait := min(a.For, awaitMax)
	waits := wait > 0 && c.reserve()
	if !waits {
		wait = 0
	}
	res, err := c.await(ctx, &a, wait)
	switch {
	case waits && err == nil:
		c.release()
	case waits:
		// The node may go on with it for as long as it was told to.
		time.AfterFunc(wait, c.release)
	case err == nil && res.Newest != nil && (a.Known == "" || res.Newest.Path == a.Known):
		_ = await(ctx, c.router.ctx.Done(), time.Now().Add(min(a.For, awaitPause)))
	}
	return res, err
}

// await is Await at the node, for so long.
func (c *Client) await(ctx context.Context, a *Await, wait time.Duration) (Awaited, error) {
	k := c.calls.get(verbAwait, a.Glob)
	defer c.calls.put(k)
	k.limit(ctx, time.Now(), c.cfg.timeout+wait)
	req := &doozerpb.AwaitRequest{Glob: a.Glob, Before: a.Before, Known: a.Known, WaitMs: uint32(wait.Milliseconds()), Conditions: conditionsOf(a.If)}
	var res doozerpb.AwaitResponse
	if err := c.run(ctx, k, req, &res); err != nil {
		return Awaited{}, err
	}
	out := Awaited{Rev: res.GetRev(), Waited: res.GetWaited(), Older: int(res.GetOlder())}
	if f := res.GetNewest(); f != nil {
		info := infoOf(f)
		out.Newest = &info
	}
	return out, nil
}

// reserve takes one of the places of Awaits that wait at nodes; false: there is
// none.
func (c *Client) reserve() bool {
	select {
	case c.awaits <- struct{}{}:
		return true
	default:
		return false
	}
}

func (c *Client) release() { <-c.awaits }
