package sentinel

import (
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/doozer-store/doozer/client/failover"
	"github.com/doozer-store/doozer/client/failover/redistest"
	"github.com/doozer-store/doozer/client/failover/viewtest"
	"github.com/doozer-store/doozer/test/need"
)

// group is two real Redis servers, and Sentinels of which the first is dead, the
// second stale, and two are well.
type group struct {
	t         *testing.T
	src       *viewtest.Source
	a, b      *redistest.Server
	sentinels []string
}

func startGroup(t *testing.T) *group {
	g := &group{t: t, a: redistest.Start(t), b: redistest.Start(t)}
	g.b.Follow(g.a)
	g.src = viewtest.New(g.a.Addr, g.b.Addr)
	stale := viewtest.New(g.a.Addr, g.b.Addr)
	stale.Change(func(v *failover.View) { v.Fresh = false })
	g.sentinels = append(g.sentinels, viewtest.Refusing(t), serve(t, Config{Source: stale, Self: "n1"}))
	for _, self := range []string{"n1", "n2"} {
		addr := serve(t, Config{Source: g.src, Self: self})
		g.sentinels = append(g.sentinels, addr)
	}
	for _, src := range []*viewtest.Source{g.src, stale} {
		src.Change(func(v *failover.View) {
			for i := range v.Nodes {
				v.Nodes[i].Agent = g.sentinels[i+2]
			}
		})
	}
	return g
}

// change makes to the master, of a group whose clients are connected to the other
// one and stay so unless they are told.
func (g *group) change(node string, from, to *redistest.Server) {
	g.src.Elect()
	to.Master()
	from.Follow(to)
	g.src.Run(node)
}

// lose kills the master and makes the other one it.
func (g *group) lose(node string, from, to *redistest.Server) {
	from.Kill()
	g.src.Elect()
	to.Master()
	g.src.Run(node)
}

// follows checks a client that tells to which server it wrote last: it finds the
// master though one Sentinel is dead and one stale, goes over when it is told of a
// change, and when its master dies.
func (g *group) follows(wrote func(to *redistest.Server)) {
	g.t.Helper()
	wrote(g.a)
	g.change("n2", g.a, g.b)
	wrote(g.b)
	g.change("n1", g.b, g.a)
	wrote(g.a)
	g.lose("n2", g.a, g.b)
	wrote(g.b)
}

func TestGoRedisFailoverClient(t *testing.T) {
	g := startGroup(t)
	for _, protocol := range []int{2, 3} {
		t.Run(fmt.Sprint("RESP", protocol), func(t *testing.T) {
			g := g
			if protocol == 3 {
				g = startGroup(t)
			}
			rdb := redis.NewFailoverClient(&redis.FailoverOptions{MasterName: "g1", SentinelAddrs: g.sentinels, Protocol: protocol})
			defer rdb.Close()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			g.follows(func(to *redistest.Server) {
				_, port, _ := net.SplitHostPort(to.Addr)
				var last string
				for ctx.Err() == nil {
					pipe := rdb.TxPipeline()
					pipe.Set(ctx, "k", "x", 0)
					conf := pipe.ConfigGet(ctx, "port")
					if _, err := pipe.Exec(ctx); err != nil {
						last = err.Error()
						continue
					}
					if last = conf.Val()["port"]; last == port {
						return
					}
				}
				t.Fatalf("the client does not write to %s; last: %s", to.Addr, last)
			})
		})
	}
}

// The list of replicas, as go-redis reads it.
func TestGoRedisReplicas(t *testing.T) {
	g := startGroup(t)
	rdb := redis.NewFailoverClient(&redis.FailoverOptions{MasterName: "g1", SentinelAddrs: g.sentinels, ReplicaOnly: true})
	defer rdb.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, port, _ := net.SplitHostPort(g.b.Addr)
	if conf, err := rdb.ConfigGet(ctx, "port").Result(); err != nil || conf["port"] != port {
		t.Errorf("a replica at port %s, %v, want %s", conf["port"], err, port)
	}
}

// Clients in another language.
func TestNode(t *testing.T) {
	for _, name := range []string{"ioredis.js", "noderedis.js"} {
		t.Run(name, func(t *testing.T) {
			g := startGroup(t)
			lines := viewtest.Script(t, "testdata/clients", name, g.sentinels...)
			g.follows(func(to *redistest.Server) {
				_, port, _ := net.SplitHostPort(to.Addr)
				var last string
				hung := time.After(patience)
				for last != "OK "+port {
					select {
					case line, ok := <-lines:
						if !ok {
							t.Fatalf("the client has ended; last: %s", last)
						}
						last = line
					case <-hung:
						t.Fatalf("the client does not write to %s; last: %s", to.Addr, last)
					}
				}
			})
		})
	}
}

// cli runs redis-cli with stdin and returns what it prints.
func cli(t *testing.T, addr, stdin string, args ...string) string {
	t.Helper()
	need.Program(t, "redis-cli")
	_, port, _ := net.SplitHostPort(addr)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "redis-cli", append([]string{"-p", port}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("redis-cli %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// redis-cli, with its options that change the protocol.
func TestRedisCLI(t *testing.T) {
	src := viewtest.New("10.0.0.1:6379", "10.0.0.2:6379")
	addr := serve(t, Config{Source: src, Self: "n1"})
	secret := serve(t, Config{Source: src, Self: "n1", Password: "secret"})
	words := func(line string) []string { return strings.Fields(line) }
	for _, tt := range []struct {
		addr, args, stdin, want string
	}{
		{addr, "ping", "", "PONG\n"},
		{addr, "sentinel get-master-addr-by-name g1", "", "10.0.0.1\n6379\n"},
		{addr, "-3 sentinel get-master-addr-by-name g1", "", "10.0.0.1\n6379\n"},
		{addr, "sentinel get-master-addr-by-name other", "", "\n"},
		{addr, "--json sentinel get-master-addr-by-name g1", "", "[\"10.0.0.1\",\"6379\"]\n"},
		{addr, "sentinel ckquorum g1", "", "OK 2 usable Sentinels. Quorum and failover authorization can be reached\n"},
		{addr, "", "sentinel get-master-addr-by-name g1\nrole\n", "10.0.0.1\n6379\nsentinel\ng1\n"},
		{addr, "--no-raw role", "", "1) \"sentinel\"\n2) 1) \"g1\"\n"},
		{addr, "sentinel failover g1", "", "ERR use 'doozer redis switch'\n\n"},
		{secret, "--no-auth-warning -a secret ping", "", "PONG\n"},
		{secret, "--no-auth-warning --user default -a secret -3 ping", "", "PONG\n"},
		{secret, "ping", "", "NOAUTH Authentication required.\n\n"},
	} {
		if got := cli(t, tt.addr, tt.stdin, words(tt.args)...); got != tt.want {
			t.Errorf("redis-cli %s: %q, want %q", tt.args, got, tt.want)
		}
	}
	for args, want := range map[string]string{
		"sentinel masters":     "flags\nmaster\n",
		"-3 sentinel masters":  "flags master",
		"sentinel master g1":   "num-slaves\n1\n",
		"sentinel replicas g1": "name\n10.0.0.2:6379\n",
		"sentinel slaves g1":   "flags\nslave\n",
		"info sentinel":        "master0:name=g1,status=ok,address=10.0.0.1:6379,slaves=1,sentinels=2",
		"command info ping":    "ping\n",
	} {
		if got := cli(t, addr, "", words(args)...); !strings.Contains(got, want) {
			t.Errorf("redis-cli %s: %q, want %q in it", args, got, want)
		}
	}
}

// redis-cli shows events as they come.
func TestRedisCLISubscribes(t *testing.T) {
	need.Program(t, "redis-cli")
	src := viewtest.New("10.0.0.1:6379", "10.0.0.2:6379")
	_, port, _ := net.SplitHostPort(serve(t, Config{Source: src, Self: "n1"}))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "redis-cli", "-p", port, "psubscribe", "+switch*")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cancel()
		cmd.Wait()
	}()
	expect := func(want string) {
		t.Helper()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(stdout, got); err != nil || string(got) != want {
			t.Fatalf("redis-cli prints %q, %v, want %q", got, err, want)
		}
	}
	expect("psubscribe\n+switch*\n1\n")
	src.Run("n2")
	expect("pmessage\n+switch*\n+switch-master\ng1 10.0.0.1 6379 10.0.0.2 6379\n")
}
