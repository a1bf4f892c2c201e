package viewtest

import (
	"fmt"
	"slices"
	"sync"

	"github.com/doozer-store/doozer/client/failover"
)

// Source is a failover.ViewSource whose view a test sets. It is safe for use by
// many goroutines.
type Source struct {
	mu      sync.Mutex // guards the following
	view    failover.View
	changed chan struct{}
}

// New makes a source of a fresh view of group G1: nodes n1, n2, ... at addrs,
// whose agents live at port 26379 of 10.0.0.1, 10.0.0.2, ..., and n1 is running.
func New(addrs ...string) *Source {
	v := failover.View{Group: "g1", Rev: 10, Epoch: 10, Fresh: true, HasConf: true, MasterAlive: true, Conf: failover.DefaultConf()}
	v.Conf.Nodes = len(addrs)
	for i, addr := range addrs {
		name := fmt.Sprint("n", i+1)
		n := failover.NodeView{Alive: true}
		n.Node = failover.Node{Name: name, Addr: addr, Session: "s" + name, Agent: fmt.Sprintf("10.0.0.%d:26379", i+1), Priority: 100}
		n.Stat = failover.Stat{Role: failover.RoleReplica, Link: "up", RunID: fmt.Sprintf("%040d", i+1), Epoch: 10}
		v.Nodes = append(v.Nodes, n)
	}
	s := &Source{view: v, changed: make(chan struct{})}
	s.Change(func(v *failover.View) { run(v, "n1") })
	return s
}

// View returns the present view.
func (s *Source) View() failover.View {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.view
}

// Changed is closed when View returns another one.
func (s *Source) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// Change makes another view of the present one, and wakes who waits.
func (s *Source) Change(fn func(*failover.View)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.view
	v.Nodes = slices.Clone(v.Nodes)
	fn(&v)
	s.view = v
	close(s.changed)
	s.changed = make(chan struct{})
}

// Elect makes the group one that elects a master, and Run ends that with node as
// the master. Each is a further epoch.
func (s *Source) Elect() { s.Change(elect) }

// Run is for a node that is in the view.
func (s *Source) Run(node string) { s.Change(func(v *failover.View) { run(v, node) }) }

func elect(v *failover.View) {
	v.Epoch++
	prev := v.Register.Node
	if prev == "" {
		prev = v.Register.Prev
	}
	v.Register = failover.Register{State: failover.Electing, Prev: prev, Rev: v.Epoch}
}

func run(v *failover.View, node string) {
	v.Epoch++
	prev := v.Register.Prev
	if v.Register.Node != "" && v.Register.Node != node {
		prev = v.Register.Node
	}
	for i := range v.Nodes {
		n := &v.Nodes[i]
		n.Stat.Epoch = v.Epoch
		if n.Name != node {
			if n.Stat.Role == failover.RoleMaster {
				n.Stat.Role = failover.RoleReplica
			}
			continue
		}
		n.Stat.Role = failover.RoleMaster
		v.Register = failover.Register{
			State: failover.Running, Node: node, Addr: n.Addr, Session: n.Session, RunID: n.Stat.RunID,
			Prev: prev, Rev: v.Epoch, StartOffset: v.Epoch,
		}
	}
}
