package rig

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/doozer-store/doozer/drill/cluster"
)

// startLimit is what only a program that does not start exceeds.
const startLimit = 60 * time.Second

// ErrNoRedis says that there is no redis-server to run.
var ErrNoRedis = fmt.Errorf("redis-server is not installed (Debian: redis-server)")

// Available is ErrNoRedis where redis-server can't be found.
func Available() error {
	if _, err := exec.LookPath("redis-server"); err != nil {
		return ErrNoRedis
	}
	return nil
}

// Fence is the line of a configuration that makes a server start as a replica of
// nobody: read-only until somebody promotes it.
const Fence = "replicaof 127.0.0.1 0"

// Redis is one redis-server of a test. One goroutine uses it at a time.
type Redis struct {
	Name string
	Addr string // host:port where it listens

	t    cluster.TB
	dir  string
	conf []string
	proc atomic.Pointer[cluster.Process] // set by the test's goroutine
}

// NewRedis is a server that does not run yet, and keeps its data in memory alone.
// The end of the test ends it.
func NewRedis(t cluster.TB, p *cluster.Ports, name string, conf ...string) *Redis {
	t.Helper()
	addr, err := p.FreeAddr()
	if err != nil {
		t.Fatalf("%v", err)
	}
	r := &Redis{Name: name, Addr: addr, t: t, dir: filepath.Join(t.TempDir(), name), conf: conf}
	if err := os.MkdirAll(r.dir, 0o755); err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s, end of its log:\n%s", r.Name, cluster.Tail(r.log(), 30))
		}
		r.Kill()
	})
	return r
}

// StartRedis is NewRedis and Start.
func StartRedis(t cluster.TB, p *cluster.Ports, name string, conf ...string) *Redis {
	t.Helper()
	r := NewRedis(t, p, name, conf...)
	r.Start()
	return r
}

func (r *Redis) log() string { return filepath.Join(r.dir, "redis.log") }

// Start starts it, with the data and the configuration that its directory holds, and
// waits until it answers.
func (r *Redis) Start() {
	r.t.Helper()
	host, port, _ := strings.Cut(r.Addr, ":")
	lines := append([]string{
		"bind " + host, "port " + port, "dir " + r.dir, `save ""`,
		"repl-diskless-sync-delay 0", "loglevel verbose",
	}, r.conf...)
	path := filepath.Join(r.dir, "redis.conf")
	if _, err := os.Stat(path); err != nil {
		if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
			r.t.Fatalf("%v", err)
		}
	}
	p, err := cluster.StartProcess(r.log(), "redis-server", path)
	if err != nil {
		r.t.Fatalf("%s: %v", r.Name, err)
	}
	r.proc.Store(p)
	cluster.Eventually(r.t, startLimit, r.Name+" answers", func() (bool, string) {
		if !p.Running() {
			return false, "it has ended: " + cluster.Tail(r.log(), 5)
		}
		c, err := Dial(r.Addr)
		if err != nil {
			return false, err.Error()
		}
		defer c.Close()
		s, err := c.Do("PING")
		return s == "PONG", fmt.Sprint(s, err)
	})
}

// Kill ends it by SIGKILL; what it had in memory is lost.
func (r *Redis) Kill() {
	if p := r.proc.Load(); p != nil {
		p.Kill()
	}
}

// Wipe removes what is on its disk; it must not run.
func (r *Redis) Wipe() {
	r.t.Helper()
	if err := os.RemoveAll(filepath.Join(r.dir, "dump.rdb")); err != nil {
		r.t.Fatalf("%v", err)
	}
}

func (r *Redis) pid() int { return r.proc.Load().Pid() }

// Running tells whether its process is there.
func (r *Redis) Running() bool { return r.pid() > 0 }

// Pause stops it by SIGSTOP, Resume lets it go on.
func (r *Redis) Pause() { r.signal(syscall.SIGSTOP) }

// Resume takes Pause back.
func (r *Redis) Resume() { r.signal(syscall.SIGCONT) }

func (r *Redis) signal(s syscall.Signal) {
	r.t.Helper()
	if err := r.proc.Load().Signal(s); err != nil {
		r.t.Fatalf("%v to %s: %v", s, r.Name, err)
	}
}

// Conn is a new connection, closed when the test ends.
func (r *Redis) Conn() *Conn {
	r.t.Helper()
	c, err := Dial(r.Addr)
	if err != nil {
		r.t.Fatalf("%s: %v", r.Name, err)
	}
	r.t.Cleanup(c.Close)
	return c
}

// Do is one command over a connection of its own; an error fails the test.
func (r *Redis) Do(args ...string) string {
	r.t.Helper()
	s, err := r.Try(args...)
	if err != nil {
		r.t.Fatalf("%s: %s: %v", r.Name, strings.Join(args, " "), err)
	}
	return s
}

// Try is Do for what may be refused.
func (r *Redis) Try(args ...string) (string, error) {
	c, err := Dial(r.Addr)
	if err != nil {
		return "", err
	}
	defer c.drop()
	return c.Do(args...)
}

// Info is a section of INFO by its fields.
func (r *Redis) Info(section string) map[string]string {
	r.t.Helper()
	return Fields(r.Do("INFO", section))
}

// Fields are the lines field:value of INFO.
func Fields(info string) map[string]string {
	m := map[string]string{}
	for line := range strings.Lines(info) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			m[k] = v
		}
	}
	return m
}

// Number is a field of INFO as a number; -1 when it is none.
func (r *Redis) Number(section, field string) int64 {
	r.t.Helper()
	n, err := strconv.ParseInt(r.Info(section)[field], 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// Offset is the byte of its history up to which it has everything.
func (r *Redis) Offset() int64 {
	r.t.Helper()
	return r.Number("replication", "master_repl_offset")
}

// Follow makes it a replica of addr.
func (r *Redis) Follow(addr string) {
	r.t.Helper()
	host, port, _ := strings.Cut(addr, ":")
	r.Do("REPLICAOF", host, port)
}

// Freeze makes it a replica of nobody.
func (r *Redis) Freeze() { r.t.Helper(); r.Follow("127.0.0.1:0") }

// Promote makes it a master.
func (r *Redis) Promote() { r.t.Helper(); r.Do("REPLICAOF", "NO", "ONE") }

// AwaitLink waits until it follows its master, whose every byte it has, and the
// master has no replica that is still being sent its data.
func (r *Redis) AwaitLink(master *Redis) {
	r.t.Helper()
	cluster.Eventually(r.t, startLimit, r.Name+" follows "+master.Name, func() (bool, string) {
		mine, its := r.Info("replication"), master.Info("replication")
		ok := mine["master_link_status"] == "up" && mine["master_repl_offset"] == its["master_repl_offset"]
		for i := 0; its[fmt.Sprint("slave", i)] != ""; i++ {
			ok = ok && strings.Contains(its[fmt.Sprint("slave", i)], "state=online")
		}
		return ok, fmt.Sprint(mine, its)
	})
}

// HostPort is its address in two words.
func (r *Redis) HostPort() (host, port string) {
	host, port, _ = strings.Cut(r.Addr, ":")
	return host, port
}
