package server

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	doozerpb "github.com/doozer-store/doozer/proto"
	"github.com/doozer-store/doozer/store"
	"google.golang.org/grpc"
)

// startTCP runs a node on loopback, as a client meets it.
func startTCP(b testing.TB, limits Limits) *node {
	b.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	return startOn(b, limits, lis)
}

// pipeline is a Do stream shared by callers, as the client's is: what they
// ask for while a message is being sent goes into the next.
type pipeline struct {
	stream grpc.BidiStreamingClient[doozerpb.DoRequest, doozerpb.DoResponse]
	mu     sync.Mutex
	next   []*doozerpb.Request
	wake   chan struct{}
	done   []chan *doozerpb.Response // by tag
}

func newPipeline(b testing.TB, n *node, callers int) *pipeline {
	b.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	st, err := n.client.Do(ctx)
	if err != nil {
		b.Fatal(err)
	}
	p := &pipeline{stream: st, wake: make(chan struct{}, 1)}
	for range callers {
		p.done = append(p.done, make(chan *doozerpb.Response, 1))
	}
	var ends sync.WaitGroup
	ends.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-p.wake:
			}
			p.mu.Lock()
			reqs := p.next
			p.next = nil
			p.mu.Unlock()
			if len(reqs) > 0 && st.Send(&doozerpb.DoRequest{Requests: reqs}) != nil {
				return
			}
		}
	})
	ends.Go(func() {
		for {
			m, err := st.Recv()
			if err != nil {
				return
			}
			for _, r := range m.Responses {
				p.done[r.Tag] <- r
			}
		}
	})
	b.Cleanup(func() {
		cancel()
		ends.Wait()
	})
	return p
}

func (p *pipeline) call(r *doozerpb.Request) *doozerpb.Response {
	p.mu.Lock()
	p.next = append(p.next, r)
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
	return <-p.done[r.Tag]
}

func benchmarkDo(b *testing.B, make func(tag uint64, i int64) *doozerpb.Request) {
	for _, callers := range []int{1, 64, 1000} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			n := startTCP(b, Limits{})
			for i := range 1000 {
				n.set(b, fmt.Sprintf("/bench/%d", i), string(fill(256)))
			}
			p := newPipeline(b, n, callers)
			var left atomic.Int64
			left.Store(int64(b.N))
			var done sync.WaitGroup
			b.ReportAllocs()
			b.ResetTimer()
			cpu := cpuTime()
			for tag := range callers {
				done.Go(func() {
					for i := left.Add(-1); i >= 0; i = left.Add(-1) {
						if r := p.call(make(uint64(tag), i)); r.GetError() != nil {
							b.Error(r)
							return
						}
					}
				})
			}
			done.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
			b.ReportMetric(float64(cpuTime()-cpu)/float64(b.N), "cpu-ns/op")
		})
	}
}

// cpuTime is what the process has used, in nanoseconds: the measure that
// other work on the machine disturbs least. It includes the client.
func cpuTime() int64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

func fill(n int) []byte { return make([]byte, n) }

func BenchmarkDoSet(b *testing.B) {
	value := string(fill(256))
	benchmarkDo(b, func(tag uint64, i int64) *doozerpb.Request {
		return setReq(tag, fmt.Sprintf("/bench/%d", i%1000), value)
	})
}

func BenchmarkDoGet(b *testing.B) {
	benchmarkDo(b, func(tag uint64, i int64) *doozerpb.Request {
		return getReq(tag, fmt.Sprintf("/bench/%d", i%1000))
	})
}

// The server's part alone: one stream whose handler is given ready messages
// and whose responses are dropped.
func BenchmarkServeDo(b *testing.B) {
	value := string(fill(256))
	for name, req := range map[string]func(i int) *doozerpb.Request{
		"set": func(i int) *doozerpb.Request { return setReq(uint64(i), fmt.Sprintf("/bench/%d", i%1000), value) },
		"get": func(i int) *doozerpb.Request { return getReq(uint64(i), fmt.Sprintf("/bench/%d", i%1000)) },
	} {
		b.Run(name, func(b *testing.B) {
			n := start(b, Limits{})
			for i := range 1000 {
				n.set(b, fmt.Sprintf("/bench/%d", i), value)
			}
			m := &doozerpb.DoRequest{}
			for i := range 100 {
				m.Requests = append(m.Requests, req(i))
			}
			data, err := newCodec().Marshal(m)
			if err != nil {
				b.Fatal(err)
			}
			left := atomic.Int64{}
			left.Store(int64(b.N / 100))
			st := &loopStream{left: &left, data: data.Materialize()}
			b.ReportAllocs()
			b.ResetTimer()
			cpu := cpuTime()
			if err := n.Do(&grpc.GenericServerStream[doozerpb.DoRequest, doozerpb.DoResponse]{ServerStream: st}); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
			b.ReportMetric(float64(cpuTime()-cpu)/float64(b.N), "cpu-ns/op")
		})
	}
}

// loopStream is a stream on which the same message is received left times.
type loopStream struct {
	grpc.ServerStream
	left *atomic.Int64
	data []byte
}

func (s *loopStream) Context() context.Context { return context.Background() }

func (s *loopStream) RecvMsg(m any) error {
	if s.left.Add(-1) < 0 {
		return io.EOF
	}
	return newCodec().Unmarshal(rawMessage(string(s.data)).parts, m)
}

func (s *loopStream) SendMsg(m any) error {
	m.(*encoded).parts.Free()
	return nil
}

// One watcher for each of 10,000 directories: a write finds its own.
func BenchmarkHubPublish(b *testing.B) {
	n := start(b, Limits{})
	h := n.machine.hub
	for i := range 10_000 {
		g, err := store.CompileGlob(fmt.Sprintf("/app/%d/*", i))
		if err != nil {
			b.Fatal(err)
		}
		s := h.subscribe(g)
		b.Cleanup(s.close)
	}
	events := make([]*store.Event, 1)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		events[0] = store.Version{Path: fmt.Sprintf("/app/%d/x", i%10_000), Rev: int64(i + 1), Last: true, Value: fill(100)}.Event()
		h.publish(events)
	}
}

// 1000 watchers of everything, over gRPC: one op is one event at all of them.
func BenchmarkFanOut(b *testing.B) {
	n := startTCP(b, Limits{})
	const watchers = 1000
	var done sync.WaitGroup
	end := int64(b.N)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	conns := make([]doozerpb.DoozerClient, 10)
	for i := range conns {
		conns[i] = doozerpb.NewDoozerClient(n.dial())
	}
	for i := range watchers {
		st, err := conns[i%len(conns)].Watch(ctx, &doozerpb.WatchRequest{Glob: "/**"})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := st.Recv(); err != nil {
			b.Fatal(err)
		}
		done.Go(func() {
			for rev := int64(0); rev < end; {
				m, err := st.Recv()
				if err != nil {
					b.Error(err)
					return
				}
				rev = m.Rev
			}
		})
	}
	value := string(fill(100))
	b.ResetTimer()
	for i := range b.N {
		n.set(b, fmt.Sprintf("/%d", i%100), value)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "applied/s")
	done.Wait()
	b.ReportMetric(float64(b.N)*watchers/b.Elapsed().Seconds(), "deliveries/s")
}
