package ring

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/server/boot"
)

// hang is how long anything may take before a test gives up.
const hang = time.Minute

// testStore is a real node in this process that can be stopped and started again.
// Clients find it wherever it listens at the moment.
type testStore struct {
	t    testing.TB
	dir  string
	node *boot.Node
	addr atomic.Pointer[string] // nil while it is down
}

func startStore(t testing.TB) *testStore {
	t.Helper()
	s := &testStore{t: t, dir: t.TempDir()}
	s.start()
	t.Cleanup(s.stop)
	return s
}

func (s *testStore) start() {
	s.t.Helper()
	n, err := boot.Start(boot.Config{DataDir: s.dir, Listen: "127.0.0.1:0", PeerListen: "127.0.0.1:0", Web: "false"})
	if err != nil {
		s.t.Fatal(err)
	}
	s.node = n
	addr := n.Addr()
	s.addr.Store(&addr)
}

func (s *testStore) stop() {
	if s.node == nil {
		return
	}
	s.addr.Store(nil)
	ctx, cancel := context.WithTimeout(context.Background(), hang)
	defer cancel()
	s.node.Stop(ctx)
	s.node = nil
}

// client is one of the store, whether it is up or not.
func (s *testStore) client() *client.Client {
	s.t.Helper()
	dial := func(ctx context.Context, _ string) (net.Conn, error) {
		addr := s.addr.Load()
		if addr == nil {
			return nil, errors.New("the store is down")
		}
		return new(net.Dialer).DialContext(ctx, "tcp", *addr)
	}
	c, err := client.Open(s.t.Context(), "127.0.0.1:1", client.WithoutWait(), client.WithTimeout(hang),
		client.WithDialOptions(grpc.WithContextDialer(dial)))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	return c
}

// open is a Live that ends with the test.
func open(t testing.TB, c *client.Client, name string, cfg Config) *Live {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), hang)
	defer cancel()
	l, err := Open(ctx, c, name, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// create makes a ring of nodes a, b and c.
func create(t testing.TB, c *client.Client, name string, f *File) int64 {
	t.Helper()
	for _, n := range []string{"a", "b", "c"} {
		if err := f.Add(n, Spec{Addr: n + ":1"}); err != nil {
			t.Fatal(err)
		}
	}
	rev, err := Create(t.Context(), c, name, f)
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

// edit changes a ring.
func edit(t testing.TB, c *client.Client, name string, fn func(*File) error) int64 {
	t.Helper()
	rev, err := Edit(t.Context(), c, name, fn)
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

func set(t testing.TB, c *client.Client, path, value string) int64 {
	t.Helper()
	rev, err := c.Set(t.Context(), path, []byte(value))
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

// wait returns the ring of an epoch.
func wait(t testing.TB, l *Live, epoch int64) *Ring {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), hang)
	defer cancel()
	r, err := l.Wait(ctx, epoch)
	if err != nil {
		t.Fatalf("epoch %d: %v; status %+v", epoch, err, l.Status())
	}
	return r
}

// until asks until it is so.
func until(t testing.TB, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(hang)
	for !so() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("not within %v: %s", hang, what)
		}
	}
}
