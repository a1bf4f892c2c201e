package agent

import (
	"net"
	"net/http"
	"testing"

	"github.com/doozer-store/doozer/client/failover"
)

// With failsafe a master outlives an outage of the store as long as all other
// agents answer it, and no longer.
func TestFailsafe(t *testing.T) {
	t.Parallel()
	g := newGroupWith(t, 3, func(c *failover.Conf) { c.TTLms, c.Failsafe = 8000, true }, func(n *node) {
		lis, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		n.cfg.Web = lis.Addr().String()
		n.started = func(a *Agent) {
			s := &http.Server{Handler: a.Promise()}
			go s.Serve(lis) // ends with Close
			t.Cleanup(func() { s.Close() })
		}
	})
	m, v := g.master(0)
	g.ready(m)
	for _, n := range g.nodes {
		n.st.Cut()
	}
	// Its session is over when another could end it.
	m.until("its session is not valid", func() bool {
		_, valid := m.agent.live.now()
		return !valid
	})
	// On a busy machine a promise may come late: then the gate is closed for a while.
	taken := 0
	m.until("writes go on", func() bool {
		_, err := m.redis.Try("SET", "a", "1")
		if _, valid := m.agent.live.now(); err == nil && !valid {
			taken++
		}
		return taken >= 100
	})
	// Without one of the others it stops.
	g.others(m)[0].stop()
	m.until("writes are refused", func() bool {
		_, err := m.redis.Try("SET", "a", "2")
		return err != nil
	})
	for _, n := range g.nodes {
		n.st.Heal()
	}
	g.master(v.Epoch - 1)
}
