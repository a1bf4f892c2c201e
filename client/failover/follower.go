package failover

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/client/session"
)

// Follower keeps the View of a group up to date. It is safe for use by many
// goroutines.
type Follower struct {
	st    session.Store
	paths Paths
	log   *slog.Logger

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu       sync.Mutex // guards what follows
	files    map[string]client.File
	sessions map[string]*follow
	view     View
	changed  chan struct{}
	// heard is when the last question was asked whose answer showed that the
	// register is as it is here.
	heard time.Time
	err   error // why the watch has ended
}

// follow is one session that is followed.
type follow struct {
	stop  context.CancelFunc
	known bool // it has been looked for
	alive bool
	rev   int64
	beat  time.Time
}

// Follow begins to follow a group and returns when its files have been read. A
// group that nobody has made is an empty view, not an error. The store must
// outlive the Follower, which lives until Close; ctx bounds the first read only.
func Follow(ctx context.Context, st session.Store, group string) (*Follower, error) {
	return FollowWith(ctx, st, group, slog.New(slog.DiscardHandler))
}

// FollowWith is Follow with a logger, which is told of files that can't be
// understood and of a watch that had to begin again.
func FollowWith(ctx context.Context, st session.Store, group string, log *slog.Logger) (*Follower, error) {
	paths, err := PathsOf(group)
	if err != nil {
		return nil, err
	}
	f := &Follower{
		st: st, paths: paths, log: log.With("group", group),
		sessions: make(map[string]*follow), changed: make(chan struct{}),
	}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	if _, err := f.load(ctx); err != nil {
		f.cancel()
		return nil, fmt.Errorf("follow group %s: %w", group, err)
	}
	f.wg.Go(f.watch)
	f.wg.Go(f.refresh)
	return f, nil
}

// Close ends it and returns when all goroutines have ended. It may be called
// more than once.
func (f *Follower) Close() error {
	f.cancel()
	f.wg.Wait()
	return nil
}

// View returns the present view.
func (f *Follower) View() View {
	f.mu.Lock()
	defer f.mu.Unlock()
	v := f.view
	v.Fresh = f.err == nil && !f.heard.IsZero() && time.Since(f.heard) < v.Conf.TTL()
	return v
}

// Changed is closed when View returns another one. That a view is no longer
// fresh closes nothing: Fresh is as of the call of View.
func (f *Follower) Changed() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changed
}

// Wait returns the first view for which ok is true, or the error of ctx.
func (f *Follower) Wait(ctx context.Context, ok func(View) bool) (View, error) {
	for {
		changed := f.Changed()
		v := f.View()
		if ok(v) {
			return v, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return v, ctx.Err()
		}
	}
}

// Catch returns when the view has everything up to rev.
func (f *Follower) Catch(ctx context.Context, rev int64) error {
	_, err := f.Wait(ctx, func(v View) bool { return v.Rev >= rev })
	return err
}

// load reads all files once. Changes up to the rev that it returns are in.
func (f *Follower) load(ctx context.Context) (int64, error) {
	asked := time.Now()
	rev, err := f.st.Rev(ctx)
	if err != nil {
		return 0, err
	}
	files := make(map[string]client.File)
	for file, err := range f.st.Walk(ctx, f.paths.Glob()) {
		if err != nil {
			return 0, err
		}
		files[file.Path] = file
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.files, f.heard = files, asked
	f.view.Rev = max(f.view.Rev, rev)
	f.rebuild()
	return rev, nil
}

// watch takes in what changes, until Close. A watch that ends with an error,
// or that would resync, begins again with all files: a resync without a
// snapshot would not tell what is gone.
func (f *Follower) watch() {
	for f.ctx.Err() == nil {
		err := f.watchOnce()
		if f.ctx.Err() != nil {
			return
		}
		f.log.Warn("a watch has to begin again", "error", err)
		pause(f.ctx, freshEvery(f.View().Conf.TTL()))
	}
}

func (f *Follower) watchOnce() error {
	rev, err := f.load(f.ctx)
	if err != nil {
		return err
	}
	batch := make([]client.Event, 0, 16)
	for ev, err := range f.st.Watch(f.ctx, f.paths.Glob(), client.From(rev+1), client.NoResync()) {
		if err != nil {
			return err
		}
		batch = append(batch, ev)
		if ev.More {
			continue
		}
		f.mu.Lock()
		changed := false
		for _, ev := range batch {
			old, ok := f.files[ev.Path]
			switch {
			case ev.Del && ok && old.Rev < ev.Rev:
				delete(f.files, ev.Path)
				changed = true
			case !ev.Del && old.Rev < ev.Rev:
				f.files[ev.Path] = ev.File
				changed = true
			}
			f.view.Rev = max(f.view.Rev, ev.Rev)
		}
		if changed {
			f.rebuild()
		}
		f.mu.Unlock()
		clear(batch)
		batch = batch[:0]
	}
	return errors.New("the watch ended")
}

// rebuild makes the view from the files and wakes who waits. f.mu is held.
func (f *Follower) rebuild() {
	rev := f.view.Rev
	f.view = build(f.paths, f.files, func(id string) (bool, time.Time) {
		s := f.sessions[id]
		if s == nil || !s.known {
			return id != "", time.Time{}
		}
		return s.alive, s.beat
	})
	f.view.Rev = max(f.view.Rev, rev)
	f.followSessions()
	close(f.changed)
	f.changed = make(chan struct{})
}

// followSessions follows the sessions that the view names, and no others. f.mu
// is held.
func (f *Follower) followSessions() {
	want := make(map[string]bool)
	if id := f.view.Register.Session; id != "" {
		want[id] = true
	}
	for i := range f.view.Nodes {
		if id := f.view.Nodes[i].Session; id != "" {
			want[id] = true
		}
	}
	for id, s := range maps.All(f.sessions) {
		if !want[id] {
			s.stop()
			delete(f.sessions, id)
		}
	}
	for id := range want {
		if f.sessions[id] != nil || f.ctx.Err() != nil {
			continue
		}
		ctx, stop := context.WithCancel(f.ctx)
		s := &follow{stop: stop}
		f.sessions[id] = s
		f.wg.Go(func() { f.followSession(ctx, id, s) })
	}
}

// followSession tells the view of one session, until it is dead or ctx ends. A
// session is dead when its file is gone, for ever.
func (f *Follower) followSession(ctx context.Context, id string, s *follow) {
	path := session.PathOf(id)
	for ctx.Err() == nil {
		file, err := f.st.Get(ctx, path)
		if errors.Is(err, client.ErrNotExist) {
			f.tell(s, false, 0)
			return
		}
		if err == nil {
			f.tell(s, true, file.Rev)
			if f.followBeats(ctx, path, file.Rev, s) {
				return
			}
		}
		pause(ctx, freshEvery(f.View().Conf.TTL()))
	}
}

// followBeats returns true when the session is dead. A watch that ends or
// resyncs may have missed that: it is bounded, and the file is read again.
func (f *Follower) followBeats(ctx context.Context, path string, rev int64, s *follow) (dead bool) {
	ctx, cancel := context.WithTimeout(ctx, sessionWatch)
	defer cancel()
	for ev, err := range f.st.Watch(ctx, path, client.From(rev+1)) {
		if err != nil {
			return false
		}
		f.tell(s, !ev.Del, ev.Rev)
		if ev.Del {
			return true
		}
	}
	return false
}

// tell takes in that the file of a session is at rev, or is gone. Beats change
// no view that anybody waits for.
func (f *Follower) tell(s *follow, alive bool, rev int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	news := !s.known || s.alive != alive
	beat := rev > s.rev
	s.known, s.alive, s.rev = true, alive, max(s.rev, rev)
	if beat && alive {
		s.beat = time.Now()
	}
	if news || beat {
		f.renew(news)
	}
}

// renew brings what the view says of sessions up to date. f.mu is held.
func (f *Follower) renew(news bool) {
	if news {
		f.rebuild()
		return
	}
	nodes := make([]NodeView, len(f.view.Nodes))
	copy(nodes, f.view.Nodes)
	for i := range nodes {
		if s := f.sessions[nodes[i].Session]; s != nil {
			nodes[i].Beat = s.beat
		}
	}
	f.view.Nodes = nodes
}

// refresh asks the store for the register, so that the view knows whether it
// is fresh: a watch that delivers nothing may be one that has nothing to
// deliver, or one that is cut off.
func (f *Follower) refresh() {
	for f.ctx.Err() == nil {
		ttl := f.View().Conf.TTL()
		asked := time.Now()
		ctx, cancel := context.WithTimeout(f.ctx, ttl)
		file, err := f.st.Get(ctx, f.paths.Register())
		cancel()
		if err == nil || errors.Is(err, client.ErrNotExist) {
			f.mu.Lock()
			if f.files[f.paths.Register()].Rev >= file.Rev {
				f.heard = asked
			}
			f.mu.Unlock()
		}
		pause(f.ctx, freshEvery(ttl))
	}
}

// pause waits for d, or for the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
