package lock

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/client/fakestore"
	"github.com/doozer-store/doozer/client/session"
	"github.com/doozer-store/doozer/client/session/sessiontest"
)

// The model of a mutex with tokens: of the writes that had an effect, those of
// one token come after each other, and no token is lower than one before it.
// It knows nothing of locks: it sees the changes of one file, each of which
// names its writer's token, and the changes of the line.

// effect is one change of the file that the lock protects.
type effect struct {
	rev   int64
	token int64
}

// effects are the changes of path, in the order of the store.
func effects(st *fakestore.Store, path string) (list []effect) {
	for _, ev := range st.Log() {
		if ev.Path == path && !ev.Del {
			e := effect{rev: ev.Rev}
			fmt.Sscan(string(ev.Value), &e.token)
			list = append(list, e)
		}
	}
	return list
}

// checkTokens holds the rule that a resource can hold by itself.
func checkTokens(list []effect) error {
	var last effect
	for _, e := range list {
		if e.token < last.token {
			return fmt.Errorf("rev %d: written with token %d after token %d had written at rev %d", e.rev, e.token, last.token, last.rev)
		}
		last = e
	}
	return nil
}

// checkHolders holds the rule of the line: when a write with a token has an
// effect, the place with that token is there, and first.
func checkHolders(st *fakestore.Store, path, name string, list []effect) error {
	places := make(map[string]int64)
	log := st.Log()
	for _, e := range list {
		for len(log) > 0 && log[0].Rev < e.rev {
			ev := log[0]
			log = log[1:]
			if !strings.HasPrefix(ev.Path, "/lock/"+name+"/e/") {
				continue
			}
			if ev.Del {
				delete(places, ev.Path)
			} else {
				places[ev.Path] = ev.Rev
			}
		}
		found := false
		for p, rev := range places {
			found = found || rev == e.token
			if rev < e.token {
				return fmt.Errorf("rev %d: written with token %d while %s was ahead", e.rev, e.token, p)
			}
		}
		if !found {
			return fmt.Errorf("rev %d: written with token %d, which had no place", e.rev, e.token)
		}
	}
	return nil
}

// holders records who holds by the clock, in order to find two at once.
type holders struct {
	mu   sync.Mutex
	live map[int64]context.Context
	bad  error
	n    int
}

// enter notes a holder whose context is what it goes by. Nobody else's may be
// live at that moment.
func (h *holders) enter(lk *Lock) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.n++
	for token, ctx := range h.live {
		if ctx.Err() != nil {
			delete(h.live, token)
		} else if h.bad == nil {
			h.bad = fmt.Errorf("%d and %d hold at once", token, lk.Token())
		}
	}
	h.live[lk.Token()] = lk.Context()
}

// trouble gives a program faults at random: lost requests and replies, late
// requests, and times when it is cut off.
func trouble(p *sessiontest.Program, seed uint64, stop <-chan struct{}) {
	var mu sync.Mutex
	rnd := rand.New(rand.NewPCG(seed, 1))
	p.Client.Fault(func(string, string) fakestore.Fault {
		mu.Lock()
		defer mu.Unlock()
		if rnd.IntN(20) > 0 {
			return fakestore.None
		}
		return fakestore.Fault(1 + rnd.IntN(3))
	})
	own := rand.New(rand.NewPCG(seed, 2))
	for {
		select {
		case <-time.After(time.Duration(own.Int64N(int64(4 * ttl)))):
		case <-stop:
			return
		}
		p.Client.Cut()
		select {
		case <-time.After(time.Duration(own.Int64N(int64(2 * ttl)))):
		case <-stop:
		}
		p.Client.Heal()
	}
}

// contend is one program that takes the lock again and again until stop, and
// writes the file it protects. It is careless: when it was paused it goes on
// where it was, without a look at its context.
func contend(p *sessiontest.Program, seed uint64, h *holders, stop context.Context,
	write func(ctx context.Context, lk *Lock, value []byte) error) {
	rnd := rand.New(rand.NewPCG(seed, 3))
	for stop.Err() == nil {
		lk, err := Acquire(stop, p.Session, "x")
		if err != nil {
			continue
		}
		h.enter(lk)
		for range 1 + rnd.IntN(3) {
			pause := time.Second
			if rnd.IntN(8) == 0 {
				pause = 2 * ttl
			}
			time.Sleep(time.Duration(rnd.Int64N(int64(pause))))
			ctx, cancel := context.WithTimeout(context.Background(), ttl/2)
			write(ctx, lk, fmt.Append(nil, lk.Token()))
			cancel()
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		lk.Release(ctx)
		cancel()
	}
}

// campaign lets five programs contend for half an hour of fake time.
func campaign(t *testing.T, st *fakestore.Store, seed uint64, write func(ctx context.Context, p *sessiontest.Program, lk *Lock, value []byte) error) *holders {
	h := &holders{live: make(map[int64]context.Context)}
	stop, cancel := context.WithTimeout(t.Context(), 30*time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	for i := range uint64(5) {
		p := sessiontest.Start(t, st)
		wg.Go(func() { trouble(p, seed*10+i, stop.Done()) })
		wg.Go(func() {
			contend(p, seed*10+i, h, stop, func(ctx context.Context, lk *Lock, value []byte) error { return write(ctx, p, lk, value) })
		})
	}
	wg.Wait()
	return h
}

// With tokens there are never two whose writes have an effect, whatever is lost
// or late and whoever sleeps; and by the clock there are never two either.
func TestModel(t *testing.T) {
	for seed := range uint64(5) {
		fakestore.Bubble(t, func(t *testing.T, st *fakestore.Store) {
			h := campaign(t, st, seed, func(ctx context.Context, _ *sessiontest.Program, lk *Lock, value []byte) error {
				_, err := lk.Set(ctx, "/data", value)
				return err
			})
			list := effects(st, "/data")
			for _, err := range []error{checkTokens(list), checkHolders(st, "/data", "x", list), h.bad} {
				if err != nil {
					t.Errorf("seed %d: %v", seed, err)
				}
			}
			t.Logf("seed %d: %d grants, %d writes", seed, h.n, len(list))
			if len(list) < 100 || h.n < 100 {
				t.Errorf("seed %d: only %d grants and %d writes", seed, h.n, len(list))
			}
		})
	}
}

// The clocks of the store's leaders step by hours, forwards and backwards, at
// every change: nothing depends on them.
func TestClockSteps(t *testing.T) {
	fakestore.Bubble(t, func(t *testing.T, st *fakestore.Store) {
		rnd := rand.New(rand.NewPCG(1, 4))
		st.Stamp(func() time.Time { return time.Now().Add(time.Duration(rnd.IntN(2001)-1000) * time.Hour) })
		stop, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		h := &holders{live: make(map[int64]context.Context)}
		var wg sync.WaitGroup
		for range 4 {
			p := sessiontest.Start(t, st)
			wg.Go(func() {
				for stop.Err() == nil {
					lk, err := Try(stop, p.Session, "x")
					if err != nil {
						time.Sleep(100 * time.Millisecond)
						continue
					}
					h.enter(lk)
					time.Sleep(time.Second)
					if !lk.Valid() {
						t.Error("a healthy session was lost:", context.Cause(lk.Context()))
					}
					lk.Release(t.Context())
				}
			})
		}
		wg.Wait()
		if h.bad != nil || h.n < 50 {
			t.Error(h.bad, h.n)
		}
		for _, ev := range st.Log() {
			if ev.Message == "session expired" {
				t.Error("expired:", ev.Path)
			}
		}
	})
}

// The canary: the same without tokens. If no seed shows a write of a stale
// holder, the model is blind.
func TestModelCanary(t *testing.T) {
	caught := false
	for seed := uint64(0); seed < 30 && !caught; seed++ {
		fakestore.Bubble(t, func(t *testing.T, st *fakestore.Store) {
			campaign(t, st, seed, func(ctx context.Context, p *sessiontest.Program, _ *Lock, value []byte) error {
				_, err := p.Client.Txn(ctx, client.Txn{Do: []client.Op{client.SetOp("/data", value)}})
				return err
			})
			list := effects(st, "/data")
			if checkTokens(list) != nil && checkHolders(st, "/data", "x", list) != nil {
				caught = true
			}
		})
	}
	if !caught {
		t.Error("writes without a token of those who had lost the lock went unnoticed")
	}
}

// A resource outside the store that compares tokens is protected too.
func TestForeignResource(t *testing.T) {
	fakestore.Bubble(t, func(t *testing.T, st *fakestore.Store) {
		var resource struct {
			sync.Mutex
			seen int64
			list []effect
		}
		campaign(t, st, 42, func(_ context.Context, _ *sessiontest.Program, lk *Lock, _ []byte) error {
			resource.Lock()
			defer resource.Unlock()
			if lk.Token() < resource.seen {
				return errors.New("refused")
			}
			resource.seen = lk.Token()
			resource.list = append(resource.list, effect{token: lk.Token()})
			return nil
		})
		if err := checkTokens(resource.list); err != nil || len(resource.list) < 50 {
			t.Error(err, len(resource.list))
		}
	})
}

// A holder that sleeps past its TTL and goes on: the two ways to find out.
func TestPausedHolder(t *testing.T) {
	fakestore.Bubble(t, func(t *testing.T, st *fakestore.Store) {
		a, b := sessiontest.Start(t, st), sessiontest.Start(t, st)
		lk := acquire(t, a, "x")
		a.Client.Cut()
		next := acquire(t, b, "x")
		a.Client.Heal()
		if _, err := next.Set(t.Context(), "/data", []byte("b")); err != nil {
			t.Fatal(err)
		}
		if lk.Valid() {
			t.Error("valid")
		}
		if _, err := lk.Set(t.Context(), "/data", []byte("a")); !errors.Is(err, session.ErrLost) {
			t.Error(err)
		}
		if f := st.Files("/data"); string(f[0].Value) != "b" {
			t.Errorf("%s", f[0].Value)
		}
	})
}
