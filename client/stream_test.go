package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	doozerpb "github.com/doozer-store/doozer/proto"
)

// fakeStream is the stream of a pipe without a network: the test is the node.
type fakeStream struct {
	grpc.ClientStream
	ctx  context.Context
	sent chan *doozerpb.DoRequest
	back chan *doozerpb.DoResponse
}

func (s *fakeStream) SendMsg(m any) error {
	var req doozerpb.DoRequest
	if err := proto.Unmarshal(*m.(*outFrame).buf, &req); err != nil {
		panic(err)
	}
	select {
	case s.sent <- &req:
		return nil
	case <-s.ctx.Done():
		return io.EOF
	}
}

func (s *fakeStream) RecvMsg(m any) error {
	select {
	case res := <-s.back:
		b, err := proto.Marshal(res)
		m.(*inFrame).data = b
		return err
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

// answer answers requests with their tags.
func (s *fakeStream) answer(requests ...*doozerpb.Request) {
	res := &doozerpb.DoResponse{Header: &doozerpb.Header{Node: 1}}
	for _, r := range requests {
		res.Responses = append(res.Responses, &doozerpb.Response{Tag: r.GetTag(), Result: &doozerpb.Response_Nop{Nop: &doozerpb.NopResponse{}}})
	}
	s.back <- res
}

// take receives requests until there are n.
func (s *fakeStream) take(n int) []*doozerpb.Request {
	var list []*doozerpb.Request
	for len(list) < n {
		list = append(list, (<-s.sent).GetRequests()...)
	}
	return list
}

// withPipe runs fn with a pipe in a bubble, where time costs nothing and
// synctest.Wait waits until nothing moves.
func withPipe(t *testing.T, fn func(t *testing.T, p *pipe, s *fakeStream)) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		s := &fakeStream{ctx: ctx, sent: make(chan *doozerpb.DoRequest), back: make(chan *doozerpb.DoResponse)}
		p := newPipe("fake", s, cancel, &bufferPool{})
		p.hear = func(*doozerpb.Header) error { return nil }
		p.lost = func(error) {}
		var wg sync.WaitGroup
		p.run(&wg)
		fn(t, p, s)
		p.end(ErrClosed)
		wg.Wait()
	})
}

// start makes a call of size bytes and returns where its end is told.
func start(ctx context.Context, p *pipe, size int, timeout time.Duration) chan end {
	done := make(chan end, 1)
	go func() {
		k := &call{verb: verbNop, msg: make([]byte, 0, size), done: make(chan struct{}, 1)}
		if size > 0 {
			// An unknown field is the simplest padding.
			k.msg = append(k.msg, 0x7a)
			k.msg = appendPadding(k.msg, size)
		}
		now := time.Now()
		k.deadline = now.Add(timeout)
		done <- p.roundTrip(ctx, k, now)
	}()
	return done
}

// appendPadding appends a length and that many zero bytes.
func appendPadding(b []byte, n int) []byte {
	for v := n; ; v >>= 7 {
		if v < 0x80 {
			b = append(b, byte(v))
			break
		}
		b = append(b, byte(v)|0x80)
	}
	return append(b, make([]byte, n)...)
}

func TestInFlightIsBounded(t *testing.T) {
	withPipe(t, func(t *testing.T, p *pipe, s *fakeStream) {
		var ends []chan end
		for range maxCalls + 10 {
			ends = append(ends, start(t.Context(), p, 0, time.Minute))
		}
		first := s.take(maxCalls)
		synctest.Wait()
		if p.live != maxCalls || p.waiting != 10 {
			t.Fatalf("%d in flight, %d wait", p.live, p.waiting)
		}
		s.answer(first[:3]...)
		rest := s.take(3)
		synctest.Wait()
		if p.live != maxCalls || p.waiting != 7 {
			t.Errorf("after 3 answers %d are in flight, %d wait", p.live, p.waiting)
		}
		s.answer(append(rest, first[3:]...)...)
		s.answer(s.take(7)...)
		for i, e := range ends {
			if how := <-e; how != endReply {
				t.Fatalf("call %d ended with %d", i, how)
			}
		}
	})
}

// TestCanceledCallsMakeRoom: what is given up frees its place, for those that
// wait too.
func TestCanceledCallsMakeRoom(t *testing.T) {
	withPipe(t, func(t *testing.T, p *pipe, s *fakeStream) {
		ctx, cancel := context.WithCancel(t.Context())
		var ends []chan end
		for range maxCalls {
			ends = append(ends, start(ctx, p, 0, time.Minute))
		}
		s.take(maxCalls)
		const waitsSize = 100 // by which its request is known
		waits := start(t.Context(), p, waitsSize, time.Minute)
		brief := start(t.Context(), p, 0, 10*time.Millisecond)
		gone := start(ctx, p, 0, time.Minute)
		if how := <-brief; how != endWaiting {
			t.Errorf("a call that never got in ended with %d", how)
		}
		cancel()
		for answered := false; !answered; {
			for _, r := range s.take(1) {
				if proto.Size(r) >= waitsSize {
					s.answer(r)
					answered = true
				}
			}
		}
		if how := <-waits; how != endReply {
			t.Errorf("the call that waited ended with %d", how)
		}
		// The places of the others may have let it in, and its request out,
		// before it looked.
		if how := <-gone; how != endWaiting && how != endCanceled {
			t.Errorf("a canceled one ended with %d", how)
		}
		for _, e := range ends {
			if how := <-e; how != endCanceled {
				t.Fatalf("a canceled call ended with %d", how)
			}
		}
	})
}

func TestBytesInFlightAreBounded(t *testing.T) {
	withPipe(t, func(t *testing.T, p *pipe, s *fakeStream) {
		const size = maxBytes / 5
		var ends []chan end
		for range 8 {
			ends = append(ends, start(t.Context(), p, size, time.Minute))
		}
		first := s.take(4)
		synctest.Wait()
		if p.live != 4 || p.waiting != 4 {
			t.Fatalf("%d in flight, %d wait", p.live, p.waiting)
		}
		s.answer(first...)
		s.answer(s.take(4)...)
		for _, e := range ends {
			if how := <-e; how != endReply {
				t.Errorf("a call ended with %d", how)
			}
		}
	})
}

// TestBatches: what gathers while the node does not read goes out in messages
// of bounded size.
func TestBatches(t *testing.T) {
	withPipe(t, func(t *testing.T, p *pipe, s *fakeStream) {
		for range 3000 {
			start(t.Context(), p, 100, time.Minute)
		}
		for range 20 {
			start(t.Context(), p, 100<<10, time.Minute)
		}
		synctest.Wait()
		total := 0
		for total < 3020 {
			req := <-s.sent
			n, size := len(req.GetRequests()), proto.Size(req)
			total += n
			if n > batchCalls || size > batchBytes+writeIDBound {
				t.Errorf("a message with %d requests, %d bytes", n, size)
			}
		}
	})
}

// TestUnsentIsKnown: when a pipe ends, calls in chunks that were never taken
// are known not to have reached the node.
func TestUnsentIsKnown(t *testing.T) {
	withPipe(t, func(t *testing.T, p *pipe, s *fakeStream) {
		a := start(t.Context(), p, 0, time.Minute)
		synctest.Wait() // send has taken it, and blocks
		b := start(t.Context(), p, 0, time.Minute)
		synctest.Wait()
		p.end(errSilent)
		if how := <-a; how != endBroken {
			t.Errorf("the call that was being sent ended with %d", how)
		}
		if how := <-b; how != endUnsent {
			t.Errorf("the call behind it ended with %d", how)
		}
		if how := <-start(t.Context(), p, 0, time.Minute); how != endUnsent {
			t.Errorf("a call after the end ended with %d", how)
		}
	})
}

func TestDrain(t *testing.T) {
	withPipe(t, func(t *testing.T, p *pipe, s *fakeStream) {
		a := start(t.Context(), p, 0, time.Minute)
		r := s.take(1)
		p.drain()
		if how := <-start(t.Context(), p, 0, time.Minute); how != endUnsent || p.usable() {
			t.Errorf("a draining pipe took a call: %d", how)
		}
		s.answer(r...)
		if how := <-a; how != endReply {
			t.Errorf("the last call ended with %d", how)
		}
		<-p.gone
		if !errors.Is(p.dead, errDrained) {
			t.Errorf("it ended because %v", p.dead)
		}
	})
}

// TestLateAnswers: the answer of a call that was given up meets no other call,
// though that has its slot.
func TestLateAnswers(t *testing.T) {
	withPipe(t, func(t *testing.T, p *pipe, s *fakeStream) {
		a := start(t.Context(), p, 0, 200*time.Millisecond)
		late := s.take(1)
		if how := <-a; how != endExpired {
			t.Fatalf("the first call ended with %d", how)
		}
		b := start(t.Context(), p, 0, time.Minute)
		own := s.take(1)
		s.answer(late...)
		s.answer(&doozerpb.Request{Tag: 1 << 40}, &doozerpb.Request{Tag: maxCalls - 1})
		synctest.Wait()
		select {
		case how := <-b:
			t.Fatalf("another call's answer ended it with %d", how)
		default:
		}
		s.answer(own...)
		if how := <-b; how != endReply {
			t.Errorf("the second call ended with %d", how)
		}
	})
}

// TestPatrolSleeps: an idle pipe has no ticks; the next call wakes it, and is
// looked after.
func TestPatrolSleeps(t *testing.T) {
	withPipe(t, func(t *testing.T, p *pipe, s *fakeStream) {
		for round := range 3 {
			time.Sleep(patrolIdle + 10*patrolEvery) // the bubble's time
			synctest.Wait()
			if !p.parked {
				t.Fatal("the patrol of an idle pipe does not sleep")
			}
			a := start(t.Context(), p, 0, 300*time.Millisecond)
			s.take(1)
			if how := <-a; how != endExpired {
				t.Errorf("round %d: ended with %d", round, how)
			}
		}
	})
}

// TestSilence: a node that answers nothing is asked once, and then left, in
// less than a second.
func TestSilence(t *testing.T) {
	for _, answers := range []bool{false, true} {
		t.Run(fmt.Sprintf("probe answered: %v", answers), func(t *testing.T) {
			withPipe(t, func(t *testing.T, p *pipe, s *fakeStream) {
				begin := time.Now()
				a := start(t.Context(), p, 0, 3*time.Second)
				s.take(1)
				probe := s.take(1)[0]
				if d := time.Since(begin); probe.GetSelf() == nil || d < probeAfter || d > probeAfter+2*patrolEvery {
					t.Errorf("after %v: %v", d, probe)
				}
				for answers {
					s.answer(probe)
					select {
					case req := <-s.sent:
						probe = req.GetRequests()[0]
					case how := <-a:
						if how != endExpired {
							t.Errorf("the call ended with %d", how)
						}
						return
					}
				}
				how := <-a
				if d := time.Since(begin); how != endBroken || d > leaveAfter+2*patrolEvery || !errors.Is(p.dead, errSilent) {
					t.Errorf("after %v the call ended with %d: %v", d, how, p.dead)
				}
			})
		})
	}
}

func TestGarbageEndsThePipe(t *testing.T) {
	withPipe(t, func(t *testing.T, p *pipe, s *fakeStream) {
		p.hear = func(*doozerpb.Header) error { return ErrWrongCluster }
		a := start(t.Context(), p, 0, time.Minute)
		s.answer(s.take(1)...)
		if how := <-a; how != endBroken || !errors.Is(p.dead, ErrWrongCluster) {
			t.Errorf("the call ended with %d: %v", how, p.dead)
		}
	})
}
