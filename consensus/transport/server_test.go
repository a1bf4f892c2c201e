package transport

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/doozer-store/doozer/proto/peerpb"
	"github.com/doozer-store/doozer/test/loopback"
)

// greet begins a stream of messages of peer 2.
func greet(t *testing.T, p peerpb.PeerClient) peerpb.Peer_MessagesClient {
	t.Helper()
	s, err := p.Messages(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_ = s.Send(&peerpb.Envelope{Hello: hello()})
	if _, err := s.Recv(); err != nil {
		t.Fatal(err)
	}
	return s
}

// stranger starts node 1, whose peer 2 is the test itself, with a plain grpc
// client to it.
func stranger(t testing.TB, change func(*Config)) (peerpb.PeerClient, *Transport, *recorder) {
	t.Helper()
	lis := network.Listen()
	r := newRecorder()
	c := config(1, lis, r, []string{lis.Addr().String(), network.Free()})
	if change != nil {
		change(&c)
	}
	tr := start(t, c)
	cc, err := grpc.NewClient("passthrough:///"+lis.Addr().String(),
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithContextDialer(network.Dial))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cc.Close() })
	return peerpb.NewPeerClient(cc), tr, r
}

func hello() *peerpb.Hello {
	return &peerpb.Hello{From: 2, To: 1, Protocol: Protocol, Name: "n2"}
}

func encode(t testing.TB, m *raftpb.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestHello(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _, _ := stranger(t, nil)
		edit := func(fn func(*peerpb.Hello)) *peerpb.Envelope {
			h := hello()
			fn(h)
			return &peerpb.Envelope{Hello: h}
		}
		for _, c := range []struct {
			name string
			env  *peerpb.Envelope
			code codes.Code
		}{
			{"good", &peerpb.Envelope{Hello: hello()}, codes.OK},
			{"none", &peerpb.Envelope{}, codes.InvalidArgument},
			{"and more", &peerpb.Envelope{Hello: hello(), Hash: []*peerpb.StateHash{{}}}, codes.InvalidArgument},
			{"another protocol", edit(func(h *peerpb.Hello) { h.Protocol = 2 }), codes.FailedPrecondition},
			{"to another node", edit(func(h *peerpb.Hello) { h.To = 3 }), codes.NotFound},
			{"of an unknown node", edit(func(h *peerpb.Hello) { h.From = 3 }), codes.Unavailable},
			{"of the node itself", edit(func(h *peerpb.Hello) { h.From = 1 }), codes.Unavailable},
		} {
			s, err := p.Messages(t.Context())
			if err == nil {
				err = s.Send(c.env)
			}
			if err == nil {
				_, err = s.Recv()
			}
			if status.Code(err) != c.code {
				t.Errorf("%s: %v", c.name, err)
			}
			if _, err := p.Tree(t.Context(), &peerpb.TreeRequest{Hello: c.env.GetHello()}); status.Code(err) == codes.OK {
				t.Errorf("%s: a tree", c.name)
			}
		}
	})
}

func TestNoHello(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _, _ := stranger(t, func(c *Config) { c.Limits.Handshake = 500 * time.Millisecond })
		s, err := p.Messages(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Recv(); status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("Messages: %v", err)
		}
		sn, err := p.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := sn.RecvMsg(&peerpb.SnapshotDone{}); status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("Snapshot: %v", err)
		}
	})
}

// Each of these ends the stream with InvalidArgument, and the handler sees
// none of the envelope.
func TestBadEnvelopes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _, r := stranger(t, nil)
		good := encode(t, message(raftpb.MsgApp, 2, 1, 1, 10))
		for name, env := range map[string]*peerpb.Envelope{
			"second hello":  {Hello: hello()},
			"junk":          {Raft: [][]byte{good, []byte("\xff\xff\xff")}},
			"from another":  {Raft: [][]byte{good, encode(t, message(raftpb.MsgApp, 3, 1, 1, 0))}},
			"to another":    {Raft: [][]byte{good, encode(t, message(raftpb.MsgApp, 2, 3, 1, 0))}},
			"from nobody":   {Raft: [][]byte{good, {}}},
			"stray MsgSnap": {Raft: [][]byte{good, encode(t, message(raftpb.MsgSnap, 2, 1, 1, 0))}},
		} {
			s := greet(t, p)
			_ = s.Send(env)
			if _, err := s.Recv(); status.Code(err) != codes.InvalidArgument {
				t.Errorf("%s: %v", name, err)
			}
		}
		if msgs := r.received(); len(msgs) != 0 {
			t.Errorf("%d messages came through", len(msgs))
		}
	})
}

func TestTooLargeMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _, _ := stranger(t, func(c *Config) { c.Limits.MessageBytes = 1 << 20 })
		s, err := p.Messages(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_ = s.Send(&peerpb.Envelope{Hello: hello()})
		_ = s.Send(&peerpb.Envelope{Raft: [][]byte{encode(t, message(raftpb.MsgApp, 2, 1, 1, 2<<20))}})
		for err == nil {
			_, err = s.Recv()
		}
		if status.Code(err) != codes.ResourceExhausted {
			t.Errorf("got %v", err)
		}

		// The sender drops such a message and keeps the stream.
		ns := nodes(t, 2, func(c *Config) { c.Limits.MessageBytes = 1 << 20 })
		ns[0].Send([]*raftpb.Message{
			message(raftpb.MsgApp, 1, 2, 1, 100), message(raftpb.MsgApp, 1, 2, 2, 2<<20), message(raftpb.MsgApp, 1, 2, 3, 1<<19),
		})
		ns[1].wait(t, "two of three messages", func() bool {
			return len(ns[1].msgs) == 2 && ns[1].msgs[1].GetIndex() == 3
		})
		ns[0].wait(t, "unreachable", func() bool { return ns[0].unreachable == 1 })
		if e := ns[0].events(); slices.Contains(e, "down 2") {
			t.Errorf("connections %q", e)
		}
	})
}

// The newest stream of a peer is the one that counts.
func TestSupersededStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _, r := stranger(t, nil)
		var streams []peerpb.Peer_MessagesClient
		for range 2 {
			s := greet(t, p)
			streams = append(streams, s)
		}
		env := &peerpb.Envelope{Raft: [][]byte{encode(t, message(raftpb.MsgApp, 2, 1, 1, 0))}}
		_ = streams[0].Send(env)
		if _, err := streams[0].Recv(); status.Code(err) != codes.Aborted {
			t.Errorf("got %v", err)
		}
		_ = streams[1].Send(env)
		r.wait(t, "a message", func() bool { return len(r.msgs) == 1 })
	})
}

// Connections beyond the limit are closed, and those within it still work.
func TestConnectionLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, tr, _ := stranger(t, func(c *Config) { c.Limits.Conns = 2 })
		s := greet(t, p)
		addr := tr.c.Listener.Addr().String()
		first, err := network.Dial(t.Context(), addr)
		if err != nil {
			t.Fatal(err)
		}
		defer first.Close()
		if _, err := first.Read(make([]byte, 1)); err != nil { // the server's settings frame
			t.Fatal(err)
		}
		second, err := network.Dial(t.Context(), addr)
		if err != nil {
			t.Fatal(err)
		}
		defer second.Close()
		if n, err := second.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Fatalf("a third connection was served: %v", err)
		}
		_ = s.CloseSend()
		if _, err := s.Recv(); err != io.EOF {
			t.Errorf("the end of a stream: %v", err)
		}
	})
}

// Whatever an authenticated peer puts into an envelope, the answer is an
// error or a call of the handler with messages from that peer.
func FuzzEnvelope(f *testing.F) {
	add := func(e *peerpb.Envelope) {
		b, err := proto.Marshal(e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	for typ := range raftpb.MessageType_name {
		add(&peerpb.Envelope{Raft: [][]byte{encode(f, message(raftpb.MessageType(typ), 2, 1, 1, 10))}})
	}
	add(&peerpb.Envelope{Hello: hello()})
	add(&peerpb.Envelope{Raft: [][]byte{nil, []byte("\xff")}})
	add(&peerpb.Envelope{Forward: []*peerpb.Forward{{Term: 1, Commands: []*peerpb.Command{{Id: 1, Data: []byte("x")}, {}}}, {}}})
	add(&peerpb.Envelope{Hash: []*peerpb.StateHash{{Index: 1}}})
	lis := network.Listen()
	r := newRecorder()
	tr, err := New(config(1, lis, r, nil))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = tr.Close() })
	f.Fuzz(func(t *testing.T, b []byte) {
		r.msgs, r.forwards, r.hashes = nil, nil, nil
		in := tr.inbound(2)
		if err := newCodec().Unmarshal(mem.BufferSlice{mem.SliceBuffer(bytes.Clone(b))}, in); err != nil {
			t.Fatal(err)
		}
		if err := tr.receive(2, in); err != nil {
			if status.Code(err) != codes.InvalidArgument || len(r.msgs)+len(r.forwards)+len(r.hashes) > 0 {
				t.Fatalf("%v, after messages", err)
			}
			return
		}
		for _, m := range r.msgs {
			if m == nil || m.GetFrom() != 2 || m.GetTo() != 1 {
				t.Fatalf("handed on %v", m)
			}
		}
		// Envelope's own decoder finds the same.
		env, want := &peerpb.Envelope{}, &raftpb.Message{}
		if err := proto.Unmarshal(b, env); err != nil || len(env.GetRaft()) != len(r.msgs) || len(env.GetHash()) != len(r.hashes) {
			t.Fatalf("handed on %d messages and %d hashes of %v, %v", len(r.msgs), len(r.hashes), env, err)
		}
		for i, raw := range env.GetRaft() {
			if err := proto.Unmarshal(raw, want); err != nil || !proto.Equal(want, r.msgs[i]) {
				t.Fatalf("message %d is %v, want %v, %v", i, r.msgs[i], want, err)
			}
		}
	})
}

func BenchmarkAppends(b *testing.B) {
	for _, size := range []int{300, 30_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			ns := nodesAt(b, []net.Listener{loopback.Listen(b), loopback.Listen(b)}, nil)
			r := &counter{want: make(chan int, 1), done: make(chan struct{})}
			_ = ns[1].Close()
			ns[0].waitConn(b, "refused 2")
			ns[0].forget()
			ns[1].Transport = start(b, config(2, relisten(b, ns[1].addr), r, []string{ns[0].addr, ns[1].addr}))
			ns[0].waitConn(b, "up 2")
			m := []*raftpb.Message{message(raftpb.MsgApp, 1, 2, 1, size)}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			r.want <- b.N
			b.ResetTimer()
			link := ns[0].link(2)
			for i := range b.N {
				if i%64 == 63 { // no more than fits: nothing may be dropped
					for full(link) {
						time.Sleep(50 * time.Microsecond)
					}
				}
				ns[0].Send(m)
			}
			<-r.done
		})
	}
}

func full(l *link) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.q.bytes > l.t.c.Limits.QueueBytes/2 || l.q.count > l.t.c.Limits.QueueMessages/2
}

// counter is a Handler that counts messages only.
type counter struct {
	recorder
	want chan int
	left int
	done chan struct{}
}

func (c *counter) Receive(_ uint64, msgs []*raftpb.Message) {
	if c.left == 0 {
		c.left = <-c.want
	}
	if c.left -= len(msgs); c.left == 0 {
		close(c.done)
	}
}
func (c *counter) PeerUp(uint64)         {}
func (c *counter) PeerDown(uint64, bool) {}
func (c *counter) Unreachable(uint64)    {}
func (c *counter) Refused(id uint64, err error) {
	panic(errors.Join(fmt.Errorf("refused by %d", id), err))
}
