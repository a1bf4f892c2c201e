package client

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"

	doozerpb "github.com/doozer-store/doozer/proto"
)

// Log yields the changes in the window of files that match glob, oldest
// first: all of them, or those between From and To, or the Last n of those. An
// error is the last thing it yields. It has no deadline but that of ctx. From
// below the window is ErrTooLate.
func (c *Client) Log(ctx context.Context, glob string, opts ...LogOption) iter.Seq2[Event, error] {
	var cfg logConfig
	for _, o := range opts {
		o.log(&cfg)
	}
	return func(yield func(Event, error) bool) {
		p := logPlace{served: cfg.served, req: &doozerpb.LogRequest{
			Glob: glob, From: cfg.from, To: cfg.to, Limit: uint32(max(cfg.limit, 0)), Local: cfg.local, NoValues: cfg.noValues,
		}}
		err := checkGlob(glob)
		if err == nil {
			err = c.readLog(ctx, &p, yield)
		}
		if err != nil {
			yield(Event{}, &OpError{Op: "log", Path: glob, Err: err})
		}
	}
}

// A Log is a stream of its own, not a call on the pipe: it may be as long as the
// whole history, and gRPC's flow control holds it back at the consumer's pace.

// logPlace is how far a Log has come: after a loss it goes on from there.
type logPlace struct {
	req    *doozerpb.LogRequest
	served func(Header)
	// rev of the last event, and how many of that rev there were.
	rev   int64
	count int
}

// errStopped: the consumer wants no more.
var errStopped = errors.New("stopped")

// readLog reads streams until one ends well. A stream that breaks is followed
// by another, on another node if there is one, from the place reached.
func (c *Client) readLog(ctx context.Context, p *logPlace, yield func(Event, error) bool) error {
	var avoid *node
	for tries := 1; ; tries++ {
		if c.router.ctx.Err() != nil {
			return ErrClosed
		}
		n := c.router.usual(avoid)
		conn, err := c.router.nodes.conn(n)
		if err == nil {
			err = c.readStream(ctx, doozerpb.NewDoozerClient(conn), p, yield)
		}
		switch {
		case err == nil || errors.Is(err, errStopped):
			return nil
		case c.router.ctx.Err() != nil:
			return ErrClosed
		case over(ctx) != nil:
			return c.late(over(ctx), n)
		}
		e := refusalIn(err)
		if v := decideWatch(e, err, true); !v.again {
			return watchError(e, err)
		}
		if e == nil {
			c.router.unfit(n, conn, err)
		}
		avoid = n
		if err := await(ctx, c.router.ctx.Done(), time.Now().Add(backoff(tries))); err != nil && ctx.Err() != nil {
			reason := watchError(e, err)
			return &causes{text: streamText(reason), is: []error{reason, ctx.Err()}}
		}
	}
}

// over is why ctx has ended, or is about to: gRPC has a timer of its own for the
// same deadline, which may be the first.
func over(ctx context.Context) error {
	if t, ok := ctx.Deadline(); ok && !time.Now().Before(t) {
		return context.DeadlineExceeded
	}
	return ctx.Err()
}

// readStream reads one stream. nil means that it came to its end. The stream
// is read as the consumer asks: what it does not take stays at the node.
func (c *Client) readStream(ctx context.Context, rpc doozerpb.DoozerClient, p *logPlace, yield func(Event, error) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.router.ctx, cancel)()
	skip := p.count
	stream, err := rpc.Log(ctx, p.next())
	if err != nil {
		return err
	}
	for {
		res, err := stream.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := c.router.checkCluster(res.GetHeader()); err != nil {
			return err
		}
		if p.served != nil {
			p.served(headerOf(res.GetHeader()))
		}
		for _, e := range res.GetEvents() {
			if e.GetRev() == p.rev && skip > 0 {
				skip--
				continue
			}
			p.add(e.GetRev())
			if !yield(eventOf(e), nil) {
				return errStopped
			}
		}
	}
}

// add notes that an event of rev was delivered.
func (p *logPlace) add(rev int64) {
	if rev != p.rev {
		p.rev, p.count = rev, 0
	}
	p.count++
}

// next is what to ask for next. What is read after a loss starts with the rev
// reached, and without a limit: that has chosen the first event already.
func (p *logPlace) next() *doozerpb.LogRequest {
	if p.count > 0 {
		p.req.From, p.req.Limit = p.rev, 0
	}
	return p.req
}
