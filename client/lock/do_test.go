package lock

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/client/fakestore"
	"github.com/doozer-store/doozer/client/session"
	"github.com/doozer-store/doozer/client/session/sessiontest"
)

// Do's function sees the loss, and Do waits for it.
func TestDo(t *testing.T) {
	fakestore.Bubble(t, func(t *testing.T, st *fakestore.Store) {
		p := sessiontest.Start(t, st)
		var token int64
		err := Do(t.Context(), p.Session, "x", func(ctx context.Context, lk *Lock) error {
			token = lk.Token()
			_, err := lk.Txn(ctx, client.Txn{If: []client.Cond{client.Missing("/data")}, Do: []client.Op{client.SetOp("/data", nil)}})
			return err
		})
		if err != nil || token == 0 || len(st.Files("/lock/x/e/*")) != 0 {
			t.Error(err, token)
		}
		ours := errors.New("ours")
		returned := false
		err = Do(t.Context(), p.Session, "x", func(ctx context.Context, lk *Lock) error {
			p.Client.Cut()
			<-ctx.Done()
			if !errors.Is(context.Cause(ctx), session.ErrLost) {
				t.Error(context.Cause(ctx))
			}
			p.Client.Heal()
			time.Sleep(time.Hour)
			returned = true
			return ours
		})
		if !errors.Is(err, session.ErrLost) || !errors.Is(err, ours) || !returned {
			t.Error(err)
		}
		// A condition of the caller's own that fails is not a loss.
		err = Do(t.Context(), p.Session, "x", func(ctx context.Context, lk *Lock) error {
			_, err := lk.Txn(ctx, client.Txn{If: []client.Cond{client.Missing("/data")}, Do: []client.Op{client.SetOp("/data", nil)}})
			return err
		})
		if !errors.Is(err, client.ErrRevMismatch) || errors.Is(err, session.ErrLost) {
			t.Error(err)
		}
	})
}

// Close of the session is the end of what it held.
func TestSessionClose(t *testing.T) {
	fakestore.Bubble(t, func(t *testing.T, st *fakestore.Store) {
		a, b := sessiontest.Start(t, st), sessiontest.Start(t, st)
		lk := acquire(t, a, "x")
		next := later(t, b, "x")
		a.Close()
		if !gone(lk.Context()) || !errors.Is(context.Cause(lk.Context()), session.ErrClosed) {
			t.Error(context.Cause(lk.Context()))
		}
		began := time.Now()
		<-next
		if took := time.Since(began); took > ttl/2 {
			t.Error("taken over after", took)
		}
		if _, err := Acquire(t.Context(), a.Session, "x"); !errors.Is(err, session.ErrClosed) {
			t.Error(err)
		}
	})
}
