package cluster_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/drill/cluster"
)

func TestNoMajority(t *testing.T) {
	for _, way := range []struct {
		name         string
		stop, revive func(n *cluster.Node)
	}{
		{"paused", (*cluster.Node).Pause, (*cluster.Node).Resume},
		{"killed", (*cluster.Node).Kill, (*cluster.Node).Start},
	} {
		for _, leaderStays := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, leader stays %v", way.name, leaderStays), func(t *testing.T) {
				noMajority(t, leaderStays, way.stop, way.revive)
			})
		}
	}
}

func noMajority(t *testing.T, leaderStays bool, stop, revive func(n *cluster.Node)) {
	c := start(t, cluster.Options{})
	third := c.Leader()
	if !leaderStays {
		third = c.Others(third)[0]
	}
	all, one := c.Client(), pinned(c, third)
	mustSet(t, all, "/x", "before")
	mustGet(t, one, "/x", "before")
	c.WaitEqual(cluster.StartLimit) // a local read may yet be answered by one that is told to stop
	stopped := c.Others(third)
	for _, n := range stopped {
		stop(n)
	}
	for what, cl := range map[string]*client.Client{"a client of the third": one, "a client of all": all} {
		start := time.Now()
		mustGet(t, cl, "/x", "before", client.Local())
		t.Logf("%s: local get after %v", what, time.Since(start).Round(time.Millisecond))
	}
	for what, cl := range map[string]*client.Client{"a client of the third": one, "a client of all": all} {
		// From then on the client knows why it gets no answer in time.
		cluster.Eventually(t, cluster.RecoverLimit, what+" is told the third's age", func() (bool, string) {
			self, err := cl.Self(within(t, cluster.RecoverLimit))
			return err == nil && self.Age > time.Second, fmt.Sprintf("age %v, %v", self.Age, err)
		})
	}
	for what, cl := range map[string]*client.Client{"a client of the third": one, "a client of all": all} {
		refusals(t, what, cl)
	}
	revive(stopped[0])
	start := time.Now()
	mustGet(t, all, "/x", "before")
	t.Logf("get %v after one of two came back", time.Since(start).Round(time.Millisecond))
	mustSet(t, all, "/x", "after")
	mustGet(t, one, "/x", "after")
	revive(stopped[1])
	for _, n := range c.Nodes() {
		n.WaitReady()
	}
	c.WaitEqual(cluster.StartLimit)
}

// refusals says that reads and writes fail by their deadline and tell why.
func refusals(t *testing.T, what string, cl *client.Client) {
	t.Helper()
	const deadline = 2 * time.Second
	_, getErr := timed(t, what+": get", deadline, func() (int64, error) {
		f, err := cl.Get(within(t, deadline), "/x")
		return f.Rev, err
	})
	if !errors.Is(getErr, client.ErrNoQuorum) {
		t.Errorf("%s: get: %v; want ErrNoQuorum", what, getErr)
	}
	_, setErr := timed(t, what+": set", deadline, func() (int64, error) {
		return cl.Set(within(t, deadline), "/y", []byte("during"))
	})
	if !errors.Is(setErr, client.ErrNoQuorum) && !errors.Is(setErr, client.ErrUnknownOutcome) {
		t.Errorf("%s: set: %v; want ErrNoQuorum or ErrUnknownOutcome", what, setErr)
	}
	for _, err := range []error{getErr, setErr} {
		if err != nil && !strings.Contains(err.Error(), "majority") {
			t.Errorf("%s: %q does not say that there is no majority", what, err)
		}
	}
}

// timed runs a call and says how long it took; it must not outlive its
// deadline by more than a busy machine explains.
func timed(t *testing.T, what string, deadline time.Duration, call func() (int64, error)) (int64, error) {
	t.Helper()
	start := time.Now()
	rev, err := call()
	took := time.Since(start)
	t.Logf("%s: %v after %v", what, err, took.Round(time.Millisecond))
	if took > deadline+30*time.Second {
		t.Errorf("%s: took %v with a deadline of %v", what, took, deadline)
	}
	return rev, err
}
