package server

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	doozerpb "github.com/doozer-store/doozer/proto"
	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
)

// doStream serves one Do call. Its handler's goroutine is the sender: it does
// the reads and writes all responses. A second goroutine is the receiver: it
// decodes requests, proposes the writes and asks for the reads. What they and
// the callbacks of consensus share is behind mu.
type doStream struct {
	s      *Server
	stream grpc.ServerStream
	ctx    context.Context
	author string

	// wake has a token when the sender should look, room when the receiver
	// may try again.
	wake, room chan struct{}

	mu      sync.Mutex
	answers []answer     // to be sent
	groups  []*readGroup // to be read and sent
	// requests and bytes count what was received and not yet sent back.
	requests, bytes int
	ended           bool            // the receiver has ended
	err             *doozerpb.Error // why, if its caller did something wrong
	closed          bool            // the sender has ended: answers are dropped
	parked          map[*parkedRead]struct{}

	// The sender's.
	out     outMessage
	results *[readsPerLock]answer // scratch of writeReads
}

// Do implements doozerpb.DoozerServer.
func (s *Server) Do(stream grpc.BidiStreamingServer[doozerpb.DoRequest, doozerpb.DoResponse]) error {
	ctx := stream.Context()
	return s.stream(ctx, verbDo, func() *doozerpb.Error {
		d := &doStream{
			s: s, stream: stream, ctx: ctx, author: author(ctx),
			wake: make(chan struct{}, 1), room: make(chan struct{}, 1),
			parked: map[*parkedRead]struct{}{}, results: new([readsPerLock]answer),
		}
		s.wg.Go(d.receive) // ends when this handler does, if not before
		defer d.close()
		return d.send()
	})
}

// receive takes messages until the caller has no more, or breaks the protocol.
func (d *doStream) receive() {
	in := &intake{d: d}
	var b batch
	for {
		err := d.stream.RecvMsg(&b)
		if err == nil {
			err = in.take(b.bytes())
			b.free()
		}
		if err != nil {
			d.end(err)
			return
		}
	}
}

// end notes that no further request comes.
func (d *doStream) end(err error) {
	d.mu.Lock()
	d.ended = true
	if !errors.Is(err, io.EOF) {
		d.err = fail(doozerpb.Code_BAD_REQUEST, "the stream can't be read: %v", err)
	}
	d.mu.Unlock()
	d.signal()
}

// admit counts a request in, unless too much is in flight.
func (d *doStream) admit(size int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := &d.s.limits
	if d.requests > 0 && (d.requests >= l.StreamRequests || d.bytes+size > l.StreamBytes) {
		return false
	}
	d.requests++
	d.bytes += size
	return true
}

// waitRoom returns when admit should be tried again.
func (d *doStream) waitRoom() error {
	select {
	case <-d.room:
		return nil
	case <-d.ctx.Done():
		return d.ctx.Err()
	}
}

// release counts out what was sent.
func (d *doStream) release(requests, bytes int) {
	d.mu.Lock()
	d.requests -= requests
	d.bytes -= bytes
	d.mu.Unlock()
	d.s.metrics.inFlight.Add(-int64(requests))
	select {
	case d.room <- struct{}{}:
	default:
	}
}

// deliver implements sink. Results come in bursts: only the first of a burst
// wakes the sender.
func (d *doStream) deliver(a answer) {
	d.mu.Lock()
	first := len(d.answers) == 0 && !d.closed
	if !d.closed {
		d.answers = append(d.answers, a)
	}
	d.mu.Unlock()
	if first {
		d.signal()
	}
}

// readable hands the sender reads that may be done.
func (d *doStream) readable(g *readGroup) {
	d.mu.Lock()
	d.groups = append(d.groups, g)
	d.mu.Unlock()
	d.signal()
}

func (d *doStream) signal() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// send answers until the caller has no more requests and all are answered.
func (d *doStream) send() *doozerpb.Error {
	stopping := d.s.stopping
	var drain <-chan time.Time
	var spare []answer
	for {
		select {
		case <-d.wake:
		case <-d.ctx.Done():
			return nil
		case <-stopping:
			stopping = nil
			d.out.goingAway = true
			d.unpark(stoppingError)
			drain = time.After(drainGrace)
		case <-drain:
			if d.idle() {
				return stoppingError()
			}
			drain = time.After(drainGrace)
		}
		answers, groups := d.takeWork(spare)
		if err := d.write(answers, groups); err != nil {
			return nil // the stream is broken: nobody hears
		}
		clear(answers)
		spare = answers[:0]
		if done, e := d.done(); done {
			return e
		}
	}
}

// stoppingError is stopping, under a name the sender's channel leaves free.
func stoppingError() *doozerpb.Error { return stopping() }

// takeWork takes all there is to answer: what came while the sender was busy
// goes into one message, so that a busy stream gets larger messages and not
// more of them.
func (d *doStream) takeWork(spare []answer) ([]answer, []*readGroup) {
	d.mu.Lock()
	defer d.mu.Unlock()
	answers, groups := d.answers, d.groups
	d.answers, d.groups = spare, nil
	return answers, groups
}

// idle tells whether nothing is in flight.
func (d *doStream) idle() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.requests == 0
}

// done tells whether the stream is at its end, and what to say there.
func (d *doStream) done() (bool, *doozerpb.Error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ended && d.requests == 0, d.err
}

// write sends answers, and those of the reads of groups.
func (d *doStream) write(answers []answer, groups []*readGroup) error {
	for i := range answers {
		if err := d.add(&answers[i]); err != nil {
			return err
		}
	}
	for _, g := range groups {
		if err := d.writeReads(g.reads); err != nil {
			return err
		}
	}
	if d.out.requests > 0 || d.out.goingAway {
		return d.flush()
	}
	return nil
}

// outMessage is a DoResponse that is being filled.
type outMessage struct {
	buf       *[]byte // of grpc's pool, nil while empty
	requests  int     // answered in it
	bytes     int     // what they give back of the stream's bounds
	goingAway bool    // to be said in it
	last      int     // bytes of the message before: how big this may get
}

// add puts an answer into the message, and sends that when it is full.
func (d *doStream) add(a *answer) error {
	o := &d.out
	if o.buf == nil {
		o.buf = mem.DefaultBufferPool().Get(max(4<<10, o.last+o.last/4))
		*o.buf = (*o.buf)[:0]
	}
	*o.buf = appendAnswer(*o.buf, a)
	o.requests++
	o.bytes += a.size
	d.s.metrics.observe(a.verb, a.err.GetCode(), time.Duration(d.s.clock()-a.start))
	if len(*o.buf) >= d.s.limits.MessageBytes {
		return d.flush()
	}
	return nil
}

// flush sends the message. Its header is made last: no content is newer.
func (d *doStream) flush() error {
	o := &d.out
	head := d.s.appendHeader(make([]byte, 0, 64), fieldDoHeader)
	if o.goingAway {
		head = appendUint(head, fieldDoGoingAway, 1)
	}
	parts := mem.BufferSlice{mem.SliceBuffer(head)}
	if o.buf != nil {
		o.last = min(len(*o.buf), d.s.limits.MessageBytes)
		parts = append(parts, mem.NewBuffer(o.buf, mem.DefaultBufferPool()))
	}
	requests, bytes := o.requests, o.bytes
	*o = outMessage{last: o.last}
	if err := d.stream.SendMsg(&encoded{parts: parts}); err != nil {
		return err
	}
	d.release(requests, bytes)
	return nil
}

// close ends the stream's bookkeeping. The receiver ends when the handler has
// returned; what consensus still answers is dropped.
func (d *doStream) close() {
	d.unpark(nil)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	d.answers, d.groups = nil, nil
	d.s.metrics.inFlight.Add(-int64(d.requests))
	d.requests = 0
}
