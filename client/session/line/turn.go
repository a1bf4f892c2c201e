package line

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/client/session"
)

func nonce() string {
	var b [16]byte
	rand.Read(b[:]) // it never fails: see crypto/rand
	return hex.EncodeToString(b[:])
}

// turn tells whether it is this place's turn, and returns the place if so, else
// those ahead of it. The turn is decided by entries alone: a session that has
// ended only allows others to delete its entries. So two that conflict never have
// their turn while both entries exist, whatever any clock says.
//
// A turn is a fact of one rev: the entry is there, and nobody who counts is ahead.
// The rev may be that of the creation in an empty line, that of the answer of a
// node that was asked to wait for it, that of the event that the last one ahead
// has gone, or that of a read.
func (q *queuer) turn(ctx context.Context) (*Place, []Entry, error) {
	fresh, granted, clear := q.fresh, q.first || q.granted, q.clear
	q.fresh, q.first, q.granted, q.clear = false, false, false, 0
	if fresh && !granted && !q.plain {
		a, err := q.glance(ctx)
		if err != nil && !q.plain && !Transient(err) {
			return nil, nil, err
		}
		granted = err == nil && a.Newest == nil
	}
	if granted || clear > 0 && q.present(ctx, clear) {
		return q.take(ctx)
	}
	return q.ask(ctx, fresh)
}

// glance waits for the turn for as long as nobody has to be looked after, so that
// who is ahead need not be known: most locks pass on sooner. That is longer where
// there are others who wait.
func (q *queuer) glance(ctx context.Context) (client.Awaited, error) {
	q.vigils.waited = holderAfter
	a, err := q.await(ctx, "", holderAfter)
	if err != nil || a.Older <= 1 {
		return a, err
	}
	q.vigils.waited = waiterAfter
	return q.await(ctx, a.Newest.Path, waiterAfter-holderAfter)
}

// await has a node wait, for so long, until the line has nobody ahead, or
// somebody else than known right before this place ("": that does not matter). It
// returns who that is, at a rev at which the entry and the session's file are
// there. Where they are not, the error tells it.
func (q *queuer) await(ctx context.Context, known string, wait time.Duration) (client.Awaited, error) {
	a, err := q.st.Await(ctx, client.Await{
		Glob:   q.sp.root() + "/e/*",
		Before: q.entry.Rev,
		If:     []client.Cond{client.Unchanged(q.entry.Path, q.entry.Rev), client.Unchanged(q.life.Path(), math.MaxInt64)},
		Known:  known,
		For:    wait,
	})
	switch {
	case errors.Is(err, client.ErrRevMismatch):
		// Only the end of the session allows others to delete the entry.
		q.life.Poke()
		return a, q.gone(ctx)
	case err != nil:
		q.plain = errors.Is(err, client.ErrBadRequest) // a node of an older version
		return a, err
	}
	q.busy = q.busy || a.Waited
	return a, nil
}

// queue waits until it is this place's turn, or another is right before it than
// known.
func (q *queuer) queue(ctx context.Context, known string) error {
	for {
		a, err := q.await(ctx, known, max(q.s.TTL()/3, time.Second))
		switch {
		case q.plain:
			return nil
		case err != nil:
			return err
		case a.Newest == nil || a.Newest.Path != known:
			q.granted = a.Newest == nil
			return nil
		}
	}
}

// present tells whether the entry and the session's file were there at rev: that
// they are must be known before anybody is told that he holds. What was at a rev
// any one node can tell; where none does the line is read.
func (q *queuer) present(ctx context.Context, rev int64) bool {
	checked := make(chan error, 1)
	go func() { checked <- q.alive(ctx, client.AtRev(rev), client.Local()) }()
	f, err := q.st.Get(ctx, q.entry.Path, client.AtRev(rev), client.Local())
	alive := <-checked
	return err == nil && alive == nil && f.Rev == q.entry.Rev
}

// alive asks for the session's file.
func (q *queuer) alive(ctx context.Context, opts ...client.ReadOption) error {
	_, err := q.st.Get(ctx, q.life.Path(), opts...)
	return err
}

// ask reads the line, and beside it, in the same round, the session's file.
//
// Of a fresh entry the creation asked that the session's file is there, and any
// node that has the entry will do: it shows who was ahead at a rev from that of
// the entry on, and the watch begins behind that one.
func (q *queuer) ask(ctx context.Context, fresh bool) (*Place, []Entry, error) {
	var opts []client.ReadOption
	checked := make(chan error, 1)
	if fresh {
		checked <- nil
		opts = append(opts, client.Local())
	} else {
		go func() { checked <- q.alive(ctx) }()
	}
	list, err := entries(ctx, q.st, q.sp.Name, opts...)
	alive := <-checked
	own := -1
	for i, e := range list {
		if e.Path == q.entry.Path && e.Rev == q.entry.Rev {
			own = i
		}
	}
	switch {
	case fresh && (err != nil || own < 0):
		return q.ask(ctx, false)
	case err != nil:
		return nil, nil, err
	case own < 0 || errors.Is(alive, client.ErrNotExist):
		// Only the end of the session allows others to delete the entry.
		q.life.Poke()
		return nil, nil, q.gone(ctx)
	case alive != nil:
		return nil, nil, alive
	}
	before := ahead(list[:own], q.sp.Shared)
	if len(before) >= q.sp.Limit {
		q.allHold = holders(list[:own], q.sp.Limit) == own
		return nil, before, nil
	}
	return q.take(ctx)
}

// gone is the error of a place that is no longer there. That was because the
// session had ended, or by people's hands; in both cases another place, in a
// life of which the store knows, is what is left.
func (q *queuer) gone(ctx context.Context) error {
	if err := q.life.Fence(ctx); err != nil && !errors.Is(err, session.ErrLost) {
		return err
	}
	return fmt.Errorf("%w: the place in line is gone", session.ErrLost)
}

// take makes a place of the entry if the session is known to be safe at this
// moment. If it is not, the store has to be asked again when it is.
func (q *queuer) take(ctx context.Context) (*Place, []Entry, error) {
	now, cancel := context.WithCancel(ctx)
	cancel()
	span, err := q.life.Span(now)
	if err == nil {
		return hold(q.st, q.life, q.entry, span), nil, nil
	}
	if errors.Is(err, context.Canceled) {
		_, err = q.life.Span(ctx)
	}
	return nil, nil, err
}

// block waits until there is a reason to ask again whether it is its turn.
// Nobody is ahead when the session had lapsed: then there is nothing to wait for.
func (q *queuer) block(ctx context.Context, ahead []Entry) error {
	if len(ahead) == 0 {
		return nil
	}
	if q.sp.Waits != nil && !q.waits {
		q.waits = true
		q.sp.Waits()
	}
	within, cancel := context.WithCancel(ctx)
	seen := make(chan error, 1)
	go func() { seen <- q.watch(within, ahead) }()
	err, watching := q.attend(ctx, ahead, seen)
	cancel()
	if watching {
		<-seen
	}
	return err
}

// attend waits for what the watch has seen, or for a death. It returns true if
// the watch goes on.
func (q *queuer) attend(ctx context.Context, ahead []Entry, seen <-chan error) (err error, watching bool) {
	for {
		q.vigils.over(ahead, q.allHold)
		select {
		case err = <-seen:
			return err, false
		case n := <-q.vigils.heard:
			if q.vigils.of[n.id] != nil {
				q.vigils.alive[n.id] = n.alive
			}
		case id := <-q.vigils.died:
			q.vigils.dead(id)
			return q.bury(ctx, ahead, id), true
		case <-q.life.Dead():
			return session.ErrLost, true
		}
	}
}

// bury deletes the entries of the session id, which has ended, among those
// ahead.
func (q *queuer) bury(ctx context.Context, ahead []Entry, id string) error {
	for _, e := range ahead {
		if e.Session != id {
			continue
		}
		if err := q.remove(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// remove deletes an entry whose session has ended: the store itself sees to it
// that the session is not there. If the entry is not there any
// more, or something else has happened, asking again tells.
func (q *queuer) remove(ctx context.Context, e Entry) error {
	_, err := q.st.Txn(ctx, client.Txn{
		If:      []client.Cond{client.Missing(session.PathOf(e.Session)), client.Unchanged(e.Path, e.Rev)},
		Do:      []client.Op{client.DelOp(e.Path)},
		Message: "its session has ended",
	})
	if err != nil && !errors.Is(err, client.ErrRevMismatch) && !errors.Is(err, client.ErrUnknownOutcome) {
		return err
	}
	return nil
}

// watch waits for the deletion that may make it this place's turn. Where all
// ahead have to go, any one of them will do: so each waits for the one before
// it, and a release wakes one. Where some may stay, the first in line has to
// see every release, and each has to notice when it is the first.
func (q *queuer) watch(ctx context.Context, ahead []Entry) error {
	if !q.plain {
		return q.queue(ctx, ahead[len(ahead)-1].Path)
	}
	glob, left := ahead[len(ahead)-1].Path, map[string]bool{}
	enough := 0
	if q.sp.Limit > 1 {
		glob = q.sp.root() + "/e/*"
		enough = q.sp.Limit
		if len(ahead) == enough {
			enough--
		}
	}
	for _, e := range ahead {
		left[e.Path] = true
	}
	for ev, err := range q.st.Watch(ctx, glob, client.From(q.from), client.NoResync()) {
		if errors.Is(err, client.ErrTooLate) {
			return q.restart(ctx)
		}
		if err != nil {
			return err
		}
		q.from = ev.Rev + 1
		if ev.Del && left[ev.Path] {
			delete(left, ev.Path)
			if len(left) == 0 {
				q.clear = ev.Rev
			}
			if enough == 0 || len(left) <= enough {
				return nil
			}
		}
	}
	return ctx.Err()
}

// restart makes the present the start of the next watch: what happened before
// it is in the list that comes before that watch.
func (q *queuer) restart(ctx context.Context) error {
	rev, err := q.st.Rev(ctx)
	if err == nil {
		q.from = rev + 1
	}
	return err
}

// bar is what Try does about those ahead: it removes the dead, and gives up if
// too many are left.
func (q *queuer) bar(ctx context.Context, before []Entry) error {
	left := len(before)
	for _, e := range before {
		if left < q.sp.Limit {
			break
		}
		dead, err := q.inspect(ctx, e)
		if err == nil && dead {
			left--
			err = q.remove(ctx, e)
		}
		if err != nil {
			return err
		}
	}
	if left >= q.sp.Limit && left > 0 {
		return ErrHeld
	}
	return nil
}

// inspect tells whether the session of e has ended. Of one that is overdue, by
// the leader's stamps on its file and on the own one, it waits for the end or
// for a beat; those stamps decide about nothing else.
func (q *queuer) inspect(ctx context.Context, e Entry) (dead bool, err error) {
	if e.Session == "" {
		return false, nil
	}
	f, err := q.st.Get(ctx, session.PathOf(e.Session))
	if errors.Is(err, client.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	own, err := q.st.Get(ctx, q.life.Path())
	if err != nil {
		return false, err
	}
	r, err := session.ParseRecord(f.Value)
	if err != nil || r.Kept() || own.Time.Sub(f.Time) < r.TTL()/2 {
		return false, nil
	}
	return session.Challenge(ctx, q.st, e.Session)
}
