package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/doozer-store/doozer/client"
)

// doozer is this project, through its Go client or, with unary, through plain
// gRPC calls as any language's generated stub makes them.
type doozer struct {
	unary   bool
	servers []*process
	addrs   []string
	webs    []string
}

func (d *doozer) name() string {
	if d.unary {
		return "doozer-unary"
	}
	return "doozer"
}

func (d *doozer) settings() string {
	return "doozerd " + revision() + ", defaults" + map[bool]string{true: ", plain unary gRPC calls to the leader"}[d.unary]
}

func (d *doozer) nodes() []*process { return d.servers }

func (d *doozer) start(dir string, n int) error {
	bin := filepath.Join(filepath.Dir(dir), "doozerd")
	if err := build("../..", "./cmd/doozerd", bin); err != nil {
		return err
	}
	ports, err := freePorts(3 * n)
	if err != nil {
		return err
	}
	var members []string
	for i := range n {
		members = append(members, fmt.Sprintf("n%d=%s", i, hostPort(ports[3*i+1])))
	}
	for i := range n {
		name := fmt.Sprintf("n%d", i)
		data := filepath.Join(dir, name)
		d.addrs = append(d.addrs, hostPort(ports[3*i]))
		d.webs = append(d.webs, hostPort(ports[3*i+2]))
		d.servers = append(d.servers, &process{dir: data, log: data + ".log", argv: []string{
			bin, "--name", name, "--data-dir", data, "--listen", d.addrs[i], "--peer-listen", hostPort(ports[3*i+1]),
			"--web", d.webs[i], "--cluster", strings.Join(members, ","),
		}})
		if err := d.servers[i].start(); err != nil {
			return err
		}
	}
	return d.serves()
}

// serves waits until a write is done.
func (d *doozer) serves() error {
	return until(time.Minute, "doozer serves", func() (bool, error) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		c, err := client.Open(ctx, strings.Join(d.addrs, ","))
		if err != nil {
			return false, err
		}
		defer c.Close()
		_, err = c.Set(ctx, "/started", nil)
		return err == nil, err
	})
}

func (d *doozer) stop() {
	for _, p := range d.servers {
		p.kill()
	}
}

func (d *doozer) status() ([]client.NodeStatus, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	c, err := client.Open(ctx, strings.Join(d.addrs, ","))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.Status(ctx)
}

func (d *doozer) leader() (int, error) {
	all, err := d.status()
	if err != nil {
		return 0, err
	}
	for _, s := range all {
		if s.Reachable && s.ID == s.Leader {
			return d.index(s.Addr), nil
		}
	}
	return 0, errors.New("no leader")
}

func (d *doozer) index(addr string) int {
	for i, a := range d.addrs {
		if a == addr {
			return i
		}
	}
	return 0
}

func (d *doozer) restart(i int) error {
	if err := d.servers[i].start(); err != nil {
		return err
	}
	return until(5*time.Minute, "doozer serves again", func() (bool, error) { return d.caughtUp(i) })
}

// wipe can't delete a doozer's data: a node that lost it may not come back under
// its id. What catches up is one that was away.
func (d *doozer) wipe(int) error { return errNotDone }

func (d *doozer) caughtUp(i int) (bool, error) {
	all, err := d.status()
	if err != nil {
		return false, err
	}
	var mine, most uint64
	for _, s := range all {
		if s.Reachable && s.Addr == d.addrs[i] {
			mine = s.AppliedIndex
		}
		most = max(most, s.CommitIndex)
	}
	return mine > 0 && mine >= most, nil
}

// checkpoints is how many the running servers have made since they started.
func (d *doozer) checkpoints() (sum int) {
	for _, web := range d.webs {
		r, err := http.Get("http://" + web + "/metrics")
		if err != nil {
			continue
		}
		text, _ := io.ReadAll(r.Body) // what is cut short counts none
		r.Body.Close()
		for line := range strings.Lines(string(text)) {
			var n int
			if k, _ := fmt.Sscanf(line, "doozer_checkpoint_seconds_count %d", &n); k == 1 {
				sum += n
			}
		}
	}
	return sum
}

func (d *doozer) dial(int) (conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	c, err := client.Open(ctx, strings.Join(d.addrs, ","), client.WithTimeout(callLimit))
	if err != nil || !d.unary {
		return &doozerConn{Client: c}, err
	}
	return d.dialUnary(c)
}

// doozerConn is a client.Client.
type doozerConn struct{ *client.Client }

func (c *doozerConn) set(ctx context.Context, key string, value []byte) error {
	_, err := c.Set(ctx, key, value)
	return err
}

func (c *doozerConn) create(ctx context.Context, key string, value []byte) error {
	_, err := c.Set(ctx, key, value, client.IfMissing())
	return err
}

func (c *doozerConn) update(ctx context.Context, key string, value []byte) (bool, error) {
	f, err := c.Get(ctx, key)
	if err != nil {
		return false, err
	}
	_, err = c.Set(ctx, key, value, client.IfRev(f.Rev))
	if errors.Is(err, client.ErrRevMismatch) {
		return false, nil
	}
	return err == nil, err
}

func (c *doozerConn) txn(ctx context.Context, keys []string, value []byte) error {
	var t client.Txn
	for _, k := range keys {
		t.Do = append(t.Do, client.Op{Path: k, Value: value})
	}
	_, err := c.Txn(ctx, t)
	return err
}

func (c *doozerConn) get(ctx context.Context, key string) error {
	_, err := c.Get(ctx, key)
	return err
}

func (c *doozerConn) localGet(ctx context.Context, key string) error {
	_, err := c.Get(ctx, key, client.Local())
	return err
}

func (c *doozerConn) list(ctx context.Context, dir string) (int, error) {
	l, err := c.List(ctx, dir)
	return len(l), err
}

func (c *doozerConn) watch(ctx context.Context, dir string, one bool, ready func(), each func([]byte)) error {
	glob := dir
	if !one {
		glob += "/**"
	}
	w := c.Watcher(glob)
	defer w.Close()
	if err := w.Start(ctx); err != nil {
		return err
	}
	ready()
	for {
		e, err := w.Next(ctx)
		if err != nil {
			return err
		}
		each(e.Value)
	}
}

func (c *doozerConn) close() { c.Close() }
