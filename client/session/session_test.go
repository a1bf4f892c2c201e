package session

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/client/fakestore"
)

// clock is a session's clock that tests can jump, as a machine that slept does:
// Go's timers know nothing of it.
type clock struct {
	base   time.Time
	jumped atomic.Int64
}

func newClock() *clock { return &clock{base: time.Now()} }

func (c *clock) now() time.Duration {
	return time.Since(c.base) + time.Duration(c.jumped.Load())
}

func (c *clock) sleep(d time.Duration) { c.jumped.Add(int64(d)) }

func open(t *testing.T, st Store, opts ...Option) *Session {
	t.Helper()
	opts = append([]Option{TTL(10 * time.Second), Anonymous(), WithClock(newClock().now)}, opts...)
	s, err := Open(t.Context(), st, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// span is the present span of s.
func span(t *testing.T, s *Session) (*Life, context.Context) {
	t.Helper()
	l, err := s.Life(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, err := l.Span(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return l, ctx
}

// live tells whether ctx is live, after everything that is due has happened.
func live(ctx context.Context) bool {
	synctest.Wait()
	return ctx.Err() == nil
}

// A session is one file, rewritten three times a TTL, and nothing at the end.
func TestBeats(t *testing.T) {
	fakestore.Bubble(t, func(t *testing.T, st *fakestore.Store) {
		s := open(t, st.Client(), Who("me"))
		l, ctx := span(t, s)
		time.Sleep(5 * time.Minute)
		if !live(ctx) {
			t.Error("a healthy session was lost:", context.Cause(ctx))
		}
		if n := st.Count().Txns; n < 85 || n > 91 {
			t.Errorf("%d writes in 30 TTLs", n)
		}
		files := st.Files("/session/*")
		if len(files) != 1 || files[0].Path != l.Path() {
			t.Fatal("files:", files)
		}
		if r, err := ParseRecord(files[0].Value); err != nil || r.Who != "me" || r.TTL() != 10*time.Second {
			t.Error(r, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if files := st.Files("/**"); len(files) != 0 {
			t.Error("left:", files)
		}
		if !errors.Is(context.Cause(ctx), ErrClosed) {
			t.Error("cause:", context.Cause(ctx))
		}
		if _, err := s.Life(t.Context()); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// The deadline counts from the moment of sending: at TTL - margin after the
// last beat that was acknowledged was sent, what hangs on the session ends.
func TestLapse(t *testing.T) {
	fakestore.Bubble(t, func(t *testing.T, st *fakestore.Store) {
		c := st.Client()
		s := open(t, c)
		l, ctx := span(t, s)
		c.Delay(2 * time.Second)
		sent := s.Now() + 10*time.Second/3 // the next beat
		time.Sleep(10*time.Second/3 + 3*time.Second)
		c.Cut()
		if got, want := l.Deadline(), sent+9*time.Second; got != want {
			t.Errorf("deadline %v, want %v", got, want)
		}
		time.Sleep(l.Deadline() - s.Now() - time.Nanosecond)
		if !live(ctx) {
			t.Error("lost before the deadline:", context.Cause(ctx))
		}
		time.Sleep(time.Nanosecond)
		if live(ctx) || !errors.Is(context.Cause(ctx), ErrLost) {
			t.Error("held at the deadline:", context.Cause(ctx))
		}
		// The store comes back: the same life goes on, with another span.
		time.Sleep(time.Minute)
		c.Heal()
		again, next := span(t, s)
		if again != l || !live(next) || live(ctx) {
			t.Error("the life did not go on, or the old span did")
		}
	})
}

// A machine that slept finds its sessions lapsed at once, by the clock, and
// soon by the timer.
func TestSuspend(t *testing.T) {
	fakestore.Bubble(t, func(t *testing.T, st *fakestore.Store) {
		clk := newClock()
		s := open(t, st.Client(), WithClock(clk.now))
		l, ctx := span(t, s)
		clk.sleep(time.Hour)
		if l.Safe(ctx) {
			t.Error("safe after a night's sleep")
		}
		s = open(t, st.Client(), WithClock(clk.now))
		_, ctx = span(t, s)
		clk.sleep(time.Hour)
		time.Sleep(lapseTick(s.TTL()))
		if live(ctx) {
			t.Error("no timer looked at the clock")
		}
	})
}

// Only an end of the file is the end of a life; the next one has another id.
func TestAnotherLife(t *testing.T) {
	fakestore.Bubble(t, func(t *testing.T, st *fakestore.Store) {
		s := open(t, st.Client())
		l, ctx := span(t, s)
		st.Del(l.Path())
		l.Poke()
		<-l.Dead()
		if live(ctx) || !errors.Is(context.Cause(ctx), ErrLost) {
			t.Error("cause:", context.Cause(ctx))
		}
		if _, err := l.Span(t.Context()); !errors.Is(err, ErrLost) {
			t.Error(err)
		}
		if next, ctx := span(t, s); next.ID() == l.ID() || !live(ctx) {
			t.Error("the next life is the last one")
		}
	})
}

// first is a fault of the next transaction alone.
func first(fault fakestore.Fault) func(op, path string) fakestore.Fault {
	return func(op, _ string) (f fakestore.Fault) {
		if op == "txn" {
			f, fault = fault, fakestore.None
		}
		return f
	}
}

// A reply that is lost does not cost the session: the beat is found in the file.
func TestLostReplies(t *testing.T) {
	for _, fault := range []fakestore.Fault{fakestore.LoseReply, fakestore.LoseRequest, fakestore.Late} {
		fakestore.Bubble(t, func(t *testing.T, st *fakestore.Store) {
			c := st.Client()
			s := open(t, c)
			l, _ := span(t, s)
			c.Fault(first(fault))
			time.Sleep(time.Minute)
			c.WaitLate()
			if again, next := span(t, s); again != l || !live(next) {
				t.Errorf("fault %d: the life is over", fault)
			}
		})
	}
}

// The reply to the creation is lost: either the file is found, or its id is
// given up for good.
func TestLostCreation(t *testing.T) {
	fakestore.Bubble(t, func(t *testing.T, st *fakestore.Store) {
		c := st.Client()
		c.Fault(func(op, _ string) fakestore.Fault {
			if op == "txn" {
				return fakestore.LoseReply
			}
			return fakestore.None
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := Open(ctx, c, TTL(10*time.Second), Anonymous())
		if !errors.Is(err, client.ErrUnknownOutcome) {
			t.Error(err)
		}
		// What was left behind has no owner and ends as others do.
		left := st.Files("/session/*")
		if len(left) != 1 {
			t.Fatal(left)
		}
		if err := AwaitDeath(t.Context(), st.Client(), left[0].Path[len(Dir)+1:]); err != nil {
			t.Error(err)
		}
	})
}

// Somebody else writes the file: a copy of this process. Neither may go on.
func TestCopy(t *testing.T) {
	fakestore.Bubble(t, func(t *testing.T, st *fakestore.Store) {
		s := open(t, st.Client())
		l, ctx := span(t, s)
		r := Record{V: 1, TTLms: 10000, Beat: 7, Mark: "of another"}
		st.Set(l.Path(), string(r.encode()))
		l.Poke()
		<-l.Dead()
		if live(ctx) || !errors.Is(context.Cause(ctx), errForeign) {
			t.Error("cause:", context.Cause(ctx))
		}
	})
}

// Fence returns after a beat that was sent after the call.
func TestFence(t *testing.T) {
	fakestore.Bubble(t, func(t *testing.T, st *fakestore.Store) {
		s := open(t, st.Client())
		l, _ := span(t, s)
		before := l.Rev()
		if err := l.Fence(t.Context()); err != nil || l.Rev() <= before {
			t.Error(err, before, l.Rev())
		}
		if got := st.Files(l.Path())[0].Rev; got != l.Rev() {
			t.Error("the file is at", got)
		}
	})
}

// Discard deletes what it is told to as soon as it can.
func TestDiscard(t *testing.T) {
	fakestore.Bubble(t, func(t *testing.T, st *fakestore.Store) {
		c := st.Client()
		s := open(t, c)
		l, _ := span(t, s)
		rev := st.Set("/lock/a/e/1", "x")
		st.Set("/lock/a/e/2", "x")
		other := st.Set("/lock/a/e/3", "x")
		c.Cut()
		l.Discard("/lock/a/e/1", rev)
		l.Discard("/lock/a/e/2", 0)
		l.Discard("/lock/a/e/none", 0)
		l.Discard("/lock/a/e/3", other-1) // of another file that was there before
		time.Sleep(5 * time.Second)
		c.Heal()
		time.Sleep(5 * time.Second)
		if left := st.Files("/lock/**"); len(left) != 1 || left[0].Path != "/lock/a/e/3" {
			t.Error("left:", left)
		}
		l.Discard("/lock/a/e/3", other)
		s.Close()
		if left := st.Files("/lock/**"); len(left) != 0 {
			t.Error("left after Close:", left)
		}
	})
}

// What can't be deleted is bounded: the life ends instead.
func TestDiscardBound(t *testing.T) {
	fakestore.Bubble(t, func(t *testing.T, st *fakestore.Store) {
		c := st.Client()
		s := open(t, c)
		l, _ := span(t, s)
		c.Cut()
		for range 2*maxDebts + 2 {
			l.Discard("/lock/a/e/1", 1)
		}
		time.Sleep(s.TTL())
		select {
		case <-l.Dead():
		default:
			t.Error("it goes on")
		}
		c.Heal()
	})
}

// Close does not wait longer than its limit for a store that is gone, and says
// what that means.
func TestCloseUnreachable(t *testing.T) {
	fakestore.Bubble(t, func(t *testing.T, st *fakestore.Store) {
		c := st.Client()
		s := open(t, c)
		c.Cut()
		began := time.Now()
		if err := s.Close(); err == nil || errors.Is(err, ErrLost) {
			t.Error(err)
		}
		if took := time.Since(began); took != closeLimit(s.TTL()) {
			t.Error("took", took)
		}
		c.Heal()
	})
}

// A session that is kept outlives its program, and nobody ends it.
func TestKeep(t *testing.T) {
	for _, fault := range []fakestore.Fault{fakestore.None, fakestore.LoseReply} {
		fakestore.Bubble(t, func(t *testing.T, st *fakestore.Store) {
			c := st.Client()
			s := open(t, c)
			l, ctx := span(t, s)
			c.Fault(first(fault))
			if err := s.Keep(t.Context()); err != nil {
				t.Fatal(err)
			}
			c.Cut()
			time.Sleep(time.Hour)
			if fault == fakestore.None && (!live(ctx) || !l.Safe(ctx)) {
				t.Error("it lapsed:", context.Cause(ctx))
			}
			c.Heal()
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if f := st.Files(l.Path()); len(f) != 1 {
				t.Error("it is gone")
			} else if r, err := ParseRecord(f[0].Value); err != nil || !r.Kept() {
				t.Error(r, err)
			}
		})
	}
}

func TestBadTTL(t *testing.T) {
	for _, ttl := range []time.Duration{0, time.Millisecond, 2 * time.Hour} {
		if _, err := Open(t.Context(), nil, TTL(ttl)); !errors.Is(err, ErrBadTTL) {
			t.Error(ttl, err)
		}
	}
}

// A record of any kind gives a TTL within bounds.
func TestRecord(t *testing.T) {
	tests := []struct {
		value string
		ttl   time.Duration
		kept  bool
		bad   bool
	}{
		{`{"v":1,"ttl_ms":15000}`, 15 * time.Second, false, false},
		{`{"v":1,"ttl_ms":1}`, MinTTL, false, false},
		{`{"v":1,"ttl_ms":-1}`, MinTTL, false, false},
		{`{"v":1,"ttl_ms":9223372036854775807}`, MaxTTL, false, false},
		{`{"v":1,"ttl_ms":0}`, MinTTL, true, false},
		{`{"v":2}`, 0, false, true},
		{`x`, 0, false, true},
	}
	for _, tt := range tests {
		r, err := ParseRecord([]byte(tt.value))
		if (err != nil) != tt.bad || err == nil && (r.TTL() != tt.ttl || r.Kept() != tt.kept) {
			t.Errorf("%s: %v %v %v", tt.value, r.TTL(), r.Kept(), err)
		}
	}
}
