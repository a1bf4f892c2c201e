package transport

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// childEnv, set to "listen-address peer-id=address", makes the test binary a
// node 2 that runs until it is killed, see TestKill.
const childEnv = "TRANSPORT_TEST_CHILD"

// patience is how long a test waits for what must come.
const patience = time.Minute

func TestMain(m *testing.M) {
	if arg := os.Getenv(childEnv); arg != "" {
		fmt.Fprintln(os.Stderr, child(arg))
		os.Exit(1)
	}
	code := m.Run()
	if code == 0 {
		if left := leaked(); left != "" {
			fmt.Fprintf(os.Stderr, "goroutines left behind:\n%s", left)
			code = 1
		}
	}
	os.Exit(code)
}

// leaked waits for the goroutines of the tests to end, and returns the stacks
// of those that do not.
func leaked() string {
	deadline := time.Now().Add(patience)
	for {
		buf := make([]byte, 1<<20)
		buf = buf[:runtime.Stack(buf, true)]
		var left []string
		for i, g := range strings.Split(string(buf), "\n\n") {
			if i > 0 && (strings.Contains(g, "/transport.") || strings.Contains(g, "google.golang.org/grpc")) {
				left = append(left, g)
			}
		}
		if len(left) == 0 {
			return ""
		}
		if time.Now().After(deadline) {
			return strings.Join(left, "\n\n") + "\n"
		}
		runtime.Gosched()
	}
}

// recorder is a Handler that remembers what it was told.
type recorder struct {
	snapshot func(from uint64, m *raftpb.Message, r io.Reader) error
	block    chan struct{} // if not nil, Receive waits for it

	mu          sync.Mutex
	changed     chan struct{} // closed and replaced on each change
	msgs        []*raftpb.Message
	forwards    []string
	hashes      []string
	conns       []string // up, down, refused and no, in order
	unreachable int
	sent        []error
}

func newRecorder() *recorder { return &recorder{changed: make(chan struct{})} }

func (r *recorder) note(fn func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fn()
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *recorder) Receive(from uint64, msgs []*raftpb.Message) {
	if r.block != nil {
		<-r.block
	}
	r.note(func() { r.msgs = append(r.msgs, msgs...) })
}

func (r *recorder) ReceiveForward(from, term uint64, ids []uint64, data [][]byte) {
	r.note(func() {
		for i := range ids {
			r.forwards = append(r.forwards, fmt.Sprintf("%d/%d/%d=%s", from, term, ids[i], data[i]))
		}
	})
}

func (r *recorder) ReceiveHash(from, index uint64, rev int64, hash uint64) {
	r.note(func() { r.hashes = append(r.hashes, fmt.Sprint(from, index, rev, hash)) })
}

func (r *recorder) ReceiveSnapshot(from uint64, m *raftpb.Message, rd io.Reader) error {
	return r.snapshot(from, m, rd)
}

func (r *recorder) PeerUp(id uint64) { r.conn("up %d", id) }
func (r *recorder) PeerDown(id uint64, refused bool) {
	if refused {
		r.conn("refused %d", id)
	} else {
		r.conn("down %d", id)
	}
}
func (r *recorder) Refused(id uint64, reason error) { r.conn("no %d: %v", id, reason) }
func (r *recorder) Unreachable(uint64)              { r.note(func() { r.unreachable++ }) }
func (r *recorder) SnapshotSent(_ uint64, err error) {
	r.note(func() { r.sent = append(r.sent, err) })
}

func (r *recorder) conn(format string, args ...any) {
	r.note(func() { r.conns = append(r.conns, fmt.Sprintf(format, args...)) })
}

// wait returns when cond, called with the lock held, is true.
func (r *recorder) wait(t testing.TB, what string, cond func() bool) {
	t.Helper()
	timeout := time.After(patience)
	for {
		r.mu.Lock()
		ok, changed := cond(), r.changed
		r.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			r.mu.Lock()
			defer r.mu.Unlock()
			t.Fatalf("no %s; connections %q, %d messages, %d unreachable, sent %v", what, r.conns, len(r.msgs), r.unreachable, r.sent)
		}
	}
}

func (r *recorder) waitConn(t testing.TB, event string) {
	t.Helper()
	r.wait(t, event, func() bool { return slices.Contains(r.conns, event) })
}

// events returns the connection events so far.
func (r *recorder) events() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.conns)
}

// received returns the messages so far.
func (r *recorder) received() []*raftpb.Message {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.msgs)
}

// forget clears the connection events.
func (r *recorder) forget() { r.note(func() { r.conns = nil }) }

// config is for node id among the given addresses, whose index is id-1.
func config(id uint64, lis net.Listener, h Handler, addrs []string) Config {
	c := Config{
		ID: id, Name: fmt.Sprintf("n%d", id), Version: "test", Listener: lis, Handler: h,
		Peers: map[uint64]string{}, BootstrapID: []byte("boot"), Incarnation: fmt.Appendf(nil, "inc%d", id),
		ClusterID:   func() []byte { return []byte("cluster") },
		DialOptions: []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())},
		Dial:        network.Dial,
	}
	for i, a := range addrs {
		if uint64(i+1) != id {
			c.Peers[uint64(i+1)] = a
		}
	}
	return c
}

type node struct {
	*Transport
	*recorder
	addr string
}

// nodes starts n connected transports on the network in memory.
func nodes(t testing.TB, n int, change func(*Config)) []*node {
	t.Helper()
	var ls []net.Listener
	for range n {
		ls = append(ls, network.Listen())
	}
	return nodesAt(t, ls, change)
}

// nodesAt starts connected transports, one at each listener.
func nodesAt(t testing.TB, ls []net.Listener, change func(*Config)) []*node {
	t.Helper()
	var addrs []string
	for _, l := range ls {
		addrs = append(addrs, l.Addr().String())
	}
	var all []*node
	for i := range ls {
		r := newRecorder()
		c := config(uint64(i+1), ls[i], r, addrs)
		if change != nil {
			change(&c)
		}
		all = append(all, &node{Transport: start(t, c), recorder: r, addr: addrs[i]})
	}
	for i, a := range all {
		for j := range all {
			if i != j {
				a.waitConn(t, fmt.Sprintf("up %d", j+1))
			}
		}
	}
	return all
}

func start(t testing.TB, c Config) *Transport {
	t.Helper()
	tr, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	tr.Start()
	t.Cleanup(func() { _ = tr.Close() })
	return tr
}

func ptr[T any](v T) *T { return &v }

func message(typ raftpb.MessageType, from, to, index uint64, data int) *raftpb.Message {
	m := &raftpb.Message{Type: &typ, From: &from, To: &to, Index: &index}
	if data > 0 {
		m.Entries = []*raftpb.Entry{{Index: ptr(index + 1), Term: ptr(uint64(1)), Data: make([]byte, data)}}
	}
	return m
}

// child is node 2 of two.
func child(arg string) error {
	var own, other string
	if _, err := fmt.Sscan(arg, &own, &other); err != nil {
		return err
	}
	lis, err := net.Listen("tcp", own)
	if err != nil {
		return err
	}
	t, err := New(config(2, lis, newRecorder(), []string{other, own}))
	if err != nil {
		return err
	}
	t.Start()
	_, err = io.Copy(io.Discard, os.Stdin) // until the parent is gone
	return fmt.Errorf("the parent is gone: %v, %v", err, context.Cause(t.ctx))
}
