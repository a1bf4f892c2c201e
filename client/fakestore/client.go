package fakestore

import (
	"context"
	"fmt"
	"iter"
	"reflect"
	"sync"
	"time"

	"github.com/doozer-store/doozer/client"
)

// callLimit is the time of a call whose context has no deadline.
const callLimit = 10 * time.Second

// Fault is what becomes of one call.
type Fault int

// The faults.
const (
	// None: the call is done.
	None Fault = iota
	// LoseRequest: nothing arrives; the caller waits until its time is over.
	LoseRequest
	// LoseReply: the call is done, and the caller waits until its time is over.
	LoseReply
	// Late: the caller waits until its time is over, and Lateness after that the
	// call is done.
	Late
)

// Lateness is how late a Late call arrives.
const Lateness = time.Millisecond

// Client is one program's way to the store. It implements session.Store.
type Client struct {
	s *Store

	mu    sync.Mutex
	delay time.Duration
	// fault decides about calls; nil: none fails.
	fault func(op, path string) Fault
	cut   chan struct{} // closed by Heal; nil while not cut
	late  sync.WaitGroup
}

// Client makes another way to the store.
func (s *Store) Client() *Client { return &Client{s: s} }

// Fault makes fn decide about the calls from here on: op is "get", "walk",
// "rev", "await" or "txn"; path that of the first operation of a transaction. nil ends it.
func (c *Client) Fault(fn func(op, path string) Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fault = fn
}

// Delay is how long every call takes from here on.
func (c *Client) Delay(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.delay = d
}

// Cut separates the client from the store until Heal.
func (c *Client) Cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cut == nil {
		c.cut = make(chan struct{})
	}
}

// Heal ends Cut.
func (c *Client) Heal() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cut != nil {
		close(c.cut)
		c.cut = nil
	}
}

// WaitLate returns when all late calls have arrived.
func (c *Client) WaitLate() { c.late.Wait() }

// call does fn as the faults allow. write tells whether it may be that it was
// done although the caller does not learn it.
func (c *Client) call(ctx context.Context, op, path string, fn func() error) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	if err := ctx.Err(); err != nil {
		return opError(op, path, err)
	}
	c.mu.Lock()
	delay := c.delay
	c.mu.Unlock()
	if delay > 0 {
		if err := sleep(ctx, delay); err != nil {
			return opError(op, path, err)
		}
	}
	c.mu.Lock()
	cut, decide := c.cut, c.fault
	c.mu.Unlock()
	fault := None
	if cut != nil {
		select {
		case <-cut:
		case <-ctx.Done():
			fault = LoseRequest
		}
	} else if decide != nil {
		fault = decide(op, path)
	}
	if fault == None {
		return opError(op, path, fn())
	}
	if fault == LoseReply {
		fn()
	}
	<-ctx.Done()
	if fault == Late && op == "txn" {
		c.late.Go(func() {
			time.Sleep(Lateness)
			fn()
		})
	}
	err := fmt.Errorf("%w: %w", client.ErrUnreachable, ctx.Err())
	if op == "txn" {
		err = fmt.Errorf("%w: %w", client.ErrUnknownOutcome, ctx.Err())
	}
	return opError(op, path, err)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func opError(op, path string, err error) error {
	if err == nil {
		return nil
	}
	return &client.OpError{Op: op, Path: path, Err: err}
}

// Get reads a file. Of the options it knows AtRev, by the name of its type.
func (c *Client) Get(ctx context.Context, path string, opts ...client.ReadOption) (client.File, error) {
	var rev int64
	for _, o := range opts {
		if v := reflect.ValueOf(o); v.Type().Name() == "atRev" {
			rev = v.Int()
		}
	}
	var f client.File
	err := c.call(ctx, "get", path, func() error {
		c.s.mu.Lock()
		defer c.s.mu.Unlock()
		c.s.counts.Gets++
		file, ok := c.s.files[path]
		if rev != 0 {
			file, ok = c.s.at(path, rev)
		}
		if !ok {
			return client.ErrNotExist
		}
		f = file
		return nil
	})
	return f, err
}

// Walk reads the files that match glob. Of the options it knows NoValues, by the
// name of its type.
func (c *Client) Walk(ctx context.Context, glob string, opts ...client.ReadOption) iter.Seq2[client.File, error] {
	return func(yield func(client.File, error) bool) {
		var list []client.File
		err := c.call(ctx, "walk", glob, func() error {
			list = c.s.Files(glob)
			c.s.mu.Lock()
			c.s.counts.Walks++
			c.s.mu.Unlock()
			return nil
		})
		if err != nil {
			yield(client.File{}, err)
			return
		}
		for _, f := range list {
			for _, o := range opts {
				if reflect.TypeOf(o).Name() == "noValues" {
					f.Value = nil
				}
			}
			if !yield(f, nil) {
				return
			}
		}
	}
}

// Rev returns the present rev.
func (c *Client) Rev(ctx context.Context, _ ...client.ReadOption) (int64, error) {
	var rev int64
	err := c.call(ctx, "rev", "", func() error {
		rev = c.s.Rev()
		return nil
	})
	return rev, err
}

// Txn does a transaction.
func (c *Client) Txn(ctx context.Context, t client.Txn) (int64, error) {
	path := ""
	if len(t.Do) > 0 {
		path = t.Do[0].Path
	}
	var rev int64
	err := c.call(ctx, "txn", path, func() (err error) {
		c.s.mu.Lock()
		c.s.counts.Txns++
		c.s.mu.Unlock()
		rev, err = c.s.apply(t)
		return err
	})
	if err != nil {
		return 0, err
	}
	return rev, nil
}

// Wait returns the first change with rev >= from.
func (c *Client) Wait(ctx context.Context, glob string, from int64) (client.Event, error) {
	ev, _, err := c.await(ctx, glob, from, 0)
	return ev, opError("wait", glob, err)
}

// await is Wait behind the first skip changes. What happens while the client is
// cut is delivered when it is healed.
func (c *Client) await(ctx context.Context, glob string, from int64, skip int) (client.Event, int, error) {
	if from == 0 && skip == 0 {
		from = c.s.Rev() + 1
	}
	for {
		c.mu.Lock()
		cut := c.cut
		c.mu.Unlock()
		if cut != nil {
			select {
			case <-cut:
				continue
			case <-ctx.Done():
				return client.Event{}, 0, ctx.Err()
			}
		}
		ev, at, wait, err := c.s.next(glob, from, skip)
		if err != nil || wait == nil {
			return ev, at, err
		}
		skip = at
		select {
		case <-wait:
		case <-ctx.Done():
			c.s.forget(wait)
			return client.Event{}, 0, ctx.Err()
		}
	}
}

// Watch yields the changes that match glob. Of the options it knows From and
// Snapshot, by the names of their types. It never resyncs: a rev below the
// window is ErrTooLate.
func (c *Client) Watch(ctx context.Context, glob string, opts ...client.WatchOption) iter.Seq2[client.Event, error] {
	var from int64
	snapshot := false
	for _, o := range opts {
		switch v := reflect.ValueOf(o); v.Type().Name() {
		case "from":
			from = v.Int()
		case "snapshot":
			snapshot = true
		}
	}
	return func(yield func(client.Event, error) bool) {
		skip := 0
		if snapshot {
			c.s.mu.Lock()
			from, skip = c.s.rev+1, len(c.s.log)
			c.s.mu.Unlock()
			files := c.s.Files(glob)
			for i, f := range files {
				if f.Rev < from && !yield(client.Event{File: f, More: i+1 < len(files)}, nil) {
					return
				}
			}
		}
		for {
			ev, at, err := c.await(ctx, glob, from, skip)
			skip = at
			if !yield(ev, err) || err != nil {
				return
			}
		}
	}
}
