package line

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/client/session"
)

// Place is a place in a line whose turn has come. It is safe for use by many
// goroutines.
type Place struct {
	life  *session.Life
	st    session.Store
	entry Entry
	span  context.Context

	ctx    context.Context
	cancel context.CancelCauseFunc
	detach func() bool

	mu       sync.Mutex
	released bool // guarded by mu
}

// hold makes a place of an entry whose turn it is, within a span of its life.
func hold(st session.Store, life *session.Life, e Entry, span context.Context) *Place {
	p := &Place{life: life, st: st, entry: e, span: span}
	p.ctx, p.cancel = context.WithCancelCause(context.Background())
	p.detach = context.AfterFunc(span, func() { p.cancel(context.Cause(span)) })
	return p
}

// Context lives as long as the place is known to be held. Its cause, then, Is
// session.ErrLost, session.ErrClosed or ErrReleased.
func (p *Place) Context() context.Context { return p.ctx }

// Token is the entry's rev: larger than those of all who held before.
func (p *Place) Token() int64 { return p.entry.Rev }

// Path is the entry's file.
func (p *Place) Path() string { return p.entry.Path }

// Cond is the condition that makes any write carry the token: the store refuses
// it when the place was given to others.
func (p *Place) Cond() client.Cond { return client.Unchanged(p.entry.Path, p.entry.Rev) }

// Valid tells whether the place is held at this moment, by the clock of this
// machine: without asking anybody, and without a wait for a timer.
func (p *Place) Valid() bool { return p.ctx.Err() == nil && p.life.Safe(p.span) }

// Deadline is until when the place is held if nothing more is heard from the
// store, by the session's clock; 0 if it is not.
func (p *Place) Deadline() time.Duration {
	if !p.Valid() {
		return 0
	}
	return p.life.Deadline()
}

// Check asks the store whether the place is held. nil means that it was, at some
// moment during the call; an error that Is session.ErrLost that it is not.
func (p *Place) Check(ctx context.Context) error {
	f, err := p.st.Get(ctx, p.entry.Path)
	if err == nil && f.Rev != p.entry.Rev || errors.Is(err, client.ErrNotExist) {
		return p.lost("its place is gone")
	}
	if err != nil {
		return err
	}
	if _, err := p.st.Get(ctx, p.life.Path()); errors.Is(err, client.ErrNotExist) {
		p.life.Poke()
		return p.lost("its session is gone")
	} else if err != nil {
		return err
	}
	if !p.Valid() {
		return context.Cause(p.ctx)
	}
	return nil
}

// lost makes what the store said known to all who hold on to the context.
func (p *Place) lost(what string) error {
	err := fmt.Errorf("%w: %s", session.ErrLost, what)
	p.cancel(err)
	if cause := context.Cause(p.ctx); errors.Is(cause, ErrReleased) {
		return cause
	}
	return err
}

// Txn does t if the place has not been given to others: the store decides that,
// not this machine and its clock. Its error then Is session.ErrLost. The
// indexes of conditions in other errors count the place as condition 0.
func (p *Place) Txn(ctx context.Context, t client.Txn) (int64, error) {
	t.If = append([]client.Cond{p.Cond()}, t.If...)
	rev, err := p.st.Txn(ctx, t)
	if p.refused(err) {
		return 0, p.lost("its place is gone")
	}
	return rev, err
}

// refused tells whether the condition of the place is the one that failed.
func (p *Place) refused(err error) bool {
	var mismatch *client.RevMismatchError
	return errors.As(err, &mismatch) && mismatch.Index == 0 && mismatch.Path == p.entry.Path
}

// Release gives the place up and, in the same transaction, does ops. What runs
// under Context should have ended. A second call does nothing. If the place was
// lost already the error Is session.ErrLost, and ops were not done. After any
// other error the place is given up in the background, for as long as the
// session lives, whether or not ops were done.
func (p *Place) Release(ctx context.Context, ops ...client.Op) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.released {
		return nil
	}
	p.released = true
	p.detach()
	p.cancel(ErrReleased)
	_, err := p.st.Txn(ctx, client.Txn{
		If: []client.Cond{p.Cond()},
		Do: append([]client.Op{client.DelOp(p.entry.Path)}, ops...),
	})
	switch {
	case err == nil:
		return nil
	case p.refused(err):
		return fmt.Errorf("%w: its place is gone", session.ErrLost)
	}
	p.life.Discard(p.entry.Path, p.entry.Rev)
	return fmt.Errorf("release, which goes on in the background: %w", err)
}
