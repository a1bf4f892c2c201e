package failover

import (
	"strings"
	"testing"
	"time"

	"github.com/doozer-store/doozer/client/failover/viewtest"
	"github.com/doozer-store/doozer/drill/cluster"
	"github.com/doozer-store/doozer/test/failover/rig"
)

// Clients in another language, which know nothing of doozer, go on after a failover and
// after a switch without being started again.
func TestOtherClients(t *testing.T) {
	g := start(t, rig.Case{})
	t.Setenv("GROUP", rig.GroupName)
	clients := map[string]<-chan string{}
	for _, name := range []string{"ioredis.js", "noderedis.js"} {
		clients[name] = viewtest.Script(t, "../../client/failover/sentinel/testdata/clients", name, g.SentinelPorts()...)
	}
	since := time.Now()
	write := func(what string) {
		t.Helper()
		_, port := g.Host(g.Master()).Redis.HostPort()
		for name, lines := range clients {
			last := awaitLine(t, name+" writes to the master "+what, lines, "OK "+port)
			t.Logf("%s writes to the master %s, %v after it; it said %q before", name, what, time.Since(since).Round(time.Millisecond), last)
		}
	}
	write("of the beginning")
	old := g.Host(g.Master())
	since = time.Now()
	old.Redis.Kill()
	cluster.Eventually(t, cluster.RecoverLimit, "there is another master", func() (bool, string) {
		m := g.Master()
		return m != "" && m != old.Name, m
	})
	write("after a kill")
	g.Settle()
	old, since = g.Host(g.Master()), time.Now()
	if err := g.Switch(); err != nil {
		t.Fatal(err)
	}
	cluster.Eventually(t, cluster.RecoverLimit, "there is another master", func() (bool, string) {
		m := g.Master()
		return m != "" && m != old.Name, m
	})
	write("after a switch")
}

// awaitLine reads lines until one is want, and returns the one before.
func awaitLine(t *testing.T, what string, lines <-chan string, want string) (before string) {
	t.Helper()
	hang := time.After(cluster.RecoverLimit)
	for {
		select {
		case line, ok := <-lines:
			if !ok {
				t.Fatalf("%s: the client has ended, after %q", what, before)
			}
			if strings.TrimSpace(line) == want {
				return before
			}
			before = line
		case <-hang:
			t.Fatalf("%s: not in %v; it says %q, not %q", what, cluster.RecoverLimit, before, want)
		}
	}
}
