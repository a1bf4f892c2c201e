package lock

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/doozer-store/doozer/client/session/sessiontest"
)

const ttl = sessiontest.TTL

func acquire(t *testing.T, p *sessiontest.Program, name string, opts ...Option) *Lock {
	t.Helper()
	lk, err := Acquire(t.Context(), p.Session, name, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return lk
}

// later begins to acquire and returns where the lock comes out.
func later(t *testing.T, p *sessiontest.Program, name string, opts ...Option) <-chan *Lock {
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
