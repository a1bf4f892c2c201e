package sessiontest

import (
	"testing"
	"time"

	"github.com/doozer-store/doozer/client/fakestore"
	"github.com/doozer-store/doozer/client/session"
)

// TTL is that of every program's session.
const TTL = 10 * time.Second

// Program is one client of a store with its session.
type Program struct {
	*session.Session
	Client *fakestore.Client
}

// Start opens a session by the bubble's clock; opts come after what it sets. The
// program ends with the test, whatever faults its client has then.
func Start(t testing.TB, st *fakestore.Store, opts ...session.Option) *Program {
	t.Helper()
	c := st.Client()
	base := time.Now()
	opts = append([]session.Option{session.TTL(TTL), session.Anonymous(),
		session.WithClock(func() time.Duration { return time.Since(base) })}, opts...)
	s, err := session.Open(t.Context(), c, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Fault(nil)
		c.Heal()
		s.Close()
		c.WaitLate()
	})
	return &Program{s, c}
}
