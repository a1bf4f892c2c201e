package drill

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/doozer-store/doozer/drill/cluster"
)

// refusedStatus is what doozerd ends with when it won't serve.
const refusedStatus = 2

// who picks the nodes that a step harms.
type who func(*scene) []*cluster.Node

func theLeader(x *scene) []*cluster.Node { return []*cluster.Node{x.leader()} }

func aFollower(x *scene) []*cluster.Node { return []*cluster.Node{x.follower()} }

func anyNode(x *scene) []*cluster.Node { return x.some(1) }

func aMajority(x *scene) []*cluster.Node { return x.some(x.majority()) }

// aMinority is as many nodes as can be lost, the leader among them.
func aMinority(x *scene) []*cluster.Node {
	all := []*cluster.Node{x.leader()}
	others := x.c.Others(all[0])
	for _, i := range x.r.Perm(len(others))[:len(others)/2-1] {
		all = append(all, others[i])
	}
	return all
}

func everyNode(x *scene) []*cluster.Node { x.leader(); return x.c.Nodes() }

// kill ends nodes with SIGKILL, all before the first has ended; they are started
// again.
func kill(w who) step {
	return func(x *scene) {
		nodes := up(x, w(x))
		for _, n := range nodes {
			n.Signal(syscall.SIGKILL)
			x.lose(n)
			x.begin("kill", func() { n.Start() }, "kill -9 %s", x.tag(n))
		}
		for _, n := range nodes {
			<-n.Ended()
		}
	}
}

// terminate ends nodes with SIGTERM, all told before the first has ended; they
// are started again.
func terminate(w who) step {
	return func(x *scene) {
		nodes := up(x, w(x))
		for _, n := range nodes {
			n.Signal(syscall.SIGTERM)
			x.lose(n)
			x.begin("terminate", func() { n.Start() }, "SIGTERM %s", x.tag(n))
		}
		for _, n := range nodes {
			var err error
			if status := n.ExitStatus(); status != 0 {
				err = fmt.Errorf("node %s ended with status %d after SIGTERM:\n%s", n.Name, status, n.Tail(20))
			}
			x.check("ends when told to", err, "node %s ended with status 0 after SIGTERM", n.Name)
		}
	}
}

// pause stops processes where they are, and lets them go on.
func pause(w who) step {
	return func(x *scene) {
		for _, n := range up(x, w(x)) {
			n.Pause()
			x.lose(n)
			x.begin("pause", n.Resume, "SIGSTOP %s", x.tag(n))
		}
	}
}

// lose notes that n can't serve.
func (x *scene) lose(n *cluster.Node) { x.down[n.Name] = true }

// up are those of nodes that have not been harmed yet.
func up(x *scene, nodes []*cluster.Node) []*cluster.Node {
	return slices.DeleteFunc(slices.Clone(nodes), func(n *cluster.Node) bool { return x.down[n.Name] })
}

// rolling restarts one node after the other, with SIGTERM, and waits for each to
// serve.
func rolling(x *scene) {
	x.leader()
	for _, n := range x.c.Nodes() {
		x.begin("terminate", nil, "restart %s", x.tag(n))
		n.Term()
		n.Start()
		n.WaitReady()
		x.undo[len(x.undo)-1]()
		x.undo = x.undo[:len(x.undo)-1]
		x.linger(200 * time.Millisecond)
	}
}

// again does steps and heals, so many times, with little time between.
func again(times int, steps ...step) step {
	return func(x *scene) {
		for range times {
			for _, s := range steps {
				s(x)
			}
			x.linger(700 * time.Millisecond)
			x.heal()
			x.ready()
			x.linger(200 * time.Millisecond)
		}
	}
}

// ready waits until every node serves.
func (x *scene) ready() {
	for _, n := range x.c.Nodes() {
		if n.Running() && !x.down[n.Name] {
			n.WaitReady()
		}
	}
}

// then lets some time pass between two steps.
func then(most time.Duration) step { return func(x *scene) { x.linger(most) } }

// wiped takes a node's data away: it must refuse to start without. Then it gets
// them back.
func wiped(x *scene) {
	n := x.follower()
	n.Kill()
	x.lose(n)
	n.SetAside()
	x.begin("wiped", func() { n.PutBack(); n.Start() }, "data of %s wiped", x.tag(n))
	x.wait(x.hold / 2)
	n.Start()
	x.refused(n.Name+" without its data", n.ExitStatus(), n.Output(), n.Name)
}

// swapped starts a node on the data of another: it must refuse.
func swapped(x *scene) {
	n := x.follower()
	other := x.c.Others(n)[0]
	n.Kill()
	x.lose(n)
	x.begin("swapped", func() { n.Start() }, "%s started as %s", x.tag(n), other.Name)
	args := n.Args()
	args[slices.Index(args, "--name")+1] = other.Name
	status, out, err := x.c.RunOnce(args, n.LogPath()+".swapped")
	if err != nil {
		x.c.TB().Fatalf("%v", err)
	}
	x.refused(fmt.Sprintf("%s as %s", n.Name, other.Name), status, out, regexp.QuoteMeta(n.DataDir()))
}

// refused checks that a process ended because it would not serve, and said why.
func (x *scene) refused(what string, status int, out, words string) {
	var err error
	switch {
	case status != refusedStatus:
		err = fmt.Errorf("%s: status %d, want %d:\n%s", what, status, refusedStatus, out)
	case !regexp.MustCompile(words).MatchString(out):
		err = fmt.Errorf("%s: refused without saying %q:\n%s", what, words, out)
	}
	x.check("refused", err, "%s: %s", what, lastLine(out))
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}
