package failover

import (
	"slices"
	"strings"
	"time"

	"github.com/doozer-store/doozer/client"
)

// View is all that is known of a group, as of one rev. It does not change; who
// has one may keep it.
type View struct {
	Group string
	// Rev is the store's, as far as is known: all changes up to it are in.
	Rev int64
	// Epoch is the rev of the register; 0: there is none.
	Epoch    int64
	Register Register
	// Nodes are in order of their names.
	Nodes []NodeView
	// Bids are those of the present election, in order of the nodes' names.
	Bids []Bid
	// Cmd is nil when there is none.
	Cmd *Cmd
	// History is in order of the epochs, oldest first.
	History []Hist
	Conf    Conf
	// HasConf tells that somebody has made the group; else Conf is the default.
	HasConf bool
	// Fresh: the store answered within the sessions' TTL, and the register was as
	// it is here.
	Fresh bool
	// MasterAlive: the session that the register names lives.
	MasterAlive bool
	// Problems are files that can't be understood, which are left out.
	Problems []string
}

// NodeView is one node.
type NodeView struct {
	Node
	Stat Stat
	// Alive: its agent's session lives. Beat is when that was last heard of.
	Alive bool
	Beat  time.Time
}

// ViewSource has the present view.
type ViewSource interface {
	View() View
	// Changed is closed when View returns another one.
	Changed() <-chan struct{}
}

// Node returns the node with the name.
func (v *View) Node(name string) (NodeView, bool) {
	i := slices.IndexFunc(v.Nodes, func(n NodeView) bool { return n.Name == name })
	if i < 0 {
		return NodeView{}, false
	}
	return v.Nodes[i], true
}

// Master returns the node that clients may write to.
func (v *View) Master() (NodeView, bool) {
	if !v.Register.Writable() {
		return NodeView{}, false
	}
	return v.Node(v.Register.Node)
}

// Alive is how many nodes' agents live.
func (v *View) Alive() (n int) {
	for i := range v.Nodes {
		if v.Nodes[i].Alive {
			n++
		}
	}
	return n
}

// bidEpoch is the epoch whose bids count.
func (v *View) bidEpoch() int64 {
	if v.Register.State == Electing {
		return v.Epoch
	}
	return v.Register.Election
}

// build makes the view of the files of a group. alive tells about sessions.
func build(p Paths, files map[string]client.File, alive func(session string) (bool, time.Time)) View {
	v := View{Group: string(p), Conf: DefaultConf()}
	stats := make(map[string]Stat)
	bids := make(map[int64][]Bid)
	for path, f := range files {
		v.Rev = max(v.Rev, f.Rev)
		if err := v.take(p, path, f, stats, bids); err != nil {
			v.Problems = append(v.Problems, path+": "+err.Error())
		}
	}
	for i := range v.Nodes {
		n := &v.Nodes[i]
		n.Stat = stats[n.Name]
		n.Alive, n.Beat = alive(n.Session)
	}
	if v.Register.Session != "" {
		v.MasterAlive, _ = alive(v.Register.Session)
	}
	v.Bids = bids[v.bidEpoch()]
	slices.Sort(v.Problems)
	slices.SortFunc(v.Nodes, func(a, b NodeView) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(v.Bids, func(a, b Bid) int { return strings.Compare(a.Node, b.Node) })
	slices.SortFunc(v.History, func(a, b Hist) int { return int(min(1, max(-1, a.Epoch-b.Epoch))) })
	return v
}

// take takes in one file.
func (v *View) take(p Paths, path string, f client.File, stats map[string]Stat, bids map[int64][]Bid) (err error) {
	name := strings.Split(strings.TrimPrefix(path, p.dir()+"/"), "/")
	switch {
	case path == p.Conf():
		var c Conf
		if c, err = ParseConf(f.Value); err == nil {
			v.Conf, v.HasConf = c, true
		}
	case path == p.Register():
		var r Register
		if r, err = ParseRegister(f.Value, f.Rev); err == nil {
			v.Register, v.Epoch = r, f.Rev
		}
	case path == p.Cmd():
		var c Cmd
		if c, err = parse[Cmd](f.Value, "cmd"); err == nil {
			c.Rev = f.Rev
			v.Cmd = &c
		}
	case len(name) == 2 && name[0] == "node":
		var n Node
		if n, err = parse[Node](f.Value, "node"); err == nil {
			n.Name, n.Rev = name[1], f.Rev
			v.Nodes = append(v.Nodes, NodeView{Node: n})
		}
	case len(name) == 2 && name[0] == "stat":
		var s Stat
		if s, err = parse[Stat](f.Value, "stat"); err == nil {
			s.Rev = f.Rev
			stats[name[1]] = s
		}
	case len(name) == 3 && name[0] == "bid":
		var b Bid
		epoch, ok := epochName(name[1])
		if b, err = parse[Bid](f.Value, "bid"); err == nil && ok {
			b.Node, b.Rev = name[2], f.Rev
			bids[epoch] = append(bids[epoch], b)
		}
	case len(name) == 2 && name[0] == "hist":
		var h Hist
		epoch, ok := epochName(name[1])
		if h, err = parse[Hist](f.Value, "hist"); err == nil && ok {
			h.Epoch, h.Rev = epoch, f.Rev
			v.History = append(v.History, h)
		}
	}
	return err
}

// Ahead finds the failover at which the history of a Redis ended, if that has
// more of it than the node that was promoted then: writes that nobody else has.
func (v *View) Ahead(own *Own) *Hist {
	for i := len(v.History) - 1; i >= 0; i-- {
		h := &v.History[i]
		if h.ReplID != "" && h.ReplID == own.ReplID && h.NewReplID != own.ReplID {
			if own.Offset > h.Offset {
				return h
			}
			return nil
		}
	}
	return nil
}

// Knows tells whether a Redis has a history that the group has had.
func (v *View) Knows(own *Own) bool {
	r := &v.Register
	known := func(id string) bool {
		return id != "" && (id == r.ReplID || id == r.ReplID2 || slices.ContainsFunc(v.History, func(h Hist) bool {
			return id == h.ReplID || id == h.NewReplID
		}))
	}
	return known(own.ReplID) || known(own.ReplID2)
}
