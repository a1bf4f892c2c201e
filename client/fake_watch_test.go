package client

import (
	"slices"
	"time"

	doozerpb "github.com/doozer-store/doozer/proto"
	"github.com/doozer-store/doozer/test/watches"
)

func (s *fakeService) Log(req *doozerpb.LogRequest, stream doozerpb.Doozer_LogServer) error {
	s.n.mu.Lock()
	cutErr := s.n.watchErr
	s.n.watchErr = nil
	s.n.mu.Unlock()
	c := s.n.c
	c.mu.Lock()
	var list []*doozerpb.Event
	for _, ev := range c.events {
		if ev.GetRev() >= req.GetFrom() && fakeMatch(req.GetGlob(), ev.GetPath()) {
			list = append(list, ev)
		}
	}
	h := c.header(s.n)
	c.mu.Unlock()
	if n := int(req.GetLimit()); n > 0 && len(list) > n {
		list = list[len(list)-n:]
	}
	for i, ev := range list {
		if cutErr != nil && i == len(list)/2 {
			return cutErr
		}
		if err := stream.Send(&doozerpb.LogResponse{Header: h, Events: []*doozerpb.Event{ev}}); err != nil {
			return err
		}
	}
	return nil
}

func (s *fakeService) Watch(req *doozerpb.WatchRequest, stream doozerpb.Doozer_WatchServer) error {
	w := fakeWatch{s: s, req: req, stream: stream}
	s.n.mu.Lock()
	w.cut, w.resync = s.n.cut, s.n.resync
	s.n.mu.Unlock()
	c := s.n.c
	c.mu.Lock()
	w.pos = c.rev
	if req.GetFrom() > 0 {
		w.pos = req.GetFrom() - 1
	}
	late := w.pos < c.oldest
	oldest := c.oldest
	c.mu.Unlock()
	if late && req.GetNoResync() {
		return rpcRefusal(doozerpb.Code_TOO_LATE, oldest)
	}
	if err := w.send(doozerpb.WatchResponse_PROGRESS, w.pos, nil); err != nil {
		return err
	}
	if late || req.GetSnapshot() {
		if err := w.snapshot(late && !req.GetSnapshot()); err != nil {
			return err
		}
	}
	return w.run()
}

// Watches serves many watches as Watch does one. A cut ends the stream.
func (s *fakeService) Watches(stream doozerpb.Doozer_WatchesServer) error {
	return watches.Serve(stream, func() *doozerpb.Header { return s.n.c.lockedHeader(s.n) }, s.Watch)
}

// fakeWatch is one Watch stream of a node.
type fakeWatch struct {
	s           *fakeService
	req         *doozerpb.WatchRequest
	stream      doozerpb.Doozer_WatchServer
	pos         int64
	cut, resync chan struct{}
}

func (w *fakeWatch) send(kind doozerpb.WatchResponse_Kind, rev int64, events []*doozerpb.Event) error {
	return w.stream.Send(&doozerpb.WatchResponse{Header: w.s.n.c.lockedHeader(w.s.n), Kind: kind, Rev: rev, Events: events})
}

// snapshot sends the files two to a message. A cut may fall in between.
func (w *fakeWatch) snapshot(resync bool) error {
	c := w.s.n.c
	c.mu.Lock()
	w.pos = c.rev
	files := c.matching(w.req.GetGlob())
	c.mu.Unlock()
	if resync {
		if err := w.send(doozerpb.WatchResponse_RESYNC, w.pos, nil); err != nil {
			return err
		}
	}
	for part := range slices.Chunk(files, 2) {
		var events []*doozerpb.Event
		for _, f := range part {
			events = append(events, &doozerpb.Event{Path: f.GetPath(), Value: f.GetValue(), Rev: f.GetRev()})
		}
		select {
		case <-w.cut:
			return errCut
		default:
		}
		if err := w.send(doozerpb.WatchResponse_SNAPSHOT, w.pos, events); err != nil {
			return err
		}
	}
	return w.send(doozerpb.WatchResponse_SNAPSHOT_END, w.pos, nil)
}

func (w *fakeWatch) run() error {
	c := w.s.n.c
	progress := time.NewTicker(time.Duration(max(w.req.GetProgressMs(), 1)) * time.Millisecond)
	defer progress.Stop()
	for {
		c.mu.Lock()
		changed, rev := c.changed, c.rev
		var events []*doozerpb.Event
		for _, ev := range c.events {
			// A few revs to a message, each whole.
			if ev.GetRev() > w.pos && ev.GetRev() <= w.pos+3 && fakeMatch(w.req.GetGlob(), ev.GetPath()) {
				events = append(events, ev)
			}
		}
		w.pos = max(w.pos, min(w.pos+3, rev))
		more := w.pos < rev
		c.mu.Unlock()
		if len(events) > 0 {
			if err := w.send(doozerpb.WatchResponse_EVENTS, events[len(events)-1].GetRev(), events); err != nil {
				return err
			}
		}
		if more {
			changed = closedChan()
		}
		select {
		case <-w.stream.Context().Done():
			return nil
		case <-w.cut:
			w.s.n.mu.Lock()
			defer w.s.n.mu.Unlock()
			if w.s.n.watchErr != nil {
				return w.s.n.watchErr
			}
			return errCut
		case <-w.resync:
			w.resync = nil
			if err := w.snapshot(true); err != nil {
				return err
			}
		case <-progress.C:
			if err := w.send(doozerpb.WatchResponse_PROGRESS, w.pos, nil); err != nil {
				return err
			}
		case <-changed:
		}
	}
}

func closedChan() chan struct{} {
	ch := make(chan struct{})
	close(ch)
	return ch
}
