package cluster_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/drill/check"
	"github.com/doozer-store/doozer/drill/cluster"
	"github.com/doozer-store/doozer/test/cluster/build"
)

func TestMain(m *testing.M) {
	code := m.Run()
	build.CleanUp()
	os.Exit(code)
}

// start starts a cluster of the doozerd in this tree.
func start(t cluster.TB, o cluster.Options) *cluster.Cluster {
	t.Helper()
	bin, err := build.Doozerd()
	if err != nil {
		t.Fatalf("%v", err)
	}
	o.Binary = bin
	return cluster.Start(t, o)
}

// within is a context for one call of a test.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// mustSet writes and fails the test when it can't.
func mustSet(t *testing.T, cl *client.Client, path, value string, opts ...client.WriteOption) int64 {
	t.Helper()
	rev, err := cl.Set(within(t, cluster.RecoverLimit), path, []byte(value), opts...)
	if err != nil {
		t.Fatalf("set %s: %v", path, err)
	}
	return rev
}

// mustGet reads and fails the test when the value is not want.
func mustGet(t *testing.T, cl *client.Client, path, want string, opts ...client.ReadOption) client.File {
	t.Helper()
	f, err := cl.Get(within(t, cluster.RecoverLimit), path, opts...)
	if err != nil || string(f.Value) != want {
		t.Fatalf("get %s: %q at rev %d, %v; want %q", path, f.Value, f.Rev, err, want)
	}
	return f
}

// pinned opens a client that reaches no node but n, whatever it learns.
func pinned(c *cluster.Cluster, n *cluster.Node, opts ...client.Option) *client.Client {
	c.TB().Helper()
	dial := grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
		if addr != n.Addr() {
			return nil, fmt.Errorf("this client may reach %s only", n.Name)
		}
		return new(net.Dialer).DialContext(ctx, "tcp", addr)
	})
	return c.ClientOf(c.URI(n), append(opts, client.WithDialOptions(dial), client.WithoutWait())...)
}

// clients opens n clients of all nodes.
func clients(c *cluster.Cluster, n int) []*client.Client {
	c.TB().Helper()
	var cs []*client.Client
	for range n {
		cs = append(cs, c.Client())
	}
	return cs
}

// watcher records one watch stream until it is stopped.
type watcher struct {
	glob   string
	cancel context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex
	items   []check.Item // guarded by mu
	changes int          // of items that are changes; guarded by mu
	err     error        // guarded by mu
}

// watch starts a watcher; the test's end stops it.
func watch(t *testing.T, cl *client.Client, glob string, opts ...client.WatchOption) *watcher {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w := &watcher{glob: glob, cancel: cancel, done: make(chan struct{})}
	opts = append(opts, client.Progress(func(rev int64) { w.add(check.Item{Kind: check.Mark, Rev: rev}) }))
	go func() {
		defer close(w.done)
		for e, err := range cl.Watch(ctx, glob, opts...) {
			if err != nil {
				w.fail(err)
				return
			}
			w.add(check.Item{Event: cluster.EventOf(e), More: e.More})
		}
	}()
	t.Cleanup(func() { w.stop() })
	return w
}

func (w *watcher) add(it check.Item) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.items = append(w.items, it)
	if it.Kind == check.Change {
		w.changes++
	}
}

func (w *watcher) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = err
}

// seen is how many changes were delivered up to now, and the last rev of any
// item.
func (w *watcher) seen() (changes int, rev int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, it := range w.items[max(0, len(w.items)-1):] {
		rev = max(it.Rev, it.Event.Rev)
	}
	return w.changes, rev
}

// stop ends the watch and returns what it was given.
func (w *watcher) stop() []check.Item {
	w.cancel()
	<-w.done
	return w.items
}

// err of the stream before it was stopped.
func (w *watcher) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// await waits until as many changes came as the log has for the watcher.
func (w *watcher) await(t *testing.T, log []check.Event, from, to int64) {
	t.Helper()
	want := len(check.Filter(log, w.glob, from, to))
	cluster.Eventually(t, cluster.ReadLimit, "the watcher of "+w.glob+" has seen everything", func() (bool, string) {
		n, rev := w.seen()
		return n >= want || w.failure() != nil, fmt.Sprintf("%d of %d changes, up to rev %d", n, want, rev)
	})
	if err := w.failure(); err != nil {
		t.Fatalf("watch %s: %v", w.glob, err)
	}
}

// verdict stops the watcher, which asked for changes from rev from, and checks
// what it was given against the log.
func (w *watcher) verdict(t *testing.T, log []check.Event, from int64) {
	t.Helper()
	to := log[len(log)-1].Rev
	w.await(t, log, from, to)
	if err := check.Watch(check.Stream{Glob: w.glob, From: from, To: to, Items: w.stop()}, log); err != nil {
		t.Errorf("watch %s from %d:\n%v", w.glob, from, err)
	}
}
