package rig

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"testing"

	"github.com/doozer-store/doozer/drill/cluster"
	"github.com/doozer-store/doozer/test/need"
)

// dialTo names the address to which the test's own program, started again, connects
// its input and its output, when its input begins.
const dialTo = "DOOZER_TEST_RIG_DIAL"

func TestMain(m *testing.M) {
	if addr := os.Getenv(dialTo); addr != "" {
		in := bufio.NewReader(os.Stdin)
		in.Peek(1)
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		go io.Copy(nc, in)
		io.Copy(os.Stdout, nc)
		return
	}
	os.Exit(m.Run())
}

// echo is a server that answers each line with itself.
type echo struct {
	t    *testing.T
	Addr string
}

func newEcho(t *testing.T) *echo {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { defer nc.Close(); io.Copy(nc, nc) }()
		}
	}()
	return &echo{t, ln.Addr().String()}
}

// caller is a connection of a process.
type caller struct {
	t       *testing.T
	w       io.Writer
	answers chan string
	sent    int
}

func newCaller(t *testing.T, w io.Writer, r io.Reader) *caller {
	c := &caller{t: t, w: w, answers: make(chan string, 100)}
	go func() {
		defer close(c.answers)
		for lines := bufio.NewScanner(r); lines.Scan(); {
			c.answers <- lines.Text()
		}
	}()
	return c
}

// process starts a process on a host that connects to addr when it is to say something.
func process(t *testing.T, n *Net, host, addr string) *caller {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), dialTo+"="+addr)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	n.Own(host, func() int { return cmd.Process.Pid })
	return newCaller(t, in, out)
}

// dial connects from outside.
func dial(t *testing.T, addr string) *caller {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return newCaller(t, nc, nc)
}

// say sends one more line.
func (c *caller) say() {
	c.t.Helper()
	c.sent++
	if _, err := fmt.Fprintln(c.w, c.sent); err != nil {
		c.t.Fatal(err)
	}
}

// hear waits for the answers to all that was said.
func (c *caller) hear(said ...int) {
	c.t.Helper()
	for _, want := range said {
		if s, ok := <-c.answers; !ok || s != fmt.Sprint(want) {
			c.t.Fatalf("answered %q (%v), want %d", s, ok, want)
		}
	}
}

// deaf tells that nothing was answered.
func (c *caller) deaf(who string) {
	c.t.Helper()
	if len(c.answers) > 0 {
		c.t.Errorf("%s was answered over a wire that is cut", who)
	}
}

// ends is where the wires to a host come from, "" for what nobody has asked.
func ends(n *Net, to string) []string {
	n.mu.Lock()
	fronts := n.fronts
	n.mu.Unlock()
	var all []string
	for _, f := range fronts {
		for _, w := range f.open() {
			if f.to == to {
				all = append(all, w.from())
			}
		}
	}
	slices.Sort(all)
	return all
}

func newTestNet(t *testing.T) (n *Net, front string) {
	t.Helper()
	if runtime.GOOS != "linux" {
		need.Skip(t, "it is not known who connects")
	}
	p, err := cluster.NewPorts()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	n = NewNet(p)
	t.Cleanup(n.Close)
	if front, err = n.Front("c", newEcho(t).Addr); err != nil {
		t.Fatal(err)
	}
	return n, front
}

// A cut holds what its host's processes send, over connections that were open before
// and over later ones, and nobody else's; it arrives after the cut.
func TestCut(t *testing.T) {
	t.Parallel()
	n, front := newTestNet(t)
	a, b, out := process(t, n, "a", front), process(t, n, "b", front), dial(t, front)
	all := []*caller{a, b, out}
	for _, c := range all {
		c.say()
		c.hear(1)
	}
	if got := ends(n, "c"); !slices.Equal(got, []string{"", "", ""}) {
		t.Errorf("with no cut it was asked where connections come from: %q", got)
	}

	n.Cut("a", "c")
	if got := ends(n, "c"); !slices.Equal(got, []string{"a", "b", Outside}) {
		t.Errorf("connections come from %q", got)
	}
	later := process(t, n, "a", front)
	later.say()
	a.say()
	late := process(t, n, "b", front)
	late.say()
	late.hear(1)
	for _, c := range []*caller{b, out} {
		c.say()
		c.hear(2)
	}
	a.deaf("a")
	later.deaf("a, later")

	n.Heal("a", "c")
	a.hear(2)
	later.hear(1)

	n.Cut("c", "b", Outside)
	out.say()
	late.say()
	a.say()
	a.hear(3)
	out.deaf("who is outside")
	late.deaf("b")
	n.Heal("c", Outside, "b")
	out.hear(3)
	late.hear(2)
}

// A cut hides the end of a connection too.
func TestCutHidesTheEnd(t *testing.T) {
	t.Parallel()
	n, front := newTestNet(t)
	nc, err := net.Dial("tcp", front)
	if err != nil {
		t.Fatal(err)
	}
	c := newCaller(t, nc, nc)
	c.say()
	c.hear(1)
	n.Cut(Outside, "c")
	nc.Close()
	if got := ends(n, "c"); !slices.Equal(got, []string{Outside}) {
		t.Errorf("connections come from %q", got)
	}
	n.Heal(Outside, "c")
	cluster.Eventually(t, cluster.RecoverLimit, "the wire has ended", func() (bool, string) {
		got := ends(n, "c")
		return len(got) == 0, fmt.Sprintf("%q", got)
	})
}

// Of a connection that its process has closed nobody can tell whose it was: it ends.
func TestClosedIsNobodys(t *testing.T) {
	t.Parallel()
	newTestNet(t) // where it is known who connects
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	nc, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	near, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
	w := newWire(near.(*net.TCPConn), "c")
	io.Copy(io.Discard, near) // until the end
	w.find(nil)
	<-w.done
}
