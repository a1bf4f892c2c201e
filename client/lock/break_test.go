package lock

import (
	"errors"
	"testing"
	"time"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/client/fakestore"
)

// A lock that is kept outlives its program, and ends by people's hands only.
func TestBreak(t *testing.T) {
	bubble(t, func(t *testing.T, st *fakestore.Store) {
		a, b := start(t, st), start(t, st)
		lk := acquire(t, a, "x")
		if err := Break(t.Context(), b.c, "x", lk.Token()); !errors.Is(err, ErrNotKept) {
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
		if err := Break(t.Context(), b.c, "x", lk.Token()+1000); !errors.Is(err, client.ErrNotExist) {
			t.Error(err)
		}
		if err := Break(t.Context(), b.c, "a//b", 1); !errors.Is(err, ErrBadName) {
			t.Error(err)
		}
		if err := Break(t.Context(), b.c, "x", lk.Token()); err != nil {
			t.Error(err)
		}
		release(t, <-next)
		if left := st.Files("/lock/x/e/*"); len(left) > 0 {
			t.Error("left:", left)
		}
	})
}
