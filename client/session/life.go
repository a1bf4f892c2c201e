package session

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/doozer-store/doozer/client"
)

// Life is one session file, from its creation to its deletion. When it is over
// the Session begins another one, under a new id: an id is never used again.
//
// Within a life there may be several spans in which it is known to be safe: a
// span ends at the deadline, and another begins if a later beat finds the file
// still there. What was held in one span is not held in the next; places in
// line are kept for as long as the life lasts.
type Life struct {
	s      *Session
	id     string
	path   string
	record Record // owned by the session's goroutine

	// dead is closed when the file is gone, or is going with Close.
	dead chan struct{}
	// poke asks for a beat now; quit, closed by Discard, for the end.
	poke, quit chan struct{}
	giveUp     sync.Once

	mu sync.Mutex // guards what follows
	// rev of the file as last acknowledged.
	rev int64
	// deadline is when the span ends, by the session's clock.
	deadline time.Duration
	// span is live while the life is known to be safe; nil between spans.
	span  context.Context
	lapse context.CancelCauseFunc
	// sent is the number of the last beat that was sent, acked that of the
	// last that was acknowledged.
	sent, acked int64
	err         error // why it is dead
	// keeping: the next beat is the last, and says that the session does not
	// expire. kept: that was acknowledged.
	keeping, kept bool
	// changed is closed and replaced when a beat is acknowledged or a span
	// begins or ends.
	changed chan struct{}

	// pending has the beats whose fate is not known, by mark: when each was
	// sent. Owned by the session's goroutine.
	pending map[string]time.Duration
}

func newLife(s *Session) *Life {
	id := randomText()
	return &Life{
		s: s, id: id, path: PathOf(id), record: s.cfg.record(),
		dead: make(chan struct{}), poke: make(chan struct{}, 1), quit: make(chan struct{}),
		changed: make(chan struct{}), pending: make(map[string]time.Duration),
	}
}

// randomText is 128 random bits.
func randomText() string {
	var b [16]byte
	rand.Read(b[:]) // it never fails: see crypto/rand
	return hex.EncodeToString(b[:])
}

// ID is the name of the session file.
func (l *Life) ID() string { return l.id }

// Path is the session file.
func (l *Life) Path() string { return l.path }

// Rev is the rev of the session file as last acknowledged.
func (l *Life) Rev() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rev
}

// Dead is closed when the life is over for ever.
func (l *Life) Dead() <-chan struct{} { return l.dead }

// Deadline is when the present span ends, by the session's clock, if no beat is
// acknowledged before; 0 when there is no span.
func (l *Life) Deadline() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.span == nil {
		return 0
	}
	return l.deadline
}

// Span returns a context that lives as long as the life is known to be safe,
// and is cancelled with a cause that Is ErrLost at the deadline. If the
// deadline has passed it waits until a beat is acknowledged again. Its error
// Is ErrLost or ErrClosed if the life is over, or is that of ctx.
func (l *Life) Span(ctx context.Context) (context.Context, error) {
	for {
		l.mu.Lock()
		l.lapseIfDue()
		span, changed, err := l.span, l.changed, l.err
		l.mu.Unlock()
		if err != nil {
			return nil, err
		}
		if span != nil {
			return span, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Safe tells whether span is live at this moment, by the clock, whether or not
// a timer has run.
func (l *Life) Safe(span context.Context) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lapseIfDue()
	return span == l.span && span.Err() == nil
}

// Fence returns after a beat that was sent after the call has been
// acknowledged: every write that asks that the session file is unchanged since
// a rev from before the call can no longer be done then.
func (l *Life) Fence(ctx context.Context) error {
	l.mu.Lock()
	want := l.sent + 1
	l.mu.Unlock()
	for {
		l.mu.Lock()
		acked, changed, err := l.acked, l.changed, l.err
		l.mu.Unlock()
		if err != nil {
			return err
		}
		if acked >= want {
			return nil
		}
		l.Poke()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Poke asks for a beat now: to learn soon whether the file is still there.
func (l *Life) Poke() {
	select {
	case l.poke <- struct{}{}:
	default:
	}
}

// lapseIfDue ends the span if its deadline has passed. l.mu is held.
func (l *Life) lapseIfDue() {
	if l.span == nil || l.kept || l.s.cfg.clock() < l.deadline {
		return
	}
	l.s.cfg.log.Warn("a session lapsed: no beat was acknowledged in time", "session", l.id)
	l.endSpan(fmt.Errorf("%w: no beat was acknowledged in time", ErrLost))
}

// endSpan cancels what hangs on the span. l.mu is held.
func (l *Life) endSpan(cause error) {
	if l.span == nil {
		return
	}
	l.lapse(cause)
	l.span, l.lapse = nil, nil
	l.notify()
}

// notify wakes those who wait for a change. l.mu is held.
func (l *Life) notify() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// begin creates the file. If it can't be known in time whether that was done,
// the life must not be used: its id is given up.
func (l *Life) begin(ctx context.Context) error {
	sent, mark := l.next()
	rev, err := l.write(ctx, client.Missing(l.path))
	if err == nil {
		l.take(rev, sent, false)
		return nil
	}
	if !errors.Is(err, client.ErrUnknownOutcome) {
		return err
	}
	if f, getErr := l.s.st.Get(ctx, l.path); getErr == nil {
		if r, parseErr := ParseRecord(f.Value); parseErr == nil && r.Mark == mark {
			l.take(f.Rev, sent, false)
			return nil
		}
	}
	return err
}

// next prepares a beat: the record that will be written and the moment before
// it is sent, from which its deadline counts.
func (l *Life) next() (sent time.Duration, mark string) {
	l.record.Beat++
	l.record.Mark = randomText()
	l.mu.Lock()
	l.sent = l.record.Beat
	if l.keeping {
		l.record.TTLms = 0
		l.record.Boot, l.record.NS, l.record.Procs = "", "", nil
	}
	l.mu.Unlock()
	sent = l.s.cfg.clock()
	l.pending[l.record.Mark] = sent
	return sent, l.record.Mark
}

func (l *Life) write(ctx context.Context, cond client.Cond) (int64, error) {
	return l.s.st.Txn(ctx, client.Txn{
		If: []client.Cond{cond},
		Do: []client.Op{client.SetOp(l.path, l.record.encode())},
	})
}

// beat rewrites the file once. A nil error is an acknowledged beat. An error
// that Is ErrLost ends the life; after any other the beat is to be repeated.
func (l *Life) beat(ctx context.Context) error {
	sent, _ := l.next()
	rev, err := l.write(ctx, client.Unchanged(l.path, l.Rev()))
	switch {
	case err == nil:
		l.take(rev, sent, l.record.Kept())
		return l.settled()
	case errors.Is(err, client.ErrRevMismatch):
		return l.adopt(ctx)
	}
	return err
}

// adopt finds out why the file is not as it was last acknowledged: because an
// earlier beat, given up, was done after all; or because the life is over.
func (l *Life) adopt(ctx context.Context) error {
	f, err := l.s.st.Get(ctx, l.path)
	if errors.Is(err, client.ErrNotExist) {
		return fmt.Errorf("%w: its file was deleted", ErrLost)
	}
	if err != nil {
		return err
	}
	r, err := ParseRecord(f.Value)
	sent, mine := l.pending[r.Mark]
	if err != nil || !mine {
		// A copy of this process (a machine that was cloned, say) believes
		// that the session is its own. Which of the two holds what hangs on
		// it nobody can tell, so neither does.
		return fmt.Errorf("%w: %w", ErrLost, errForeign)
	}
	l.take(f.Rev, sent, r.Kept())
	return l.settled()
}

// settled is ErrKept after the last beat, which ends the beating.
func (l *Life) settled() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.kept {
		return ErrKept
	}
	return nil
}

// take notes that the file was at rev after a write that was sent at sent. All
// writes before it are settled: they asked for an older rev.
func (l *Life) take(rev int64, sent time.Duration, kept bool) {
	clear(l.pending)
	l.mu.Lock()
	l.lapseIfDue()
	l.rev, l.acked, l.kept = rev, l.sent, kept
	l.deadline = max(l.deadline, sent+l.s.cfg.ttl-margin(l.s.cfg.ttl))
	deadline := l.deadline
	if l.span == nil && l.err == nil && l.s.cfg.clock() < deadline {
		l.span, l.lapse = context.WithCancelCause(context.Background())
		l.s.wake()
	}
	l.notify()
	l.mu.Unlock()
	if l.s.cfg.beat != nil {
		l.s.cfg.beat(l.id, deadline)
	}
}

// end makes the life over.
func (l *Life) end(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return
	}
	l.err = err
	l.endSpan(err)
	l.notify()
	close(l.dead)
}

// keep beats until the life is over or stop is closed, which gives nil, or there
// is no more need to, which gives ErrKept.
func (l *Life) keep(ctx context.Context, stop <-chan struct{}) error {
	ttl := l.s.cfg.ttl
	t := time.NewTimer(beatEvery(ttl))
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-l.poke:
		case <-l.quit:
			return fmt.Errorf("%w: %d files could not be deleted", ErrLost, maxDebts)
		case <-stop:
			return nil
		}
		began := time.Now()
		err := l.tryBeat(ctx)
		switch {
		case err == nil:
			t.Reset(max(beatEvery(ttl)-time.Since(began), time.Millisecond))
		case errors.Is(err, ErrLost), errors.Is(err, ErrKept):
			return err
		default:
			if ctx.Err() == nil {
				l.s.cfg.log.Warn("a session's beat failed", "session", l.id, "error", err)
			}
			t.Reset(retryPause(ttl))
		}
	}
}

// tryBeat bounds one beat: it may take as long as there is hope for the span,
// but no less than a third of the TTL.
func (l *Life) tryBeat(ctx context.Context) error {
	ttl := l.s.cfg.ttl
	ctx, cancel := context.WithTimeout(ctx, max(beatEvery(ttl), l.Deadline()-l.s.cfg.clock()))
	defer cancel()
	return l.beat(ctx)
}
