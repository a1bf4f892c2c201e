package sentinel

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/doozer-store/doozer/client/failover/viewtest"
)

// patience only ends a test that hangs.
const patience = time.Minute

// serve starts a server on a free port until the test ends.
func serve(t testing.TB, cfg Config) (addr string) {
	t.Helper()
	_, lis := started(t, cfg)
	return lis.Addr().String()
}

func started(t testing.TB, cfg Config) (*Server, net.Listener) {
	t.Helper()
	srv, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(lis) }()
	t.Cleanup(func() {
		srv.Close()
		if err := <-served; err != ErrClosed {
			t.Errorf("Serve: %v", err)
		}
	})
	return srv, lis
}

// wire is a client that looks at every byte.
type wire struct {
	t testing.TB
	net.Conn
}

func dial(t testing.TB, addr string) *wire {
	t.Helper()
	nc, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(patience))
	return &wire{t, nc}
}

func (w *wire) send(raw string) {
	w.t.Helper()
	if _, err := w.Write([]byte(raw)); err != nil {
		w.t.Fatal(err)
	}
}

// want reads exactly these bytes. A blank between words stands for CR LF.
func (w *wire) want(words string) {
	w.t.Helper()
	want := raw(words)
	got := make([]byte, len(want))
	n := 0
	for n < len(got) && bytes.HasPrefix([]byte(want), got[:n]) {
		m, err := w.Read(got[n:])
		n += m
		if err != nil {
			w.t.Fatalf("got %q, then %v, want %q", got[:n], err, want)
		}
	}
	if string(got[:n]) != want {
		same := 0
		for same < n && got[same] == want[same] {
			same++
		}
		w.t.Fatalf("after %q got %q, want %q", want[max(0, same-60):same], got[same:n], want[same:])
	}
}

// ends reads to the end of the connection.
func (w *wire) ends() string {
	w.t.Helper()
	var all []byte
	buf := make([]byte, 4096)
	for {
		n, err := w.Read(buf)
		all = append(all, buf[:n]...)
		if os.IsTimeout(err) {
			w.t.Fatalf("the connection does not end; it said %q", all)
		}
		if err != nil {
			return string(all)
		}
	}
}

// raw makes lines of words; ~ in one is a blank, and one in "" is a bulk string.
func raw(words string) string {
	var b strings.Builder
	for _, w := range strings.Fields(words) {
		w = strings.ReplaceAll(w, "~", " ")
		if bulk, ok := strings.CutPrefix(w, `"`); ok {
			bulk = strings.TrimSuffix(bulk, `"`)
			fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(bulk), bulk)
			continue
		}
		b.WriteString(w + "\r\n")
	}
	return b.String()
}

// cmd is a command in RESP.
func cmd(line string) string {
	words := strings.Fields(line)
	b := fmt.Appendf(nil, "*%d\r\n", len(words))
	for _, w := range words {
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(w), w)
	}
	return string(b)
}

// Commands of a connection, byte for byte, in RESP2.
func TestConnection(t *testing.T) {
	addr := serve(t, Config{Source: viewtest.New("10.0.0.1:6379"), Self: "n1"})
	tests := []struct{ send, want string }{
		{cmd("PING"), "+PONG"},
		{"PING\r\n", "+PONG"},
		{"ping\n", "+PONG"},
		{"\r\n\r\nPING\r\n", "+PONG"},
		{"*0\r\n*-1\r\n" + cmd("PING"), "+PONG"},
		{cmd("PING hello"), `"hello"`},
		{cmd("ECHO hello"), `"hello"`},
		{cmd("PING") + cmd("ECHO a") + cmd("PING"), `+PONG "a" +PONG`},
		{cmd("CLIENT SETNAME me"), "+OK"},
		{cmd("CLIENT GETNAME"), "$-1"},
		{cmd("CLIENT SETINFO LIB-NAME go-redis"), "+OK"},
		{cmd("CLIENT NO-EVICT on"), "+OK"},
		{cmd("SELECT 0"), "+OK"},
		{cmd("COMMAND DOCS"), "*0"},
		{cmd("COMMAND INFO auth nothing"), `*2 *6 "auth" :-2 *0 :0 :0 :0 *-1`},
		{cmd("ROLE"), `*2 "sentinel" *1 "g1"`},
		{cmd("RESET"), "+RESET"},
		{cmd("QUIT"), "+OK"},
		{cmd("AUTH secret"), "-ERR~AUTH~<password>~called~without~any~password~configured~for~the~default~user.~Are~you~sure~your~configuration~is~correct?"},
		{cmd("AUTH default secret"), "+OK"},
		{cmd("AUTH joe secret"), "-WRONGPASS~invalid~username-password~pair~or~user~is~disabled."},
		{cmd("HELLO 4"), "-NOPROTO~unsupported~protocol~version"},
		{cmd("HELLO 3 SETNAME"), "-ERR~Syntax~error~in~HELLO~option~'SETNAME'"},
		{cmd("GET x"), "-ERR~unknown~command~'get'"},
		{cmd("PING a b"), "-ERR~wrong~number~of~arguments~for~'ping'~command"},
		{cmd("SENTINEL"), "-ERR~wrong~number~of~arguments~for~'sentinel'~command"},
	}
	for _, tt := range tests {
		w := dial(t, addr)
		w.send(tt.send)
		w.want(tt.want)
		w.Close()
	}
}

// The protocol is chosen by HELLO, and lasts until RESET.
func TestHello(t *testing.T) {
	w := dial(t, serve(t, Config{Source: viewtest.New("10.0.0.1:6379"), Self: "n1"}))
	w.send(cmd("HELLO"))
	w.want(`*12 "server" "redis" "version" "7.0.15" "proto" :2 "id" :1 "mode" "sentinel" "modules" *0`)
	w.send(cmd("HELLO 3 AUTH default x SETNAME me"))
	w.want(`%6 "server" "redis" "version" "7.0.15" "proto" :3 "id" :1 "mode" "sentinel" "modules" *0`)
	w.send(cmd("CLIENT GETNAME") + cmd("CLIENT ID") + cmd("SENTINEL get-master-addr-by-name other") + cmd("COMMAND DOCS"))
	w.want(`"me" :1 _ %0`)
	w.send(cmd("HELLO 2"))
	w.want(`*12 "server" "redis" "version" "7.0.15" "proto" :2 "id" :1 "mode" "sentinel" "modules" *0`)
	w.send(cmd("HELLO 3 AUTH joe x") + cmd("SENTINEL get-master-addr-by-name other"))
	w.want("-WRONGPASS~invalid~username-password~pair~or~user~is~disabled. *-1")
	w.send(cmd("RESET") + cmd("CLIENT GETNAME"))
	w.want("+RESET $-1")
}

// With a password nothing is answered to who does not have it.
func TestPassword(t *testing.T) {
	addr := serve(t, Config{Source: viewtest.New("10.0.0.1:6379"), Self: "n1", Password: "secret"})
	const noauth, wrong = "-NOAUTH~Authentication~required.", "-WRONGPASS~invalid~username-password~pair~or~user~is~disabled."
	w := dial(t, addr)
	for _, line := range []string{"PING", "SENTINEL masters", "SUBSCRIBE x", "INFO", "CLIENT ID", "nonsense"} {
		w.send(cmd(line))
		w.want(noauth)
	}
	w.send(cmd("HELLO 3"))
	w.want("-NOAUTH~HELLO~must~be~called~with~the~client~already~authenticated,~otherwise~the~HELLO~<proto>~AUTH~<user>~<pass>~option~can~be~used~to~authenticate~the~client~and~select~the~RESP~protocol~version~at~the~same~time")
	for _, line := range []string{"AUTH secre", "AUTH secrets", "AUTH joe secret", "HELLO 3 AUTH default x"} {
		w.send(cmd(line))
		w.want(wrong)
	}
	w.send(cmd("PING") + cmd("AUTH secret") + cmd("PING") + cmd("RESET") + cmd("PING"))
	w.want(noauth + " +OK +PONG +RESET " + noauth)
	w.send(cmd("HELLO 2 AUTH default secret"))
	w.want(`*12 "server" "redis" "version" "7.0.15" "proto" :2 "id" :1 "mode" "sentinel" "modules" *0`)
}

// What is no RESP, or beyond a limit, is answered with an error that ends the
// connection.
func TestHostile(t *testing.T) {
	addr := serve(t, Config{Source: viewtest.New("10.0.0.1:6379"), Self: "n1"})
	big := strings.Repeat("x", maxArg)
	tests := []struct{ name, send, want string }{
		{"too many words", "*257\r\n", "invalid multibulk length"},
		{"a length that is none", "*x\r\n", "invalid multibulk length"},
		{"a length beyond any", "*99999999999999999999\r\n", "invalid multibulk length"},
		{"no bulk string", "*1\r\n:1\r\n", "expected '$', got ':'"},
		{"a bulk string without length", "*1\r\n$\r\n", "invalid bulk length"},
		{"a negative one", "*1\r\n$-5\r\n", "invalid bulk length"},
		{"a huge one", "*1\r\n$1000000000\r\n", "invalid bulk length"},
		{"a long one", fmt.Sprintf("*1\r\n$%d\r\n", maxArg+1), "invalid bulk length"},
		{"many long ones", "*200\r\n" + strings.Repeat(fmt.Sprintf("$%d\r\n%s\r\n", maxArg, big), 9), "invalid bulk length"},
		{"one without end", "*1\r\n$4\r\nPINGPONG\r\n", "longer than it says"},
		{"a line without end", strings.Repeat("x", 2*maxLine), "too big a line"},
		{"a line of many words", strings.Repeat("x ", maxArgs+1) + "\n", "too many words"},
		{"HTTP", "POST / HTTP/1.1\r\nHost: x\r\n\r\n", "not HTTP"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := dial(t, addr)
			w.Write([]byte(tt.send))
			if got := w.ends(); !strings.HasPrefix(got, "-ERR Protocol error") || !strings.Contains(got, tt.want) || strings.Count(got, "\r\n") != 1 {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	t.Run("CR and LF in an answer", func(t *testing.T) {
		w := dial(t, addr)
		w.send("*1\r\n$8\r\na\r\n-x\r\nb\r\n" + cmd("PING"))
		w.want("-ERR~unknown~command~'a..-x..b' +PONG")
	})
	t.Run("subscriptions", func(t *testing.T) {
		w := dial(t, addr)
		for i := range maxSubs {
			w.send(cmd(fmt.Sprint("SUBSCRIBE c", i)))
			w.want(fmt.Sprintf(`*3 "subscribe" "c%d" :%d`, i, i+1))
		}
		w.send(cmd("PSUBSCRIBE *") + cmd("SUBSCRIBE c1"))
		w.want(fmt.Sprintf(`-ERR~too~many~subscriptions:~%d *3 "subscribe" "c1" :%d`, maxSubs, maxSubs))
	})
}

// One connection too many is refused, and there is room again when one ends.
func TestConnectionLimit(t *testing.T) {
	addr := serve(t, Config{Source: viewtest.New("10.0.0.1:6379"), Self: "n1", MaxConns: 2})
	a, b := dial(t, addr), dial(t, addr)
	for _, w := range []*wire{a, b} {
		w.send(cmd("PING"))
		w.want("+PONG")
	}
	if got := dial(t, addr).ends(); got != "-ERR max number of clients reached\r\n" {
		t.Errorf("the third connection got %q", got)
	}
	a.Close()
	for deadline := time.Now().Add(patience); ; {
		w := dial(t, addr)
		w.Write([]byte(cmd("PING")))
		var got [7]byte
		if n, _ := w.Read(got[:]); string(got[:n]) == "+PONG\r\n" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("there is no room after a connection has ended")
		}
	}
}

// A client that sends commands without reading the answers costs bounded memory:
// the server does not read on, and Close ends it all the same.
func TestReadsNothing(t *testing.T) {
	srv, lis := started(t, Config{Source: viewtest.New("10.0.0.1:6379"), Self: "n1"})
	w := dial(t, lis.Addr().String())
	flood := bytes.Repeat([]byte(cmd("INFO")), 1000)
	sent := make(chan int)
	go func() {
		n := 0
		for {
			m, err := w.Write(flood)
			n += m
			if err != nil {
				sent <- n
				return
			}
		}
	}()
	// Once the buffers of the kernel are full nothing moves. That nobody waits
	// for it is what the test is about.
	srv.Close()
	w.Close()
	<-sent
}

// Close ends connections in every state: silent, subscribed, waiting for a
// master.
func TestClose(t *testing.T) {
	src := viewtest.New("10.0.0.1:6379", "10.0.0.2:6379")
	srv, lis := started(t, Config{Source: src, Self: "n1", Hold: time.Hour})
	silent, subscribed, waiting := dial(t, lis.Addr().String()), dial(t, lis.Addr().String()), dial(t, lis.Addr().String())
	subscribed.send(cmd("SUBSCRIBE +odown"))
	subscribed.want(`*3 "subscribe" "+odown" :1`)
	src.Elect()
	subscribed.want(`*3 "message" "+odown" "master~g1~10.0.0.1~6379~#quorum~1/1"`)
	waiting.send(cmd("PING") + cmd("SENTINEL get-master-addr-by-name g1"))
	waiting.want("+PONG")
	srv.Close()
	srv.Close()
	for _, w := range []*wire{silent, subscribed, waiting} {
		if got := w.ends(); got != "" {
			t.Errorf("got %q", got)
		}
	}
	if err := srv.Serve(lis); err != ErrClosed {
		t.Errorf("Serve after Close returns %v", err)
	}
	if _, err := New(Config{}); err == nil {
		t.Error("a server without a source")
	}
}
