package redisdial

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/doozer-store/doozer/client/failover"
	"github.com/doozer-store/doozer/client/failover/redistest"
	"github.com/doozer-store/doozer/client/failover/viewtest"
)

// patience only ends a test that hangs.
const patience = time.Minute

// place is a server that names itself to whoever connects, and then listens.
func place(t *testing.T, name string, conf *tls.Config) (addr string) {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if conf != nil {
		lis = tls.NewListener(lis, conf)
	}
	t.Cleanup(func() { lis.Close() })
	go func() {
		for {
			nc, err := lis.Accept()
			if err != nil {
				return
			}
			go func() {
				defer nc.Close()
				io.WriteString(nc, name+"\n")
				io.Copy(io.Discard, nc)
			}()
		}
	}()
	return lis.Addr().String()
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// dialled is a connection that has read the name of its place.
func dialled(t *testing.T, d *Dialer, want string) net.Conn {
	t.Helper()
	nc, err := d.dial(within(t), (&net.Dialer{}).DialContext)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	buf := make([]byte, len(want)+1)
	if _, err := io.ReadFull(nc, buf); err != nil || string(buf) != want+"\n" {
		t.Fatalf("connected to %q, %v, want %s", buf, err, want)
	}
	return nc
}

// read is what a read that is under way ends with.
func read(nc net.Conn) <-chan error {
	end := make(chan error, 1)
	go func() {
		_, err := nc.Read(make([]byte, 1))
		end <- err
	}()
	return end
}

// A connection lasts as long as its master's reign, and ends at once with it.
func TestReigns(t *testing.T) {
	src := viewtest.New(place(t, "n1", nil), place(t, "n2", nil))
	d := New(src)
	ends := map[string]func(){
		"another master":    func() { src.Run("n2") },
		"an election":       src.Elect,
		"the same, elected": func() { src.Elect(); src.Run("n1") },
	}
	for name, end := range ends {
		src.Run("n1")
		a, b := dialled(t, d, "n1"), dialled(t, d, "n1")
		reading := read(a)
		// What is no end of a reign.
		src.Change(func(v *failover.View) { v.Epoch++; v.Register.State = failover.Switching })
		src.Change(func(v *failover.View) { v.Epoch++; v.Register.State = failover.Running })
		src.Change(func(v *failover.View) { v.Fresh = false })
		src.Change(func(v *failover.View) { v.Fresh = true })
		src.Change(func(v *failover.View) { v.Nodes[1].Alive = false })
		select {
		case err := <-reading:
			t.Fatalf("before %s: %v", name, err)
		default:
		}
		if _, err := b.Write([]byte("x")); err != nil {
			t.Fatalf("before %s: %v", name, err)
		}
		end()
		if err := <-reading; !errors.Is(err, io.EOF) || err == io.EOF {
			t.Errorf("%s: a read ends with %v", name, err)
		}
		if err := <-read(b); !errors.Is(err, io.EOF) {
			t.Errorf("%s: the second read ends with %v", name, err)
		}
		if _, err := b.Write([]byte("x")); !errors.Is(err, io.EOF) {
			t.Errorf("%s: a write ends with %v", name, err)
		}
	}
}

// The goroutine that follows is there while there are connections, and no longer.
func TestFollowerEnds(t *testing.T) {
	src := viewtest.New(place(t, "n1", nil))
	d := New(src)
	for range 10 {
		a, b := dialled(t, d, "n1"), dialled(t, d, "n1")
		a.Close()
		a.Close()
		d.mu.Lock()
		running := d.end != nil
		d.mu.Unlock()
		if !running {
			t.Fatal("nobody follows the register though there is a connection")
		}
		b.Close()
		d.mu.Lock()
		left, running := len(d.conns), d.end != nil
		d.mu.Unlock()
		if left != 0 || running {
			t.Fatalf("%d connections are left, running %v", left, running)
		}
	}
}

// A dial waits for a master, and for a fresh view.
func TestDialWaits(t *testing.T) {
	src := viewtest.New(place(t, "n1", nil), place(t, "n2", nil))
	d := New(src)
	got := func() <-chan string {
		src.Change(func(v *failover.View) {})
		name := make(chan string, 1)
		go func() {
			nc, err := d.Dial(context.Background())
			if err != nil {
				name <- err.Error()
				return
			}
			defer nc.Close()
			buf := make([]byte, 2)
			io.ReadFull(nc, buf)
			name <- string(buf)
		}()
		return name
	}
	src.Elect()
	name := got()
	src.Change(func(v *failover.View) { v.Register.State, v.Register.Node = failover.Promoting, "n2" })
	src.Run("n2")
	if n := <-name; n != "n2" {
		t.Errorf("after an election: %s", n)
	}
	src.Change(func(v *failover.View) { v.Fresh = false })
	name = got()
	src.Change(func(v *failover.View) { v.Fresh = true })
	if n := <-name; n != "n2" {
		t.Errorf("after a stale view: %s", n)
	}
	// A master that is not there: the next one is.
	src.Change(func(v *failover.View) { v.Register.Addr = viewtest.Refusing(t) })
	name = got()
	src.Run("n1")
	if n := <-name; n != "n1" {
		t.Errorf("after a master that refuses: %s", n)
	}
}

// What a dial ends with that finds no master.
func TestNoMaster(t *testing.T) {
	src := viewtest.New(place(t, "n1", nil))
	d := New(src)
	refused := viewtest.Refusing(t)
	for _, tt := range []struct {
		change func(v *failover.View)
		want   string
	}{
		{func(v *failover.View) { v.Register.State = failover.Electing }, "redis group g1: the group has no master: electing: context deadline exceeded"},
		{func(v *failover.View) { v.Fresh = false }, "the store has not answered for too long"},
		{func(v *failover.View) { v.Fresh, v.Epoch = true, 0 }, "it never had one"},
		{func(v *failover.View) { v.Epoch, v.Register.State, v.Register.Addr = 7, failover.Running, refused }, "master n1: dial tcp " + refused},
	} {
		src.Change(tt.change)
		ctx, cancel := context.WithTimeout(within(t), 100*time.Millisecond)
		_, err := d.Dial(ctx)
		cancel()
		if err == nil || !strings.Contains(err.Error(), tt.want) || errors.Is(err, ErrNoMaster) == strings.Contains(tt.want, "dial") {
			t.Errorf("%v, want %q", err, tt.want)
		}
	}
}

// A register that changes while a connection is made: it is not used.
func TestChangeWhileDialling(t *testing.T) {
	src := viewtest.New(place(t, "n1", nil), place(t, "n2", nil))
	d := New(src)
	tried := 0
	nc, err := d.dial(within(t), func(ctx context.Context, network, addr string) (net.Conn, error) {
		tried++
		if tried == 1 {
			defer src.Run("n2")
		}
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	buf := make([]byte, 2)
	if _, err := io.ReadFull(nc, buf); err != nil || string(buf) != "n2" || tried != 2 {
		t.Errorf("connected to %s at try %d: %v", buf, tried, err)
	}
}

// TLS is for the host of each master, and a dropped connection does not wait to
// say farewell.
func TestTLS(t *testing.T) {
	cert := redistest.Certify(t)
	serving := &tls.Config{Certificates: []tls.Certificate{cert.Pair}}
	src := viewtest.New(place(t, "n1", serving), place(t, "n2", serving))
	opt := Options(src, &redis.Options{TLSConfig: &tls.Config{RootCAs: cert.Pool}, DialTimeout: patience})
	for _, name := range []string{"n1", "n2", "n1"} {
		src.Run(name)
		nc, err := opt.Dialer(within(t), "", "")
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 3)
		if _, err := io.ReadFull(nc, buf); err != nil || string(buf) != name+"\n" {
			t.Errorf("connected to %q, %v, want %s", buf, err, name)
		}
		src.Elect()
		if err := <-read(nc); !errors.Is(err, io.EOF) {
			t.Errorf("a read ends with %v", err)
		}
		nc.Close()
	}
	src.Run("n1")
	// A certificate of somebody else is the reason that is told.
	ctx, cancel := context.WithCancel(within(t))
	dials := 0
	opt = Options(src, &redis.Options{TLSConfig: &tls.Config{}, DialTimeout: patience, Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
		if dials++; dials > 1 {
			cancel()
			return nil, ctx.Err()
		}
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}})
	if _, err := opt.Dialer(ctx, "", ""); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a certificate of somebody else: %v", err)
	}
}
