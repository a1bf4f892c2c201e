package failover

import (
	"fmt"
	"slices"
	"time"
)

// Own is how an agent finds its Redis.
type Own struct {
	// Up: it answers. Dead: its process is known to have ended. Hung: it has not
	// answered for too long; Killable: nobody has tried to end it.
	Up, Dead, Hung, Killable bool

	RunID   string
	Loading bool
	// Master: it is one. Else Source is host:port that it replicates from; Fenced:
	// that is nowhere.
	Master bool
	Source string
	Fenced bool
	// Backlog: it keeps what replicas can continue from.
	Backlog         bool
	Link            string
	ReplID, ReplID2 string
	Offset, Second  int64
	Restarted       bool
	Partial         bool
	Keys            int64
	// GateOpen: the agent's gate is open, in the epoch GateEpoch.
	GateOpen bool
	// Problem says why it must not become a master, or be made a replica.
	Problem string
}

// Situation is all that an agent decides by.
type Situation struct {
	View View
	Name string
	// Session is the agent's present one, empty between two; Valid: nobody can
	// have ended it.
	Session string
	Valid   bool
	Own     Own
	// Since is how long the agent has seen the register as it is, SinceBid how
	// long the first bid of this election; negative: there is none.
	Since, SinceBid time.Duration
	// SinceAuto is the time since the last automatic failover.
	SinceAuto time.Duration
	// Successor: what ran under the node's name before has ended, and its session
	// may be ended with it.
	Successor bool
	// Saved: what the Redis alone has, has been saved in the present epoch.
	Saved bool
	// OldShut: the gate of the lost master is known to be closed; OldAsked: that
	// has been asked for in this epoch.
	OldShut, OldAsked bool
	// SwitchError says why the hand-over of the present epoch did not come about.
	SwitchError string
	// Leaving: the agent is about to stop.
	Leaving bool
	// Hold: the agent has promised to take no part in elections for a while.
	Hold bool
	// Now is for the files: milliseconds since 1970.
	Now int64
}

// Kind is what an agent does.
type Kind string

// The kinds of actions. Those that write the register do it by compare-and-set,
// under the conditions that the action names.
const (
	// Idle: nothing, until something changes or After is over.
	Idle Kind = "idle"
	// CloseGate closes the gate.
	CloseGate Kind = "close the gate"
	// OpenGate opens the gate.
	OpenGate Kind = "open the gate"
	// WriteRegister writes Next.
	WriteRegister Kind = "write the register"
	// FreezeAndBid makes Redis stand still and writes the bid.
	FreezeAndBid Kind = "freeze and bid"
	// Promote makes Redis a master, with a backlog, that takes no writes.
	Promote Kind = "promote"
	// Replicate makes Redis a replica of Addr.
	Replicate Kind = "replicate"
	// Save saves what Redis alone has.
	Save Kind = "save what is lost"
	// ShutOld begins to ask the Redis of the lost master, at Addr, to take no more
	// writes, and waits for nothing.
	ShutOld Kind = "shut the old master"
	// HandOver gives all that Redis has to the node Node at Addr, makes that the
	// master, and Redis its replica.
	HandOver Kind = "hand over"
	// Kill ends the process of Redis.
	Kill Kind = "kill redis"
	// Refuse answers the operator's command with Why.
	Refuse Kind = "refuse"
)

// Action is what Decide wants done next.
type Action struct {
	Kind Kind
	// Next is what WriteRegister writes; Live are sessions that have to live,
	// Gone such that have to have ended, Drop such that end with it.
	Next             Register
	Live, Gone, Drop []string
	// Hist is written with it, DropCmd deletes the command with it, Down notes
	// with it that the own Redis is down.
	Hist    *Hist
	DropCmd bool
	Down    bool
	Node    string
	Addr    string
	// After: look again then, if nothing has changed; 0: no need.
	After time.Duration
	// Why is for people.
	Why string
}

func idle(why string) Action { return Action{Kind: Idle, Why: why} }
func idleFor(d time.Duration, why string) Action {
	return Action{Kind: Idle, After: max(d, time.Millisecond), Why: why}
}

// Decide returns what the agent does next. It is a pure function: agents that
// come to different decisions on different views are told apart by the register,
// which all of them change by compare-and-set only.
//
// The rules that keep writes to one master:
//
//   - A gate is open only for a running or switching register that names the
//     agent's present session, while that is valid; and is opened only after that
//     register was written.
//   - While the session that a running register names lives, only its agent
//     writes the register, and closes its gate before.
//   - Nobody is promoted but by a bid for the present election, made by a Redis
//     that has stood still since, of a session that still lives.
func Decide(s Situation) Action {
	r := &s.View.Register
	if s.Own.GateOpen && !s.mayWrite() {
		return Action{Kind: CloseGate, Why: "the register, the session or the process is another one"}
	}
	if s.Session == "" {
		return idle("no session")
	}
	switch r.State {
	case Electing:
		return s.electing()
	case Promoting:
		return s.promoting()
	case Running:
		return s.running()
	case Switching:
		return s.switching()
	}
	return s.start()
}

// mine tells that the register names this agent, as it is.
func (s *Situation) mine() bool {
	r := &s.View.Register
	return r.Node == s.Name && r.Session == s.Session && s.Session != ""
}

// mayWrite tells whether this agent's gate may be open.
func (s *Situation) mayWrite() bool {
	return s.mine() && s.Valid && s.View.Register.Writable() && s.Own.RunID == s.View.Register.RunID && s.Own.Up && s.Own.Master
}

// fit tells whether the Redis can take part.
func (s *Situation) fit() bool {
	return s.Own.Up && !s.Own.Loading && s.Own.Problem == ""
}

// start makes the register, when all nodes are there.
func (s *Situation) start() Action {
	v := &s.View
	switch {
	case !v.HasConf:
		return idle("the group has no conf; doozer redis init makes it")
	case v.Epoch != 0 || len(v.Problems) > 0:
		return idle("the register can't be understood")
	case !s.fit():
		return idle(s.Own.Problem)
	case v.Alive() < v.Conf.Nodes:
		return idle(fmt.Sprintf("%d of %d nodes are there", v.Alive(), v.Conf.Nodes))
	}
	return Action{Kind: WriteRegister, Why: "all nodes are there", Live: []string{s.Session},
		Next: Register{State: Electing, Began: s.Now, Why: "first start"}}
}

// elect takes the register to an election. What it says of the last running
// master stays.
func (s *Situation) elect(why string, auto bool) Action {
	r := &s.View.Register
	next := Register{
		State: Electing, ReplID: r.ReplID, StartOffset: r.StartOffset, ReplID2: r.ReplID2,
		Prev: r.Prev, PrevRunID: r.PrevRunID, PrevOffset: r.PrevOffset,
		To: r.To, Auto: r.Auto || auto, Began: r.Began, Why: short(why),
	}
	if r.Writable() {
		next.Prev, next.PrevRunID, next.Began, next.Auto = r.Node, r.RunID, s.Now, auto
		next.PrevOffset = 0
		if n, ok := s.View.Node(r.Node); ok {
			next.PrevOffset = n.Stat.Offset
		}
	}
	return Action{Kind: WriteRegister, Next: next, Live: []string{s.Session}, Why: why, DropCmd: s.View.Cmd != nil && s.View.Cmd.Epoch < s.View.Epoch}
}

func (s *Situation) electing() Action {
	v := &s.View
	if s.Hold {
		return idle("held by a promise to the master")
	}
	if s.fit() {
		b := slices.IndexFunc(v.Bids, func(b Bid) bool { return b.Node == s.Name })
		if b < 0 || v.Bids[b].Session != s.Session || v.Bids[b].RunID != s.Own.RunID || !s.still(&v.Bids[b]) {
			return Action{Kind: FreezeAndBid, Live: []string{s.Session}}
		}
	}
	if c := v.Cmd; c != nil && !c.Done && c.Epoch == v.Epoch && c.Verb != VerbPromote {
		return Action{Kind: Refuse, Why: "nobody is the master: " + Elect(v, s.Since, s.SinceBid).Why}
	}
	if old, ok := v.Node(v.Register.Prev); ok && !old.Alive && old.Name != s.Name && !s.OldShut {
		if !s.OldAsked {
			return Action{Kind: ShutOld, Addr: old.Addr, Node: old.Name}
		}
		if wait := v.Conf.GateBound() - s.Since; v.Conf.Strict && wait > 0 {
			return idleFor(wait, "strict: the gate of "+old.Name+" may be open")
		}
	}
	c := Elect(v, s.Since, s.SinceBid)
	if c.Winner == nil {
		if c.Wait > 0 {
			return idleFor(c.Wait, c.Why)
		}
		return idle(c.Why)
	}
	// The winner claims at once, the others only if it does not.
	if c.Winner.Node != s.Name && s.SinceBid < v.Conf.Bid()+claimGrace {
		return idleFor(v.Conf.Bid()+claimGrace-s.SinceBid, "the winner is "+c.Winner.Node)
	}
	n, _ := v.Node(c.Winner.Node)
	r := &v.Register
	return Action{Kind: WriteRegister, Why: "the best bid", Live: []string{c.Winner.Session}, DropCmd: c.AcceptedLoss, Next: Register{
		State: Promoting, Node: c.Winner.Node, Addr: n.Addr, Session: c.Winner.Session, RunID: c.Winner.RunID,
		ReplID: r.ReplID, StartOffset: r.StartOffset, ReplID2: r.ReplID2,
		Prev: r.Prev, PrevRunID: r.PrevRunID, PrevOffset: r.PrevOffset, AcceptedLoss: c.AcceptedLoss,
		Election: v.Epoch, Auto: r.Auto, Began: r.Began, Why: r.Why,
	}}
}

// still tells that the Redis stands where the bid says.
func (s *Situation) still(b *Bid) bool {
	if b.Master != s.Own.Master || b.ReplID != s.Own.ReplID {
		return false
	}
	// What a master does of its own accord, pings and expired keys, moves it.
	return b.Master || s.Own.Fenced && b.Offset == s.Own.Offset
}

func (s *Situation) promoting() Action {
	v, r, own := &s.View, &s.View.Register, &s.Own
	if r.Node != s.Name {
		switch {
		case !v.MasterAlive:
			a := s.elect("the agent of "+r.Node+" died while it was promoted", false)
			a.Gone = []string{r.Session}
			return a
		case s.Since > promoteLimit:
			return s.elect(r.Node+" was not promoted in time", false)
		}
		return idleFor(promoteLimit-s.Since, r.Node+" is promoted")
	}
	i := slices.IndexFunc(v.Bids, func(b Bid) bool { return b.Node == s.Name })
	switch {
	case !s.mine():
		return s.elect("the agent of "+r.Node+" was started again while it was promoted", false)
	case own.Dead || own.Hung:
		return s.down(s.elect("the Redis of "+r.Node+" ended while it was promoted", false))
	case !s.fit():
		return idleFor(promoteLimit, "Redis does not answer")
	case own.RunID != r.RunID || i < 0:
		return s.elect("the Redis of "+r.Node+" was started again while it was promoted", false)
	}
	bid := &v.Bids[i]
	switch {
	case own.Master && own.Backlog:
		return s.take(bid)
	case own.Master, own.Fenced && own.ReplID == bid.ReplID && own.Offset == bid.Offset:
		return Action{Kind: Promote}
	}
	return s.elect("the Redis of "+r.Node+" did not stand still", false)
}

// take writes that this node is the master. Its Redis is one, and takes no writes
// yet.
func (s *Situation) take(bid *Bid) Action {
	r, own := &s.View.Register, &s.Own
	next := Register{
		State: Running, Node: s.Name, Addr: s.addr(), Session: s.Session, RunID: own.RunID,
		ReplID: own.ReplID, StartOffset: own.Offset,
		Prev: r.Prev, Election: r.Election, Auto: r.Auto, Began: r.Began, Why: r.Why,
	}
	h := &Hist{
		Epoch: r.Election, From: r.Prev, To: s.Name, Why: r.Why, Auto: r.Auto, Began: r.Began, Ended: s.Now,
		ReplID: own.ReplID, Offset: own.Offset, NewReplID: own.ReplID, AcceptedLoss: r.AcceptedLoss,
	}
	if r.State == Switching {
		next.Prev, next.Election, h.Epoch, h.From = r.Node, s.View.Epoch, s.View.Epoch, r.Node
	}
	// What others may have in common with it ends where it was promoted.
	switch {
	case bid != nil && bid.ReplID == own.ReplID:
		next.StartOffset, h.Offset = bid.Offset, bid.Offset
	case own.ReplID2 != "" && own.Second > 0:
		next.StartOffset, next.ReplID2 = own.Second-1, own.ReplID2
		h.ReplID, h.Offset = own.ReplID2, own.Second-1
	case bid != nil:
		// It had no backlog, and was given another history with one.
		next.StartOffset, next.ReplID2 = bid.Offset, bid.ReplID
		h.ReplID, h.Offset = bid.ReplID, bid.Offset
	}
	return Action{Kind: WriteRegister, Next: next, Hist: h, Live: []string{s.Session}, Why: "promoted", DropCmd: s.View.Cmd != nil && !s.View.Cmd.Done}
}

func (s *Situation) addr() string {
	n, _ := s.View.Node(s.Name)
	return n.Addr
}

// down notes with a that the Redis of this node is down.
func (s *Situation) down(a Action) Action {
	a.Down = true
	return a
}
