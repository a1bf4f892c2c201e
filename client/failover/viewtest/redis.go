//go:build unix

package viewtest

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is the longest that a Redis may take to start: it only ends a test
// that hangs.
const patience = time.Minute

// Need leaves a test out that needs a program which is not here, unless
// DOOZER_TEST_REQUIRE=all says that everything has to be there.
func Need(t testing.TB, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		Skip(t, err.Error())
	}
}

// Skip leaves a test out, unless DOOZER_TEST_REQUIRE=all says that everything has
// to be there.
func Skip(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("DOOZER_TEST_REQUIRE") == "all" {
		t.Fatalf("DOOZER_TEST_REQUIRE=all, but the test would be skipped: %s", why)
	}
	t.Skip(why)
}

// Redis is a redis-server process.
type Redis struct {
	Addr string

	t    testing.TB
	cmd  *exec.Cmd
	out  *output
	done chan struct{} // closed when it has ended
}

// output is what the process prints; safe for use by many goroutines.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// StartRedis starts a redis-server with further settings, "name value" each, and
// waits until it answers. It is killed when the test ends.
func StartRedis(t testing.TB, settings ...string) *Redis {
	t.Helper()
	Need(t, "redis-server")
	deadline := time.Now().Add(patience)
	for {
		r, err := startRedis(t, settings)
		if err == nil {
			return r
		}
		// Between the choice of the port and its use another may have taken it.
		if !strings.Contains(err.Error(), "Address already in use") || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func startRedis(t testing.TB, settings []string) (*Redis, error) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr := lis.Addr().String()
	_, port, _ := net.SplitHostPort(addr)
	lis.Close()
	args := []string{"--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", t.TempDir(), "--repl-diskless-sync-delay", "0"}
	for _, s := range settings {
		name, value, _ := strings.Cut(s, " ")
		args = append(args, "--"+name)
		args = append(args, strings.Fields(value)...)
	}
	r := &Redis{Addr: addr, t: t, cmd: exec.Command("redis-server", args...), out: &output{}, done: make(chan struct{})}
	r.cmd.Stdout, r.cmd.Stderr = r.out, r.out
	if err := r.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(r.done)
		r.cmd.Wait()
	}()
	t.Cleanup(r.Kill)
	for deadline := time.Now().Add(patience); ; {
		if _, err := r.ask("PING"); err == nil && strings.Contains(r.out.String(), "Ready to accept connections") {
			return r, nil
		}
		select {
		case <-r.done:
			return nil, fmt.Errorf("redis-server ended: %s", r.out)
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("redis-server does not answer: %s", r.out)
		}
	}
}

// Kill ends the process at once and returns when it has ended.
func (r *Redis) Kill() {
	r.cmd.Process.Kill()
	<-r.done
}

// Do gives it a command and returns the first line of the answer. An error fails
// the test.
func (r *Redis) Do(words ...string) string {
	r.t.Helper()
	line, err := r.ask(words...)
	if err != nil || strings.HasPrefix(line, "-") {
		r.t.Fatalf("redis %s: %q: %s, %v", r.Addr, words, line, err)
	}
	return line
}

func (r *Redis) ask(words ...string) (string, error) {
	nc, err := net.DialTimeout("tcp", r.Addr, patience)
	if err != nil {
		return "", err
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	if _, err := nc.Write(Command(words...)); err != nil {
		return "", err
	}
	line, err := bufio.NewReader(nc).ReadString('\n')
	return strings.TrimRight(line, "\r\n"), err
}

// Command is a command in RESP.
func Command(words ...string) []byte {
	b := fmt.Appendf(nil, "*%d\r\n", len(words))
	for _, w := range words {
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(w), w)
	}
	return b
}

// Master makes it a master, Follow a replica of another one, and waits until it
// has what that one has.
func (r *Redis) Master() { r.t.Helper(); r.Do("REPLICAOF", "NO", "ONE") }

// Follow fails the test when the link does not come up.
func (r *Redis) Follow(master *Redis) {
	r.t.Helper()
	host, port, _ := net.SplitHostPort(master.Addr)
	r.Do("REPLICAOF", host, port)
	for deadline := time.Now().Add(patience); !r.Linked(); {
		if time.Now().After(deadline) {
			r.t.Fatalf("%s does not follow %s: %s", r.Addr, master.Addr, r.out)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// Linked tells whether it is a replica whose link to its master is up.
func (r *Redis) Linked() bool { return r.Info("master_link_status") == "up" }

// Info is a field of INFO; empty if there is none.
func (r *Redis) Info(field string) string {
	nc, err := net.DialTimeout("tcp", r.Addr, patience)
	if err != nil {
		return ""
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	b := bufio.NewReader(nc)
	var n int
	if _, err := nc.Write(Command("INFO")); err != nil {
		return ""
	}
	if _, err := fmt.Fscanf(b, "$%d\r\n", &n); err != nil {
		return ""
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(b, text); err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// Stop makes it hang, as a process that is stopped does. It ends with the test.
func (r *Redis) Stop() {
	r.t.Helper()
	if err := r.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		r.t.Fatal(err)
	}
}
