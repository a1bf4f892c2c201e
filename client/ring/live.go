package ring

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/doozer-store/doozer/client"
)

// Config says how a Live works. The zero value of a field means its default.
type Config struct {
	// Snapshot is a file on the local disk that Live keeps a copy of the ring in,
	// so that the program can start while the store is down; "" for none. Programs
	// on one host may share it.
	Snapshot string
	// Patience is how long Open waits for the store before it starts with the copy:
	// one second.
	Patience time.Duration
	// OnChange is called after each change of the ring, in order, by the goroutine
	// that makes the changes: the next one waits for it. It must not call Close.
	OnChange func(old, new *Ring)
	// Logger is told of ring files that cannot be used, and of copies that cannot
	// be read or written; nil discards it.
	Logger *slog.Logger
}

// Status is how a Live stands to the store.
type Status struct {
	// Epoch is that of the ring in use.
	Epoch int64
	// Saved is when the ring was copied to the local disk, if the one in use is
	// that copy because nothing better has come from the store; else zero.
	Saved time.Time
	// Err says why the ring in use is not what the store has: ErrBadFile with the
	// rev, client.ErrNotExist after the file was deleted, or what the store said to
	// the watch. That the store is out of reach is not an error: the watch waits for
	// it.
	Err error
	// SaveErr says why the local copy is not up to date.
	SaveErr error
}

// Live is a ring that follows its file. It is safe for use by many goroutines.
type Live struct {
	c    *client.Client
	name string
	path string
	cfg  Config

	ring atomic.Pointer[Ring]

	mu      sync.Mutex // guards the following
	status  Status
	changed chan struct{} // closed and replaced with each change of the ring
	news    chan struct{} // closed and replaced when the store has been heard

	updates chan update
	state   state // owned by run
	life    context.Context
	stop    context.CancelFunc
	wg      sync.WaitGroup // run and the followers
}

// Open returns when the ring is there: from the store or, if that has not answered
// for Patience, from the local copy. Without a copy it waits for the store as
// long as ctx allows. A ring that does not exist is client.ErrNotExist; one that
// cannot be used is ErrBadFile, unless there is a copy of a better one.
//
// For a start while the store is down the client must have been opened with
// client.WithoutWait. It must outlive the Live, which lives until Close.
func Open(ctx context.Context, c *client.Client, name string, cfg Config) (*Live, error) {
	path, err := Path(name)
	if err != nil {
		return nil, err
	}
	if cfg.Patience <= 0 {
		cfg.Patience = defaultPatience
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	l := &Live{
		c: c, name: name, path: path, cfg: cfg,
		changed: make(chan struct{}), news: make(chan struct{}), updates: make(chan update),
	}
	l.life, l.stop = context.WithCancel(context.Background())
	l.wg.Go(l.run)
	if err := l.await(ctx); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// await waits for the first ring.
func (l *Live) await(ctx context.Context) error {
	patience := time.NewTimer(l.cfg.Patience)
	defer patience.Stop()
	tried := false
	for {
		l.mu.Lock()
		news, err := l.news, l.status.Err
		l.mu.Unlock()
		if l.ring.Load() != nil {
			return nil
		}
		if err != nil && !tried && !errors.Is(err, client.ErrNotExist) {
			tried = true
			l.ask(update{saved: true})
			continue
		}
		if err != nil {
			return err
		}
		select {
		case <-news:
		case <-patience.C:
			tried = true
			l.ask(update{saved: true})
		case <-ctx.Done():
			return fmt.Errorf("ring %s: the store has not answered, and there is no copy of the ring: %w", l.name, ctx.Err())
		}
	}
}

// ask hands run an update and waits until it has been taken in.
func (l *Live) ask(u update) {
	u.done = make(chan struct{})
	if l.send(l.life, u) {
		select {
		case <-u.done:
		case <-l.life.Done():
		}
	}
}

// Ring is the present ring. It is one atomic load: take it once for each decision
// and use it throughout.
func (l *Live) Ring() *Ring { return l.ring.Load() }

// Epoch is that of the present ring.
func (l *Live) Epoch() int64 { return l.Ring().Epoch() }

// Changed is closed at the next change of the ring: take it before Ring.
func (l *Live) Changed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed
}

// Wait returns the first ring of that epoch or a later one: what a client does
// that was told by a server that its ring is old.
func (l *Live) Wait(ctx context.Context, epoch int64) (*Ring, error) {
	for {
		changed := l.Changed()
		if r := l.Ring(); r.Epoch() >= epoch {
			return r, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-l.life.Done():
			return nil, client.ErrClosed
		}
	}
}

// Status tells how the ring in use stands to the store.
func (l *Live) Status() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.status
}

// Close ends the watch and returns when nothing of it is left; the last ring can
// still be used. It may be called more than once.
func (l *Live) Close() error {
	l.stop()
	l.wg.Wait()
	return nil
}

// state is what run knows.
type state struct {
	// ring is the newest, with the addresses of its own file only; data its file.
	ring *Ring
	data []byte
	// texts are the addresses of the files that nodes refer to; known has the paths that
	// have been heard of. Both have the paths of refs only, and those of the ring.
	texts map[string]string
	known map[string]bool
	refs  map[string]context.CancelFunc
	// errs is what is wrong with the ring's file and with those, by path.
	errs map[string]error
	// overdue is when the ring is used though some texts are not known; nil if
	// nothing waits for them.
	overdue <-chan time.Time
	// fromStore tells that the ring came from there.
	fromStore bool
}

// run owns state: it takes in updates and swaps the ring. It starts the followers
// and ends when life does.
func (l *Live) run() {
	l.state = state{
		texts: make(map[string]string), known: make(map[string]bool),
		refs: make(map[string]context.CancelFunc), errs: make(map[string]error),
	}
	l.wg.Go(func() { l.follow(l.life, l.path) })
	for {
		select {
		case u := <-l.updates:
			l.take(u)
			if u.done != nil {
				close(u.done)
			}
		case <-l.state.overdue:
			l.publish(true)
		case <-l.life.Done():
			return
		}
	}
}

// take brings the state up to date.
func (l *Live) take(u update) {
	s := &l.state
	switch {
	case u.saved:
		if s.ring == nil {
			l.load()
		}
	case u.from.Err() != nil:
		// The ring does not refer to it any more.
	case u.err != nil:
		l.report(u.path, fmt.Errorf("%s: %w", u.path, u.err))
	case u.path != l.path:
		l.takeText(u)
	case !u.exists:
		l.report(l.path, fmt.Errorf("%s: %w", l.path, client.ErrNotExist))
	case s.fromStore && s.ring.Epoch() == u.rev && string(s.data) == string(u.value):
		l.report(l.path, nil)
	default:
		l.adopt(u)
	}
}

// takeText takes in the text of a file that a node refers to. One that cannot be
// an address is none.
func (l *Live) takeText(u update) {
	s := &l.state
	addr, err := Address(u.value)
	if err != nil {
		err = fmt.Errorf("%s: %w", u.path, err)
	}
	s.known[u.path] = true
	s.texts[u.path] = addr
	l.publish(false)
	l.report(u.path, err)
}

// adopt makes the ring of a file, unless it is bad: then the last good one stays.
func (l *Live) adopt(u update) {
	s := &l.state
	f, err := Decode(u.value)
	if err == nil {
		var r *Ring
		if r, err = build(f, u.rev, s.ring); err == nil {
			s.ring, s.data, s.fromStore = r, u.value, true
			l.setRefs()
			l.publish(false)
			l.report(l.path, nil)
			return
		}
	}
	l.report(l.path, fmt.Errorf("%w (rev %d of %s)", err, u.rev, l.path))
}

// publish swaps the ring, once the texts that it needs are known or late, and
// saves it.
func (l *Live) publish(late bool) {
	s := &l.state
	for path := range s.refs {
		if !s.known[path] && !late {
			if s.overdue == nil {
				s.overdue = time.After(l.cfg.Patience)
			}
			return
		}
	}
	s.overdue = nil
	next := s.ring.withTexts(s.texts)
	old := l.ring.Swap(next)
	l.mu.Lock()
	l.status.Epoch = next.Epoch()
	if s.fromStore {
		l.status.Saved = time.Time{}
	}
	close(l.changed)
	l.changed = make(chan struct{})
	l.tell()
	l.mu.Unlock()
	if l.cfg.OnChange != nil {
		l.cfg.OnChange(old, next)
	}
	if s.fromStore {
		l.save()
	}
}

// report says what is wrong with a file, or that nothing is.
func (l *Live) report(path string, err error) {
	s := &l.state
	before := s.errs[path]
	delete(s.errs, path)
	if err != nil {
		s.errs[path] = err
	}
	if err != nil && (before == nil || before.Error() != err.Error()) {
		l.cfg.Logger.Warn("the ring in use is not the store's", "ring", l.name, "reason", err)
	}
	first := s.errs[l.path]
	for _, path := range slices.Sorted(maps.Keys(s.errs)) {
		if first == nil {
			first = s.errs[path]
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.status.Err = first
	l.tell()
}

// tell wakes await; mu is held.
func (l *Live) tell() {
	close(l.news)
	l.news = make(chan struct{})
}
