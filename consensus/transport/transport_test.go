package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/doozer-store/doozer/proto/peerpb"
	"github.com/doozer-store/doozer/test/loopback"
)

// patient are limits that only a hang exceeds, for tests on TCP in which no
// connection may be lost.
func patient(c *Config) {
	c.Limits.Handshake, c.Limits.Ping, c.Limits.Silence = patience, patience, patience
}

func TestThreeNodes(t *testing.T) {
	ns := nodesAt(t, []net.Listener{loopback.Listen(t), loopback.Listen(t), loopback.Listen(t)}, patient)
	const n = 2000
	for i := range uint64(n) {
		for to := uint64(2); to <= 3; to++ {
			ns[0].Send([]*raftpb.Message{message(raftpb.MsgApp, 1, to, i, 300), message(raftpb.MsgHeartbeat, 1, to, i, 0)})
		}
		if !ns[0].Forward(2, 7, []uint64{i}, [][]byte{[]byte("cmd")}) {
			t.Fatal("not queued")
		}
	}
	ns[0].SendHash(5, 6, 7)
	for _, r := range ns[1:] {
		r.wait(t, "all messages", func() bool { return len(r.msgs) == 2*n && len(r.hashes) == 1 })
		for _, typ := range []raftpb.MessageType{raftpb.MsgApp, raftpb.MsgHeartbeat} {
			next := uint64(0)
			for _, m := range r.received() {
				if m.GetType() == typ {
					if m.GetIndex() != next || m.GetFrom() != 1 {
						t.Fatalf("%v: message %d of node %d where %d was expected", typ, m.GetIndex(), m.GetFrom(), next)
					}
					next++
				}
			}
		}
		if r.hashes[0] != "1 5 6 7" {
			t.Errorf("hash %q", r.hashes[0])
		}
	}
	r := ns[1]
	r.wait(t, "all forwards", func() bool { return len(r.forwards) == n })
	for i, f := range r.forwards {
		if f != fmt.Sprintf("1/7/%d=cmd", i) {
			t.Fatalf("forward %d is %s", i, f)
		}
	}
	info, ok := ns[0].Peer(2)
	if !ok || info.Name != "n2" || info.Version != "test" || string(info.ClusterID) != "cluster" || string(info.Incarnation) != "inc2" {
		t.Errorf("peer info %+v", info)
	}
}

// A peer that goes and comes back is reported, and messages flow again both
// ways.
func TestReconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ns := nodes(t, 2, nil)
		for range 3 {
			ns[0].forget()
			began := time.Now()
			if err := errors.Join(ns[1].Close(), ns[1].Close()); err != nil {
				t.Fatal(err)
			}
			ns[0].waitConn(t, "refused 2")
			if took := time.Since(began); took > 100*time.Millisecond {
				t.Errorf("refused after %v", took)
			}
			if ns[0].Connected(2) {
				t.Fatal("connected to nothing")
			}
			ns[0].Send([]*raftpb.Message{message(raftpb.MsgApp, 1, 2, 1, 1)})
			ns[0].wait(t, "unreachable", func() bool { return ns[0].unreachable > 0 })
			if ns[0].Forward(2, 1, []uint64{1}, [][]byte{nil}) {
				t.Fatal("forwarded to nothing")
			}
			r := newRecorder()
			ns[1].recorder = r
			ns[1].Transport = start(t, config(2, network.ListenAt(ns[1].addr), r, []string{ns[0].addr, ns[1].addr}))
			ns[0].waitConn(t, "up 2")
			r.waitConn(t, "up 1")
			ns[0].Send([]*raftpb.Message{message(raftpb.MsgApp, 1, 2, 1, 1)})
			r.wait(t, "a message", func() bool { return len(r.msgs) == 1 })
		}
	})
}

func TestRefusedHello(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ls := []net.Listener{network.Listen(), network.Listen()}
		addrs := []string{ls[0].Addr().String(), ls[1].Addr().String()}
		r1, r2 := newRecorder(), newRecorder()
		c1, c2 := config(1, ls[0], r1, addrs), config(2, ls[1], r2, addrs)
		c2.ClusterID = func() []byte { return []byte("other") }
		later := make(chan struct{}, 1)
		c1.Authorize = func(h *peerpb.Hello) error {
			if string(h.GetClusterId()) == "other" && string(h.GetBootstrapId()) == "boot" && string(h.GetIncarnation()) == "inc2" {
				return errors.New("you are of another cluster")
			}
			return errors.New("bad test")
		}
		c2.Authorize = func(h *peerpb.Hello) error {
			signal(later)
			return fmt.Errorf("busy: %w", ErrLater)
		}
		start(t, c1)
		start(t, c2)
		r2.waitConn(t, "no 1: you are of another cluster")
		for range 3 {
			<-later // it is asked again and again
		}
		r1.mu.Lock()
		defer r1.mu.Unlock()
		for _, e := range r1.conns {
			if strings.HasPrefix(e, "no") || strings.HasPrefix(e, "up") {
				t.Errorf("ErrLater led to %q", e)
			}
		}
	})
}

// A queue that is full drops and says so, and nothing blocks; what was queued
// arrives in order.
func TestOverflow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		block := make(chan struct{})
		unblock := sync.OnceFunc(func() { close(block) })
		ns := nodes(t, 2, func(c *Config) {
			c.Limits.QueueBytes = 1 << 20
			c.Handler.(*recorder).block = block
		})
		t.Cleanup(unblock) // before the Close of the nodes, which waits for it
		const n = 30000    // 30 MB, beyond queue and windows
		for i := range uint64(n) {
			ns[0].Send([]*raftpb.Message{message(raftpb.MsgApp, 1, 2, i, 1000)})
		}
		ns[0].wait(t, "unreachable", func() bool { return ns[0].unreachable > 0 })
		if ns[0].Forward(2, 1, []uint64{1}, [][]byte{make([]byte, 2<<20)}) {
			t.Error("forwarded beyond the limit")
		}
		unblock()
		// There is room again, and the queue's accounts are even.
		link := ns[0].link(2)
		for {
			link.mu.Lock()
			idle := link.q.bytes == 0 && link.q.count == 0
			link.mu.Unlock()
			if idle {
				break
			}
			time.Sleep(time.Millisecond) // polls a counter that has no event
		}
		ns[0].Send([]*raftpb.Message{message(raftpb.MsgApp, 1, 2, n, 1000)})
		r := ns[1]
		r.wait(t, "the last message", func() bool { return len(r.msgs) > 0 && r.msgs[len(r.msgs)-1].GetIndex() == n })
		msgs := r.received()
		if len(msgs) >= n {
			t.Error("nothing was dropped")
		}
		if !slices.IsSortedFunc(msgs, func(a, b *raftpb.Message) int { return int(a.GetIndex()) - int(b.GetIndex()) }) {
			t.Error("out of order")
		}
	})
}

// From kill -9 of a process to the knowledge of it.
func TestKill(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	lis := loopback.Listen(t)
	free := loopback.Listen(t)
	addr := free.Addr().String()
	_ = free.Close()
	r := newRecorder()
	start(t, config(1, lis, r, []string{lis.Addr().String(), addr}))
	for range 10 {
		r.forget()
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+addr+" "+lis.Addr().String())
		cmd.Stderr = os.Stderr
		if _, err := cmd.StdinPipe(); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		r.waitConn(t, "up 2")
		r.forget()
		began := time.Now()
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		r.waitConn(t, "refused 2")
		took := time.Since(began)
		_ = cmd.Wait()
		t.Logf("refused %v after the kill; %q", took.Round(10*time.Microsecond), r.events())
	}
}

func TestSetAndRemovePeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ns := nodes(t, 2, nil)
		ns[0].RemovePeer(2)
		ns[0].RemovePeer(2)
		ns[1].waitConn(t, "up 1")
		ns[1].Send([]*raftpb.Message{message(raftpb.MsgApp, 2, 1, 1, 1)})
		ns[1].wait(t, "the end of the stream from a removed peer", func() bool {
			return slices.Contains(ns[1].conns, "down 1")
		})
		if len(ns[0].received()) != 0 {
			t.Error("a message of a removed peer was received")
		}
		ns[0].forget()
		ns[1].forget()
		ns[0].SetPeer(2, ns[1].addr)
		ns[0].waitConn(t, "up 2")
		ns[1].waitConn(t, "up 1")
		ns[1].Send([]*raftpb.Message{message(raftpb.MsgApp, 2, 1, 1, 1)})
		ns[0].wait(t, "a message", func() bool { return len(ns[0].msgs) == 1 })

		ns[0].forget()
		ns[0].SetPeer(2, network.Free())
		ns[0].waitConn(t, "refused 2")
		ns[0].forget()
		ns[0].SetPeer(2, ns[1].addr)
		ns[0].waitConn(t, "up 2")
	})
}

// wire is a Config.Dial whose connections can be frozen: nothing arrives any
// more, in either direction, and nobody is told.
type wire struct {
	frozen chan struct{} // closed by freeze
}

func (w *wire) dial(ctx context.Context, addr string) (net.Conn, error) {
	select {
	case <-w.frozen:
		<-ctx.Done()
		return nil, ctx.Err()
	default:
	}
	c, err := network.Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	return &wireConn{Conn: c, w: w, closed: make(chan struct{})}, nil
}

type wireConn struct {
	net.Conn
	w      *wire
	once   sync.Once
	closed chan struct{}
}

func (c *wireConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	select {
	case <-c.w.frozen:
		<-c.closed
		return 0, net.ErrClosed
	default:
		return n, err
	}
}

func (c *wireConn) Write(p []byte) (int, error) {
	select {
	case <-c.w.frozen:
		return len(p), nil
	default:
		return c.Conn.Write(p)
	}
}

func (c *wireConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// A peer from which nothing comes any more is lost, without being refused,
// within a few seconds, though no connection was closed.
func TestHalfOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{frozen: make(chan struct{})}
		ns := nodes(t, 2, func(c *Config) { c.Dial = w.dial })
		ns[0].forget()
		began := time.Now()
		close(w.frozen)
		ns[0].waitConn(t, "down 2")
		t.Logf("down %v after the wire froze", time.Since(began).Round(time.Millisecond))
		if e := ns[0].events(); slices.Contains(e, "refused 2") {
			t.Errorf("connections %q", e)
		}
	})
}

func TestTree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ns := nodes(t, 2, func(c *Config) {
			c.Tree = func(_ context.Context, dir string, rev int64) ([]*peerpb.TreeEntry, error) {
				if dir == "/none" {
					return nil, status.Error(codes.NotFound, "no such directory")
				}
				return []*peerpb.TreeEntry{{Name: dir, Rev: rev, Hash: 3, IsDir: true}}, nil
			}
		})
		es, err := ns[0].Tree(t.Context(), 2, "/a", 4)
		if err != nil || len(es) != 1 || es[0].GetName() != "/a" || es[0].GetRev() != 4 {
			t.Fatalf("%v, %v", es, err)
		}
		if _, err := ns[0].Tree(t.Context(), 2, "/none", 4); status.Code(err) != codes.NotFound {
			t.Errorf("got %v", err)
		}
		if _, err := ns[0].Tree(t.Context(), 9, "/", 0); !errors.Is(err, ErrUnknownPeer) {
			t.Errorf("got %v", err)
		}
		if err := ns[0].Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := ns[0].Tree(t.Context(), 2, "/a", 4); !errors.Is(err, ErrClosed) {
			t.Errorf("got %v", err)
		}
	})
}

func TestConfig(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, change := range map[string]func(*Config){
			"no id":       func(c *Config) { c.ID = 0 },
			"no handler":  func(c *Config) { c.Handler = nil },
			"itself":      func(c *Config) { c.Peers = map[uint64]string{1: "127.0.0.1:1"} },
			"bad address": func(c *Config) { c.Peers = map[uint64]string{2: "nowhere"} },
		} {
			c := config(1, network.Listen(), newRecorder(), nil)
			change(&c)
			if _, err := New(c); err == nil {
				t.Errorf("%s: accepted", name)
			}
			if err := c.Listener.Close(); err == nil {
				t.Errorf("%s: the listener was left open", name)
			}
		}
		if _, err := New(Config{ID: 1}); err == nil {
			t.Error("no listener: accepted")
		}
	})
}

func TestCloseWithoutStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := config(1, network.Listen(), newRecorder(), nil)
		tr, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(tr.Close(), tr.Close()); err != nil {
			t.Fatal(err)
		}
		tr.Start()
		if _, err := network.Dial(t.Context(), c.Listener.Addr().String()); err == nil {
			t.Error("the listener is open")
		}
	})
}
