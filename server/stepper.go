package server

import (
	"context"
	"errors"
	"log/slog"
	"time"

	doozerpb "github.com/doozer-store/doozer/proto"
	"google.golang.org/grpc"
)

// Stepper is a Server without listener, goroutines and timers: whoever drives
// it says when a message has come and when answers are sent. What it runs are
// the functions of a Server. Requests for a rev in the future are not for it,
// since they wait by a timer.
type Stepper struct{ s *Server }

// NewStepper returns a Stepper; now is its clock. cfg needs Machine, Consensus
// and Metrics, which several may share.
func NewStepper(cfg Config, now func() time.Time) *Stepper {
	return &Stepper{&Server{
		node: cfg.Node, name: cfg.Name, version: cfg.Version, now: now, started: now(),
		machine: cfg.Machine, consensus: cfg.Consensus, metrics: cfg.Metrics, limits: cfg.Limits.orDefault(),
		log: slog.New(slog.DiscardHandler), stopping: make(chan struct{}),
	}}
}

// Held returns how many bytes wait in the queues of all watches.
func (t *Stepper) Held() (watchBytes int64) { return t.s.machine.hub.queued.Load() }

// DoStepper is one Do stream.
type DoStepper struct {
	d  *doStream
	in intake
}

// Do begins a stream. send is given every DoResponse, encoded, from within
// Send, and may keep it.
func (t *Stepper) Do(author string, send func(message []byte)) *DoStepper {
	d := &doStream{
		s: t.s, stream: byHand{send: send}, ctx: context.Background(), author: author,
		wake: make(chan struct{}, 1), room: make(chan struct{}, 1),
		parked: map[*parkedRead]struct{}{}, results: new([readsPerLock]answer),
	}
	return &DoStepper{d: d, in: intake{d: d}}
}

// errNoRoom is returned where a Server would wait for answers to leave.
var errNoRoom = errors.New("server: too much is in flight on a stream that is driven by hand")

// Receive takes a DoRequest, encoded. An error ends the stream.
func (t *DoStepper) Receive(message []byte) error {
	if t.d.requests >= t.d.s.limits.StreamRequests {
		return errNoRoom
	}
	return t.in.take(message)
}

// Waiting tells whether Send has something to do.
func (t *DoStepper) Waiting() bool { return len(t.d.wake) > 0 }

// Send answers all that can be answered.
func (t *DoStepper) Send() error {
	select {
	case <-t.d.wake:
	default:
	}
	answers, groups := t.d.takeWork(nil)
	return t.d.write(answers, groups)
}

// Close ends the stream; what is still answered is dropped.
func (t *DoStepper) Close() { t.d.close() }

// WatchStepper is one Watch call.
type WatchStepper struct{ w *watcher }

// Watch begins a watch, as of this node's own rev: a request that is not local
// is one that has waited for a majority by now. send is given every
// WatchResponse, encoded, from within Watch, Deliver and Progress, and may keep
// it. The error is why the watch ended.
func (t *Stepper) Watch(req *doozerpb.WatchRequest, send func(message []byte)) (*WatchStepper, *doozerpb.Error) {
	if e := t.s.refuse(); e != nil {
		return nil, e
	}
	w := &watcher{
		s: t.s, ctx: context.Background(),
		tell: t.s.tellAlone(func(m *encoded) error { send(m.parts.Materialize()); return nil }),
	}
	if e := w.check(req); e != nil {
		return nil, e
	}
	if w.sub = t.s.machine.hub.subscribe(w.glob); w.sub == nil {
		return nil, overloaded("the node has its %d watchers", t.s.limits.Watchers)
	}
	if err := w.start(req); err != nil {
		w.sub.close()
		return nil, w.result(err)
	}
	return &WatchStepper{w}, nil
}

// Waiting tells whether Deliver has something to do.
func (t *WatchStepper) Waiting() bool { return len(t.w.sub.wake) > 0 }

// Lagging tells whether the queue has overflowed: what is sent next comes from
// the store's window, in which rewrites of volatile files may be left out.
func (t *WatchStepper) Lagging() bool {
	t.w.sub.mu.Lock()
	defer t.w.sub.mu.Unlock()
	return t.w.sub.lagging
}

// Deliver sends what there is.
func (t *WatchStepper) Deliver() *doozerpb.Error {
	select {
	case <-t.w.sub.wake:
	default:
	}
	return t.ended(t.w.deliver())
}

// Progress does what a watch does when its clock says so.
func (t *WatchStepper) Progress() *doozerpb.Error {
	err := t.w.deliver()
	if err == nil {
		err = t.w.mark(doozerpb.WatchResponse_PROGRESS, t.w.cursor)
	}
	return t.ended(err)
}

func (t *WatchStepper) ended(err error) *doozerpb.Error {
	if err == nil {
		return nil
	}
	return t.w.result(err)
}

// Close ends the watch.
func (t *WatchStepper) Close() { t.w.sub.close() }

// WatchesStepper is one Watches call. A watch that catches up is told all at once.
type WatchesStepper struct{ t *watchSet }

// Watches begins a call. send is given every WatchesResponse, encoded, from within
// Deliver, and may keep it.
func (t *Stepper) Watches(send func(message []byte)) *WatchesStepper {
	set := newWatchSet(t.s, byHand{send: send}, context.Background())
	set.byHand = true
	return &WatchesStepper{set}
}

// Open opens a watch, as Stepper.Watch does.
func (t *WatchesStepper) Open(id uint64, req *doozerpb.WatchRequest) {
	if m := t.t.accept(&doozerpb.WatchesRequest_Open{Id: id, Watch: req}); m != nil {
		t.t.start([]*setWatch{m})
	}
}

// Waiting tells whether Deliver has something to do.
func (t *WatchesStepper) Waiting() bool { return len(t.t.wake) > 0 }

// Deliver sends what there is. now is zero, or the time for those whose PROGRESS is
// due.
func (t *WatchesStepper) Deliver(now time.Time) error {
	select {
	case <-t.t.wake:
	default:
	}
	return t.t.deliver(now)
}

// CloseWatch ends one watch, Close all of them.
func (t *WatchesStepper) CloseWatch(id uint64) { t.t.end(id, nil) }

// Close ends the call.
func (t *WatchesStepper) Close() { t.t.close(func() {}) }

// byHand is the stream of a DoStepper, and of a WatchesStepper.
type byHand struct {
	grpc.ServerStream
	send func([]byte)
}

// SendMsg implements grpc.ServerStream.
func (b byHand) SendMsg(m any) error {
	parts := m.(*encoded).parts
	b.send(parts.Materialize())
	parts.Free()
	return nil
}
