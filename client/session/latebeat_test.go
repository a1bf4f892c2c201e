package session

import (
	"testing"
	"time"

	"github.com/doozer-store/doozer/client/fakestore"
)

// A beat arrives between a challenger's decision and its deletion: the deletion
// is of the session as the challenger saw it, and the store refuses it.
func TestBeatOvertakesDeletion(t *testing.T) {
	fakestore.Bubble(t, func(t *testing.T, st *fakestore.Store) {
		owner, other := st.Client(), st.Client()
		l, _ := span(t, open(t, owner))
		overtaken := 0
		other.Fault(func(op, path string) fakestore.Fault {
			if op == "txn" && path == l.Path() {
				overtaken++
				for _, f := range st.Files(path) {
					st.Set(path, string(f.Value))
				}
			}
			return fakestore.None
		})
		died := challenge(t, other, l.ID())
		owner.Cut()
		for range 100 { // many times its TTL of 10 s, and what a challenger adds
			time.Sleep(3 * time.Second)
			if len(st.Files(l.Path())) == 0 || told(died) {
				t.Fatalf("deleted after %d deletions that a beat had overtaken", overtaken)
			}
		}
		if overtaken == 0 {
			t.Error("nobody tried to end it: this has tested nothing")
		}
		owner.Heal()
	})
}
