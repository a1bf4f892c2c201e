package cluster_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/drill/cluster"
	"github.com/doozer-store/doozer/test/need"
)

// inject attaches strace to a running node and makes a system call misbehave
// until the returned function is called. Tests that need it are skipped where
// it can't be done.
func inject(t *testing.T, n *cluster.Node, fault string) (undo func()) {
	t.Helper()
	undo, err := n.Inject(fault)
	if errors.Is(err, cluster.ErrNoInject) {
		need.Skip(t, err.Error())
	} else if err != nil {
		t.Fatal(err)
	}
	return undo
}

// TestSyncError makes the leader's fdatasync fail: its process must end, and
// say why, and what was acknowledged is not lost.
func TestSyncError(t *testing.T) {
	c := start(t, cluster.Options{})
	load := cluster.StartLoad(cluster.LoadOptions{Writers: 8, Clients: clients(c, 2), Prefix: "/load"})
	load.Await(t, 200)
	leader := c.Leader()
	gap := load.Gap(t, 200, func() { inject(t, leader, "fdatasync:error=EIO") })
	if status := leader.ExitStatus(); status == 0 {
		t.Errorf("the leader ended with status 0 after a failed fdatasync")
	}
	if out := leader.Output(); !strings.Contains(out, "input/output error") {
		t.Errorf("the leader did not say why it ended:\n%s", out)
	}
	t.Logf("fdatasync of the leader fails: %v without a successful write", gap.Round(time.Millisecond))
	leader.Restart()
	load.Await(t, 200)
	c.Verify(c.Client(), "/load", load.Stop())
}

// TestStalledDisk makes every fdatasync of the leader take seconds: it must
// give leadership away, and the others go on.
func TestStalledDisk(t *testing.T) {
	const stall = 30 * time.Second
	c := start(t, cluster.Options{})
	load := cluster.StartLoad(cluster.LoadOptions{Writers: 8, Clients: clients(c, 2), Prefix: "/load"})
	load.Await(t, 200)
	leader := c.Leader()
	var undo func()
	gap := load.Gap(t, 200, func() {
		undo = inject(t, leader, fmt.Sprintf("fdatasync:delay_enter=%d", stall.Microseconds()))
	})
	t.Logf("fdatasync of the leader takes %v: %v without a successful write", stall, gap.Round(time.Millisecond))
	if gap >= stall {
		t.Errorf("writes waited for the stalled disk: %v", gap)
	}
	if now := c.Leader(); now == leader {
		t.Errorf("node %s still leads with a stalled disk", leader.Name)
	}
	undo()
	load.Await(t, 200)
	c.Verify(c.Client(), "/load", load.Stop())
}

// TestDiskFull makes a follower's writes fail for want of space: it ends, the
// others go on, and with space again it comes back with everything.
func TestDiskFull(t *testing.T) {
	c := start(t, cluster.Options{})
	cl := c.Client()
	load := cluster.StartLoad(cluster.LoadOptions{Writers: 8, Clients: []*client.Client{cl}, Prefix: "/load"})
	load.Await(t, 200)
	n := c.Others(c.Leader())[0]
	inject(t, n, "pwrite64:error=ENOSPC")
	load.Await(t, 200)
	if status := n.ExitStatus(); status == 0 {
		t.Errorf("status 0 after a write failed for want of space")
	}
	if out := n.Output(); !strings.Contains(out, "no space left") {
		t.Errorf("the node did not say why it ended:\n%s", out)
	}
	n.Restart()
	load.Await(t, 200)
	c.Verify(cl, "/load", load.Stop())
}
