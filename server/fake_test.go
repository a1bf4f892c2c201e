package server

import (
	"context"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/doozer-store/doozer/consensus/checkpoint"
	doozerpb "github.com/doozer-store/doozer/proto"
	"github.com/doozer-store/doozer/store"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
)

// fakeConsensus is a cluster of one without a log: one goroutine applies what
// was proposed, all that waits in one entry, and answers.
type fakeConsensus struct {
	m    *Machine
	wake chan struct{}
	quit chan struct{}
	// leaders is the server's Config.Leaders: set may have changed the leader.
	leaders chan struct{}
	done    sync.WaitGroup

	mu       sync.Mutex
	pending  []proposal
	reads    []func(error)
	held     bool  // nothing is applied or confirmed
	fail     error // what Propose and ReadIndex answer; nil: they work
	loses    error // what Propose answers although it applies
	index    uint64
	now      int64
	confirms int // ReadIndex calls
	status   Status
}

type proposal struct {
	data []byte
	done func(any, error)
}

func newFake(m *Machine) *fakeConsensus {
	f := &fakeConsensus{
		m: m, wake: make(chan struct{}, 1), quit: make(chan struct{}), leaders: make(chan struct{}, 1),
		status: Status{ID: 1, Leader: 1, Term: 3, Role: "leader", Members: []MemberStatus{{ID: 1, Voter: true}}},
	}
	f.done.Go(f.run)
	return f
}

func (f *fakeConsensus) close() {
	close(f.quit)
	f.done.Wait()
}

func (f *fakeConsensus) signal() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// set changes how f behaves.
func (f *fakeConsensus) set(fn func(*fakeConsensus)) {
	f.mu.Lock()
	fn(f)
	f.mu.Unlock()
	select {
	case f.leaders <- struct{}{}:
	default:
	}
	f.signal()
}

func (f *fakeConsensus) Propose(data []byte, _ time.Time, done func(any, error)) {
	f.mu.Lock()
	if err := f.fail; err != nil {
		f.mu.Unlock()
		done(nil, err)
		return
	}
	f.pending = append(f.pending, proposal{data, done})
	f.mu.Unlock()
	f.signal()
}

func (f *fakeConsensus) ReadIndex(_ time.Time, done func(error)) {
	f.mu.Lock()
	f.confirms++
	if err := f.fail; err != nil {
		f.mu.Unlock()
		done(err)
		return
	}
	f.reads = append(f.reads, done)
	f.mu.Unlock()
	f.signal()
}

func (f *fakeConsensus) Status() Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	st := f.status
	st.Applied = f.index
	return st
}

func (f *fakeConsensus) QueueLengths() (writer, applier, reader int) { return 1, 2, 3 }

func (f *fakeConsensus) run() {
	for {
		select {
		case <-f.quit:
			return
		case <-f.wake:
		}
		f.step()
	}
}

func (f *fakeConsensus) step() {
	f.mu.Lock()
	if f.held {
		f.mu.Unlock()
		return
	}
	pending, reads, loses := f.pending, f.reads, f.loses
	f.pending, f.reads = nil, nil
	if len(pending) > 0 {
		f.index++
		f.now++
	}
	index, now := f.index, f.now
	f.mu.Unlock()

	if len(pending) > 0 {
		commands, results := make([][]byte, len(pending)), make([]any, len(pending))
		for i, p := range pending {
			commands[i] = p.data
		}
		f.m.Apply(index, now, commands, results)
		for i, p := range pending {
			if loses != nil {
				p.done(nil, loses)
			} else {
				p.done(results[i], nil)
			}
		}
	}
	for _, done := range reads {
		done(nil)
	}
}

// node is a Server on a fakeConsensus, and a client of it.
type node struct {
	*Server
	c      *fakeConsensus
	db     *checkpoint.DB
	client doozerpb.DoozerClient
	conn   *grpc.ClientConn
	dial   func(...grpc.DialOption) *grpc.ClientConn
}

// start runs a node until the test ends. limits may be zero.
func start(t testing.TB, limits Limits) *node {
	t.Helper()
	return startOn(t, limits, bufconn.Listen(1<<20))
}

func startOn(t testing.TB, limits Limits, lis net.Listener) *node {
	t.Helper()
	metrics := NewMetrics()
	db, m := openMachineWith(t, filepath.Join(t.TempDir(), "state.db"), MachineConfig{Limits: limits, Metrics: metrics})
	n := &node{c: newFake(m), db: db}
	s, err := New(Config{Node: 1, Name: "a", Version: "v1", Machine: m, Consensus: n.c, Leaders: n.c.leaders, Limits: limits, Metrics: metrics})
	if err != nil {
		t.Fatal(err)
	}
	n.Server = s
	served := make(chan error, 1)
	go func() { served <- s.Serve(lis) }()
	n.dial = func(more ...grpc.DialOption) *grpc.ClientConn {
		options := []grpc.DialOption{
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64 << 20)),
			grpc.WithInitialWindowSize(1 << 20), grpc.WithInitialConnWindowSize(1 << 20),
		}
		target := "passthrough:///" + lis.Addr().String()
		if b, ok := lis.(*bufconn.Listener); ok {
			options = append(options, grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
				return b.DialContext(ctx)
			}))
		}
		conn, err := grpc.NewClient(target, append(options, more...)...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	n.conn = n.dial()
	n.client = doozerpb.NewDoozerClient(n.conn)
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		s.Stop(ctx)
		if err := <-served; err != nil {
			t.Error(err)
		}
		n.c.close()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

func openMachine(t testing.TB, path string, limits Limits) (*checkpoint.DB, *Machine) {
	t.Helper()
	return openMachineWith(t, path, MachineConfig{Limits: limits})
}

func openMachineWith(t testing.TB, path string, cfg MachineConfig) (*checkpoint.DB, *Machine) {
	t.Helper()
	db, err := checkpoint.Open(path, checkpoint.Options{})
	if err != nil {
		t.Fatal(err)
	}
	cfg.DB = db
	m, err := NewMachine(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return db, m
}

// apply proposes a command and returns its result.
func (n *node) apply(t testing.TB, cmd store.Command) *store.Result {
	t.Helper()
	got := make(chan *store.Result, 1)
	n.c.Propose(cmd.Append(nil), time.Time{}, func(r any, err error) {
		if err != nil {
			t.Error(err)
			got <- &store.Result{}
			return
		}
		got <- r.(*store.Result)
	})
	return <-got
}

// set writes a file and returns its rev.
func (n *node) set(t testing.TB, path, value string) int64 {
	t.Helper()
	r := n.apply(t, store.Command{Kind: store.Write, Author: "t", Ops: []store.Op{{Path: path, Value: []byte(value)}}})
	if r.Err != nil {
		t.Fatalf("set %s: %v", path, r.Err)
	}
	return r.Rev
}

// del deletes a file and returns the rev.
func (n *node) del(t testing.TB, path string) int64 {
	t.Helper()
	r := n.apply(t, store.Command{Kind: store.Write, Author: "t", Ops: []store.Op{{Path: path, Del: true}}})
	if r.Err != nil {
		t.Fatalf("del %s: %v", path, r.Err)
	}
	return r.Rev
}

// configure changes the replicated settings.
func (n *node) configure(t testing.TB, c store.Config) {
	t.Helper()
	if r := n.apply(t, store.Command{Kind: store.Configure, Config: &c}); r.Err != nil {
		t.Fatal(r.Err)
	}
}

// patience is how long a test waits for what must come, on a machine that may be
// busy with other things.
const patience = 5 * time.Minute

// background is a context that ends with the test, or when it hangs.
func background(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}
