package failover

import "testing"

// A switch that is refused says what keeps each node from taking over.
func TestRefusedSwitch(t *testing.T) {
	node := func(name string, change func(n *NodeView)) NodeView {
		n := NodeView{Node: Node{Name: name, Priority: 100}, Stat: Stat{Role: RoleReplica, Link: "up"}, Alive: true}
		if change != nil {
			change(&n)
		}
		return n
	}
	dead := node("b", func(n *NodeView) { n.Alive = false })
	for _, tt := range []struct {
		name, to string
		nodes    []NodeView
		want     string // "" if it is done
	}{
		{"fit", "", []NodeView{dead, node("c", nil)}, ""},
		{"named", "c", []NodeView{dead, node("c", nil)}, ""},
		{"dead", "b", []NodeView{dead, node("c", nil)}, "not fit to be the master: b: its agent does not run"},
		{"unknown", "d", []NodeView{dead}, "not fit to be the master: d: there is no such node"},
		{"alone", "", nil, "no other node is fit to be the master: there is none"},
		{"link", "", []NodeView{dead, node("c", func(n *NodeView) { n.Stat.Link = "down" })},
			"no other node is fit to be the master: b: its agent does not run; c: its link to the master is not up yet"},
		{"role", "c", []NodeView{node("c", func(n *NodeView) { n.Stat.Role = RoleDown })}, "not fit to be the master: c: its Redis is no replica"},
		{"priority", "c", []NodeView{node("c", func(n *NodeView) { n.Priority = 0 })}, "not fit to be the master: c: its priority is 0"},
		{"note", "c", []NodeView{node("c", func(n *NodeView) { n.Stat.Note = "save \"\"" })}, "not fit to be the master: c: save \"\""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := Situation{Name: "a", View: View{Epoch: 7, Nodes: append([]NodeView{node("a", nil)}, tt.nodes...)}}
			act, ok := s.command(&Cmd{Verb: VerbSwitch, To: tt.to, Epoch: 7})
			if !ok {
				t.Fatal("nothing is done")
			}
			if tt.want == "" && (act.Kind != WriteRegister || act.Next.To != "c") || tt.want != "" && (act.Kind != Refuse || act.Why != tt.want) {
				t.Errorf("%s %q to %q", act.Kind, act.Why, act.Next.To)
			}
		})
	}
}
