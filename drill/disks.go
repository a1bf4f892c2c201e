package drill

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/drill/cluster"
)

// need is something that a drill wants of the machine; it returns why that is
// not there and how to get it, "" when it is.
type need func() string

// strace makes system calls of other processes fail.
var strace = sync.OnceValue(func() string {
	if _, err := exec.LookPath("strace"); err != nil {
		return "there is no strace: install it (Debian: apt install strace)"
	}
	if err := exec.Command("strace", "-o", os.DevNull, "-e", "trace=none", "true").Run(); err != nil {
		return "strace may not trace here: run as root, or allow ptrace"
	}
	return ""
})

// badDisk is a system call on which a node's disk depends, and how it misbehaves.
type badDisk struct {
	kind, fault string
	file        string // of the data directory; "": any
	// ends matches what the node says when it ends of it; "" when it should not.
	ends string
	what string // for the reader
}

// of makes the disks of some nodes misbehave.
func (b badDisk) of(w who) step {
	return func(x *scene) {
		for _, n := range up(x, w(x)) {
			var files []string
			if b.file != "" {
				files = []string{filepath.Join(n.DataDir(), b.file)}
			}
			undo, err := n.Inject(b.fault, files...)
			if err != nil {
				x.c.TB().Fatalf("%v", err)
			}
			x.lose(n)
			x.begin(b.kind, func() {
				if b.ends != "" {
					x.ended(n, b.ends)
				}
				undo()
				if !n.Running() {
					n.Start()
				}
			}, "%s of %s", b.what, x.tag(n))
		}
	}
}

// ended waits until a node has ended because of its disk, and checks that it
// said so.
func (x *scene) ended(n *cluster.Node, words string) {
	var err error
	if status, out := n.ExitStatus(), n.Output(); status == 0 {
		err = fmt.Errorf("node %s ended with status 0 though its disk failed", n.Name)
	} else if !regexp.MustCompile(words).MatchString(out) {
		err = fmt.Errorf("node %s ended with status %d without saying %q:\n%s", n.Name, status, words, n.Tail(20))
	}
	x.check("a bad disk ends the node", err, "node %s: %s", n.Name, lastLine(n.Output()))
}

const (
	stallTime = 1500 * time.Millisecond
	noSync    = "input/output error"
	noSpace   = "no space left"
)

// stalled makes every fdatasync take long.
func stalled(w who) step {
	return badDisk{
		kind: "slow fsync", fault: fmt.Sprintf("fdatasync:delay_enter=%d", stallTime.Microseconds()), what: fmt.Sprintf("each fdatasync takes %v", stallTime),
	}.of(w)
}

// sluggish makes every fdatasync take a little longer.
func sluggish(w who) step {
	return func(x *scene) {
		by := time.Duration(5+x.r.IntN(40)) * time.Millisecond
		badDisk{
			kind: "slow fsync", fault: fmt.Sprintf("fdatasync:delay_enter=%d", by.Microseconds()), what: fmt.Sprintf("each fdatasync takes %v more", by),
		}.of(w)(x)
		clear(x.down) // slow is not down
	}
}

// failing makes fdatasync fail.
func failing(w who) step {
	return badDisk{kind: "failing fsync", fault: "fdatasync:error=EIO", ends: noSync, what: "fdatasync fails"}.of(w)
}

// outOfSpace makes every write to a file fail for want of space.
func outOfSpace(w who) step {
	return badDisk{kind: "full disk", fault: "pwrite64:error=ENOSPC", ends: noSpace, what: "writes fail with ENOSPC"}.of(w)
}

// noRoomForState makes writes to a node's state fail for want of space: its log
// goes on in the room it has allocated, until the next checkpoint.
func noRoomForState(w who) step {
	return badDisk{kind: "full disk", fault: "pwrite64:error=ENOSPC", file: "state.db", ends: noSpace, what: "writes to state.db fail with ENOSPC"}.of(w)
}

// tmpfs can be mounted.
var tmpfs = sync.OnceValue(func() string {
	dir, err := os.MkdirTemp("", "doozer-drill-")
	if err != nil {
		return err.Error()
	}
	defer os.RemoveAll(dir)
	if err := mountTmpfs(dir, 1<<20); err != nil {
		return "no small file system can be mounted: run as root (" + err.Error() + ")"
	}
	if err := unmount(dir); err != nil {
		return err.Error()
	}
	return ""
})

// tmpfsBytes is room for a log's segments, the one in use and the next, and for
// a small state.
const tmpfsBytes = 160 << 20

// mount gives the last nodes small file systems of their own; to be called
// before they start.
func (s *setting) mount(c *cluster.Cluster) {
	nodes := c.Nodes()
	for _, n := range nodes[len(nodes)-s.tmpfs:] {
		err := os.MkdirAll(n.DataDir(), 0o755)
		if err == nil {
			err = mountTmpfs(n.DataDir(), tmpfsBytes)
		}
		if err != nil {
			c.TB().Fatalf("a small file system for node %s: %v", n.Name, err)
		}
		c.TB().Cleanup(func() { unmount(n.DataDir()) })
	}
}

// full fills the small file system of a node up. It goes on as long as it can do
// without more, or ends and says why; with room again it is as before.
func full(x *scene) {
	x.leader()
	nodes := x.c.Nodes()
	n := nodes[len(nodes)-1]
	filler := filepath.Join(n.DataDir(), "filler")
	x.lose(n)
	if err := fill(filler); err != nil {
		x.c.TB().Fatalf("fill the disk of node %s: %v", n.Name, err)
	}
	x.begin("full disk", func() {
		if err := os.Remove(filler); err != nil {
			x.c.TB().Fatalf("free the disk of node %s: %v", n.Name, err)
		}
		if x.writesAgain(n) {
			x.check("a full disk", nil, "node %s went on", n.Name)
			return
		}
		x.ended(n, noSpace)
		n.Start()
	}, "disk of %s full", x.tag(n))
}

// writesAgain waits until a node has made a checkpoint since, or has ended: one
// that met the full disk may still be stopping.
func (x *scene) writesAgain(n *cluster.Node) bool {
	var before client.NodeStatus
	x.await("node "+n.Name+" tells its state, or has ended", func() bool {
		before = x.c.Status()[n.Name]
		return before.Reachable || !n.Running()
	})
	x.await("node "+n.Name+" makes checkpoints again, or has ended", func() bool {
		return !n.Running() || x.c.Status()[n.Name].CheckpointIndex > before.CheckpointIndex
	})
	return n.Running()
}

// fill writes a file until there is no room.
func fill(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for size := 1 << 20; size >= 512; {
		if _, err := f.Write(make([]byte, size)); errors.Is(err, errNoSpace) {
			size /= 2
		} else if err != nil {
			return err
		}
	}
	return nil
}
