package session

import (
	"context"
	"errors"
	"time"

	"github.com/doozer-store/doozer/client"
)

// PathOf is the file of the session id.
func PathOf(id string) string { return Dir + "/" + id }

// AwaitDeath returns nil when the session id has ended: its file is gone. It
// ends the session itself when it may: after it has seen the file unchanged for
// longer than its TTL, by its own clock, with the store answering all the time;
// or at once when the owner's processes ran on this host and have ended. It
// waits for as long as the session lives, and returns ctx's error when ctx ends
// first.
//
// Why ending is safe is argued in docs/recipes.md: the deletion asks that the
// file is as it was when the wait began, so a beat that comes in time wins.
func AwaitDeath(ctx context.Context, st Store, id string) error {
	return AwaitDeathTelling(ctx, st, id, func(bool) {})
}

// AwaitDeathTelling is AwaitDeath, and calls tell, on the caller's goroutine,
// with true when it sees a beat and with false when none came in half a TTL, which
// is one and a half times what it takes: each time only if it is other news than
// before.
func AwaitDeathTelling(ctx context.Context, st Store, id string, tell func(alive bool)) error {
	_, err := (&watcher{st: st, path: PathOf(id), tell: tell}).run(ctx)
	return err
}

// Challenge is AwaitDeath for who does not want to wait for a session that is
// alive: it returns false as soon as it sees a beat.
func Challenge(ctx context.Context, st Store, id string) (dead bool, err error) {
	return (&watcher{st: st, path: PathOf(id), untilBeat: true}).run(ctx)
}

// run looks until the session is dead, or ctx ends.
func (w *watcher) run(ctx context.Context) (dead bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		if w.over != nil {
			<-w.over
		}
	}()
	for {
		pause, dead := w.look(ctx)
		if dead || w.untilBeat && w.beats > 1 {
			return dead, nil
		}
		exited := w.exit(ctx)
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-exited:
			w.proved = true
		case <-ctx.Done():
		}
		t.Stop()
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
	}
}

// watcher is one challenger of one session. It belongs to the goroutine of run.
type watcher struct {
	st   Store
	path string
	// untilBeat: a beat ends it; beats counts the revs seen.
	untilBeat bool
	beats     int
	// tell is told news of the owner; nil: nobody wants to know. told is the last.
	tell func(alive bool)
	told news

	rev    int64     // of the file as last seen; 0: not seen
	since  time.Time // when that rev was first seen, without a gap since
	heard  time.Time // when the store last answered
	ttl    time.Duration
	kept   bool
	record Record

	// proved: the owner's processes have ended.
	proved bool
	// exited is closed when awaitExit has proved it; nil: not begun. over is
	// closed when that goroutine has ended.
	exited, over chan struct{}
}

// news of an owner.
type news int

const (
	unheard news = iota
	alive
	silent
)

// report tells what is known of the owner, if that is new.
func (w *watcher) report(now time.Time) {
	is := w.told
	switch {
	case now.Sub(w.since) > gapLimit(w.ttl) && !w.kept:
		is = silent
	case w.beats > 1 || w.kept:
		is = alive
	}
	if is != w.told && w.tell != nil {
		w.told = is
		w.tell(is == alive)
	}
}

// look reads the file once, ends the session if that is due, and returns when
// to look next.
func (w *watcher) look(ctx context.Context) (pause time.Duration, dead bool) {
	asked := time.Now()
	f, err := w.get(ctx)
	now := time.Now()
	switch {
	case errors.Is(err, client.ErrNotExist):
		return 0, true
	case err != nil:
		return retryPause(w.limit()), false
	}
	w.see(f, now)
	w.report(now)
	if !w.due(asked) {
		return w.next(now), false
	}
	// Whatever comes of it, the next look tells.
	if w.delete(ctx) != nil {
		return retryPause(w.limit()), false
	}
	return 0, false
}

// limit is the TTL by which calls are bounded.
func (w *watcher) limit() time.Duration {
	if w.ttl == 0 {
		return DefaultTTL
	}
	return w.ttl
}

func (w *watcher) get(ctx context.Context) (client.File, error) {
	ctx, cancel := context.WithTimeout(ctx, gapLimit(w.limit()))
	defer cancel()
	return w.st.Get(ctx, w.path)
}

// see takes in the file as it was at a moment before now. A change, or a gap
// during which the store may have been out of the owner's reach too, starts the
// patience over.
func (w *watcher) see(f client.File, now time.Time) {
	if f.Rev != w.rev || now.Sub(w.heard) > gapLimit(w.limit()) {
		w.since = now
	}
	w.heard = now
	if f.Rev == w.rev {
		return
	}
	w.rev = f.Rev
	w.beats++
	r, err := ParseRecord(f.Value)
	if err != nil {
		// Nobody can know what its owner relies on.
		r = Record{TTLms: MaxTTL.Milliseconds()}
	}
	w.record, w.kept = r, r.Kept()
	w.ttl = max(w.ttl, r.TTL())
}

// due tells whether the session may be ended, as seen by a read that began at
// asked.
func (w *watcher) due(asked time.Time) bool {
	switch {
	case w.kept:
		return false
	case w.proved:
		return true
	}
	return asked.Sub(w.since) >= patience(w.ttl)
}

func (w *watcher) next(now time.Time) time.Duration {
	if w.kept {
		return lookEvery(DefaultTTL)
	}
	return min(lookEvery(w.ttl), max(patience(w.ttl)-now.Sub(w.since), time.Millisecond))
}

func (w *watcher) delete(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, gapLimit(w.limit()))
	defer cancel()
	_, err := w.st.Txn(ctx, client.Txn{
		If:      []client.Cond{client.Unchanged(w.path, w.rev)},
		Do:      []client.Op{client.DelOp(w.path)},
		Message: "session expired",
	})
	return err
}

// exit begins to wait for the end of the owner's processes, once, and returns a
// channel that is closed when it is proved.
func (w *watcher) exit(ctx context.Context) <-chan struct{} {
	if w.proved {
		return nil
	}
	if w.exited == nil && w.rev != 0 {
		w.exited, w.over = make(chan struct{}), make(chan struct{})
		go func(r Record) {
			defer close(w.over)
			if awaitExit(ctx, &r) == nil {
				close(w.exited)
			}
		}(w.record)
	}
	return w.exited
}
