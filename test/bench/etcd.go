package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unsafe"

	"go.etcd.io/etcd/api/v3/version"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// etcd is etcd's server of the version in go.mod, through its own Go client.
type etcd struct {
	servers []*process
	addrs   []string // for clients
	peers   []string
	ids     []string // member ids, for those that were replaced
}

func (e *etcd) name() string        { return "etcd" }
func (e *etcd) settings() string    { return "etcd " + version.Version + ", defaults" }
func (e *etcd) nodes() []*process   { return e.servers }
func (e *etcd) url(a string) string { return "http://" + a }
func (e *etcd) stop()               { e.each((*process).kill) }
func (e *etcd) each(f func(*process)) {
	for _, p := range e.servers {
		f(p)
	}
}

func (e *etcd) start(dir string, n int) error {
	bin := filepath.Join(filepath.Dir(dir), "etcd")
	if err := build(".", "./cmd/etcd", bin); err != nil {
		return err
	}
	ports, err := freePorts(2 * n)
	if err != nil {
		return err
	}
	var members []string
	for i := range n {
		e.addrs = append(e.addrs, hostPort(ports[2*i]))
		e.peers = append(e.peers, hostPort(ports[2*i+1]))
		members = append(members, fmt.Sprintf("n%d=%s", i, e.url(e.peers[i])))
	}
	for i := range n {
		data := filepath.Join(dir, fmt.Sprintf("n%d", i))
		e.servers = append(e.servers, &process{dir: data, log: data + ".log", argv: e.argv(bin, i, data, strings.Join(members, ","), "new")})
		if err := e.servers[i].start(); err != nil {
			return err
		}
	}
	return until(time.Minute, "etcd serves", func() (bool, error) {
		c, err := e.client(0)
		if err != nil {
			return false, err
		}
		defer c.Close()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, err = c.Put(ctx, "/started", "")
		return err == nil, err
	})
}

func (e *etcd) argv(bin string, i int, data, members, state string) []string {
	return []string{
		bin, "--name", fmt.Sprintf("n%d", i), "--data-dir", data, "--log-level", "warn",
		"--listen-client-urls", e.url(e.addrs[i]), "--advertise-client-urls", e.url(e.addrs[i]),
		"--listen-peer-urls", e.url(e.peers[i]), "--initial-advertise-peer-urls", e.url(e.peers[i]),
		"--initial-cluster", members, "--initial-cluster-state", state,
	}
}

// client has the addresses of all servers, the i-th first; etcd's balancer
// spreads calls over them.
func (e *etcd) client(i int) (*clientv3.Client, error) {
	var urls []string
	for k := range e.addrs {
		urls = append(urls, e.addrs[(i+k)%len(e.addrs)])
	}
	return clientv3.New(clientv3.Config{Endpoints: urls, DialTimeout: 10 * time.Second, Logger: zap.NewNop()})
}

func (e *etcd) leader() (int, error) {
	c, err := e.client(0)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for i, a := range e.addrs {
		if s, err := c.Status(ctx, a); err == nil && s.Leader == s.Header.MemberId {
			return i, nil
		}
	}
	return 0, errors.New("no leader")
}

func (e *etcd) restart(i int) error {
	if err := e.servers[i].start(); err != nil {
		return err
	}
	return until(10*time.Minute, "etcd serves again", func() (bool, error) { return e.caughtUp(i) })
}

// wipe replaces the member by one without data, as etcd's manual says.
func (e *etcd) wipe(i int) error {
	c, err := e.client((i + 1) % len(e.addrs))
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	list, err := c.MemberList(ctx)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("n%d", i)
	var members []string
	for k, p := range e.peers {
		members = append(members, fmt.Sprintf("n%d=%s", k, e.url(p)))
	}
	for _, m := range list.Members {
		if m.Name != name {
			continue
		}
		if _, err := c.MemberRemove(ctx, m.ID); err != nil {
			return err
		}
	}
	if err := until(30*time.Second, "member added", func() (bool, error) {
		_, err := c.MemberAdd(ctx, []string{e.url(e.peers[i])})
		return err == nil, err
	}); err != nil {
		return err
	}
	p := e.servers[i]
	p.argv = e.argv(p.argv[0], i, p.dir, strings.Join(members, ","), "existing")
	return os.RemoveAll(p.dir)
}

func (e *etcd) caughtUp(i int) (bool, error) {
	c, err := e.client(i)
	if err != nil {
		return false, err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	mine, err := c.Status(ctx, e.addrs[i])
	if err != nil {
		return false, err
	}
	other, err := c.Status(ctx, e.addrs[(i+1)%len(e.addrs)])
	if err != nil {
		return false, err
	}
	return !mine.IsLearner && mine.RaftAppliedIndex >= other.RaftIndex, nil
}

func (e *etcd) dial(i int) (conn, error) {
	c, err := e.client(i)
	return &etcdConn{c}, err
}

type etcdConn struct{ *clientv3.Client }

// text is a value as etcd's client wants it, without a copy: no value changes
// once it was made.
func text(value []byte) string { return unsafe.String(unsafe.SliceData(value), len(value)) }

func (c *etcdConn) set(ctx context.Context, key string, value []byte) error {
	_, err := c.Put(ctx, key, text(value))
	return err
}

func (c *etcdConn) create(ctx context.Context, key string, value []byte) error {
	r, err := c.Txn(ctx).If(clientv3.Compare(clientv3.CreateRevision(key), "=", 0)).Then(clientv3.OpPut(key, text(value))).Commit()
	if err == nil && !r.Succeeded {
		err = errors.New("the key exists")
	}
	return err
}

func (c *etcdConn) update(ctx context.Context, key string, value []byte) (bool, error) {
	g, err := c.Get(ctx, key)
	if err != nil {
		return false, err
	}
	var rev int64
	if len(g.Kvs) > 0 {
		rev = g.Kvs[0].ModRevision
	}
	r, err := c.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(key), "=", rev)).Then(clientv3.OpPut(key, text(value))).Commit()
	return err == nil && r.Succeeded, err
}

func (c *etcdConn) txn(ctx context.Context, keys []string, value []byte) error {
	var ops []clientv3.Op
	for _, k := range keys {
		ops = append(ops, clientv3.OpPut(k, text(value)))
	}
	_, err := c.Txn(ctx).Then(ops...).Commit()
	return err
}

func (c *etcdConn) get(ctx context.Context, key string) error {
	_, err := c.Get(ctx, key)
	return err
}

func (c *etcdConn) localGet(ctx context.Context, key string) error {
	_, err := c.Get(ctx, key, clientv3.WithSerializable())
	return err
}

func (c *etcdConn) list(ctx context.Context, dir string) (int, error) {
	r, err := c.Get(ctx, dir+"/", clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		return 0, err
	}
	return len(r.Kvs), nil
}

func (c *etcdConn) watch(ctx context.Context, dir string, one bool, ready func(), each func([]byte)) error {
	opts := []clientv3.OpOption{clientv3.WithCreatedNotify()}
	if !one {
		dir += "/"
		opts = append(opts, clientv3.WithPrefix())
	}
	for r := range c.Watch(ctx, dir, opts...) {
		if r.Created {
			ready()
		}
		for _, e := range r.Events {
			each(e.Kv.Value)
		}
		if err := r.Err(); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (c *etcdConn) close() { c.Close() }
