package lock

import (
	"errors"
	"testing"
	"time"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/client/fakestore"
	"github.com/doozer-store/doozer/client/session/sessiontest"
)

// A lock that is kept outlives its program, and ends by people's hands only.
func TestBreak(t *testing.T) {
	fakestore.Bubble(t, func(t *testing.T, st *fakestore.Store) {
		a, b := sessiontest.Start(t, st), sessiontest.Start(t, st)
		lk := acquire(t, a, "x")
		if err := Break(t.Context(), b.Client, "x", lk.Token()); !errors.Is(err, ErrNotKept) {
			t.Error(err)
		}
		if err := a.Keep(t.Context()); err != nil {
			t.Fatal(err)
		}
		a.Close()
		next := later(t, b, "x")
		time.Sleep(10 * time.Hour)
		if has(next) {
			t.Fatal("a lock that is kept was taken over")
		}
		if _, err := Try(t.Context(), b.Session, "x"); !errors.Is(err, ErrHeld) {
			t.Error(err)
		}
		if err := Break(t.Context(), b.Client, "x", lk.Token()+1000); !errors.Is(err, client.ErrNotExist) {
			t.Error(err)
		}
		if err := Break(t.Context(), b.Client, "a//b", 1); !errors.Is(err, ErrBadName) {
			t.Error(err)
		}
		if err := Break(t.Context(), b.Client, "x", lk.Token()); err != nil {
			t.Error(err)
		}
		release(t, <-next)
		if left := st.Files("/lock/x/e/*"); len(left) > 0 {
			t.Error("left:", left)
		}
	})
}
