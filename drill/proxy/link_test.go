package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// echo answers every connection with what it sends, and counts connections.
func echo(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.Copy(c, c)
			}()
		}
	}()
	return ln.Addr().String()
}

func link(t *testing.T, target string, o Options) *Link {
	t.Helper()
	l, err := New(target, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

func dial(t *testing.T, l *Link) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func send(t *testing.T, c net.Conn, s string) {
	t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		t.Fatalf("write %q: %v", s, err)
	}
}

func expect(t *testing.T, c net.Conn, want string) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(2 * time.Minute))
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("read %q, %v; want %q", got, err, want)
	}
}

// expectSilence says that nothing comes, and that the connection is not told
// why.
func expectSilence(t *testing.T, c net.Conn) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
	var b [1]byte
	if n, err := c.Read(b[:]); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("read %d bytes, %v; want silence", n, err)
	}
}

func expectEnd(t *testing.T, c net.Conn) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(2 * time.Minute))
	var b [1]byte
	n, err := c.Read(b[:])
	if n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("read %d bytes, %v; want the end of the connection", n, err)
	}
}

func TestForwards(t *testing.T) {
	c := dial(t, link(t, echo(t), Options{}))
	send(t, c, "one")
	expect(t, c, "one")
	big := string(bytes.Repeat([]byte("0123456789"), 50_000))
	go io.WriteString(c, big)
	expect(t, c, big)
}

func TestCutHoldsAndHealDelivers(t *testing.T) {
	for _, d := range []Direction{Forward, Back, Both} {
		l := link(t, echo(t), Options{})
		c := dial(t, l)
		send(t, c, "a")
		expect(t, c, "a")
		l.Cut(d)
		send(t, c, "b")
		expectSilence(t, c)
		l.Heal()
		expect(t, c, "b")
	}
}

func TestCutHoldsNewConnections(t *testing.T) {
	l := link(t, echo(t), Options{})
	l.Cut(Both)
	c := dial(t, l)
	send(t, c, "x")
	expectSilence(t, c)
	l.Heal()
	expect(t, c, "x")
}

// through is a connection through a link, by both of its ends.
func through(t *testing.T, o Options) (l *Link, near, far net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	l = link(t, ln.Addr().String(), o)
	near = dial(t, l)
	if far, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { far.Close() })
	return l, near, far
}

func TestOneWayCutLetsTheOtherWayThrough(t *testing.T) {
	l, near, far := through(t, Options{})
	l.Cut(Forward)
	send(t, near, "lost for now")
	expectSilence(t, far)
	send(t, far, "heard")
	expect(t, near, "heard")
}

func TestCutHidesTheEndOfTheTarget(t *testing.T) {
	l, near, far := through(t, Options{})
	l.Cut(Both)
	far.Close()
	expectSilence(t, near)
	l.Heal()
	expectEnd(t, near)
}

func TestDelay(t *testing.T) {
	l := link(t, echo(t), Options{})
	c := dial(t, l)
	const by = 60 * time.Millisecond
	l.Delay(Forward, by)
	start := time.Now()
	send(t, c, "slow")
	expect(t, c, "slow")
	if took := time.Since(start); took < by {
		t.Errorf("took %v with a delay of %v", took, by)
	}
}

func TestResetEndsOpenConnectionsOnly(t *testing.T) {
	l := link(t, echo(t), Options{})
	a := dial(t, l)
	send(t, a, "a")
	expect(t, a, "a")
	l.Reset()
	expectEnd(t, a)
	b := dial(t, l)
	send(t, b, "b")
	expect(t, b, "b")
}

func TestRefusedTargetEndsTheConnection(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	target := ln.Addr().String()
	ln.Close()
	c, err := net.Dial("tcp", link(t, target, Options{}).Addr())
	if err != nil {
		return // the reset came before Dial had returned
	}
	defer c.Close()
	expectEnd(t, c)
}

func TestCloseEndsCutConnections(t *testing.T) {
	l := link(t, echo(t), Options{})
	c := dial(t, l)
	send(t, c, "a")
	expect(t, c, "a")
	l.Cut(Both)
	send(t, c, "b")
	l.Close()
	l.Close()
	expectEnd(t, c)
}

func frame(kind byte, payload string) []byte {
	n := len(payload)
	return append([]byte{byte(n >> 16), byte(n >> 8), byte(n), kind, 0, 0, 0, 0, 1}, payload...)
}

func TestFramesInAnyPieces(t *testing.T) {
	all := append(frame(4, "settings"), frame(frameData, "one")...)
	all = append(all, frame(6, "pingping")...)
	upTo := len(all)
	all = append(all, frame(frameData, "lose me")...)
	all = append(all, frame(frameData, "never")...)
	for size := 1; size <= len(all); size++ {
		var asked []string
		f := &frames{lose: func(p []byte) bool {
			asked = append(asked, string(p))
			return string(p) == "lose me"
		}}
		var out []byte
		lost := false
		for at := 0; at < len(all) && !lost; at += size {
			var o []byte
			o, lost = f.feed(all[at:min(at+size, len(all))])
			out = append(out, o...)
		}
		if !lost || !bytes.Equal(out, all[:upTo]) || len(asked) != 2 {
			t.Fatalf("pieces of %d: lost %v, %d bytes out of %d, asked %q", size, lost, len(out), upTo, asked)
		}
	}
}

func TestLoseReplyDropsTheFrameAndResets(t *testing.T) {
	_, near, far := through(t, Options{LoseReply: func(p []byte) bool { return string(p) == "secret" }})
	send(t, far, string(frame(frameData, "open")))
	expect(t, near, string(frame(frameData, "open")))
	send(t, far, string(frame(frameData, "secret")))
	expectEnd(t, near)
	expectEnd(t, far)
}

func TestRefusesWhileTheTargetIsGone(t *testing.T) {
	// Not one of the ports that outgoing connections take: they would take it
	// while nobody listens there.
	var l *Link
	for port, target := 20000, echo(t); l == nil; port++ {
		l, _ = New(target, Options{Addr: fmt.Sprint("127.0.0.1:", port)})
	}
	t.Cleanup(l.Close)
	refused := func() bool {
		c, err := net.Dial("tcp", l.Addr())
		if err == nil {
			c.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(l.Gone())
	if !refused() {
		t.Error("a link whose target is gone accepts connections")
	}
	must(l.Cut(Both))
	if refused() {
		t.Error("a cut link refuses connections: whoever dials learns too much")
	}
	l.Heal()
	if !refused() {
		t.Error("a mended link forgot that its target is gone")
	}
	must(l.There())
	c := dial(t, l)
	send(t, c, "a")
	expect(t, c, "a")
}
