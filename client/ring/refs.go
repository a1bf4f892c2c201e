package ring

import (
	"context"
	"errors"
	"time"

	"github.com/doozer-store/doozer/client"
)

// update is what run is told: the state of a file, why a watch was refused, or to
// use the local copy.
type update struct {
	// from is the life of the follower: what it tells after that is not heard.
	from   context.Context
	path   string
	exists bool
	value  []byte
	rev    int64
	err    error
	saved  bool
	done   chan struct{} // closed when it was taken in; nil if nobody waits
}

// send hands run an update. It is false when ctx or the Live ended before.
func (l *Live) send(ctx context.Context, u update) bool {
	select {
	case l.updates <- u:
		return true
	case <-ctx.Done():
	case <-l.life.Done():
	}
	return false
}

// follow tells run the state of a file whenever it changes, until ctx ends or the
// client is closed.
func (l *Live) follow(ctx context.Context, path string) {
	for {
		err := l.watch(ctx, path)
		if ctx.Err() != nil || !l.send(ctx, update{from: ctx, path: path, err: err}) || errors.Is(err, client.ErrClosed) {
			return
		}
		pause := time.NewTimer(watchPause)
		select {
		case <-pause.C:
		case <-ctx.Done():
		}
		pause.Stop()
	}
}

// watch is one watch of follow, until it is refused or ctx ends. That there is no
// file is known from the first mark, if it comes before any event.
func (l *Live) watch(ctx context.Context, path string) error {
	heard := false
	w := l.c.Watcher(path, client.Snapshot(), client.Progress(func(int64) {
		if !heard {
			heard = true
			l.send(ctx, update{from: ctx, path: path})
		}
	}))
	defer w.Close()
	for {
		ev, err := w.Next(ctx)
		if err != nil {
			return err
		}
		heard = true
		if !l.send(ctx, update{from: ctx, path: path, exists: !ev.Del, value: ev.Value, rev: ev.Rev}) {
			return ctx.Err()
		}
	}
}

// setRefs follows the files that the ring refers to, and no others.
func (l *Live) setRefs() {
	s := &l.state
	wanted := make(map[string]bool)
	for i := range s.ring.nodes {
		if ref := s.ring.nodes[i].Ref; ref != "" {
			wanted[ref] = true
		}
	}
	for path, stop := range s.refs {
		if !wanted[path] {
			stop()
			delete(s.refs, path)
			delete(s.known, path)
			delete(s.texts, path)
			delete(s.errs, path)
		}
	}
	for path := range wanted {
		if s.refs[path] == nil {
			ctx, stop := context.WithCancel(l.life)
			s.refs[path] = stop
			l.wg.Go(func() { l.follow(ctx, path) })
		}
	}
}
