package election

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doozer-store/doozer/client/fakestore"
	"github.com/doozer-store/doozer/client/session"
	"github.com/doozer-store/doozer/client/session/sessiontest"
)

const ttl = sessiontest.TTL

func campaign(t *testing.T, c *sessiontest.Program, text string) *Leadership {
	t.Helper()
	l, err := Campaign(t.Context(), c.Session, "x", text)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// observed collects what an observer sees until ctx ends.
type observed struct {
	mu   sync.Mutex
	list []Leader
}

func observe(t *testing.T, st *fakestore.Store) *observed {
	t.Helper()
	o := &observed{}
	ctx := t.Context()
	go func() {
		for l, err := range Observe(ctx, st.Client(), "x") {
			if err != nil {
				return
			}
			o.mu.Lock()
			o.list = append(o.list, l)
			o.mu.Unlock()
		}
	}()
	synctest.Wait()
	return o
}

// seen is what was observed, as values; "-" is nobody.
func (o *observed) seen() string {
	synctest.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	text, term := "", int64(0)
	for _, l := range o.list {
		if l.Term == 0 {
			text += "-"
		} else if l.Term < term {
			text += "!"
		}
		term = max(term, l.Term)
		text += l.Value
	}
	return text
}

func TestCampaign(t *testing.T) {
	fakestore.Bubble(t, func(t *testing.T, st *fakestore.Store) {
		before := observe(t, st)
		a, b := sessiontest.Start(t, st), sessiontest.Start(t, st)
		first := campaign(t, a, "a")
		during := observe(t, st)
		next := make(chan *Leadership, 1)
		go func() {
			l, err := Campaign(t.Context(), b.Session, "x", "b")
			if err == nil {
				next <- l
			}
		}()
		synctest.Wait()
		if len(next) > 0 {
			t.Fatal("two lead")
		}
		if err := first.Proclaim(t.Context(), "A"); err != nil || first.Check(t.Context()) != nil || !first.Valid() {
			t.Error(err)
		}
		if err := first.Resign(t.Context()); err != nil {
			t.Error(err)
		}
		second := <-next
		if second.Term() <= first.Term() || !errors.Is(context.Cause(first.Context()), ErrResigned) {
			t.Error(first.Term(), second.Term(), context.Cause(first.Context()))
		}
		second.Resign(t.Context())
		second.Resign(t.Context())
		if got := before.seen(); got != "-aA-b-" {
			t.Error(got)
		}
		if got := during.seen(); got != "aA-b-" {
			t.Error(got)
		}
		if left := st.Files("/lock/x/**"); len(left) != 1 {
			t.Error("left:", left)
		}
	})
}

// A candidate whose session dies while it waits, or in the very moment in which
// it is its turn, is not told that it leads.
func TestDeadCandidate(t *testing.T) {
	fakestore.Bubble(t, func(t *testing.T, st *fakestore.Store) {
		a, b, c := sessiontest.Start(t, st), sessiontest.Start(t, st), sessiontest.Start(t, st)
		first := campaign(t, a, "a")
		told := make(chan *Leadership, 2)
		for _, p := range []*sessiontest.Program{b, c} {
			go func() {
				if l, err := Campaign(t.Context(), p.Session, "x", "later"); err == nil {
					told <- l
				}
			}()
			synctest.Wait()
		}
		// The session of b is deleted between the read that shows its turn and
		// the announcement.
		id := b.ID()
		b.Client.Fault(func(op, path string) fakestore.Fault {
			if op == "txn" && path == "/lock/x/val" {
				b.Client.Fault(nil)
				st.Del(session.PathOf(id))
				for _, f := range st.Files("/lock/x/e/*") {
					if len(f.Path) > len("/lock/x/e/") && f.Path[len("/lock/x/e/"):][:len(id)] == id {
						st.Del(f.Path)
					}
				}
			}
			return fakestore.None
		})
		first.Resign(t.Context())
		l := <-told
		if l.Context().Err() != nil || l.Check(t.Context()) != nil {
			t.Error("told a dead candidate:", l.Check(t.Context()))
		}
		second := l
		second.Resign(t.Context())
		if l = <-told; l.Check(t.Context()) != nil {
			t.Error("the other one does not lead")
		}
	})
}

// Run campaigns again after a loss, and waits for its function each time.
func TestRun(t *testing.T) {
	fakestore.Bubble(t, func(t *testing.T, st *fakestore.Store) {
		p := sessiontest.Start(t, st)
		var terms []int64
		ours := errors.New("ours")
		err := Run(t.Context(), p.Session, "x", "p", func(ctx context.Context, l *Leadership) error {
			terms = append(terms, l.Term())
			switch len(terms) {
			case 1: // the store is away for long
				p.Client.Cut()
				<-ctx.Done()
				if !errors.Is(context.Cause(ctx), session.ErrLost) {
					t.Error(context.Cause(ctx))
				}
				time.AfterFunc(time.Hour, p.Client.Heal)
				return ctx.Err()
			case 2: // others have ended the session
				st.Del(session.PathOf(p.ID()))
				<-ctx.Done()
				return nil
			}
			return ours
		})
		if err != ours || len(terms) != 3 || terms[0] >= terms[1] || terms[1] >= terms[2] {
			t.Error(err, terms)
		}
		ctx, cancel := context.WithCancel(t.Context())
		returned := false
		err = Run(ctx, p.Session, "x", "p", func(ctx context.Context, l *Leadership) error {
			cancel()
			<-ctx.Done()
			time.Sleep(time.Hour)
			returned = true
			return ctx.Err()
		})
		if !errors.Is(err, context.Canceled) || !returned || len(st.Files("/lock/x/e/*")) > 0 {
			t.Error(err, returned)
		}
	})
}

// Leaders die again and again: by their contexts there is never more than one,
// terms rise, and every observer sees the same.
func TestReign(t *testing.T) {
	fakestore.Bubble(t, func(t *testing.T, st *fakestore.Store) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		var mu sync.Mutex
		var live context.Context
		var term int64
		reigns := 0
		watching := observe(t, st)
		var wg sync.WaitGroup
		for i := range 5 {
			p := sessiontest.Start(t, st)
			wg.Go(func() {
				Run(ctx, p.Session, "x", fmt.Sprint(i), func(ctx context.Context, l *Leadership) error {
					mu.Lock()
					if live != nil && live.Err() == nil {
						t.Errorf("terms %d and %d at once", term, l.Term())
					}
					if l.Term() <= term {
						t.Errorf("term %d after %d", l.Term(), term)
					}
					live, term = l.Context(), l.Term()
					reigns++
					mu.Unlock()
					select {
					case <-time.After(ttl):
						p.Client.Cut()
						time.AfterFunc(3*ttl, p.Client.Heal)
						<-ctx.Done()
					case <-ctx.Done():
					}
					return nil
				})
			})
		}
		wg.Wait()
		if reigns < 60 {
			t.Error("only", reigns, "reigns")
		}
		if got := watching.seen(); len(got) < reigns {
			t.Errorf("%d reigns, observed %s", reigns, got)
		}
	})
}

func TestObserveAfterLoss(t *testing.T) {
	fakestore.Bubble(t, func(t *testing.T, st *fakestore.Store) {
		a := sessiontest.Start(t, st)
		l := campaign(t, a, "a")
		c := st.Client()
		n := 0
		var seen []string
		c.Fault(func(op, _ string) fakestore.Fault {
			if op == "get" {
				if n++; n == 2 {
					// The window is lost between the read and the watch.
					l.Proclaim(t.Context(), "b")
					st.Forget()
				}
			}
			return fakestore.None
		})
		for got, err := range Observe(t.Context(), c, "x") {
			if err != nil {
				t.Fatal(err)
			}
			if seen = append(seen, got.Value); len(seen) == 2 {
				break
			}
			l.Proclaim(t.Context(), "skipped")
			st.Forget()
		}
		if fmt.Sprint(seen) != "[a b]" && fmt.Sprint(seen) != "[a skipped]" {
			t.Error(seen)
		}
	})
}

func TestRefusals(t *testing.T) {
	fakestore.Bubble(t, func(t *testing.T, st *fakestore.Store) {
		p := sessiontest.Start(t, st)
		if _, err := Campaign(t.Context(), p.Session, "a/e", ""); !errors.Is(err, ErrBadName) {
			t.Error(err)
		}
		for _, err := range Observe(t.Context(), p.Client, "a/*") {
			if !errors.Is(err, ErrBadName) {
				t.Error(err)
			}
		}
		st.Set("/lock/x/conf", `{"v":1,"mode":"mutex","limit":1}`)
		if _, err := Campaign(t.Context(), p.Session, "x", ""); !errors.Is(err, ErrConf) {
			t.Error(err)
		}
		st.Set("/lock/x/val", "?")
		for l, err := range Observe(t.Context(), p.Client, "x") {
			if err != nil || l.Term != 0 {
				t.Error(l, err)
			}
			break
		}
	})
}
