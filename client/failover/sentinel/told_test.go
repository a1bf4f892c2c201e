package sentinel

import (
	"fmt"
	"slices"
	"testing"

	"github.com/doozer-store/doozer/client/failover"
)

// What subscribers are told of a life of a group: Sentinel's words, each change
// once.
func TestTold(t *testing.T) {
	src := three()
	subscriber := know(src.View())
	const slaves2 = "+slave slave 10.0.0.1:6379 10.0.0.1 6379 @ g1 10.0.0.2 6379"
	const slaves3 = "+slave slave [fd00::3]:6379 fd00::3 6379 @ g1 10.0.0.2 6379"
	steps := []struct {
		name   string
		change func()
		want   []string
	}{
		{"nothing", func() {}, nil},
		{"an offset", func() { src.Change(func(v *failover.View) { v.Nodes[1].Stat.Offset = 7 }) }, nil},
		{"a replica dies", func() { src.Change(func(v *failover.View) { v.Nodes[2].Alive = false }) },
			[]string{"+sdown slave [fd00::3]:6379 fd00::3 6379 @ g1 10.0.0.1 6379"}},
		{"and comes back", func() { src.Change(func(v *failover.View) { v.Nodes[2].Alive = true }) },
			[]string{"-sdown slave [fd00::3]:6379 fd00::3 6379 @ g1 10.0.0.1 6379"}},
		{"the master's Redis dies", func() { src.Change(func(v *failover.View) { v.Nodes[0].Stat.Role = failover.RoleDown }) },
			[]string{"+sdown master g1 10.0.0.1 6379"}},
		{"an election", src.Elect, []string{"+odown master g1 10.0.0.1 6379 #quorum 1/1"}},
		{"still", src.Elect, nil},
		{"its outcome is near", func() {
			src.Change(func(v *failover.View) {
				v.Register.State, v.Register.Node, v.Register.Addr = failover.Promoting, "n2", "10.0.0.2:6379"
			})
		}, nil},
		{"its outcome", func() { src.Run("n2") }, []string{"+switch-master g1 10.0.0.1 6379 10.0.0.2 6379", slaves2, slaves3}},
		{"the old master returns", func() { src.Change(func(v *failover.View) { v.Nodes[0].Stat.Role = failover.RoleReplica }) },
			[]string{"-sdown slave 10.0.0.1:6379 10.0.0.1 6379 @ g1 10.0.0.2 6379"}},
		{"an election that ends as before", func() { src.Elect(); src.Run("n2") }, nil},
		{"one that is seen, and ends as before", src.Elect, []string{"+odown master g1 10.0.0.2 6379 #quorum 1/1"}},
		{"its outcome", func() { src.Run("n2") }, []string{"-odown master g1 10.0.0.2 6379"}},
		{"a switch begins", func() { src.Change(func(v *failover.View) { v.Register.State = failover.Switching }) }, nil},
		{"a switch", func() { src.Run("n1") }, []string{"+switch-master g1 10.0.0.2 6379 10.0.0.1 6379",
			"+slave slave 10.0.0.2:6379 10.0.0.2 6379 @ g1 10.0.0.1 6379", "+slave slave [fd00::3]:6379 fd00::3 6379 @ g1 10.0.0.1 6379"}},
		{"a node joins", func() {
			src.Change(func(v *failover.View) {
				n := failover.NodeView{Alive: true}
				n.Name, n.Addr = "n4", "10.0.0.4:6379"
				v.Nodes = append(v.Nodes, n)
			})
		}, []string{"+slave slave 10.0.0.4:6379 10.0.0.4 6379 @ g1 10.0.0.1 6379"}},
		{"a node leaves", func() { src.Change(func(v *failover.View) { v.Nodes = v.Nodes[:3] }) }, nil},
	}
	for _, s := range steps {
		s.change()
		var got []string
		for _, e := range subscriber.update(src.View()) {
			got = append(got, fmt.Sprint(e.channel, " ", e.text))
		}
		if !slices.Equal(got, s.want) {
			t.Errorf("%s: told %q, want %q", s.name, got, s.want)
		}
	}
}

// Who comes while there is no master is told of the next one, also if the old one
// is chosen again.
func TestToldLate(t *testing.T) {
	for _, tt := range []struct {
		node string
		want event
	}{
		{"n1", event{"-odown", "master g1 10.0.0.1 6379"}},
		{"n2", event{"+switch-master", "g1 10.0.0.1 6379 10.0.0.2 6379"}},
	} {
		src := three()
		src.Elect()
		src.Change(func(v *failover.View) {
			v.Register.State, v.Register.Node, v.Register.Addr = failover.Promoting, "n2", "10.0.0.2:6379"
		})
		subscriber := know(src.View())
		src.Run(tt.node)
		if got := subscriber.update(src.View()); len(got) == 0 || got[0] != tt.want {
			t.Errorf("%s becomes master: told %q, want %q", tt.node, got, tt.want)
		}
	}
	var nobody told
	nobody.nodes = make(map[string]place)
	if got := nobody.update(three().View()); len(got) != 3 || got[0] != (event{"+switch-master", "g1 10.0.0.1 6379 10.0.0.1 6379"}) {
		t.Errorf("the first master of all: told %q", got)
	}
}
