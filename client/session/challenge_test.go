package session

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doozer-store/doozer/client/fakestore"
)

// challenge begins AwaitDeath of a session and returns where its end is told.
func challenge(t *testing.T, st Store, id string) <-chan time.Time {
	t.Helper()
	died := make(chan time.Time, 1)
	ctx := t.Context()
	go func() {
		if AwaitDeath(ctx, st, id) == nil {
			died <- time.Now()
		}
	}()
	return died
}

func told(died <-chan time.Time) bool {
	synctest.Wait()
	return len(died) > 0
}

// A session whose owner is cut off ends after the owner has stopped, and no
// later than a look, a TTL and the allowance after its last beat.
func TestExpiry(t *testing.T) {
	for _, after := range []time.Duration{0, time.Second, 3 * time.Second, 4700 * time.Millisecond} {
		fakestore.Bubble(t, func(t *testing.T, st *fakestore.Store) {
			c := st.Client()
			s := open(t, c)
			l, ctx := span(t, s)
			died := challenge(t, st.Client(), l.ID())
			time.Sleep(20*time.Second + after)
			c.Cut()
			<-ctx.Done()
			stopped := time.Now()
			if told(died) {
				t.Fatal("ended while it was held")
			}
			at := <-died
			if d := at.Sub(stopped); d < margin(s.TTL()) || d > margin(s.TTL())+time.Second+lookEvery(s.TTL()) {
				t.Errorf("ended %v after it stopped", d)
			}
			c.Heal()
			<-l.Dead()
		})
	}
}

// A beat that comes in time wins, however late it is. The owner has stopped and
// begun again by then.
func TestLateBeatWins(t *testing.T) {
	fakestore.Bubble(t, func(t *testing.T, st *fakestore.Store) {
		c := st.Client()
		s := open(t, c)
		l, _ := span(t, s)
		died := challenge(t, st.Client(), l.ID())
		for range 10 {
			c.Cut()
			time.Sleep(6 * time.Second)
			c.Heal()
			time.Sleep(1700 * time.Millisecond)
		}
		if told(died) {
			t.Error("ended although it came back each time")
		}
	})
}

// The store is away for longer than the TTL, several times: nobody expires.
func TestOutage(t *testing.T) {
	fakestore.Bubble(t, func(t *testing.T, st *fakestore.Store) {
		c := st.Client()
		s := open(t, c)
		l, _ := span(t, s)
		other := st.Client()
		died := challenge(t, other, l.ID())
		for i := range 20 {
			time.Sleep(time.Duration(i) * 700 * time.Millisecond)
			c.Cut()
			other.Cut()
			time.Sleep(time.Duration(i%7+5) * 2 * time.Second)
			other.Heal()
			// The owner notices last.
			time.Sleep(time.Second)
			c.Heal()
		}
		if told(died) {
			t.Error("an outage expired a session")
		}
		if again, ctx := span(t, s); again != l || !live(ctx) {
			t.Error("the session is not what it was")
		}
	})
}

// A challenger that was paused does not count the pause.
func TestPausedChallenger(t *testing.T) {
	fakestore.Bubble(t, func(t *testing.T, st *fakestore.Store) {
		w := watcher{st: st.Client(), path: PathOf("x")}
		r := Record{V: 1, TTLms: 10000}
		st.Set(PathOf("x"), string(r.encode()))
		w.look(t.Context())
		time.Sleep(time.Hour)
		if _, dead := w.look(t.Context()); dead || len(st.Files(PathOf("x"))) == 0 {
			t.Error("a pause counted as patience")
		}
		for range 6 {
			time.Sleep(lookEvery(10 * time.Second))
			w.look(t.Context())
		}
		if len(st.Files(PathOf("x"))) == 0 {
			t.Error("ended before its TTL")
		}
		time.Sleep(lookEvery(10 * time.Second))
		w.look(t.Context())
		if _, dead := w.look(t.Context()); !dead {
			t.Error("not ended after its TTL")
		}
	})
}

// Many challengers: one ends the session, all are told.
func TestManyChallengers(t *testing.T) {
	fakestore.Bubble(t, func(t *testing.T, st *fakestore.Store) {
		c := st.Client()
		s := open(t, c)
		l, _ := span(t, s)
		var all []<-chan time.Time
		for range 50 {
			all = append(all, challenge(t, st.Client(), l.ID()))
		}
		c.Cut()
		for _, died := range all {
			<-died
		}
		deleted := 0
		for _, ev := range st.Log() {
			if ev.Del && ev.Path == l.Path() {
				deleted++
			}
		}
		if deleted != 1 {
			t.Error("deleted", deleted, "times")
		}
		c.Heal()
	})
}

// Challenge does not wait for a session that is alive.
func TestChallenge(t *testing.T) {
	fakestore.Bubble(t, func(t *testing.T, st *fakestore.Store) {
		c := st.Client()
		s := open(t, c)
		l, _ := span(t, s)
		began := time.Now()
		if dead, err := Challenge(t.Context(), st.Client(), l.ID()); dead || err != nil || time.Since(began) > s.TTL()/2 {
			t.Error(dead, err, time.Since(began))
		}
		c.Cut()
		if dead, err := Challenge(t.Context(), st.Client(), l.ID()); !dead || err != nil {
			t.Error(dead, err)
		}
		c.Heal()
	})
}

// A session that is kept, and one that nobody can read, do not end like others.
func TestKept(t *testing.T) {
	fakestore.Bubble(t, func(t *testing.T, st *fakestore.Store) {
		st.Set(PathOf("kept"), `{"v":1,"ttl_ms":0}`)
		st.Set(PathOf("odd"), `?`)
		kept, odd := challenge(t, st.Client(), "kept"), challenge(t, st.Client(), "odd")
		time.Sleep(MaxTTL)
		if told(kept) || told(odd) {
			t.Error("ended within the longest TTL")
		}
		time.Sleep(2 * MaxTTL)
		if told(kept) || !told(odd) {
			t.Error("kept:", told(kept), "odd:", told(odd))
		}
	})
}

// The owner's clock runs slow by 10 % against the challenger's, at every phase of
// the beat: the owner still stops first.
func TestDrift(t *testing.T) {
	for phase := range 34 {
		fakestore.Bubble(t, func(t *testing.T, st *fakestore.Store) {
			base := time.Now()
			slow := func() time.Duration { return time.Since(base) * 90 / 100 }
			c := st.Client()
			s := open(t, c, WithClock(slow))
			l, ctx := span(t, s)
			died := challenge(t, st.Client(), l.ID())
			time.Sleep(10*time.Second + time.Duration(phase)*100*time.Millisecond)
			c.Cut()
			for live(ctx) {
				if told(died) {
					t.Fatal("ended while it was held")
				}
				time.Sleep(20 * time.Millisecond)
			}
			<-died
			c.Heal()
		})
	}
}

// The end of a process of this host is the end of its session; another process
// that has its number is not it.
func TestExitOfProcess(t *testing.T) {
	sleeper := exec.Command("sleep", "1000")
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	defer sleeper.Wait()
	defer sleeper.Process.Kill()
	boot, ns, procs := identify([]int{sleeper.Process.Pid})
	if runtime.GOOS != "linux" {
		t.Skip("processes can be identified on Linux only")
	}
	if len(procs) != 1 {
		t.Fatal("a process of this host can't be identified")
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	r := Record{V: 1, TTLms: MaxTTL.Milliseconds(), Host: host, Boot: boot, NS: ns, Procs: procs}

	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := awaitExit(short, &r); err != context.DeadlineExceeded {
		t.Error("a running process:", err)
	}
	for _, change := range []func(*Record){
		func(r *Record) { r.Boot = "another" }, func(r *Record) { r.NS = "another" },
		func(r *Record) { r.Host = "another" }, func(r *Record) { r.Procs = nil },
	} {
		other := r
		change(&other)
		if err := awaitExit(t.Context(), &other); err != errElsewhere {
			t.Error("a process that can't be seen from here:", err)
		}
	}
	reused := r
	reused.Procs = []Proc{{Pid: procs[0].Pid, Start: procs[0].Start - 1}}
	if err := awaitExit(t.Context(), &reused); err != nil {
		t.Error("the number was given to another process:", err)
	}

	st := fakestore.New()
	st.Set(PathOf("x"), string(r.encode()))
	died := make(chan error, 1)
	go func() { died <- AwaitDeath(t.Context(), st.Client(), "x") }()
	sleeper.Process.Kill() // it stays a zombie: nobody has waited for it
	select {
	case err := <-died:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Error("the end of the process went unnoticed")
	}
}

// A real clock does not go backwards.
func TestBootTime(t *testing.T) {
	a := BootTime()
	if b := BootTime(); b < a || a <= 0 {
		t.Error(a, b)
	}
}
