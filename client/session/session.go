package session

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/doozer-store/doozer/client"
)

// Session keeps one life going after the other until it is closed. It is safe
// for use by many goroutines; one Session per program is the usual number,
// however many locks it takes.
type Session struct {
	st  Store
	cfg config

	// Close closes stop and ends beating; ctx ends when all has been done, or
	// when there is no more time for it.
	ctx      context.Context
	cancel   context.CancelFunc
	beating  context.Context
	stopBeat context.CancelFunc
	stop     chan struct{}
	once     sync.Once
	wg       sync.WaitGroup
	// woken asks the lapse goroutine to look at the deadline again.
	woken chan struct{}

	mu      sync.Mutex // guards what follows
	current *Life      // nil between lives
	changed chan struct{}
	closed  bool

	debts debts
	memo  memo
}

// Open begins a session: it creates a file under /session and rewrites it every
// third of the TTL until Close. It fails if the file can't be created, with the
// error of the store; ctx bounds that only.
func Open(ctx context.Context, st Store, opts ...Option) (*Session, error) {
	cfg, err := newConfig(opts)
	if err != nil {
		return nil, fmt.Errorf("open session: %w", err)
	}
	s := &Session{st: st, cfg: cfg, stop: make(chan struct{}), woken: make(chan struct{}, 1), changed: make(chan struct{})}
	s.debts.init()
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.beating, s.stopBeat = context.WithCancel(s.ctx)
	first := newLife(s)
	if err := first.begin(ctx); err != nil {
		s.cancel()
		return nil, fmt.Errorf("open session: %w", err)
	}
	s.set(first)
	s.wg.Go(func() { s.run(first) })
	s.wg.Go(s.watchDeadline)
	s.wg.Go(s.payDebts)
	return s, nil
}

// Close ends the session: every context that hangs on it is cancelled, with a
// cause that Is ErrClosed, and its file is deleted, so that others may go on at
// once. What hangs on it should have ended before. If the store can't be
// reached the file stays, for others to end it after its TTL, and the error
// says so. Close returns when all goroutines have ended; only the first call
// does anything.
func (s *Session) Close() error {
	var err error
	s.once.Do(func() {
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
		close(s.stop)
		s.stopBeat()
		limit := time.AfterFunc(closeLimit(s.cfg.ttl), s.cancel)
		defer limit.Stop()
		s.wg.Wait()
		s.cancel()
		s.mu.Lock()
		last := s.current
		s.mu.Unlock()
		if last != nil {
			err = last.err
			if errors.Is(err, ErrClosed) || errors.Is(err, ErrLost) {
				err = nil
			}
		}
	})
	return err
}

// Keep makes the present life one that does not expire: what hangs on it is held
// until people delete its file, whatever becomes of this program and its
// machine. Close leaves it then. Keep is for locks that have to outlast a reboot.
func (s *Session) Keep(ctx context.Context) error {
	l, err := s.Life(ctx)
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.keeping = true
	l.mu.Unlock()
	return l.Fence(ctx)
}

// Store is the store that the session is in.
func (s *Session) Store() Store { return s.st }

// TTL is the session's TTL.
func (s *Session) TTL() time.Duration { return s.cfg.ttl }

// Now is the session's clock, on which deadlines are.
func (s *Session) Now() time.Duration { return s.cfg.clock() }

// ID is the present life's, or the last one's.
func (s *Session) ID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current.ID()
}

// Life returns the present life. If the last one is over it waits for the next.
func (s *Session) Life(ctx context.Context) (*Life, error) {
	for {
		s.mu.Lock()
		l, changed, closed := s.current, s.changed, s.closed
		s.mu.Unlock()
		if closed {
			return nil, ErrClosed
		}
		select {
		case <-l.dead:
		default:
			return l, nil
		}
		select {
		case <-changed:
		case <-s.stop:
			return nil, ErrClosed
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (s *Session) set(l *Life) {
	s.mu.Lock()
	s.current = l
	close(s.changed)
	s.changed = make(chan struct{})
	s.mu.Unlock()
	s.wake()
}

// run keeps lives going.
func (s *Session) run(l *Life) {
	for {
		err := l.keep(s.beating, s.stop)
		if errors.Is(err, ErrKept) {
			return // Close leaves the file
		}
		if err == nil {
			l.end(s.remove(l))
			return
		}
		s.cfg.log.Warn("a session was lost", "session", l.id, "error", err)
		l.end(err)
		if l = s.another(); l == nil {
			return
		}
		s.set(l)
	}
}

// another begins the next life, however long that takes; nil if the session is
// closed before.
func (s *Session) another() *Life {
	for {
		l := newLife(s)
		ctx, cancel := context.WithTimeout(s.beating, s.cfg.ttl)
		err := l.begin(ctx)
		cancel()
		if err == nil {
			return l
		}
		t := time.NewTimer(retryPause(s.cfg.ttl))
		select {
		case <-t.C:
		case <-s.stop:
			t.Stop()
			return nil
		}
	}
}

// remove deletes the file of l at the end, and returns why l is over. What
// hangs on it is cancelled first.
func (s *Session) remove(l *Life) error {
	l.mu.Lock()
	l.endSpan(ErrClosed)
	l.mu.Unlock()
	<-s.debts.done
	for {
		_, err := s.st.Txn(s.ctx, client.Txn{
			If: []client.Cond{client.Unchanged(l.path, l.Rev())},
			Do: []client.Op{client.DelOp(l.path)},
		})
		if errors.Is(err, client.ErrRevMismatch) {
			// A beat that was given up was done after all, or others were
			// faster.
			err = l.adopt(s.ctx)
			if err == nil {
				continue
			}
		}
		if err == nil || errors.Is(err, ErrLost) || errors.Is(err, ErrKept) {
			return ErrClosed
		}
		return fmt.Errorf("close session %s: it will expire: %w", l.id, err)
	}
}

// watchDeadline ends spans at their deadlines, also when the goroutine that
// beats is waiting for the store.
func (s *Session) watchDeadline() {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-s.woken:
		case <-s.stop:
			return
		}
		s.mu.Lock()
		l := s.current
		s.mu.Unlock()
		l.mu.Lock()
		l.lapseIfDue()
		live, left := l.span != nil && !l.kept, l.deadline-s.cfg.clock()
		l.mu.Unlock()
		if live {
			t.Reset(min(left, lapseTick(s.cfg.ttl)))
		}
	}
}

// wake makes watchDeadline look at a span that has just begun.
func (s *Session) wake() {
	select {
	case s.woken <- struct{}{}:
	default:
	}
}
