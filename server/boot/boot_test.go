package boot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	doozerpb "github.com/doozer-store/doozer/proto"
	"github.com/doozer-store/doozer/server"
	"github.com/doozer-store/doozer/store"
	"github.com/doozer-store/doozer/test/loopback"
	"github.com/doozer-store/doozer/test/output"
)

// patience is how long a test waits for what must come, on a machine that may be
// busy with other things.
const patience = 2 * time.Minute

// testCluster is three nodes in this process. Their election timeout is one that
// no machine is slow enough to reach: leadership moves only when a node stops.
type testCluster struct {
	t     *testing.T
	dir   string
	spec  string
	logs  output.Buffer
	nodes map[string]*Node
}

func newTestCluster(t *testing.T) *testCluster {
	t.Helper()
	c := &testCluster{t: t, dir: t.TempDir(), nodes: map[string]*Node{}}
	var parts []string
	for _, name := range []string{"a", "b", "c"} {
		parts = append(parts, name+"="+loopback.Addr(t))
	}
	c.spec = strings.Join(parts, ",")
	t.Cleanup(func() {
		for name := range c.nodes {
			c.stop(name)
		}
		if t.Failed() {
			t.Logf("logs:\n%s", c.logs.String())
		}
	})
	return c
}

func (c *testCluster) config(name string) Config {
	return Config{
		Name: name, DataDir: filepath.Join(c.dir, name), Listen: "127.0.0.1:0", Web: "false", Cluster: c.spec, Version: "test",
		ElectionTimeout: 30 * time.Second,
		Logger:          slog.New(slog.NewTextHandler(&c.logs, nil)).With("at", name), limits: server.Limits{HashEvery: 8, HandshakeTimeout: patience},
	}
}

func (c *testCluster) start(names ...string) {
	c.t.Helper()
	for _, name := range names {
		n, err := Start(c.config(name))
		if err != nil {
			c.t.Fatal(err)
		}
		c.nodes[name] = n
	}
}

func (c *testCluster) stop(name string) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	c.nodes[name].Stop(ctx)
	delete(c.nodes, name)
}

// eventually waits for a state, and says what it saw last when it does not
// come.
func eventually(t *testing.T, what string, f func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not in time; last: %v", what, err)
		}
		time.Sleep(5 * time.Millisecond) // between two looks
	}
}

func dial(t *testing.T, n *Node) doozerpb.DoozerClient {
	t.Helper()
	conn, err := grpc.NewClient(n.Addr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return doozerpb.NewDoozerClient(conn)
}

// set writes through a node until it works.
func (c *testCluster) set(name, path, value string) {
	c.t.Helper()
	client := dial(c.t, c.nodes[name])
	eventually(c.t, "set "+path+" at "+name, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_, err := client.Set(ctx, &doozerpb.SetRequest{Path: path, Value: []byte(value)})
		return err
	})
}

func (c *testCluster) get(name, path string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := dial(c.t, c.nodes[name]).Get(ctx, &doozerpb.GetRequest{Path: path})
	return string(r.GetFile().GetValue()), err
}

// settled waits until the nodes have written of themselves all that they do.
func (c *testCluster) settled() {
	c.t.Helper()
	paths := []string{"/ctl/cluster/id", "/ctl/cluster/epoch", "/ctl/cal/2"}
	for id := 1; id <= 3; id++ {
		for _, name := range []string{"addr", "peer-addr", "incarnation"} {
			paths = append(paths, fmt.Sprintf("/ctl/node/%d/%s", id, name))
		}
	}
	eventually(c.t, "/ctl is complete", func() error {
		for _, path := range paths {
			if v, err := c.get("c", path); err != nil || v == "" {
				return fmt.Errorf("%s: %q, %w", path, v, err)
			}
		}
		return nil
	})
}

func TestClusterServesAndRestarts(t *testing.T) {
	c := newTestCluster(t)
	c.start("a", "b", "c")
	c.set("b", "/x", "1")
	for _, name := range []string{"a", "b", "c"} {
		if v, err := c.get(name, "/x"); v != "1" || err != nil {
			t.Errorf("get at %s: %q, %v", name, v, err)
		}
	}
	c.settled()
	id, _ := c.get("a", "/ctl/cluster/id")
	for _, name := range []string{"a", "b", "c"} {
		c.stop(name)
	}
	c.start("a", "b", "c")
	c.set("a", "/y", "2")
	for path, want := range map[string]string{"/x": "1", "/y": "2", "/ctl/cluster/id": id} {
		if v, err := c.get("c", path); v != want || err != nil {
			t.Errorf("after a restart %s: %q, %v; want %q", path, v, err, want)
		}
	}
}

func TestOneNodeDown(t *testing.T) {
	c := newTestCluster(t)
	c.start("a", "b", "c")
	c.set("a", "/x", "1")
	c.stop("a")
	c.set("b", "/x", "2")
	c.start("a")
	eventually(t, "a follows", func() error {
		if v, err := c.get("a", "/x"); v != "2" {
			return fmt.Errorf("%q, %v", v, err)
		}
		return nil
	})
}

func TestWipedNodeIsRefused(t *testing.T) {
	c := newTestCluster(t)
	c.start("a", "b", "c")
	c.set("a", "/x", "1")
	eventually(t, "c is known", func() error { _, err := c.get("a", "/ctl/node/3/incarnation"); return err })
	c.stop("c")
	if err := os.RemoveAll(filepath.Join(c.dir, "c")); err != nil {
		t.Fatal(err)
	}
	c.start("c")
	select {
	case <-c.nodes["c"].Done():
		if err := c.nodes["c"].Err(); err == nil || !strings.Contains(err.Error(), lostData) {
			t.Errorf("it ended with %v, want one that says it %s", err, lostData)
		}
	case <-time.After(patience):
		t.Fatal("the wiped node goes on")
	}
	c.set("b", "/x", "2")
}

func TestStartRefusals(t *testing.T) {
	c := newTestCluster(t)
	used, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer used.Close()
	c.start("a", "b", "c")
	c.set("a", "/x", "1")
	c.stop("a")
	for _, r := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"port in use", func(c *Config) { c.Listen = used.Addr().String() }, "is in use by another process"},
		{"directory in use", func(c *Config) { c.Name, c.DataDir = "b", filepath.Join(filepath.Dir(c.DataDir), "b") }, "is in use by another process"},
		{"of another node", func(c *Config) { c.Name = "b" }, "belongs to node a"},
		{"damaged state", func(c *Config) { flip(t, filepath.Join(c.DataDir, stateFile), 0) }, "data directory"},
	} {
		t.Run(r.name, func(t *testing.T) {
			cfg := c.config("a")
			r.change(&cfg)
			n, err := Start(cfg)
			if err == nil {
				n.Stop(context.Background())
				t.Fatal("it started")
			}
			if !strings.Contains(err.Error(), r.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%q, want one line with %q", err, r.want)
			}
		})
	}
}

// flip changes a whole sector of a file.
func flip(t *testing.T, path string, at int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size, err := f.Seek(0, 2)
	if err != nil {
		t.Fatal(err)
	}
	for ; at < size; at += 512 {
		if _, err := f.WriteAt(bytes.Repeat([]byte{0x5a}, 64), at); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDivergedNodeIsQuarantined changes the state of one node behind the
// log's back: what it differs in is found, named, and no longer served.
func TestDivergedNodeIsQuarantined(t *testing.T) {
	c := newTestCluster(t)
	c.start("a", "b", "c")
	c.settled()
	c.set("a", "/deep/down/x", "1")
	c.set("a", "/deep/other", "1")
	b := c.nodes["b"]
	if v, err := c.get("b", "/deep/down/x"); v != "1" || err != nil {
		t.Fatalf("%q, %v", v, err)
	}
	// Whichever entry comes next finds b's file changed at the rev it has.
	cmd := &store.Command{Kind: store.Write, Ops: []store.Op{{Path: "/deep/down/x", Value: []byte("wrong")}}}
	eventually(t, "nothing is on its way", func() error {
		st := b.consensus.Status()
		if st.Applied != st.Commit || st.Commit != st.Last {
			return errors.New("entries are on their way")
		}
		return nil
	})
	b.machine.Apply(b.consensus.Applied(), 0, [][]byte{cmd.Append(nil)}, make([]any, 1))

	deadline := time.Now().Add(patience)
	for i := 0; b.machine.Quarantined() == "" && time.Now().Before(deadline); i++ {
		c.set("a", "/n", fmt.Sprint(i))
	}
	reason := b.machine.Quarantined()
	if !strings.Contains(reason, "first at /deep/down/x") {
		t.Errorf("b is quarantined for %q, want /deep/down/x named", reason)
	}
	if _, err := c.get("b", "/n"); status.Code(err) != codes.DataLoss {
		t.Errorf("b serves: %v", err)
	}
	for _, name := range []string{"a", "c"} {
		if why := c.nodes[name].machine.Quarantined(); why != "" {
			t.Errorf("%s is quarantined: %s", name, why)
		}
	}
	c.set("c", "/n", "on")
	if !strings.Contains(c.logs.String(), "QUARANTINED") {
		t.Error("it was not logged")
	}
}
