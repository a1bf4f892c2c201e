package line

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/client/session"
)

// MaxLimit is the most that may hold at once; Enter refuses more.
const MaxLimit = 1000

// Spec is the line that is meant, and how to stand in it.
type Spec struct {
	// Name is one or more parts with slashes between.
	Name string
	// Mode says what the line is for: "mutex", "election". All who use it have
	// to agree on Mode and Limit.
	Mode string
	// Limit is how many may hold at once; 0 means 1.
	Limit int
	// Shared places do not wait for each other. Limit is 1 then.
	Shared bool
	// Why is for people.
	Why string
	// Waits, if it is not nil, is called when a place is taken and others are
	// ahead: once for each place, on Enter's goroutine. It must not wait.
	Waits func()
}

// check fills in defaults.
func (sp *Spec) check() error {
	if sp.Limit == 0 {
		sp.Limit = 1
	}
	if sp.Limit < 1 || sp.Limit > MaxLimit {
		return fmt.Errorf("%w: %d is not from 1 to %d", ErrBadLimit, sp.Limit, MaxLimit)
	}
	return checkName(sp.Name)
}

func (sp *Spec) root() string     { return Root + "/" + sp.Name }
func (sp *Spec) confPath() string { return sp.root() + "/conf" }

// Enter takes a place and waits until it is its turn. If ctx ends before, the
// place is given up and the error is ctx's. If the session's life is over
// before, it takes another place, at the end, in the next life.
func Enter(ctx context.Context, s *session.Session, sp Spec) (*Place, error) {
	if err := sp.check(); err != nil {
		return nil, err
	}
	for {
		life, err := s.Life(ctx)
		if err != nil {
			return nil, err
		}
		q := &queuer{s: s, st: s.Store(), life: life, sp: &sp, patient: true, plain: sp.Shared || sp.Limit > 1}
		p, err := q.enterUnless(ctx, q.block)
		if !errors.Is(err, session.ErrLost) {
			return p, err
		}
	}
}

// Try is Enter for who does not want to wait: its error Is ErrHeld if others are
// ahead, and then it has written nothing in most cases. It does wait for the end
// of those of whom nothing was heard for half their TTL.
func Try(ctx context.Context, s *session.Session, sp Spec) (*Place, error) {
	if err := sp.check(); err != nil {
		return nil, err
	}
	life, err := s.Life(ctx)
	if err != nil {
		return nil, err
	}
	q := &queuer{s: s, st: s.Store(), life: life, sp: &sp, plain: true}
	list, err := entries(ctx, q.st, sp.Name)
	if err != nil {
		return nil, err
	}
	if err := q.bar(ctx, ahead(list, sp.Shared)); err != nil {
		return nil, err
	}
	return q.enterUnless(ctx, q.bar)
}

// queuer is one place on its way through the line, within one life. It belongs
// to the goroutine of Enter.
type queuer struct {
	s    *session.Session
	st   session.Store
	life *session.Life
	sp   *Spec
	// patient: once in line, it waits out what may pass by itself.
	patient bool
	vigils  *vigils
	memo    memo

	entry Entry // Rev is 0 until it is there
	// fresh: nothing was asked since the entry was created; first: that was in
	// an empty line.
	fresh, first bool
	// from is the rev from which on a watch misses nothing that the list before
	// it did not show.
	from int64
	// clear is the rev at which the last of those ahead was seen to go; 0: none.
	clear int64
	// granted: a node has told of a rev at which it was its turn.
	granted bool
	// plain: no node is asked to wait for the turn. Of shared places, and where
	// several hold, others ahead may stay; and Try does not wait.
	plain bool
	// allHold: all before it in the line hold.
	allHold bool
	// waits: Spec.Waits was called. busy: others were ahead.
	waits, busy bool
}

// enterUnless takes a place and asks again and again whether it is its turn. In
// between it calls wait with those ahead; an error of wait gives the place up.
func (q *queuer) enterUnless(ctx context.Context, wait func(context.Context, []Entry) error) (*Place, error) {
	if err := q.create(ctx); err != nil {
		return nil, err
	}
	q.from = q.entry.Rev + 1
	q.vigils = newVigils(q.st)
	defer q.vigils.end()
	for {
		p, ahead, err := q.turn(ctx)
		if err == nil && p != nil {
			q.memo.busy = q.busy
			q.remember()
			return p, nil
		}
		if err == nil {
			q.busy = q.busy || len(ahead) > 0
			err = wait(ctx, ahead)
		}
		if q.patient && Transient(err) {
			err = q.pause(ctx)
		}
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		if err != nil {
			q.leave(err)
			return nil, err
		}
	}
}

// leave gives the place up without waiting for the store. Of a life that is over
// there is nothing to give up: others delete what is left of it.
func (q *queuer) leave(why error) {
	if !errors.Is(why, session.ErrLost) {
		q.life.Discard(q.entry.Path, q.entry.Rev)
	}
}

// create makes the entry. It asks that the session file is unchanged, so that
// after the next beat a request that is still under way can't be done any more:
// an entry that nobody knows of would stop the line for ever.
//
// Where the line was empty last time it also asks that it is: then it has its turn
// by the creation itself, at the rev of that.
func (q *queuer) create(ctx context.Context) error {
	q.entry = newEntry(q.sp, q.life.ID())
	sessionRev := q.life.Rev()
	q.recall()
	for {
		conf, confOps, err := q.agree(ctx)
		if err != nil {
			return err
		}
		t := client.Txn{
			If: []client.Cond{client.Missing(q.entry.Path), client.Unchanged(q.life.Path(), sessionRev), conf},
			Do: append([]client.Op{client.SetOp(q.entry.Path, encode(q.entry.body))}, confOps...),
		}
		first := !q.memo.busy
		if first {
			// What is a directory has something in it.
			t.If = append(t.If, client.Missing(q.sp.root()+"/e"))
		}
		rev, err := q.st.Txn(ctx, t)
		var mismatch *client.RevMismatchError
		switch {
		case err == nil:
			q.entry.Rev, q.fresh, q.first = rev, true, first
			return nil
		case first && errors.Is(err, client.ErrIsDir):
			q.memo.busy = true
		case errors.As(err, &mismatch) && mismatch.Path == q.life.Path() && mismatch.Rev == 0:
			return q.dead(ctx)
		case errors.As(err, &mismatch) && mismatch.Path == q.life.Path():
			sessionRev = mismatch.Rev // a beat came in between
		case errors.As(err, &mismatch) && mismatch.Path == q.sp.confPath():
			q.memo.rev = 0 // it is not as it was; agree again
		case errors.Is(err, client.ErrUnknownOutcome):
			return q.resolve(ctx, err)
		default:
			return err
		}
	}
}

// dead waits until the life knows what the store said: that it is over.
func (q *queuer) dead(ctx context.Context) error {
	q.life.Poke()
	select {
	case <-q.life.Dead():
		return session.ErrLost
	case <-ctx.Done():
		return ctx.Err()
	}
}

// resolve finds out whether an entry was made whose reply did not come. While
// ctx lives it waits for that; else the session does it in the background.
func (q *queuer) resolve(ctx context.Context, unknown error) error {
	if err := q.life.Fence(ctx); err != nil {
		if !errors.Is(err, session.ErrLost) {
			q.life.Discard(q.entry.Path, 0)
		}
		return err
	}
	f, err := q.st.Get(ctx, q.entry.Path)
	switch {
	case errors.Is(err, client.ErrNotExist):
		return unknown
	case err != nil:
		q.life.Discard(q.entry.Path, 0)
		return err
	}
	if got := parseEntry(f); got.Nonce != q.entry.Nonce {
		return fmt.Errorf("%s is of another: %w", f.Path, unknown)
	}
	q.entry.Rev = f.Rev
	return nil
}

// agree returns the condition that all agree on how the line is used, and what
// has to be written if nobody has used it so far.
func (q *queuer) agree(ctx context.Context) (client.Cond, []client.Op, error) {
	want := Conf{V: entryVersion, Mode: q.sp.Mode, Limit: q.sp.Limit}
	path := q.sp.confPath()
	if q.memo.rev != 0 && q.memo.conf == want {
		return client.Unchanged(path, q.memo.rev), nil, nil
	}
	f, err := q.st.Get(ctx, path)
	if errors.Is(err, client.ErrNotExist) {
		return client.Missing(path), []client.Op{client.SetOp(path, encode(want))}, nil
	}
	if err != nil {
		return client.Cond{}, nil, err
	}
	var have Conf
	if err := json.Unmarshal(f.Value, &have); err != nil || have != want {
		says := have.String()
		if err != nil {
			says = fmt.Sprintf("%q", f.Value)
		}
		return client.Cond{}, nil, fmt.Errorf("%w: %s says %s, not %v; delete it when nobody uses it", ErrConf, path, says, want)
	}
	q.memo.conf, q.memo.rev = have, f.Rev
	q.remember()
	return client.Unchanged(path, f.Rev), nil, nil
}

// memo is what is remembered of a line from one Enter of a session to the next.
type memo struct {
	conf Conf
	rev  int64 // of conf; 0: not known
	// busy: last time others were in the line.
	busy bool
}

func (q *queuer) recall() {
	if m, ok := q.s.Recall(q.sp.root()).(memo); ok {
		q.memo = m
	}
}

func (q *queuer) remember() { q.s.Remember(q.sp.root(), q.memo) }

// Transient tells whether err may pass by itself: the store can't be reached, or
// has no majority. Who stands in line waits for that, and keeps the place.
func Transient(err error) bool {
	for _, e := range [...]error{
		client.ErrNoQuorum, client.ErrOverloaded, client.ErrStopping, client.ErrQuarantined, client.ErrUnreachable,
		client.ErrUnknownOutcome, client.ErrTooLate, context.DeadlineExceeded,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// retryPause is the time between attempts to ask a store that can't answer.
const retryPause = 250 * time.Millisecond

func (q *queuer) pause(ctx context.Context) error {
	t := time.NewTimer(retryPause)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
