package failover

import (
	"slices"
	"testing"
	"time"

	"github.com/doozer-store/doozer/client/failover"
	"github.com/doozer-store/doozer/drill/cluster"
	"github.com/doozer-store/doozer/test/failover/rig"
	"github.com/doozer-store/doozer/test/need"
)

// newNet is a network for one test.
func newNet(t *testing.T) *rig.Net {
	t.Helper()
	need.Program(t, "redis-server")
	p, err := cluster.NewPorts()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	n := rig.NewNet(p)
	t.Cleanup(n.Close)
	return n
}

// patient makes agents wait long before they kill a Redis that may only be slow to
// answer on a busy machine.
func patient(c rig.Case) rig.Case {
	given := c.Conf
	c.Conf = func(conf *failover.Conf) {
		if given != nil {
			given(conf)
		}
		conf.HangMs = cluster.RecoverLimit.Milliseconds()
	}
	return c
}

// start starts a group for a case.
func start(t *testing.T, c rig.Case) *rig.Group {
	t.Helper()
	return rig.StartDoozer(t, newNet(t), patient(c), c.Wait > 0)
}

// few are the harms that the short form does, once each, all to one group.
var few = []string{"kill-redis", "stop-agent", "kill-both", "cut-master", "cut-store", "no-majority", "empty-restart", "switch"}

// TestShort does some kinds of harm to one group with doozer's agents: what is lost is
// what asynchronous replication loses, and is on record; no two servers take writes.
func TestShort(t *testing.T) {
	var g *rig.Group
	for _, c := range rig.Cases() {
		// A Redis that hangs is not killed here, and so is a matter of cmd/failover.
		if !cluster.Long() && !slices.Contains(few, c.Name) || c.Die != "" || c.Conf != nil || c.Name == "stop-redis" {
			continue
		}
		if g == nil {
			g = start(t, c)
		}
		judge(t, c, rig.Run(g, c, 0))
	}
}

// TestDeaths lets the agent that writes the register die of it, at each state that leads to
// a new master: the others go on.
func TestDeaths(t *testing.T) {
	for _, c := range rig.Cases() {
		if c.Die != "" && (cluster.Long() || c.Die == failover.Promoting) {
			t.Run(c.Name, func(t *testing.T) { judge(t, c, rig.Run(start(t, c), c, 0)) })
		}
	}
}

// TestConfirmed: what WAIT confirmed in sync mode is never lost.
func TestConfirmed(t *testing.T) {
	var g *rig.Group
	for _, c := range rig.Cases() {
		if c.Wait == 0 || !cluster.Long() && c.Name != "wait-kill-redis" && c.Name != "wait-cut-master" {
			continue
		}
		if g == nil {
			g = start(t, c)
		}
		out := rig.Run(g, c, 0)
		judge(t, c, out)
		if out.Confirmed == 0 {
			t.Errorf("%s: no write was confirmed", c.Name)
		}
	}
}

// judge asserts what is promised whatever the machine's speed.
func judge(t *testing.T, c rig.Case, o rig.Outcome) {
	t.Helper()
	t.Logf("%s: %+v", c.Name, o)
	// On a busy machine any agent may hang for a while, and be thought dead besides.
	bound, calm := failover.DefaultConf().GateBound(), o.Failovers <= 1
	if calm && slices.Contains([]string{"kill-redis", "kill-both", "empty-restart", "stale-return", "switch"}, c.Name) {
		bound = 0 // the old master has ended, or is a replica, before the next is a master
	}
	if two := time.Duration(o.TwoMs * float64(time.Millisecond)); two > bound {
		t.Errorf("%s: two servers took writes for %v, the bound is %v", c.Name, two, bound)
	}
	if o.ConfirmedLost > 0 {
		t.Errorf("%s: %d of %d writes that WAIT confirmed are lost", c.Name, o.ConfirmedLost, o.Confirmed)
	}
	if c.Name == "switch" && calm && o.Lost > 0 {
		t.Errorf("%s: %d writes are lost", c.Name, o.Lost)
	}
	switch o.LostFile {
	case "", "equal", "its process ended":
	default:
		t.Errorf("%s: the file of what was lost: %s", c.Name, o.LostFile)
	}
}

// TestSentinel: the same harness drives Redis Sentinel, which on a busy machine loses its
// composure (TILT) for half a minute at a time, and so is for the long form.
func TestSentinel(t *testing.T) {
	if !cluster.Long() {
		t.Skip("the long form only")
	}
	g := rig.StartSentinel(t, newNet(t), time.Second)
	for _, c := range rig.Cases() {
		if c.Name == "kill-redis" {
			t.Logf("%s: %+v", c.Name, rig.Run(g, c, 0))
		}
	}
}
