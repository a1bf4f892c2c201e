package quiet

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for what must come.
const patience = time.Minute

// pair returns the two ends of a connection, both of them by Conn.
func pair(t *testing.T) (a, b net.Conn) {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	if a, err = net.Dial("tcp", lis.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if b, err = lis.Accept(); err != nil {
		t.Fatal(err)
	}
	a, b = Conn(a, time.Minute), Conn(b, 0)
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

// TestConnCarries: everything arrives as it was sent, in both directions at
// once, though it is more than the kernel holds.
func TestConnCarries(t *testing.T) {
	a, b := pair(t)
	rng := rand.New(rand.NewPCG(1, 2))
	text := make([]byte, 8<<20)
	for i := range text {
		text[i] = byte(rng.Uint32())
	}
	send := func(c net.Conn, seed uint64) {
		rng := rand.New(rand.NewPCG(seed, 3))
		for rest := text; len(rest) > 0; {
			k := min(len(rest), 1+rng.IntN(1<<uint(rng.IntN(23))))
			if n, err := c.Write(rest[:k]); n != k || err != nil {
				t.Errorf("wrote %d of %d: %v", n, k, err)
				break
			}
			rest = rest[k:]
		}
		if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Error(err)
		}
	}
	go send(a, 1)
	go send(b, 2)
	got := make(chan []byte)
	for _, c := range []net.Conn{a, b} {
		go func() {
			all, err := io.ReadAll(c)
			if err != nil {
				t.Error(err)
			}
			got <- all
		}()
	}
	for range 2 {
		if !bytes.Equal(<-got, text) {
			t.Error("what arrived is not what was sent")
		}
	}
}

// TestConnEnds: a read that waits ends with the connection, a deadline or the
// other end, and says which.
func TestConnEnds(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(a, b net.Conn)
		want func(error) bool
	}{
		"closed":   {func(a, _ net.Conn) { a.Close() }, func(err error) bool { return errors.Is(err, net.ErrClosed) }},
		"the end":  {func(_, b net.Conn) { b.Close() }, func(err error) bool { return err == io.EOF }},
		"deadline": {func(a, _ net.Conn) { a.SetReadDeadline(time.Now()) }, func(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }},
		"reset": {func(_, b net.Conn) {
			b.(interface{ SetLinger(int) error }).SetLinger(0)
			b.Close()
		}, func(err error) bool { return errors.Is(err, syscall.ECONNRESET) }},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t)
			ended := make(chan error)
			go func() {
				n, err := a.Read(make([]byte, 100))
				if n != 0 {
					t.Errorf("read %d bytes", n)
				}
				ended <- err
			}()
			c.end(a, b)
			if err := <-ended; !c.want(err) {
				t.Errorf("the read ended with %v", err)
			}
		})
	}
}

// TestConnWriteEnds: a write that waits for room ends with the connection, and
// tells how much went.
func TestConnWriteEnds(t *testing.T) {
	a, b := pair(t)
	ended := make(chan error)
	const size = 64 << 20
	go func() {
		n, err := a.Write(make([]byte, size))
		if n >= size {
			t.Errorf("wrote %d bytes that nobody read", n)
		}
		ended <- err
	}()
	if _, err := io.ReadFull(b, make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	a.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("the write ended with %v", err)
	}
	if _, err := a.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a write after the end: %v", err)
	}
}

// TestConnNothing: what is no TCP connection, and calls without bytes.
func TestConnNothing(t *testing.T) {
	p, q := net.Pipe()
	defer p.Close()
	defer q.Close()
	if Conn(p, 0) != p {
		t.Error("a pipe was not returned as it is")
	}
	a, _ := pair(t)
	if n, err := a.Read(nil); n != 0 || err != nil {
		t.Errorf("Read of nothing: %d, %v", n, err)
	}
	if n, err := a.Write(nil); n != 0 || err != nil {
		t.Errorf("Write of nothing: %d, %v", n, err)
	}
}

func newAlarm(t *testing.T) *Alarm {
	t.Helper()
	a, err := NewAlarm()
	if runtime.GOOS != "linux" && errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

func rings(t *testing.T, a *Alarm) {
	t.Helper()
	select {
	case <-a.Ring():
	case <-time.After(patience):
		t.Fatal("it did not ring")
	}
}

// TestAlarm: it rings when it was set to, not before, once, and can be set
// again.
func TestAlarm(t *testing.T) {
	a := newAlarm(t)
	for _, d := range []time.Duration{-time.Hour, 0, time.Nanosecond, 20 * time.Millisecond, time.Millisecond} {
		begin := time.Now()
		a.Set(d)
		rings(t, a)
		if took := time.Since(begin); took < d {
			t.Errorf("it rang %v after it was set to %v", took, d)
		}
		select {
		case <-a.Ring():
			t.Error("it rang twice")
		default:
		}
	}
}

// TestAlarmReset: an earlier time takes the place of a later one.
func TestAlarmReset(t *testing.T) {
	a := newAlarm(t)
	a.Set(time.Hour)
	a.Set(time.Millisecond)
	rings(t, a)
}

// TestAlarmClose: Close ends its goroutine, and what comes after it does
// nothing.
func TestAlarmClose(t *testing.T) {
	a := newAlarm(t)
	a.Set(time.Hour)
	a.Close()
	a.Close()
	a.Set(0)
	buf := make([]byte, 1<<20)
	if stacks := string(buf[:runtime.Stack(buf, true)]); strings.Contains(stacks, "quiet.(*Alarm).wait") {
		t.Errorf("left behind:\n%s", stacks)
	}
}
