package lock

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doozer-store/doozer/client/fakestore"
	"github.com/doozer-store/doozer/client/session"
	"github.com/doozer-store/doozer/client/session/sessiontest"
)

// One that waits is believed dead while its beats are lost, and its place is given
// away. Its clock stands still, so that it knows nothing of that: but the event
// that shows that the one before it is gone is no turn of a place that is gone.
func TestTurnOfTheDead(t *testing.T) {
	fakestore.Bubble(t, func(t *testing.T, st *fakestore.Store) {
		holder := acquire(t, sessiontest.Start(t, st), "x")
		dead := sessiontest.Start(t, st, session.WithClock(func() time.Duration { return 0 }))
		late := later(t, dead, "x")
		next := later(t, sessiontest.Start(t, st), "x")
		// It hears all there is, but cannot beat.
		dead.Client.Fault(func(op, path string) fakestore.Fault {
			if op == "txn" && strings.HasPrefix(path, session.Dir) {
				return fakestore.LoseRequest
			}
			return fakestore.None
		})
		time.Sleep(3 * ttl)
		synctest.Wait()
		release(t, holder)
		second := <-next
		time.Sleep(ttl / 2)
		if has(late) {
			t.Fatal("two hold the lock")
		}
		dead.Client.Fault(nil)
		release(t, second)
		release(t, <-late)
	})
}

// A free lock costs one write, however often, and one read the first time; a
// line that was used by others is asked about again.
func TestCosts(t *testing.T) {
	fakestore.Bubble(t, func(t *testing.T, st *fakestore.Store) {
		p, other := sessiontest.Start(t, st), sessiontest.Start(t, st)
		cost := func(p *sessiontest.Program) fakestore.Counts {
			before := st.Count()
			lk := acquire(t, p, "x")
			after := st.Count()
			release(t, lk)
			return fakestore.Counts{Gets: after.Gets - before.Gets, Walks: after.Walks - before.Walks, Txns: after.Txns - before.Txns, Awaits: after.Awaits - before.Awaits}
		}
		for i, want := range []fakestore.Counts{{Gets: 1, Txns: 1}, {Gets: 1, Txns: 1}, {Txns: 1}} {
			if got := cost(p); got != want {
				t.Errorf("time %d: %+v, want %+v", i, got, want)
			}
		}
		lk := acquire(t, other, "x")
		got := later(t, p, "x")
		release(t, lk)
		release(t, <-got)
		for i, want := range []fakestore.Counts{{Awaits: 1, Txns: 1}, {Txns: 1}} {
			if got := cost(p); got != want {
				t.Errorf("after others, time %d: %+v, want %+v", i, got, want)
			}
		}
	})
}
