package failover

import (
	"fmt"
	"slices"
	"time"
)

// step is one step of an agent: it sees more of the store, looks at its Redis,
// or decides and does.
func (w *world) step(a *simAgent) {
	if !a.up || a.paused {
		return
	}
	s := w.sessions[a.session]
	if s == nil || !s.alive {
		a.session = fmt.Sprintf("s%d", w.id())
		w.sessions[a.session] = &simSession{alive: true, deadline: w.now + simTTL}
		a.started = false
		w.snapshot()
		return
	}
	if w.chance(80) {
		s.deadline = w.now + simTTL // a beat
	}
	if w.chance(70) {
		a.version += w.rng.IntN(len(w.versions) - a.version)
	}
	r := w.view(a.version).Register
	late := r.Writable() && r.Node == a.name && !a.own.Master
	if late || w.chance(80) || !a.own.Up {
		w.look(a)
	}
	if !a.started {
		w.register(a)
		return
	}
	w.act(a)
}

func (w *world) catch(a *simAgent) { a.version = len(w.versions) - 1 }

func (w *world) look(a *simAgent) {
	r := a.redis
	switch {
	case !r.up:
		a.own = Own{Dead: true, RunID: fmt.Sprint(r.runID)}
	case r.hung:
		a.own = Own{Hung: true, RunID: fmt.Sprint(r.runID), Killable: a.killed != r.runID}
	default:
		a.own = r.own()
		v := w.view(a.version)
		if v.Register.State == Running && (v.Register.Node == a.name && r.master && v.Register.RunID == fmt.Sprint(r.runID)) {
			a.synced = r.runID
		}
		// catchUp: it has all that its master has at this moment.
		i := slices.IndexFunc(w.redis, func(o *simRedis) bool { return o.addr == r.source })
		if v.Register.State == Running && !r.master && r.linked && i >= 0 && w.redis[i].up && w.redis[i].master &&
			r.source == v.Register.Addr && r.offset() >= w.redis[i].offset() && r.replid == w.redis[i].replid {
			a.synced = r.runID
		}
		a.own.Restarted = a.synced != r.runID
	}
}

func (w *world) register(a *simAgent) {
	n := Node{Name: a.name, Addr: a.redis.addr, Session: a.session, Priority: 100, Instance: a.name}
	w.write(func() bool { return w.alive(a.session) }, func(set func(string, []byte), _ func(string)) {
		set(Paths("g").Node(a.name), n.Encode())
	})
	a.started = true
	w.catch(a)
}

func (w *world) situation(a *simAgent) Situation {
	v := w.view(a.version)
	if v.Epoch != a.sawRev {
		a.sawRev, a.since, a.bidSince, a.oldShut = v.Epoch, w.now, -1, false
	}
	if a.bidSince < 0 && len(v.Bids) > 0 && v.Register.State == Electing {
		a.bidSince = w.now
	}
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	s := Situation{
		View: v, Name: a.name, Session: a.session, Valid: w.now < w.sessions[a.session].deadline, Own: a.own,
		Since: ms(w.now - a.since), SinceBid: -1, SinceAuto: time.Hour, Saved: a.saved == v.Epoch,
		OldShut: a.oldShut, OldAsked: a.asked == v.Epoch, Leaving: a.leaving, Now: int64(w.now),
	}
	if a.bidSince >= 0 {
		s.SinceBid = ms(w.now - a.bidSince)
	}
	if n, ok := v.Node(a.name); ok {
		s.Successor = n.Session == a.session && v.Register.Session != a.session
	}
	if a.failed == v.Epoch {
		s.SwitchError = a.whyNot
	}
	s.Own.GateOpen = a.gate
	return s
}

// crash ends the agent now and then, between any two steps of an action.
func (w *world) crash(a *simAgent) bool {
	if w.lossless || !w.chance(3) {
		return false
	}
	w.stop(a)
	return true
}

func (w *world) stop(a *simAgent) {
	w.say("%s: the agent crashes", a.name)
	a.up, a.gate, a.paused, a.own = false, false, false, Own{}
}

func (w *world) act(a *simAgent) {
	s := w.situation(a)
	act := Decide(s)
	if act.Kind == Idle {
		return
	}
	w.say("%s@%d: %s %s %s %s", a.name, s.View.Epoch, act.Kind, act.Next.State, act.Next.Node, act.Why)
	r := a.redis
	if act.Kind != WriteRegister && act.Kind != ShutOld && act.Kind != Kill && act.Kind != Refuse && (!r.up || r.hung) {
		w.look(a)
		a.gate = a.gate && act.Kind != CloseGate
		return
	}
	switch act.Kind {
	case CloseGate:
		a.gate, r.shut = false, true
	case OpenGate:
		// Its own view may be old; what counts is that the session is valid.
		r.shut = false
		if !r.master || s.View.Register.Session != a.session {
			return
		}
		a.gate, a.gateSession, a.lastAck = true, a.session, w.now
		w.check()
	case WriteRegister:
		w.writeRegister(a, &s, &act)
	case FreezeAndBid:
		w.bid(a, &s)
	case Promote:
		r.shut = true
		w.promote(r)
		if w.crash(a) {
			return
		}
		if !r.backlog {
			r.backlog, r.replid, r.replid2, r.second = true, fmt.Sprintf("r%d", w.id()), "", -1
		}
		w.look(a)
	case Replicate:
		if r.master && s.View.Ahead(new(r.own())) != nil && a.saved != s.View.Epoch {
			r.shut = true
			w.look(a)
			return
		}
		r.master, r.fenced, r.source, r.linked = false, false, act.Addr, false
		w.look(a)
	case Save:
		r.shut = true
		if !r.master {
			w.promote(r)
		}
		a.saved = s.View.Epoch
		w.look(a)
	case ShutOld:
		a.asked = s.View.Epoch
		for _, o := range w.redis {
			if o.addr == act.Addr && o.up && !o.hung && w.chance(50) {
				o.shut, a.oldShut = true, true
			}
		}
	case HandOver:
		w.handOver(a, &s, act.Addr)
	case Kill:
		a.gate, a.killed = false, r.runID
		if w.chance(80) {
			w.kill(r)
		}
		w.look(a)
	case Refuse:
		w.write(func() bool { return w.files[Paths("g").Cmd()].Rev == s.View.Cmd.Rev }, func(_ func(string, []byte), del func(string)) { del(Paths("g").Cmd()) })
		w.catch(a)
	}
}

// promote is REPLICAOF NO ONE.
func (w *world) promote(r *simRedis) {
	if r.master {
		return
	}
	r.partial = false // what there is counts from now on
	r.replid2, r.second = r.replid, r.offset()+1
	r.replid = fmt.Sprintf("r%d", w.id())
	r.master, r.fenced, r.source, r.linked = true, false, "", false
}

func (w *world) kill(r *simRedis) {
	w.say("%s: the process ends", r.addr)
	if w.chance(50) && len(r.log) > 0 && !r.partial {
		// Something was on the disk: what it had at some time, mostly a moment ago, or
		// nothing.
		since := w.rng.IntN(len(r.log) + 1)
		if w.chance(60) {
			since = min(since, 1+w.rng.IntN(4))
		}
		r.disk, r.diskID = slices.Clone(r.log[:len(r.log)-since]), r.replid
	} else {
		r.disk = nil
	}
	if r.second > int64(len(r.disk)) {
		r.disk = nil
	}
	r.up, r.hung = false, false
}

func (w *world) bid(a *simAgent, s *Situation) {
	r := a.redis
	a.gate = false
	if r.master {
		r.shut = true
	} else {
		r.fenced, r.linked, r.source = true, false, ""
	}
	if w.crash(a) {
		return
	}
	w.look(a)
	o := &a.own
	b := Bid{Node: a.name, Session: a.session, RunID: o.RunID, ReplID: o.ReplID, Offset: o.Offset, ReplID2: o.ReplID2, Second: o.Second,
		Priority: 100, Restarted: o.Restarted, Partial: o.Partial, Master: o.Master, Keys: o.Keys}
	p := Paths("g")
	if w.write(func() bool { return w.files[p.Register()].Rev == s.View.Epoch && w.alive(a.session) },
		func(set func(string, []byte), _ func(string)) { set(p.Bid(s.View.Epoch, a.name), b.Encode()) }) && w.chance(90) {
		w.catch(a)
	}
}

func (w *world) writeRegister(a *simAgent, s *Situation, act *Action) {
	p := Paths("g")
	if !act.Next.Writable() || act.Next.Node != a.name {
		a.gate = false
	}
	if w.crash(a) || !w.lossless && w.chance(3) {
		return // the request is lost
	}
	var old Register
	if f, ok := w.files[p.Register()]; ok {
		old, _ = ParseRegister(f.Value, f.Rev)
	}
	cmd := s.View.Cmd
	done := w.write(func() bool {
		ok := old.Rev == s.View.Epoch
		for _, id := range act.Live {
			ok = ok && w.alive(id)
		}
		for _, id := range act.Gone {
			ok = ok && !w.alive(id)
		}
		if act.DropCmd && cmd != nil {
			ok = ok && w.files[p.Cmd()].Rev == cmd.Rev
		}
		return ok
	}, func(set func(string, []byte), del func(string)) {
		for _, id := range act.Drop {
			if w.sessions[id] != nil {
				w.sessions[id].alive = false
			}
		}
		w.checkRegister(old, act.Next, a)
		set(p.Register(), act.Next.Encode())
		if act.Hist != nil {
			set(p.Hist(act.Hist.Epoch), act.Hist.Encode())
		}
		if act.DropCmd && cmd != nil {
			del(p.Cmd())
			w.acceptAny = w.acceptAny || cmd.AcceptLoss
		}
	})
	w.check()
	if w.crash(a) || !w.lossless && w.chance(3) {
		return // the answer is lost
	}
	if done {
		w.catch(a)
	} else if w.chance(90) {
		w.catch(a)
	}
}

// handOver is what package agent does: hold writes, wait until the target has
// all, turn, promote the target, say so.
func (w *world) handOver(a *simAgent, s *Situation, addr string) {
	r := a.redis
	i := slices.IndexFunc(w.redis, func(o *simRedis) bool { return o.addr == addr })
	t := w.redis[i]
	fail := func(why string) {
		a.failed, a.whyNot = s.View.Epoch, why
		w.say("%s: the switch fails: %s", a.name, why)
	}
	if !t.up || t.hung || t.master || t.source != r.addr || !t.linked {
		fail("the target is not there")
		return
	}
	for range 100 {
		w.replicate(t)
	}
	if t.offset() != r.offset() || t.replid != r.replid || w.chance(10) {
		fail("the target is behind")
		return
	}
	if w.crash(a) {
		return
	}
	r.master, r.fenced, r.source, r.linked = false, false, addr, false
	w.look(a)
	if w.crash(a) {
		return
	}
	if !w.lossless && w.chance(10) {
		fail("the target was not reached")
		return
	}
	t.shut = true
	run := t.own().RunID
	w.promote(t)
	own := t.own()
	if !w.lossless && w.chance(5) {
		w.kill(t)
		w.boot(t) // it is another process that is named then
	}
	if w.chance(10) {
		return // it is late to say so
	}
	own.RunID = run
	w.writeRegister(a, s, new(s.HandedOver(own)))
}
