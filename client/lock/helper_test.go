package lock

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doozer-store/doozer/client/fakestore"
	"github.com/doozer-store/doozer/client/session"
)

const ttl = 10 * time.Second

// bubble runs fn under synctest with a store.
func bubble(t *testing.T, fn func(t *testing.T, st *fakestore.Store)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { fn(t, fakestore.New()) })
}

// program is one client of the store with its session.
type program struct {
	*session.Session
	c *fakestore.Client
}

func start(t *testing.T, st *fakestore.Store) *program {
	t.Helper()
	c := st.Client()
	base := time.Now()
	s, err := session.Open(t.Context(), c, session.TTL(ttl), session.Anonymous(),
		session.WithClock(func() time.Duration { return time.Since(base) }))
	if err != nil {
		t.Fatal(err)
	}
	p := &program{s, c}
	t.Cleanup(func() {
		c.Fault(nil)
		c.Heal()
		s.Close()
		c.WaitLate()
	})
	return p
}

func acquire(t *testing.T, p *program, name string, opts ...Option) *Lock {
	t.Helper()
	lk, err := Acquire(t.Context(), p.Session, name, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return lk
}

// later begins to acquire and returns where the lock comes out.
func later(t *testing.T, p *program, name string, opts ...Option) <-chan *Lock {
	t.Helper()
	ctx, got := t.Context(), make(chan *Lock, 1)
	go func() {
		if lk, err := Acquire(ctx, p.Session, name, opts...); err == nil {
			got <- lk
		}
	}()
	synctest.Wait()
	return got
}

// has tells whether a channel has something, after all that is due happened.
func has(got <-chan *Lock) bool {
	synctest.Wait()
	return len(got) > 0
}

func release(t *testing.T, lk *Lock) {
	t.Helper()
	if err := lk.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// gone tells whether a context has ended.
func gone(ctx context.Context) bool {
	synctest.Wait()
	return ctx.Err() != nil
}
