package failover

import (
	"fmt"
	"strings"
)

// What a node does while there is a master: as the master, as its successor under
// the same name, as one of the others, and in a switch.

func (s *Situation) running() Action {
	r := &s.View.Register
	switch {
	case s.mine():
		return s.master()
	case r.Node == s.Name:
		return s.succeed()
	}
	return s.follow()
}

// master is the running master's part.
func (s *Situation) master() Action {
	v, r, own := &s.View, &s.View.Register, &s.Own
	if a, lost := s.lost(); lost {
		return a
	}
	if !own.Up || own.Loading {
		return idle("Redis does not answer")
	}
	if c := v.Cmd; c != nil && !c.Done {
		if a, ok := s.command(c); ok {
			return a
		}
	}
	if s.Leaving && !v.Conf.Paused {
		if to, _ := s.successor(""); to != nil {
			return s.switchTo(to.Name, "the agent of "+s.Name+" stops")
		}
	}
	if !own.GateOpen && s.Valid {
		return Action{Kind: OpenGate, Node: r.Node}
	}
	return idle("")
}

// lost is what a master's agent does when its Redis is not what it was.
func (s *Situation) lost() (Action, bool) {
	v, r, own := &s.View, &s.View.Register, &s.Own
	var why string
	down := false
	switch {
	case own.Dead:
		why, down = "the process of Redis ended", true
	case own.Hung:
		why, down = "Redis does not answer", true
	case own.Up && own.RunID != r.RunID:
		why = "Redis was started again"
	case own.Up && !own.Loading && !own.Master:
		why = "Redis was made a replica"
	default:
		return Action{}, false
	}
	if v.Conf.Paused {
		return idle("paused: " + why), true
	}
	if own.Hung {
		if wait := v.Conf.Flap() - s.SinceAuto; wait > 0 {
			return idleFor(wait, why+"; the last automatic failover was too short ago"), true
		}
	}
	if own.Hung && !s.Valid {
		// Nobody could be elected, and the gate is closed: to kill it would only
		// destroy what it has.
		return idle(why + ", and the session is not valid"), true
	}
	if own.Hung && own.Killable {
		return Action{Kind: Kill, Why: why}, true
	}
	a := s.elect(why, true)
	a.Down = down
	return a, true
}

// succeed is for the agent of a running master that was started again, or whose
// session was lost. Its gate has been closed in between, so its Redis has all
// that was ever accepted, if it is the same process.
func (s *Situation) succeed() Action {
	v, r, own := &s.View, &s.View.Register, &s.Own
	if v.MasterAlive && !s.Successor {
		return idle("the session before lives")
	}
	ending := func(a Action) Action {
		if s.Successor {
			a.Drop = []string{r.Session}
		} else {
			a.Gone = []string{r.Session}
		}
		a.Live = []string{s.Session}
		return a
	}
	if s.fit() && own.Master && own.RunID == r.RunID && r.State == Running {
		if !s.Valid {
			return idle("the session is not valid")
		}
		next := *r
		next.Session, next.Why, next.Addr = s.Session, "its agent was started again", s.addr()
		next.Rev = 0
		return ending(Action{Kind: WriteRegister, Next: next, Why: next.Why})
	}
	if !own.Up && !own.Dead && !own.Hung || own.Loading {
		return idle("Redis does not answer")
	}
	if v.Conf.Paused {
		return idle("paused")
	}
	return ending(s.elect("the agent of "+r.Node+" was started again, and its Redis is not what it was", true))
}

// follow is the part of all other nodes.
func (s *Situation) follow() Action {
	v, r, own := &s.View, &s.View.Register, &s.Own
	if !v.MasterAlive {
		switch wait := v.Conf.Flap() - s.SinceAuto; {
		case v.Conf.Paused:
			return idle("paused: the agent of " + r.Node + " is gone")
		case s.Hold:
			return idle("held by a promise to the master")
		case wait > 0:
			return idleFor(wait, "the agent of "+r.Node+" is gone; the last automatic failover was too short ago")
		}
		a := s.elect("the agent of "+r.Node+" is gone", true)
		a.Gone = []string{r.Session}
		return a
	}
	switch {
	case !s.fit():
		return idle(own.Problem)
	case r.State == Switching:
		return idle("")
	case own.Source != r.Addr && !s.Saved && v.Ahead(own) != nil:
		return Action{Kind: Save, Node: r.Node, Addr: r.Addr}
	case own.Master || own.Source != r.Addr:
		return Action{Kind: Replicate, Node: r.Node, Addr: r.Addr}
	}
	return idle("")
}

// command is what a running master does with an operator's command.
func (s *Situation) command(c *Cmd) (Action, bool) {
	v := &s.View
	refuse := func(why string) (Action, bool) { return Action{Kind: Refuse, Why: why}, true }
	switch {
	case c.Epoch != v.Epoch:
		return refuse(fmt.Sprintf("the epoch is %d, not %d", v.Epoch, c.Epoch))
	case c.Verb == VerbPromote:
		return refuse(s.Name + " is the master and lives; switch hands over without loss")
	case c.Verb != VerbSwitch:
		return refuse(fmt.Sprintf("%q is not known", c.Verb))
	case c.To == s.Name:
		return refuse(s.Name + " is the master")
	}
	to, why := s.successor(c.To)
	switch {
	case to == nil && c.To == "":
		return refuse("no other node is fit to be the master: " + why)
	case to == nil:
		return refuse("not fit to be the master: " + why)
	}
	return s.switchTo(to.Name, "switch"), true
}

// successor is the node to switch to: the one named, if it is fit, or the fittest. If
// there is none it says why.
func (s *Situation) successor(name string) (best *NodeView, why string) {
	var unfit []string
	for i := range s.View.Nodes {
		n := &s.View.Nodes[i]
		if n.Name == s.Name || name != "" && n.Name != name {
			continue
		}
		if why := n.unfit(); why != "" {
			unfit = append(unfit, n.Name+": "+why)
		} else if best == nil || n.Priority > best.Priority {
			best = n
		}
	}
	switch {
	case len(unfit) > 0:
		why = strings.Join(unfit, "; ")
	case name != "":
		why = name + ": there is no such node"
	default:
		why = "there is none"
	}
	return best, why
}

// unfit says what keeps a node from taking over from a master that lives, as far as
// its agent has told.
func (n *NodeView) unfit() string {
	switch {
	case !n.Alive:
		return "its agent does not run"
	case n.Priority <= 0:
		return "its priority is 0"
	case n.Stat.Note != "":
		return n.Stat.Note
	case n.Stat.Role != RoleReplica:
		return "its Redis is no replica"
	case n.Stat.Link != "up":
		return "its link to the master is not up yet"
	}
	return ""
}

func (s *Situation) switchTo(to, why string) Action {
	next := s.View.Register
	next.Rev = 0
	next.State, next.To, next.Why, next.Began, next.Auto, next.Election = Switching, to, why, s.Now, false, 0
	n, _ := s.View.Node(to)
	return Action{Kind: WriteRegister, Next: next, Live: []string{s.Session, n.Session}, Why: why}
}

// switching: the old master hands over, and writes that it has; the new one takes over
// by itself if it has been made a master and that is not written.
func (s *Situation) switching() Action {
	v, r, own := &s.View, &s.View.Register, &s.Own
	switch {
	case s.mine():
		return s.handOver()
	case r.Node == s.Name:
		return s.succeed()
	case !v.MasterAlive:
		return s.follow()
	case r.To != s.Name:
		return idle("")
	case s.Since < takeGrace:
		return idleFor(takeGrace-s.Since, "waiting to be made the master")
	case s.fit() && own.Master && own.ReplID2 == r.ReplID:
		return s.take(nil)
	}
	return idleFor(takePoll, "waiting to be made the master")
}

// HandedOver is what the agent of a switching register writes when it has made the Redis
// of the node r.To the master, which is as own says, and its own a replica of that.
func (s *Situation) HandedOver(own Own) Action {
	n, _ := s.View.Node(s.View.Register.To)
	to := *s
	to.Name, to.Session, to.Own = n.Name, n.Session, own
	a := to.take(nil)
	a.Live = append(a.Live, s.Session)
	return a
}

func (s *Situation) handOver() Action {
	r, own := &s.View.Register, &s.Own
	if a, lost := s.lost(); lost && (own.Dead || own.Hung || own.RunID != r.RunID) {
		return a
	}
	back := func(why string) Action {
		next := *r
		next.Rev = 0
		next.State, next.To, next.Why = Running, "", short(why)
		return Action{Kind: WriteRegister, Next: next, Live: []string{s.Session}, Why: why}
	}
	to, ok := s.View.Node(r.To)
	switch {
	case !own.Up || own.Loading:
		return idle("Redis does not answer")
	case !own.Master && (s.Since > handOverLimit || s.SwitchError != ""):
		return s.elect("the switch to "+r.To+" did not end", false)
	case !own.Master:
		return idleFor(handOverLimit-s.Since, "handed over to "+r.To)
	case s.SwitchError != "":
		return back("the switch to " + r.To + " failed: " + s.SwitchError)
	case !ok || !to.Alive:
		return back("the switch to " + r.To + " failed: its agent is gone")
	case !own.GateOpen && s.Valid:
		return Action{Kind: OpenGate}
	}
	return Action{Kind: HandOver, Node: r.To, Addr: to.Addr}
}
