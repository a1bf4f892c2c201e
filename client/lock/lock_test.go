package lock

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doozer-store/doozer/client/fakestore"
	"github.com/doozer-store/doozer/client/session"
	"github.com/doozer-store/doozer/client/session/sessiontest"
)

// A mutex is handed from one to the next in order of arrival, with tokens that
// rise.
func TestMutex(t *testing.T) {
	fakestore.Bubble(t, func(t *testing.T, st *fakestore.Store) {
		a, b, c := sessiontest.Start(t, st), sessiontest.Start(t, st), sessiontest.Start(t, st)
		first := acquire(t, a, "x")
		second, third := later(t, b, "x"), later(t, c, "x")
		if has(second) || has(third) {
			t.Fatal("two hold it")
		}
		if !first.Valid() || first.Deadline() <= a.Now() || first.Check(t.Context()) != nil {
			t.Error("the holder does not hold")
		}
		release(t, first)
		if !has(second) || has(third) {
			t.Fatal("not the next one holds it")
		}
		if first.Valid() || first.Deadline() != 0 || !errors.Is(context.Cause(first.Context()), ErrReleased) {
			t.Error("held after its release")
		}
		lk := <-second
		if lk.Token() <= first.Token() {
			t.Error("tokens:", first.Token(), lk.Token())
		}
		release(t, lk)
		release(t, lk)
		release(t, <-third)
		if left := st.Files("/lock/x/e/*"); len(left) > 0 {
			t.Error("left:", left)
		}
	})
}

// A thousand wait; each release wakes exactly one of them, who asks for nothing:
// half of them have just come, the others wait for longer than it takes to look
// who is ahead.
func TestThousandWaiters(t *testing.T) {
	const n = 1000
	fakestore.Bubble(t, func(t *testing.T, st *fakestore.Store) {
		holder := acquire(t, sessiontest.Start(t, st), "x")
		var programs []*sessiontest.Program
		for range 10 {
			programs = append(programs, sessiontest.Start(t, st))
		}
		var waiting []<-chan *Lock
		for i := range n {
			waiting = append(waiting, later(t, programs[i%10], "x"))
		}
		for i, w := range waiting {
			if i == n/2 {
				time.Sleep(2 * time.Second)
				synctest.Wait()
			}
			before := st.Count()
			release(t, holder)
			if !has(w) {
				t.Fatalf("release %d did not wake the next", i)
			}
			after := st.Count()
			asked := after.Gets - before.Gets + after.Walks - before.Walks + after.Awaits - before.Awaits
			if wakes := after.Wakes - before.Wakes; asked != 0 || wakes != 1 {
				t.Fatalf("release %d woke %d, who asked the store %d times", i, wakes, asked)
			}
			holder = <-w
		}
		release(t, holder)
	})
}

// Readers share, writers do not, and nobody overtakes.
func TestReadWrite(t *testing.T) {
	fakestore.Bubble(t, func(t *testing.T, st *fakestore.Store) {
		p := sessiontest.Start(t, st)
		r1 := acquire(t, p, "x", Read())
		r2 := acquire(t, p, "x", Read())
		w := later(t, p, "x", Write())
		r3, r4 := later(t, p, "x", Read()), later(t, p, "x", Read())
		if has(w) || has(r3) {
			t.Fatal("a writer beside readers, or a reader that overtook it")
		}
		release(t, r2)
		if has(w) {
			t.Fatal("a writer beside a reader")
		}
		release(t, r1)
		if !has(w) || has(r3) {
			t.Fatal("not the writer's turn")
		}
		release(t, <-w)
		if !has(r3) || !has(r4) {
			t.Fatal("readers do not share")
		}
	})
}

// A semaphore lets n in, and the next in line whichever of them leaves.
func TestSemaphore(t *testing.T) {
	fakestore.Bubble(t, func(t *testing.T, st *fakestore.Store) {
		p := sessiontest.Start(t, st)
		var held []*Lock
		for range 3 {
			held = append(held, acquire(t, p, "x", Limit(3)))
		}
		var waiting []<-chan *Lock
		for range 5 {
			waiting = append(waiting, later(t, p, "x", Limit(3)))
		}
		for i, leave := range []int{1, 2, 0} {
			release(t, held[leave])
			for j, w := range waiting {
				if has(w) != (j == i) && (j >= i) {
					t.Fatalf("after %d releases waiter %d has it: %v", i+1, j, has(w))
				}
			}
			<-waiting[i]
			waiting[i] = make(chan *Lock)
		}
	})
}

// A place that is given up in the middle of the line blocks nobody.
func TestGiveUp(t *testing.T) {
	fakestore.Bubble(t, func(t *testing.T, st *fakestore.Store) {
		p := sessiontest.Start(t, st)
		holder := acquire(t, p, "x")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		failed := make(chan error, 1)
		go func() {
			_, err := Acquire(ctx, p.Session, "x")
			failed <- err
		}()
		synctest.Wait()
		last := later(t, p, "x")
		if err := <-failed; !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if has(last) {
			t.Fatal("two hold it")
		}
		if n := len(st.Files("/lock/x/e/*")); n != 2 {
			t.Error(n, "places in line")
		}
		release(t, holder)
		if !has(last) {
			t.Error("the line is stuck")
		}
	})
}

func TestTry(t *testing.T) {
	fakestore.Bubble(t, func(t *testing.T, st *fakestore.Store) {
		a, b := sessiontest.Start(t, st), sessiontest.Start(t, st)
		lk, err := Try(t.Context(), a.Session, "x")
		if err != nil {
			t.Fatal(err)
		}
		before, began := st.Rev(), time.Now()
		if _, err := Try(t.Context(), b.Session, "x"); !errors.Is(err, ErrHeld) {
			t.Error(err)
		}
		if st.Rev() != before || time.Since(began) > 0 {
			t.Error("it wrote, or waited")
		}
		// The holder is gone: it takes its TTL to find out, once.
		a.Client.Cut()
		time.Sleep(ttl * 9 / 10)
		next, err := Try(t.Context(), b.Session, "x")
		if err != nil {
			t.Fatal(err)
		}
		if lk.Valid() || next.Token() <= lk.Token() {
			t.Error("two hold it")
		}
	})
}

// Holders and waiters die; the living go on in their order.
func TestDeaths(t *testing.T) {
	fakestore.Bubble(t, func(t *testing.T, st *fakestore.Store) {
		var all []*sessiontest.Program
		for range 5 {
			all = append(all, sessiontest.Start(t, st))
		}
		first := acquire(t, all[0], "x")
		var waiting []<-chan *Lock
		for _, p := range all[1:] {
			waiting = append(waiting, later(t, p, "x"))
		}
		all[0].Client.Cut() // the holder
		all[2].Client.Cut() // one in the middle
		<-first.Context().Done()
		if !errors.Is(context.Cause(first.Context()), session.ErrLost) {
			t.Error(context.Cause(first.Context()))
		}
		if has(waiting[0]) {
			t.Error("taken over before the deadline")
		}
		release(t, <-waiting[0])
		release(t, <-waiting[2])
		release(t, <-waiting[3])
		// The dead come back: the holder is refused, the waiter lines up again.
		all[0].Client.Heal()
		all[2].Client.Heal()
		if _, err := first.Set(t.Context(), "/data", nil); !errors.Is(err, session.ErrLost) {
			t.Error("a stale holder wrote:", err)
		}
		if err := first.Check(t.Context()); !errors.Is(err, session.ErrLost) {
			t.Error(err)
		}
		if err := first.Release(t.Context()); !errors.Is(err, session.ErrLost) {
			t.Error(err)
		}
		release(t, <-waiting[1])
	})
}

// A machine dies with the holder and most of those who wait: patience runs for
// all of them at once, and only for the dead.
func TestDeathOfMany(t *testing.T) {
	fakestore.Bubble(t, func(t *testing.T, st *fakestore.Store) {
		first := sessiontest.Start(t, st)
		acquire(t, first, "x")
		dead := []*sessiontest.Program{first}
		for range 70 {
			p := sessiontest.Start(t, st)
			later(t, p, "x")
			dead = append(dead, p)
		}
		next := sessiontest.Start(t, st)
		got := later(t, next, "x")
		last := later(t, sessiontest.Start(t, st), "x")
		time.Sleep(ttl)
		synctest.Wait()
		before := st.Count().Gets
		time.Sleep(10 * ttl)
		synctest.Wait()
		// Each of 72 looks after the one before it, six times a TTL.
		if gets := st.Count().Gets - before; gets > 72*6*10+72*2 {
			t.Errorf("%d looks while all live", gets)
		}
		for _, p := range dead {
			p.Client.Cut()
		}
		began := time.Now()
		lk := <-got
		if d := time.Since(began); d > 3*ttl {
			t.Errorf("taken over after %v, with a TTL of %v", d, ttl)
		}
		release(t, lk)
		release(t, <-last)
	})
}

// All the readers ahead die at once: one TTL is enough to find out.
func TestDeathOfReaders(t *testing.T) {
	for _, opts := range [][]Option{{Read()}, {Limit(3)}} {
		fakestore.Bubble(t, func(t *testing.T, st *fakestore.Store) {
			var dead []*sessiontest.Program
			for range 3 {
				p := sessiontest.Start(t, st)
				acquire(t, p, "x", opts...)
				dead = append(dead, p)
			}
			next := opts
			if len(opts) == 1 {
				var c config
				if opts[0](&c); c.rw {
					next = []Option{Write()}
				}
			}
			w := later(t, sessiontest.Start(t, st), "x", next...)
			began := time.Now()
			for _, p := range dead {
				p.Client.Cut()
			}
			<-w
			if took := time.Since(began); took > 3*ttl/2 {
				t.Error("took", took)
			}
		})
	}
}

// The store is away for longer than the TTL: who held is told, nobody expires,
// and the line is as it was.
func TestOutage(t *testing.T) {
	fakestore.Bubble(t, func(t *testing.T, st *fakestore.Store) {
		a, b, c := sessiontest.Start(t, st), sessiontest.Start(t, st), sessiontest.Start(t, st)
		first := acquire(t, a, "x")
		second, third := later(t, b, "x"), later(t, c, "x")
		entries := st.Files("/lock/x/e/*")
		for _, p := range []*sessiontest.Program{a, b, c} {
			p.Client.Cut()
		}
		time.Sleep(10 * ttl)
		if first.Valid() || !gone(first.Context()) {
			t.Error("held beyond its deadline")
		}
		for _, p := range []*sessiontest.Program{c, b, a} {
			p.Client.Heal()
		}
		time.Sleep(3 * ttl)
		if now := st.Files("/lock/x/e/*"); len(now) != 3 || now[0].Rev != entries[0].Rev || now[1].Rev != entries[1].Rev {
			t.Error("the line has changed:", now)
		}
		if has(second) || has(third) {
			t.Error("the outage moved the lock")
		}
		// What the holder writes with its token still counts: nobody else has it.
		if _, err := first.Set(t.Context(), "/data", nil); err != nil {
			t.Error(err)
		}
		release(t, first)
		release(t, <-second)
		<-third
	})
}

// Replies to the creation of a place are lost, or the request comes late: no
// place is left that nobody knows of.
func TestLostCreate(t *testing.T) {
	for _, fault := range []fakestore.Fault{fakestore.LoseReply, fakestore.LoseRequest, fakestore.Late} {
		for _, limit := range []time.Duration{3 * time.Second, time.Hour} {
			fakestore.Bubble(t, func(t *testing.T, st *fakestore.Store) {
				a, b := sessiontest.Start(t, st), sessiontest.Start(t, st)
				lost := false
				a.Client.Fault(func(op, path string) fakestore.Fault {
					if op == "txn" && strings.HasPrefix(path, "/lock/") && !lost {
						lost = true
						return fault
					}
					return fakestore.None
				})
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				lk, err := Acquire(ctx, a.Session, "x")
				a.Client.WaitLate()
				if err == nil {
					release(t, lk)
				}
				next := later(t, b, "x")
				time.Sleep(ttl)
				if !has(next) {
					t.Fatalf("fault %d within %v: the line is stuck after %v, %v", fault, limit, lk, err)
				}
				release(t, <-next)
			})
		}
	}
}

// Replies to a release are lost: it is done in the end, and once.
func TestLostRelease(t *testing.T) {
	for _, fault := range []fakestore.Fault{fakestore.LoseReply, fakestore.LoseRequest, fakestore.Late} {
		fakestore.Bubble(t, func(t *testing.T, st *fakestore.Store) {
			a, b := sessiontest.Start(t, st), sessiontest.Start(t, st)
			lk := acquire(t, a, "x")
			next := later(t, b, "x")
			lost := 0
			a.Client.Fault(func(op, path string) fakestore.Fault {
				if op == "txn" && strings.HasPrefix(path, "/lock/") {
					if lost++; lost < 4 {
						return fault
					}
				}
				return fakestore.None
			})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if err := lk.Release(ctx); err == nil {
				t.Error("a reply that was lost is no error")
			}
			got := <-next
			a.Client.WaitLate()
			time.Sleep(ttl)
			if !got.Valid() || got.Check(t.Context()) != nil {
				t.Error("a late release hit the next holder")
			}
		})
	}
}

// What a late release must not do is delete the place of another: neither of
// another session nor of the same.
func TestReleaseAfterLoss(t *testing.T) {
	fakestore.Bubble(t, func(t *testing.T, st *fakestore.Store) {
		a, b := sessiontest.Start(t, st), sessiontest.Start(t, st)
		stale := acquire(t, a, "x")
		a.Client.Cut()
		next := acquire(t, b, "x")
		a.Client.Heal()
		again := later(t, a, "x")
		time.Sleep(ttl)
		if err := stale.Release(t.Context()); !errors.Is(err, session.ErrLost) {
			t.Error(err)
		}
		if next.Check(t.Context()) != nil || has(again) {
			t.Error("a stale release moved the lock")
		}
	})
}

// The window is lost while somebody waits for longer than it reaches.
func TestWindow(t *testing.T) {
	fakestore.Bubble(t, func(t *testing.T, st *fakestore.Store) {
		a, b := sessiontest.Start(t, st), sessiontest.Start(t, st)
		lk := acquire(t, a, "x")
		slow := false
		b.Client.Fault(func(op, _ string) fakestore.Fault {
			if op == "walk" && !slow {
				slow = true
				release(t, acquire(t, a, "y"))
				st.Forget() // between its place and its watch
			}
			return fakestore.None
		})
		next := later(t, b, "x")
		time.Sleep(ttl)
		release(t, lk)
		if !has(next) {
			t.Error("a release went unnoticed")
		}
	})
}

// People delete a waiting place: it lines up again.
func TestDeletedByHand(t *testing.T) {
	fakestore.Bubble(t, func(t *testing.T, st *fakestore.Store) {
		a, b := sessiontest.Start(t, st), sessiontest.Start(t, st)
		lk := acquire(t, a, "x")
		next := later(t, b, "x")
		st.Del(st.Files("/lock/x/e/*")[0].Path)
		st.Del(st.Files("/lock/x/e/*")[0].Path)
		time.Sleep(time.Second)
		st.Set("/lock/x/e/zz", "not an entry")
		time.Sleep(time.Second)
		if err := lk.Check(t.Context()); !errors.Is(err, session.ErrLost) || !gone(lk.Context()) {
			t.Error("a lock that was broken:", err)
		}
		if _, err := lk.Set(t.Context(), "/data", nil); !errors.Is(err, session.ErrLost) {
			t.Error(err)
		}
		_ = next
	})
}

func TestRefusals(t *testing.T) {
	fakestore.Bubble(t, func(t *testing.T, st *fakestore.Store) {
		p := sessiontest.Start(t, st)
		release(t, acquire(t, p, "a/b"))
		release(t, acquire(t, p, "a"))
		tests := []struct {
			name string
			opts []Option
			want error
		}{
			{"", nil, ErrBadName}, {"/a", nil, ErrBadName}, {"a//b", nil, ErrBadName}, {"a/e", nil, ErrBadName},
			{"a/conf/a", nil, ErrBadName}, {"a*", nil, ErrBadName}, {"..", nil, ErrBadName},
			{"a", []Option{Limit(0)}, ErrBadLimit}, {"a", []Option{Limit(5000)}, ErrBadLimit},
			{"a", []Option{Limit(2), Read()}, ErrBadLimit},
			{"a", []Option{Limit(2)}, ErrConf}, {"a", []Option{Read()}, ErrConf},
		}
		for _, tt := range tests {
			for _, get := range []func(context.Context, *session.Session, string, ...Option) (*Lock, error){Acquire, Try} {
				if _, err := get(t.Context(), p.Session, tt.name, tt.opts...); !errors.Is(err, tt.want) {
					t.Errorf("%q: %v, want %v", tt.name, err, tt.want)
				}
			}
		}
	})
}
