package transport

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// link is the outgoing side of one peer: a queue, a goroutine (run) that keeps
// a stream to the peer open and sends what is queued, and another (report)
// that tells of drops, also while the first waits for the peer to read.
type link struct {
	t      *Transport
	id     uint64
	addr   string
	ctx    context.Context // ends with the peer's removal or the transport
	cancel context.CancelFunc

	wake  chan struct{} // capacity 1: something was queued
	drops chan struct{} // capacity 1: something was dropped
	kick  chan struct{} // capacity 1: dial at once

	mu        sync.Mutex
	q         queue         // guarded by mu
	session   *session      // open, or nil; guarded by mu
	info      PeerInfo      // of the last Welcome; guarded by mu
	known     bool          // info is set; guarded by mu
	snapping  bool          // a snapshot is being sent; guarded by mu
	receiving bool          // a snapshot is being received; guarded by mu
	incoming  *incomingMark // the newest Messages stream from the peer; guarded by mu

	// Owned by run.
	told    verdict // the last report to the handler
	lost    bool    // a stream broke, and why is not settled
	tries   int     // dials since the last success, or since a kick
	refusal string  // the reason last reported to Handler.Refused
}

type incomingMark struct{ _ byte } // compared by address

type verdict uint8

const (
	toldNothing verdict = iota
	toldUp
	toldDown
	toldRefused
)

// probeWait is the pause before each dial after a stream broke, and whether
// that dial still is a probe. A process that is being killed closes its connections one by one, and the listener
// may be the last of them.
func probeWait(try int) (time.Duration, bool) {
	switch try {
	case 0:
		return 0, true
	case 1:
		return 5 * time.Millisecond, true
	case 2:
		return 20 * time.Millisecond, true
	case 3:
		return 50 * time.Millisecond, true
	}
	return 0, false
}

func newLink(t *Transport, id uint64, addr string) *link {
	l := &link{t: t, id: id, addr: addr, wake: make(chan struct{}, 1), drops: make(chan struct{}, 1), kick: make(chan struct{}, 1)}
	l.ctx, l.cancel = context.WithCancel(t.ctx)
	return l
}

// start starts the goroutines. The caller holds t.mu, and t is not closed.
func (l *link) start() {
	l.t.wg.Go(l.run)
	l.t.wg.Go(l.report)
}

// report tells the handler of drops until the link ends.
func (l *link) report() {
	for {
		select {
		case <-l.drops:
			l.t.c.Handler.Unreachable(l.id)
		case <-l.ctx.Done():
			return
		}
	}
}

// run dials until the link ends. A redial after a loss is the probe as well:
// refused means that the process is gone, a welcome that it never was.
func (l *link) run() {
	for l.pause() {
		timeout := l.t.c.Limits.Handshake
		if l.lost {
			timeout = l.t.c.Limits.Probe
		}
		s, err := l.connect(timeout)
		if err != nil {
			l.failed(err)
			continue
		}
		l.settle()
		l.tries, l.refusal, l.told = 0, "", toldUp
		l.t.c.Logger.Info("peer up", "peer", l.id, "addr", l.addr)
		l.t.c.Handler.PeerUp(l.id)
		err = s.serve()
		l.disconnect()
		s.close()
		if l.ctx.Err() != nil {
			return
		}
		l.t.c.Logger.Info("peer lost", "peer", l.id, "addr", l.addr, "err", err)
		l.lost = true
		if status.Code(err) == codes.FailedPrecondition {
			l.refused(err)
		}
	}
}

// failed takes in that a dial did not end in a welcome.
func (l *link) failed(err error) {
	if l.ctx.Err() != nil {
		return
	}
	l.tries++
	l.t.c.Logger.Debug("peer not reached", "peer", l.id, "addr", l.addr, "err", err)
	if errors.Is(err, syscall.ECONNREFUSED) {
		l.lost = false
		if l.told != toldRefused {
			l.told = toldRefused
			l.t.c.Handler.PeerDown(l.id, true)
		}
		return
	}
	if status.Code(err) == codes.FailedPrecondition {
		l.refused(err)
	}
	if _, more := probeWait(l.tries); !more {
		l.settle()
	}
}

// settle reports a loss that turned out not to be a death.
func (l *link) settle() {
	if !l.lost {
		return
	}
	l.lost = false
	l.told = toldDown
	l.t.c.Handler.PeerDown(l.id, false)
}

func (l *link) refused(err error) {
	reason := status.Convert(err).Message()
	if reason != l.refusal {
		l.refusal = reason
		l.t.c.Handler.Refused(l.id, errors.New(reason))
	}
}

// pause waits before the next dial. It returns false when the link has ended.
func (l *link) pause() bool {
	wait, ok := probeWait(l.tries)
	if !l.lost || !ok {
		wait = l.backoff()
	}
	if wait == 0 {
		return l.ctx.Err() == nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.kick:
		if !l.lost { // a probe is counted to its end
			l.tries = 0
		}
	case <-l.ctx.Done():
		return false
	}
	return true
}

// backoff doubles from MinBackoff to MaxBackoff and gives between half of
// that and all of it; nothing before the first dial.
func (l *link) backoff() time.Duration {
	if l.tries == 0 {
		return 0
	}
	d := l.t.c.Limits.MaxBackoff
	if shift := l.tries - 1; shift < 16 {
		d = min(d, l.t.c.Limits.MinBackoff<<shift)
	}
	return d/2 + rand.N(d/2+1)
}

// suspect is called when the stream from the peer broke. It runs on the
// goroutine of that stream. If the address cannot be reached the outgoing
// stream is as good as dead, though nobody may have said so: it is given up,
// and run finds out the rest.
func (l *link) suspect() {
	s := l.open()
	if s == nil {
		signal(l.kick)
		return
	}
	for try := 0; ; try++ {
		wait, more := probeWait(try)
		if !more {
			break
		}
		select {
		case <-time.After(wait):
		case <-l.ctx.Done():
			return
		}
		ctx, cancel := context.WithTimeout(l.ctx, l.t.c.Limits.Probe)
		conn, err := l.t.c.Dial(ctx, l.addr)
		cancel()
		if err == nil {
			_ = conn.Close()
			return
		}
		if errors.Is(err, syscall.ECONNREFUSED) {
			break
		}
	}
	s.cancel() // that one: by now there may be another
}

// open returns the open session, if any.
func (l *link) open() *session {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.session
}

// disconnect drops what is queued: the peer may be away for long, and raft
// sends anew what matters.
func (l *link) disconnect() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.session = nil
	if !l.q.empty() {
		signal(l.drops)
	}
	l.q = queue{}
}

// signal wakes the receiver of a channel of capacity 1.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
