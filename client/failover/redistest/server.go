package redistest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// limit is how long anything may take that only a hang exceeds.
const limit = 2 * time.Minute

// Server is one redis-server. It belongs to its test.
type Server struct {
	Addr string
	Port string
	Dir  string

	t      testing.TB
	lines  []string
	conf   string
	opts   *redis.Options
	cmd    *exec.Cmd
	ended  chan struct{}
	output bytes.Buffer
	client *redis.Client
}

// Start starts a server with further lines of configuration, and waits until it
// answers. It ends with the test.
func Start(t testing.TB, lines ...string) *Server {
	t.Helper()
	Need(t)
	s := &Server{t: t, Dir: t.TempDir(), lines: lines}
	t.Cleanup(func() {
		if s.client != nil {
			s.client.Close()
		}
		if s.cmd != nil && s.cmd.Process != nil {
			s.Kill()
		}
		if t.Failed() {
			out := s.output.Bytes()
			t.Logf("redis at %s, the end of its log:\n%s", s.Addr, out[max(0, len(out)-4000):])
		}
	})
	s.Run()
	return s
}

// Need skips the test where there is no redis-server.
func Need(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("DOOZER_TEST_REQUIRE") == "all" {
			t.Fatalf("DOOZER_TEST_REQUIRE=all, but the test would be skipped: %v", err)
		}
		t.Skip(err)
	}
}

// settle chooses a port, below those that the kernel gives to who dials: a server
// that is down for a moment finds its port again. It writes the configuration.
func (s *Server) settle() {
	s.t.Helper()
	for range 1000 {
		s.Port = strconv.Itoa(15000 + rand.IntN(15000))
		l, err := net.Listen("tcp", "127.0.0.1:"+s.Port)
		if err == nil {
			l.Close()
			break
		}
	}
	s.Addr = "127.0.0.1:" + s.Port
	s.opts = &redis.Options{Addr: s.Addr, MaxRetries: -1, Protocol: 2, DisableIdentity: true, PoolSize: 4}
	conf := []string{
		"port " + s.Port, "bind 127.0.0.1", "dir " + s.Dir, "save \"\"", "appendonly no", "daemonize no",
		"repl-diskless-sync-delay 0", "replicaof 127.0.0.1 0",
	}
	for _, l := range s.lines {
		conf = append(conf, l)
		if pw, ok := strings.CutPrefix(l, "requirepass "); ok {
			s.opts.Password = pw
		}
	}
	s.conf = filepath.Join(s.Dir, "redis.conf")
	if err := os.WriteFile(s.conf, []byte(strings.Join(conf, "\n")+"\n"), 0o644); err != nil {
		s.t.Fatal(err)
	}
	s.client = redis.NewClient(s.opts)
}

// Run starts the process, which must not run, and waits until it answers. A port
// that another has taken is waited for or, the first time, given up for another
// one.
func (s *Server) Run() {
	s.t.Helper()
	deadline := time.Now().Add(limit)
	for first := s.client == nil; ; {
		if first {
			s.settle()
		}
		s.output.Reset()
		if s.run(deadline) {
			return
		}
		if !bytes.Contains(s.output.Bytes(), []byte("Address already in use")) || time.Now().After(deadline) {
			s.t.Fatalf("redis-server ended: %s", &s.output)
		}
		if first {
			s.client.Close()
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// run is one attempt: true when the process answers, false when it has ended.
func (s *Server) run(deadline time.Time) bool {
	s.t.Helper()
	s.cmd = exec.Command("redis-server", s.conf)
	s.cmd.Stdout, s.cmd.Stderr = &s.output, &s.output
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	cmd, ended := s.cmd, make(chan struct{})
	s.ended = ended
	go func() { // ends with the process
		cmd.Wait()
		close(ended)
	}()
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		info, err := s.client.Info(ctx, "server").Result()
		cancel()
		if err == nil && strings.Contains(info, fmt.Sprintf("process_id:%d\r\n", cmd.Process.Pid)) {
			return true
		}
		select {
		case <-ended:
			return false
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("redis-server does not answer: %v", err)
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
