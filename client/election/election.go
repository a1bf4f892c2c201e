package election

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/client/session"
	"github.com/doozer-store/doozer/client/session/line"
)

var (
	// ErrResigned is the cause of a leadership's context after Resign.
	ErrResigned = line.ErrReleased
	// ErrConf: the name is used for a lock.
	ErrConf = line.ErrConf
	// ErrBadName: no election can have the name.
	ErrBadName = line.ErrBadName
)

const (
	mode = "election"
	// valueVersion is the format of the file that says who leads.
	valueVersion = 1
)

// value is the file that says who leads.
type value struct {
	V     int    `json:"v"`
	Term  int64  `json:"term"`
	Value string `json:"value"`
}

func valuePath(name string) string { return line.Root + "/" + name + "/val" }

// Leadership is one term of the caller as the leader. It is safe for use by many
// goroutines.
type Leadership struct {
	name  string
	place *line.Place
}

// Campaign waits until the caller leads, and makes text known: where to find it,
// say. ctx bounds the waiting only. If the session is lost meanwhile it lines up
// again with the next life.
func Campaign(ctx context.Context, s *session.Session, name, text string) (*Leadership, error) {
	for {
		p, err := line.Enter(ctx, s, line.Spec{Name: name, Mode: mode, Why: text})
		if err != nil {
			return nil, fmt.Errorf("election %s: %w", name, err)
		}
		l := &Leadership{name: name, place: p}
		if err := l.announce(ctx, text); err == nil && l.Valid() {
			return l, nil
		} else if err != nil && !errors.Is(err, session.ErrLost) {
			p.Release(context.WithoutCancel(ctx))
			return nil, err
		}
		// Nobody was told, so nobody has to stop.
		l.Resign(context.WithoutCancel(ctx))
	}
}

// announce is Proclaim for a leader that nobody knows yet: it waits out a store
// that can't answer.
func (l *Leadership) announce(ctx context.Context, text string) error {
	for {
		err := l.Proclaim(ctx, text)
		if err == nil || !line.Transient(err) || !l.Valid() {
			return err
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

// pause is the time between attempts to reach a store that can't answer.
func pause(ctx context.Context) error {
	t := time.NewTimer(250 * time.Millisecond)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Proclaim makes another text known for the rest of the term.
func (l *Leadership) Proclaim(ctx context.Context, text string) error {
	file, err := json.Marshal(value{V: valueVersion, Term: l.Term(), Value: text})
	if err != nil {
		return l.wrap(err)
	}
	_, err = l.Set(ctx, valuePath(l.name), file)
	return err
}

// Context lives as long as the caller is known to lead. Its cause, then, Is
// session.ErrLost, session.ErrClosed or ErrResigned.
func (l *Leadership) Context() context.Context { return l.place.Context() }

// Term is larger than those of all leaders before.
func (l *Leadership) Term() int64 { return l.place.Token() }

// Path is the file that stands for the leader, and Term its rev.
func (l *Leadership) Path() string { return l.place.Path() }

// Valid tells whether the caller leads at this moment, by this machine's clock.
func (l *Leadership) Valid() bool { return l.place.Valid() }

// Deadline is until when the caller leads if nothing more is heard from the
// store, by the session's clock; 0 if it does not.
func (l *Leadership) Deadline() time.Duration { return l.place.Deadline() }

// Check asks the store whether the caller leads: nil means that it did, at some
// moment during the call; an error that Is session.ErrLost that it does not.
func (l *Leadership) Check(ctx context.Context) error { return l.wrap(l.place.Check(ctx)) }

// Cond is the condition that makes a transaction fail when another leads.
func (l *Leadership) Cond() client.Cond { return l.place.Cond() }

// Set writes a file if no other leads; else its error Is session.ErrLost.
func (l *Leadership) Set(ctx context.Context, path string, value []byte) (int64, error) {
	return l.Txn(ctx, client.Txn{Do: []client.Op{client.SetOp(path, value)}})
}

// Txn does t if no other leads; else its error Is session.ErrLost. In the
// errors of its own conditions, the leader's is counted as the first.
func (l *Leadership) Txn(ctx context.Context, t client.Txn) (int64, error) {
	rev, err := l.place.Txn(ctx, t)
	return rev, l.wrap(err)
}

// Resign ends the term, and with it what was proclaimed. What runs under Context
// should have ended. A second call does nothing. If leadership had been lost the
// error Is session.ErrLost; after any other it is given up in the background.
func (l *Leadership) Resign(ctx context.Context) error {
	return l.wrap(l.place.Release(ctx, client.DelOp(valuePath(l.name))))
}

func (l *Leadership) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("election %s: %w", l.name, err)
}

// Run campaigns, and runs fn while the caller leads; fn's context ends when
// leadership is lost, with a cause that Is session.ErrLost, and with ctx. Run
// waits until fn has returned, always. When leadership was lost it campaigns
// again, and calls fn again, in another term; when fn returns by itself Run
// resigns and returns its error. It waits out a store that can't answer, and
// returns ctx's error if ctx ends first.
func Run(ctx context.Context, s *session.Session, name, text string, fn func(ctx context.Context, l *Leadership) error) error {
	for {
		l, err := Campaign(ctx, s, name, text)
		if err != nil && line.Transient(err) && ctx.Err() == nil {
			if err := pause(ctx); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		err = l.run(ctx, fn)
		lost := l.Context().Err() != nil
		if resignErr := l.Resign(context.WithoutCancel(ctx)); errors.Is(resignErr, session.ErrLost) {
			lost = true
		}
		switch {
		case ctx.Err() != nil:
			return errors.Join(ctx.Err(), notOf(err, ctx.Err()))
		case !lost:
			return err
		}
	}
}

// notOf is err unless it says no more than what is said anyway.
func notOf(err, said error) error {
	if errors.Is(err, said) {
		return nil
	}
	return err
}

// run calls fn with a context that lives as long as both ctx and the leadership.
func (l *Leadership) run(ctx context.Context, fn func(ctx context.Context, l *Leadership) error) error {
	within, cancel := context.WithCancelCause(ctx)
	defer cancel(ErrResigned)
	stop := context.AfterFunc(l.Context(), func() { cancel(context.Cause(l.Context())) })
	defer stop()
	return fn(within, l)
}

// Leader is who leads, as an observer sees it.
type Leader struct {
	// Value is what the leader has proclaimed.
	Value string
	// Term is the leader's; 0: nobody leads.
	Term int64
	// Since is when that was proclaimed, by the clock of the store's leader.
	Since time.Time
}

// Observe yields the leader as it is, or that there is none, and then each
// change, in order, for as long as it is consumed and ctx lives. An error is the
// last thing it yields. If it falls further behind than the store's history
// reaches it goes on with the present leader.
func Observe(ctx context.Context, st session.Store, name string) iter.Seq2[Leader, error] {
	return func(yield func(Leader, error) bool) {
		o := observer{st: st, name: name, yield: yield}
		err := error(ErrBadName)
		if line.ValidName(name) {
			err = o.run(ctx)
		}
		if err != nil {
			yield(Leader{}, fmt.Errorf("election %s: %w", name, err))
		}
	}
}

// observer is one run of Observe.
type observer struct {
	st    session.Store
	name  string
	yield func(Leader, error) bool
	last  Leader
	begun bool
}

// errDone: the consumer wants no more.
var errDone = errors.New("done")

// run returns the error that ended it; nil if the consumer did.
func (o *observer) run(ctx context.Context) error {
	for {
		err := o.follow(ctx)
		if errors.Is(err, errDone) {
			return nil
		}
		if !errors.Is(err, client.ErrTooLate) {
			return err
		}
	}
}

// follow yields the present leader, and every change after that. The present is
// read, for a watch says nothing of a file that is not there.
func (o *observer) follow(ctx context.Context) error {
	from, err := o.st.Rev(ctx)
	if err != nil {
		return err
	}
	f, err := o.st.Get(ctx, valuePath(o.name))
	if err != nil && !errors.Is(err, client.ErrNotExist) {
		return err
	}
	if err := o.tell(leaderOf(f)); err != nil {
		return err
	}
	for ev, err := range o.st.Watch(ctx, valuePath(o.name), client.From(from+1), client.NoResync()) {
		if err != nil {
			return err
		}
		if ev.Rev <= f.Rev {
			continue // the read has shown it
		}
		if err := o.tell(leaderOf(ev.File)); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// tell yields a leader that is another than the last.
func (o *observer) tell(now Leader) error {
	if o.begun && now == o.last {
		return nil
	}
	o.begun, o.last = true, now
	if !o.yield(now, nil) {
		return errDone
	}
	return nil
}

// leaderOf reads the file that says who leads; one that can't be read names
// nobody.
func leaderOf(f client.File) Leader {
	var v value
	if len(f.Value) == 0 || json.Unmarshal(f.Value, &v) != nil || v.V != valueVersion {
		return Leader{}
	}
	return Leader{Value: v.Value, Term: v.Term, Since: f.Time}
}
