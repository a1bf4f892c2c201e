package redistest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/doozer-store/doozer/test/loopback"
	"github.com/doozer-store/doozer/test/need"
)

// limit is how long anything may take that only a hang exceeds.
const limit = 2 * time.Minute

// Fence is a line of a configuration that makes a server start as a replica of
// nobody, as agents want it.
const Fence = "replicaof 127.0.0.1 0"

// Server is one redis-server. It belongs to its test.
type Server struct {
	Addr string
	Port string
	Dir  string

	t      testing.TB
	conf   string
	cmd    *exec.Cmd
	ended  chan struct{}
	output bytes.Buffer // of the process, until it has ended
	client *redis.Client
}

// Start starts a server, a master, with further lines of configuration, and waits
// until it answers. It ends with the test.
func Start(t testing.TB, lines ...string) *Server {
	t.Helper()
	need.Program(t, "redis-server")
	s := &Server{t: t, Dir: t.TempDir(), Addr: loopback.Addr(t)}
	opts := &redis.Options{
		Addr: s.Addr, MaxRetries: -1, Protocol: 2, DisableIdentity: true, PoolSize: 4,
		DialTimeout: limit, ReadTimeout: limit, WriteTimeout: limit,
	}
	var host string
	host, s.Port, _ = net.SplitHostPort(s.Addr)
	conf := append([]string{
		"port " + s.Port, "bind " + host, "dir " + s.Dir, "save \"\"", "appendonly no", "daemonize no", "repl-diskless-sync-delay 0",
	}, lines...)
	for _, l := range lines {
		if pw, ok := strings.CutPrefix(l, "requirepass "); ok {
			opts.Password = pw
		}
	}
	s.conf = filepath.Join(s.Dir, "redis.conf")
	if err := os.WriteFile(s.conf, []byte(strings.Join(conf, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.client = redis.NewClient(opts)
	s.Run()
	t.Cleanup(func() {
		s.client.Close()
		s.Kill()
		if t.Failed() {
			out := s.output.Bytes()
			t.Logf("redis at %s, the end of its log:\n%s", s.Addr, out[max(0, len(out)-4000):])
		}
	})
	return s
}

// Run starts the process, which must not run, and waits until it answers.
func (s *Server) Run() {
	s.t.Helper()
	s.output.Reset()
	cmd, ended := exec.Command("redis-server", s.conf), make(chan struct{})
	cmd.Stdout, cmd.Stderr = &s.output, &s.output
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.cmd, s.ended = cmd, ended
	go func() { // ends with the process
		cmd.Wait()
		close(ended)
	}()
	for deadline := time.Now().Add(limit); ; {
		info, err := s.client.Info(context.Background(), "server").Result()
		if err == nil && strings.Contains(info, fmt.Sprintf("process_id:%d\r\n", cmd.Process.Pid)) {
			return
		}
		select {
		case <-ended:
			s.t.Fatalf("redis-server ended: %s", &s.output)
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			s.Kill()
			s.t.Fatalf("redis-server does not answer: %v\n%s", err, &s.output)
		}
	}
}

// Kill ends the process as kill -9 does, and waits for it.
func (s *Server) Kill() {
	s.cmd.Process.Signal(syscall.SIGKILL)
	<-s.ended
}

// Wipe deletes what the server has on disk. A replica has the copy there that it
// once received.
func (s *Server) Wipe() {
	s.t.Helper()
	if err := os.Remove(filepath.Join(s.Dir, "dump.rdb")); err != nil && !errors.Is(err, os.ErrNotExist) {
		s.t.Fatal(err)
	}
}

// Signal sends a signal to the process.
func (s *Server) Signal(sig syscall.Signal) { s.cmd.Process.Signal(sig) }

// Ended is closed when the process has ended.
func (s *Server) Ended() <-chan struct{} { return s.ended }

// Client is a client of the server, which does not try again.
func (s *Server) Client() *redis.Client { return s.client }

// Do runs a command, which has to succeed, and returns its answer as text. A
// connection that was cut, as agents do to clients of an old master, costs another
// try.
func (s *Server) Do(args ...any) string {
	s.t.Helper()
	v, err := s.Try(args...)
	for range 8 {
		if !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
			break
		}
		v, err = s.Try(args...)
	}
	if err != nil {
		s.t.Fatalf("%v: %v", args, err)
	}
	return v
}

// Master makes it a master.
func (s *Server) Master() { s.t.Helper(); s.Do("REPLICAOF", "NO", "ONE") }

// Follow makes it a replica, and returns when its link is up.
func (s *Server) Follow(master *Server) {
	s.t.Helper()
	host, port, _ := net.SplitHostPort(master.Addr)
	s.Do("REPLICAOF", host, port)
	s.Until("it follows "+master.Addr, func() bool { return s.Linked(master.Addr) })
}

// Linked tells whether it is a replica whose link to the master at addr is up.
func (s *Server) Linked(addr string) bool {
	s.t.Helper()
	_, port, _ := net.SplitHostPort(addr)
	return s.Info("master_link_status") == "up" && s.Info("master_port") == port
}

// Try runs a command.
func (s *Server) Try(args ...any) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	v, err := s.client.Do(ctx, args...).Result()
	return fmt.Sprint(v), err
}

// Info returns a field of INFO, empty when there is none.
func (s *Server) Info(field string) string {
	s.t.Helper()
	for _, line := range strings.Split(s.Do("INFO"), "\r\n") {
		if v, ok := strings.CutPrefix(line, field+":"); ok {
			return v
		}
	}
	return ""
}

// Until waits until ok is true.
func (s *Server) Until(what string, ok func() bool) {
	s.t.Helper()
	deadline := time.Now().Add(limit)
	for !ok() {
		if time.Now().After(deadline) {
			s.t.Fatalf("%s: not in time\n%s", what, s.Do("INFO", "replication"))
		}
		time.Sleep(2 * time.Millisecond)
	}
}
