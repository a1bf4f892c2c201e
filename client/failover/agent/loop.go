package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/client/failover"
	"github.com/doozer-store/doozer/client/session"
)

// loop looks, decides and does, until ctx has ended and the node is not, or can
// no longer be, the master; or until the node can't take part.
func (a *Agent) loop(stopped context.Context) error {
	ctx, cancel := context.WithCancel(context.WithoutCancel(stopped))
	defer cancel()
	challenges := newChallenges(ctx, a.cfg.Store, &a.wg)
	var leaveBy time.Time
	for {
		if stopped.Err() != nil && leaveBy.IsZero() {
			leaveBy = time.Now().Add(leaveLimit)
			a.mu.Lock()
			a.leaving = true
			a.mu.Unlock()
		}
		changed := a.f.Changed()
		v := a.f.View()
		a.notice(&v)
		a.look(ctx, &v)
		if err := a.enter(ctx, &v); err != nil {
			return err
		}
		challenges.set(a.others(&v))
		a.attendSwitch(ctx, &v)
		s := a.situation(v)
		act := failover.Decide(s)
		note := a.problem
		if act.Kind == failover.Idle && note == "" && s.Own.Problem == "" && !v.Register.Writable() {
			note = act.Why
		}
		a.publish(note)
		if act.Kind == failover.Idle {
			if act.Why != "" && act.Why != a.lastIdle {
				a.log.Info("waiting", "why", act.Why)
			}
			a.lastIdle = act.Why
			if !leaveBy.IsZero() && (!s.Leaving || time.Now().After(leaveBy) || !a.canLeave(&v)) {
				return nil
			}
			a.rest(stopped, changed, act.After, !leaveBy.IsZero())
			continue
		}
		if a.cfg.Step != nil {
			if err := a.cfg.Step(act); err != nil {
				return err
			}
		}
		if act.Kind != failover.FreezeAndBid {
			a.log.Info(string(act.Kind), "state", act.Next.State, "node", act.Node+act.Next.Node, "why", act.Why, "epoch", v.Epoch)
		}
		if err := a.held(ctx, &v, act); err != nil {
			a.looked = time.Time{}
			a.log.Warn("an action failed", "action", act.Kind, "error", err)
			if !leaveBy.IsZero() && time.Now().After(leaveBy) {
				return nil // what it wanted to hand over, the others take when its session ends
			}
			if !errors.Is(err, client.ErrRevMismatch) {
				a.rest(ctx, changed, retryAfter, false)
			} else {
				a.behind(ctx, changed)
			}
		}
	}
}

// held does what was decided, unless a promise rules it out.
func (a *Agent) held(ctx context.Context, v *failover.View, act failover.Action) error {
	if act.Kind != failover.FreezeAndBid && (act.Kind != failover.WriteRegister || v.Register.Session == a.node.Session) {
		return a.do(ctx, v, act)
	}
	if !a.hold.begin() {
		return errHeld
	}
	err := a.do(ctx, v, act)
	a.hold.end(v.Epoch, err)
	return err
}

var errHeld = errors.New("held by a promise to the master")

// canLeave tells whether there is still something to hand over.
func (a *Agent) canLeave(v *failover.View) bool {
	return v.Register.Node == a.cfg.Name && v.Register.State == failover.Switching
}

// rest waits until something has happened, for a time at most.
func (a *Agent) rest(ctx context.Context, changed <-chan struct{}, d time.Duration, leaving bool) {
	if d <= 0 || d > lookEvery {
		d = lookEvery
	}
	done := ctx.Done()
	if leaving {
		done = nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-changed:
	case <-a.woken:
		a.looked = time.Time{}
	case <-done:
	case <-t.C:
		// A poll asks Redis again, whatever the reason for it.
		a.looked = time.Time{}
	}
}

// behind waits for the view that another agent's write has made: it was faster.
func (a *Agent) behind(ctx context.Context, changed <-chan struct{}) {
	t := time.NewTimer(retryAfter)
	defer t.Stop()
	select {
	case <-changed:
	case <-t.C:
	case <-ctx.Done():
	}
}

// notice takes note of when things were first seen.
func (a *Agent) notice(v *failover.View) {
	now := time.Now()
	if v.Epoch != a.epoch || a.since.IsZero() {
		a.epoch, a.since = v.Epoch, now
		a.bidSince, a.saves = time.Time{}, 0
		a.shutDown = nil
		a.log.Info("epoch", "epoch", v.Epoch, "state", v.Register.State, "master", v.Register.Node, "why", v.Register.Why)
	}
	if a.bidSince.IsZero() && len(v.Bids) > 0 && v.Register.State == failover.Electing {
		a.bidSince = now
	}
	a.hook.see(v)
}

// situation is all that is decided by.
func (a *Agent) situation(v failover.View) failover.Situation {
	id, valid := a.live.now()
	now := time.Now()
	s := failover.Situation{
		View: v, Name: a.cfg.Name, Session: id, Valid: valid, Own: a.own,
		Since: now.Sub(a.since), SinceBid: -1, SinceAuto: time.Duration(1<<62 - 1),
		Saved: a.saved == v.Epoch && v.Epoch != 0, Now: now.UnixMilli(), Leaving: a.isLeaving(),
		OldAsked: a.asked == v.Epoch, Hold: a.hold.held(),
	}
	// The promises of all others are as good as the session.
	s.Valid = valid || a.safe.is(v.Epoch)
	if a.node.Session != id {
		s.Session = "" // not registered yet
	}
	if !a.bidSince.IsZero() {
		s.SinceBid = now.Sub(a.bidSince)
	}
	if n, ok := v.Node(a.cfg.Name); ok {
		s.Successor = n.Instance == a.id.text && n.Session == id && v.Register.Session != id
	}
	if a.failed == v.Epoch {
		s.SwitchError = a.whyNot
	}
	if a.shutDown != nil {
		select {
		case <-a.shutDown:
			s.OldShut = true
		default:
		}
	}
	for _, h := range slices.Backward(v.History) {
		if h.Auto {
			s.SinceAuto = max(0, now.Sub(time.UnixMilli(h.Ended)))
			break
		}
	}
	s.Own.GateOpen = a.gate != nil && a.gate.IsOpen()
	return s
}

func (a *Agent) isLeaving() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.leaving
}

// look asks Redis how it is, if that is due.
func (a *Agent) look(ctx context.Context, v *failover.View) {
	p := a.probe.get()
	if p.dead || p.hung || !p.up && p.runID == "" {
		a.own = failover.Own{Dead: p.dead, Hung: p.hung, RunID: p.runID, Killable: p.hung && !a.cfg.NoKill && p.proc.pid != 0 && a.killed != p.runID}
		a.ownInfo, a.looked = nil, time.Time{}
		return
	}
	// One that is to be the master may have been made it since.
	late := v.Register.Writable() && v.Register.Node == a.cfg.Name && !a.own.Master
	if !late && !a.looked.IsZero() && time.Since(a.looked) < lookEvery && p.runID == a.own.RunID {
		return
	}
	if err := a.reread(ctx, v); err != nil {
		a.log.Debug("Redis did not answer", "error", err)
		a.own.Up = false
		return
	}
	if a.prepared != a.own.RunID && !a.own.Loading {
		a.prepare(ctx, v)
	}
	a.guard(ctx, v)
	a.catchUp(ctx, v)
}

// reread asks Redis how it is.
func (a *Agent) reread(ctx context.Context, v *failover.View) error {
	// Whoever wakes the loop ends the question: the probe may have found that
	// nobody will answer.
	ctx, cancel := context.WithTimeout(ctx, v.Conf.Hang())
	defer cancel()
	in, err := a.redis.info(ctx)
	if err != nil {
		return err
	}
	a.own, a.ownInfo, a.looked = in.own(), in, time.Now()
	a.own.Problem = a.problem
	switch {
	case a.own.Link == "sync":
		a.partial = true
	case a.own.Link == "up", a.own.Master:
		a.partial = false
	}
	a.own.Partial = a.partial
	a.own.Restarted = a.synced != a.own.RunID
	return nil
}

// guard keeps what others may have changed as it has to be: a late message may
// have shut the Redis of a master.
func (a *Agent) guard(ctx context.Context, v *failover.View) {
	if a.gate == nil || !a.gate.IsOpen() {
		return
	}
	want := fmt.Sprint(a.gateSize(v))
	if n, err := a.redis.get(ctx, "min-replicas-to-write"); err == nil && n != want {
		a.log.Warn("min-replicas-to-write was changed", "to", n, "back to", want)
		a.redis.set(ctx, "min-replicas-to-write", want)
	}
}

// gateSize is how many connections the gate has.
func (a *Agent) gateSize(v *failover.View) int { return max(v.Conf.Gate(), len(v.Nodes)) }

// catchUp finds out when a process that was started again has all that the
// master had when it came back.
func (a *Agent) catchUp(ctx context.Context, v *failover.View) {
	r := &v.Register
	switch {
	case !a.own.Restarted, r.State != failover.Running:
		return
	case r.Node == a.cfg.Name:
		if !a.own.Master || r.RunID != a.own.RunID {
			return
		}
	case a.own.Link != "up" || a.own.Source != r.Addr:
		a.need = 0
		return
	case v.Conf.Sync > 0:
		if a.need == 0 {
			t := a.redis.target
			t.Addr = r.Addr
			m := newServer(t)
			defer m.close()
			in, err := m.info(ctx, "replication")
			if err != nil {
				return
			}
			a.need = max(1, in.int("master_repl_offset"))
		}
		if a.own.Offset < a.need {
			return
		}
	}
	a.synced, a.own.Restarted, a.need = a.own.RunID, false, 0
}

// enter registers the node when it is not registered as it is. An error says
// that it can't be.
func (a *Agent) enter(ctx context.Context, v *failover.View) error {
	id, _ := a.live.now()
	if id == "" || a.prepared == "" && a.problem == "" {
		return nil
	}
	if a.prepared == "" {
		// Nothing may depend on a Redis that was never fit.
		return a.refusal()
	}
	want := failover.Node{
		Name: a.cfg.Name, Addr: a.cfg.Announce, Session: id, Agent: a.cfg.Sentinel, Web: a.cfg.Web,
		Priority: a.cfg.Priority, Instance: a.id.text, Host: hostname(), Version: a.cfg.Version, RunID: a.synced,
	}
	if a.node.Session == id && a.node == want {
		return nil
	}
	for i := range v.Nodes {
		n := &v.Nodes[i]
		if n.Name != want.Name && n.Alive && n.Addr == want.Addr {
			return fmt.Errorf("%w: node %s has the Redis at %s", ErrTaken, n.Name, n.Addr)
		}
	}
	old, there := v.Node(want.Name)
	if there && old.Instance != want.Instance && old.Alive {
		if err := a.contend(ctx, &old); err != nil {
			return err
		}
		return nil
	}
	if !there && v.Epoch != 0 && a.own.Up && a.own.Keys > 0 && !v.Knows(&a.own) {
		return fmt.Errorf("%w: %d keys, no copy of what group %s has; make sure that it is the right server, and empty it: FLUSHALL, or start it without its files", ErrForeignData, a.own.Keys, v.Group)
	}
	cond := client.Missing(a.paths.Node(want.Name))
	if there {
		cond = client.Unchanged(a.paths.Node(want.Name), old.Rev)
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	rev, err := a.cfg.Store.Txn(ctx, client.Txn{
		If: []client.Cond{cond, exists(session.PathOf(id))},
		Do: []client.Op{client.SetOp(a.paths.Node(want.Name), want.Encode())},
	})
	if err != nil {
		a.log.Warn("the node could not be registered", "error", err)
		return nil
	}
	a.node = want
	if err := a.f.Catch(ctx, rev); err == nil {
		*v = a.f.View()
	}
	return nil
}

// contend finds out whether another agent has the name and lives.
func (a *Agent) contend(ctx context.Context, old *failover.NodeView) error {
	a.log.Warn("another agent is registered under this name; waiting for its end", "session", old.Session, "host", old.Host)
	dead, err := session.Challenge(ctx, a.cfg.Store, old.Session)
	if err == nil && !dead {
		return fmt.Errorf("%w: an agent on %s is node %s of the group, and lives", ErrTaken, old.Host, old.Name)
	}
	return nil
}

// others are the sessions of which this agent finds out whether they end: all of
// the group but its own, and one that it follows itself.
func (a *Agent) others(v *failover.View) []string {
	var list []string
	id, _ := a.live.now()
	for i := range v.Nodes {
		n := &v.Nodes[i]
		if n.Session != "" && n.Session != id && n.Alive && (n.Name != a.cfg.Name || n.Instance != a.id.text) {
			list = append(list, n.Session)
		}
	}
	if r := &v.Register; r.Session != "" && r.Session != id && v.MasterAlive && r.Node != a.cfg.Name && !slices.Contains(list, r.Session) {
		list = append(list, r.Session)
	}
	return list
}

// exists is the condition that there is a file.
func exists(path string) client.Cond { return client.Unchanged(path, 1<<63-1) }
