package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"
)

// zookeeper is Debian's package, through the Go client that etcd's own
// benchmark used too.
type zookeeper struct {
	servers []*process
	addrs   []string
}

// zkJar is the class path of Debian's package; its manifest names the rest.
const zkJar = "/usr/share/java/zookeeper.jar"

func (z *zookeeper) name() string      { return "zookeeper" }
func (z *zookeeper) nodes() []*process { return z.servers }

func (z *zookeeper) settings() string {
	return "ZooKeeper " + output("dpkg-query", "-W", "-f", "${Version}", "zookeeper") + " on " + output("java", "-version") +
		", -Xmx1g, maxClientCnxns=0, no admin server, else defaults; get is sync + get, list is sync + children; a set of a new key creates it"
}

// output is the first line that a program prints.
func output(name string, args ...string) string {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return "of unknown version"
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}

func (z *zookeeper) start(dir string, n int) error {
	if _, err := os.Stat(zkJar); err != nil {
		return fmt.Errorf("ZooKeeper is not installed (apt-get install zookeeper): %w", err)
	}
	ports, err := freePorts(3 * n)
	if err != nil {
		return err
	}
	var members strings.Builder
	for i := range n {
		fmt.Fprintf(&members, "server.%d=127.0.0.1:%d:%d\n", i+1, ports[3*i+1], ports[3*i+2])
	}
	for i := range n {
		data := filepath.Join(dir, fmt.Sprintf("n%d", i))
		z.addrs = append(z.addrs, hostPort(ports[3*i]))
		conf := data + ".cfg"
		text := fmt.Sprintf("tickTime=2000\ninitLimit=10\nsyncLimit=5\ndataDir=%s\nclientPort=%d\nclientPortAddress=127.0.0.1\n"+
			"maxClientCnxns=0\nadmin.enableServer=false\n4lw.commands.whitelist=srvr,mntr,ruok\n%s", data, ports[3*i], members.String())
		err := errors.Join(os.MkdirAll(data, 0o755), os.WriteFile(conf, []byte(text), 0o644),
			os.WriteFile(filepath.Join(data, "myid"), fmt.Appendf(nil, "%d\n", i+1), 0o644))
		if err != nil {
			return err
		}
		z.servers = append(z.servers, &process{dir: data, log: data + ".log", argv: []string{
			"java", "-Xmx1g", "-Dzookeeper.log.dir=" + data, "-Dlog4j.rootLogger=WARN", "-cp", zkJar,
			"org.apache.zookeeper.server.quorum.QuorumPeerMain", conf,
		}})
		if err := z.servers[i].start(); err != nil {
			return err
		}
	}
	return until(time.Minute, "ZooKeeper serves", func() (bool, error) {
		c, err := z.dial(0)
		if err != nil {
			return false, err
		}
		defer c.close()
		err = c.set(context.Background(), "/started", nil)
		return err == nil, err
	})
}

func (z *zookeeper) stop() {
	for _, p := range z.servers {
		p.kill()
	}
}

// ask sends one of the four-letter commands.
func (z *zookeeper) ask(i int, word string) (string, error) {
	c, err := net.DialTimeout("tcp", z.addrs[i], time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(c, word); err != nil {
		return "", err
	}
	all, err := io.ReadAll(c)
	return string(all), err
}

func (z *zookeeper) leader() (int, error) {
	for i := range z.addrs {
		if text, err := z.ask(i, "srvr"); err == nil && strings.Contains(text, "Mode: leader") {
			return i, nil
		}
	}
	return 0, errors.New("no leader")
}

func (z *zookeeper) restart(i int) error {
	if err := z.servers[i].start(); err != nil {
		return err
	}
	return until(10*time.Minute, "ZooKeeper serves again", func() (bool, error) { return z.caughtUp(i) })
}

func (z *zookeeper) wipe(i int) error {
	return os.RemoveAll(filepath.Join(z.servers[i].dir, "version-2"))
}

func (z *zookeeper) zxid(i int) (string, error) {
	text, err := z.ask(i, "srvr")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(text) {
		if id, ok := strings.CutPrefix(line, "Zxid: "); ok {
			return strings.TrimSpace(id), nil
		}
	}
	return "", errors.New(strings.TrimSpace(text))
}

func (z *zookeeper) caughtUp(i int) (bool, error) {
	mine, err := z.zxid(i)
	if err != nil {
		return false, err
	}
	other, err := z.zxid((i + 1) % len(z.addrs))
	return err == nil && mine == other, err
}

func (z *zookeeper) dial(i int) (conn, error) {
	addrs := append(append([]string{}, z.addrs[i%len(z.addrs):]...), z.addrs[:i%len(z.addrs)]...)
	c, events, err := zk.Connect(addrs, 10*time.Second, zk.WithLogInfo(false), zk.WithLogger(quiet{}), zk.WithHostProvider(&inOrder{}))
	if err != nil {
		return nil, err
	}
	for end := time.After(20 * time.Second); ; {
		select {
		case e := <-events:
			if e.State == zk.StateHasSession {
				go func() {
					for range events { // the client sends to it for as long as it lives
					}
				}()
				return &zkConn{c}, nil
			}
		case <-end:
			c.Close()
			return nil, errors.New("no session with ZooKeeper")
		}
	}
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}

// inOrder tries servers in the order given, so that connections are spread
// evenly over them.
type inOrder struct {
	addrs []string
	next  int
}

func (p *inOrder) Init(servers []string) error { p.addrs = servers; return nil }
func (p *inOrder) Len() int                    { return len(p.addrs) }
func (p *inOrder) Connected()                  {}
func (p *inOrder) Next() (string, bool) {
	a := p.addrs[p.next%len(p.addrs)]
	p.next++
	return a, p.next%len(p.addrs) == 0
}

type zkConn struct{ *zk.Conn }

// set makes the key, with what is above it, if it does not exist.
func (c *zkConn) set(ctx context.Context, key string, value []byte) error {
	_, err := c.Set(key, value, -1)
	if !errors.Is(err, zk.ErrNoNode) {
		return err
	}
	if err := c.create(ctx, key, value); !errors.Is(err, zk.ErrNodeExists) {
		return err
	}
	_, err = c.Set(key, value, -1)
	return err
}

func (c *zkConn) create(ctx context.Context, key string, value []byte) error {
	_, err := c.Create(key, value, 0, zk.WorldACL(zk.PermAll))
	if !errors.Is(err, zk.ErrNoNode) {
		return err
	}
	if err := c.create(ctx, path.Dir(key), nil); err != nil && !errors.Is(err, zk.ErrNodeExists) {
		return err
	}
	_, err = c.Create(key, value, 0, zk.WorldACL(zk.PermAll))
	return err
}

func (c *zkConn) update(_ context.Context, key string, value []byte) (bool, error) {
	_, stat, err := c.Get(key)
	if err != nil {
		return false, err
	}
	_, err = c.Set(key, value, stat.Version)
	if errors.Is(err, zk.ErrBadVersion) {
		return false, nil
	}
	return err == nil, err
}

func (c *zkConn) txn(_ context.Context, keys []string, value []byte) error {
	var ops []any
	for _, k := range keys {
		ops = append(ops, &zk.SetDataRequest{Path: k, Data: value, Version: -1})
	}
	_, err := c.Multi(ops...)
	return err
}

func (c *zkConn) get(_ context.Context, key string) error {
	if _, err := c.Sync(key); err != nil {
		return err
	}
	_, _, err := c.Get(key)
	return err
}

func (c *zkConn) localGet(_ context.Context, key string) error {
	_, _, err := c.Get(key)
	return err
}

func (c *zkConn) list(_ context.Context, dir string) (int, error) {
	if _, err := c.Sync(dir); err != nil {
		return 0, err
	}
	l, _, err := c.Children(dir)
	return len(l), err
}

// watch cannot be done alike: ZooKeeper's persistent recursive watch tells
// paths without values, and its one-shot watches lose changes.
func (c *zkConn) watch(context.Context, string, bool, func(), func([]byte)) error { return errNotDone }

func (c *zkConn) close() { c.Close() }
