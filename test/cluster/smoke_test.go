package cluster_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/drill/cluster"
)

// use does a little of everything through cl, below prefix.
func use(t *testing.T, cl *client.Client, prefix string) {
	t.Helper()
	w := watch(t, cl, prefix+"/**")
	cluster.Eventually(t, cluster.RecoverLimit, "the watch has started", func() (bool, string) {
		_, rev := w.seen()
		return rev > 0, fmt.Sprint(w.failure())
	})
	rev := mustSet(t, cl, prefix+"/a", "one", client.IfMissing())
	mustGet(t, cl, prefix+"/a", "one")
	var mismatch *client.RevMismatchError
	if _, err := cl.Set(within(t, cluster.RecoverLimit), prefix+"/a", nil, client.IfMissing()); !errors.As(err, &mismatch) || mismatch.Rev != rev {
		t.Errorf("set if missing of a file at rev %d: %v", rev, err)
	}
	next := mustSet(t, cl, prefix+"/a", "two", client.IfRev(rev))
	if next <= rev {
		t.Errorf("rev %d after %d", next, rev)
	}
	mustGet(t, cl, prefix+"/a", "one", client.AtRev(rev))
	txn := client.Txn{
		If: []client.Cond{client.Unchanged(prefix+"/a", next), client.Missing(prefix + "/d/b")},
		Do: []client.Op{client.SetOp(prefix+"/d/b", []byte("b")), client.SetOp(prefix+"/d/c", nil), client.DelOp(prefix + "/a")},
	}
	if _, err := cl.Txn(within(t, cluster.RecoverLimit), txn); err != nil {
		t.Fatalf("txn: %v", err)
	}
	if _, err := cl.Txn(within(t, cluster.RecoverLimit), txn); !errors.Is(err, client.ErrRevMismatch) {
		t.Errorf("the same txn again: %v", err)
	}
	if _, err := cl.Get(within(t, cluster.RecoverLimit), prefix+"/a"); !errors.Is(err, client.ErrNotExist) {
		t.Errorf("get of a deleted file: %v", err)
	}
	if _, err := cl.Set(within(t, cluster.RecoverLimit), prefix+"/d", nil); !errors.Is(err, client.ErrIsDir) {
		t.Errorf("set of a directory: %v", err)
	}
	list, err := cl.List(within(t, cluster.RecoverLimit), prefix+"/d")
	if err != nil || len(list) != 2 || list[0].Path != prefix+"/d/b" || list[1].Path != prefix+"/d/c" {
		t.Errorf("list: %v, %v", list, err)
	}
	cluster.Eventually(t, cluster.RecoverLimit, "the watch has seen five changes", func() (bool, string) {
		n, rev := w.seen()
		return n >= 5, fmt.Sprintf("%d, up to rev %d, %v", n, rev, w.failure())
	})
	w.stop()
}

func TestSmoke(t *testing.T) {
	for _, nodes := range []int{1, 3, 5} {
		t.Run(fmt.Sprint(nodes), func(t *testing.T) {
			c := start(t, cluster.Options{Nodes: nodes})
			for _, n := range c.Nodes() {
				use(t, pinned(c, n), "/by/"+n.Name)
			}
			cl := c.Client()
			load := cluster.StartLoad(cluster.LoadOptions{Writers: 4, Clients: []*client.Client{cl}, Prefix: "/load"})
			load.Await(t, 100)
			for range (nodes - 1) / 2 {
				c.Leader().Kill()
				load.Await(t, 100)
			}
			ops := load.Stop()
			c.Verify(cl, "/load", ops)
			for _, n := range c.Nodes() {
				if n.Running() {
					if code := n.Term(); code != 0 {
						t.Errorf("node %s ended with status %d after SIGTERM:\n%s", n.Name, code, n.Tail(20))
					}
				}
			}
			for _, n := range c.Nodes() {
				n.Start()
			}
			for _, n := range c.Nodes() {
				n.WaitReady()
			}
			c.Verify(cl, "/load", ops)
			use(t, cl, "/again")
		})
	}
}
