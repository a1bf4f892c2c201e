package lock

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/client/session"
	"github.com/doozer-store/doozer/client/session/line"
)

// Errors of this package; session.ErrLost is another that callers meet.
var (
	// ErrHeld: another holds the lock, and Try does not wait.
	ErrHeld = line.ErrHeld
	// ErrReleased is the cause of Context after Release.
	ErrReleased = line.ErrReleased
	// ErrConf: others use the name in another way.
	ErrConf = line.ErrConf
	// ErrBadName: no lock can have the name.
	ErrBadName = line.ErrBadName
	// ErrBadLimit: the limit is out of bounds, or combined with Read or Write.
	ErrBadLimit = line.ErrBadLimit
)

// Option says how a lock is used.
type Option func(*config)

type config struct {
	rw, shared bool
	semaphore  bool
	limit      int
	why        string
}

// Read asks for a read-write lock, together with other readers.
func Read() Option { return func(c *config) { c.rw, c.shared = true, true } }

// Write asks for a read-write lock, alone.
func Write() Option { return func(c *config) { c.rw, c.shared = true, false } }

// Limit makes the lock a semaphore: n may hold it at once, n from 1 to 1000.
func Limit(n int) Option { return func(c *config) { c.semaphore, c.limit = true, n } }

// Why says what the lock is held for, to people who look at it.
func Why(text string) Option { return func(c *config) { c.why = text } }

// spec is the line of a lock.
func spec(name string, opts []Option) (line.Spec, error) {
	c := config{limit: 1}
	for _, o := range opts {
		o(&c)
	}
	sp := line.Spec{Name: name, Mode: "mutex", Limit: c.limit, Shared: c.shared, Why: c.why}
	switch {
	case c.limit < 1:
		return sp, fmt.Errorf("%w: %d", ErrBadLimit, c.limit)
	case c.rw && c.semaphore:
		return sp, fmt.Errorf("%w: a read-write lock has none", ErrBadLimit)
	case c.rw:
		sp.Mode = "rw"
	case c.limit > 1:
		sp.Mode = "semaphore"
	}
	return sp, nil
}

// Lock is a lock that is held, or was. It is safe for use by many goroutines.
type Lock struct {
	name  string
	place *line.Place
}

// Acquire waits until it is the caller's turn. It returns ctx's error when ctx
// ends before; ctx bounds the waiting only, not the holding. If the session is
// lost meanwhile it lines up again, at the end, with the next life.
func Acquire(ctx context.Context, s *session.Session, name string, opts ...Option) (*Lock, error) {
	return get(ctx, s, name, opts, line.Enter)
}

// Try takes the lock if nobody has it: else its error Is ErrHeld. Only for a
// holder that seems to be dead it waits, until that has been found out.
func Try(ctx context.Context, s *session.Session, name string, opts ...Option) (*Lock, error) {
	return get(ctx, s, name, opts, line.Try)
}

func get(ctx context.Context, s *session.Session, name string, opts []Option,
	how func(context.Context, *session.Session, line.Spec) (*line.Place, error)) (*Lock, error) {
	sp, err := spec(name, opts)
	if err == nil {
		var p *line.Place
		if p, err = how(ctx, s, sp); err == nil {
			return &Lock{name: name, place: p}, nil
		}
	}
	return nil, fmt.Errorf("lock %s: %w", name, err)
}

// Do runs fn while it holds the lock, and returns when fn has returned. fn's
// context ends with ctx, and when the lock is lost: then it is cancelled with a
// cause that Is session.ErrLost, and so is the error that Do returns, beside
// that of fn.
func Do(ctx context.Context, s *session.Session, name string, fn func(ctx context.Context, lk *Lock) error, opts ...Option) error {
	lk, err := Acquire(ctx, s, name, opts...)
	if err != nil {
		return err
	}
	within, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(lk.Context(), func() { cancel(context.Cause(lk.Context())) })
	defer func() { // also when fn panics
		stop()
		cancel(ErrReleased)
		lk.Release(context.WithoutCancel(ctx))
	}()
	err = fn(within, lk)
	if lost := context.Cause(lk.Context()); lost != nil && !errors.Is(err, session.ErrLost) {
		err = errors.Join(err, fmt.Errorf("lock %s: %w", name, lost))
	}
	return err
}

// Name is the lock's name.
func (l *Lock) Name() string { return l.name }

// Context lives as long as the lock is known to be held. Its cause, then, Is
// session.ErrLost, session.ErrClosed or ErrReleased.
func (l *Lock) Context() context.Context { return l.place.Context() }

// Token is larger than those of all who held the lock before. It is the rev of
// Path: a store that was restored from a backup may give one again, under a
// higher epoch (client.Client.Epoch).
func (l *Lock) Token() int64 { return l.place.Token() }

// Path is the file that stands for the holder, and Token its rev.
func (l *Lock) Path() string { return l.place.Path() }

// Cond is the condition that any transaction has to carry in order to be refused
// when the lock was given to others. Set and Txn carry it.
func (l *Lock) Cond() client.Cond { return l.place.Cond() }

// Valid tells whether the lock is held at this moment, without asking anybody:
// by this machine's clock, also right after the machine slept.
func (l *Lock) Valid() bool { return l.place.Valid() }

// Deadline is until when the lock is held if nothing more is heard from the
// store, by the session's clock; 0 if it is not held.
func (l *Lock) Deadline() time.Duration { return l.place.Deadline() }

// Check asks the store whether the lock is held: nil means that it was, at some
// moment during the call. An error that Is session.ErrLost means that it is not,
// and cancels Context.
func (l *Lock) Check(ctx context.Context) error { return l.wrap(l.place.Check(ctx)) }

// Set writes a file if the lock was not given to others, and returns the rev of
// the change. Else its error Is session.ErrLost, and nothing was done.
func (l *Lock) Set(ctx context.Context, path string, value []byte) (int64, error) {
	return l.Txn(ctx, client.Txn{Do: []client.Op{client.SetOp(path, value)}})
}

// Txn does t, as Set does. In the errors of other conditions, and in the limit
// of 128, the lock's is counted as the first.
func (l *Lock) Txn(ctx context.Context, t client.Txn) (int64, error) {
	rev, err := l.place.Txn(ctx, t)
	return rev, l.wrap(err)
}

// Release lets the next one in. What runs under Context should have ended. A
// second call does nothing. An error that Is session.ErrLost says that the lock
// had been lost before; after any other it is released in the background, for as
// long as the session lives.
func (l *Lock) Release(ctx context.Context) error { return l.wrap(l.place.Release(ctx)) }

func (l *Lock) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("lock %s: %w", l.name, err)
}
