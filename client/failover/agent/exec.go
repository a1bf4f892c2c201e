package agent

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/client/failover"
	"github.com/doozer-store/doozer/client/failover/replica"
	"github.com/doozer-store/doozer/client/session"
)

// do does what was decided by v.
func (a *Agent) do(ctx context.Context, v *failover.View, act failover.Action) error {
	switch act.Kind {
	case failover.CloseGate:
		a.closeGate(act.Why)
		a.looked = time.Time{}
		return a.redis.set(ctx, "min-replicas-to-write", shut)
	case failover.OpenGate:
		return a.openGate(ctx, v)
	case failover.WriteRegister:
		return a.write(ctx, v, act)
	case failover.FreezeAndBid:
		return a.bid(ctx, v)
	case failover.Promote:
		return a.promote(ctx, v)
	case failover.Replicate:
		return a.replicate(ctx, v, act.Addr)
	case failover.Save:
		return a.save(ctx, v)
	case failover.ShutOld:
		a.shutOld(ctx, v, act.Addr)
		return nil
	case failover.HandOver:
		return a.handOver(ctx, v, act)
	case failover.Kill:
		return a.kill(ctx)
	case failover.Refuse:
		return a.refuse(ctx, v, act.Why)
	}
	return fmt.Errorf("action %q is not known", act.Kind)
}

// closeGate makes Redis refuse writes, at once, as far as it depends on the gate.
func (a *Agent) closeGate(why string) {
	a.dropReady()
	if a.gate == nil {
		return
	}
	if a.gate.IsOpen() {
		a.log.Info("the gate is closed", "why", why)
	}
	a.gate.Close()
	a.gate = nil
}

// shut closes the gate and returns when Redis refuses writes, if it answers: it learns
// of the end of a gate's connections only when it next looks at them, and may take what
// clients have sent by then.
func (a *Agent) shut(ctx context.Context, why string) {
	open := a.gate != nil
	a.closeGate(why)
	if !open {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, shutLimit)
	defer cancel()
	if err := a.redis.set(ctx, "min-replicas-to-write", shut); err != nil {
		a.log.Warn("redis has not confirmed that it refuses writes", "error", err)
	}
}

// openGate opens the gate. From here on Redis takes writes, for as long as the session
// is valid under which the register was written, and Redis answers.
//
// min-replicas-to-write comes last: until then Redis is shut, whatever is attached to
// it. A gate whose connections end still counts until Redis has noticed, and one that
// is being attached before anybody has asked whether the session is valid.
func (a *Agent) openGate(ctx context.Context, v *failover.View) error {
	n := a.gateSize(v)
	g := a.takeReady(v, n)
	if g == nil {
		var err error
		if g, err = a.attachGate(ctx, v, n); err != nil {
			return err
		}
	}
	if err := g.Open(a.validFor(v)); err != nil {
		return err
	}
	a.useGate(g)
	return a.redis.set(ctx, "min-replicas-to-write", n)
}

// attachGate attaches a gate to a Redis that is shut.
func (a *Agent) attachGate(ctx context.Context, v *failover.View, n int) (*replica.Gate, error) {
	a.closeGate("it is opened again")
	if err := a.shutWith(ctx, v); err != nil {
		return nil, err
	}
	if !a.own.Backlog {
		if err := a.makeBacklog(ctx); err != nil {
			return nil, err
		}
	}
	if err := a.reread(ctx, v); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	return replica.Attach(ctx, a.redis.target, n, a.own.ReplID, a.own.Offset)
}

// validFor is for how long a gate may be open that was opened by v.
func (a *Agent) validFor(v *failover.View) func() bool {
	id, epoch := v.Register.Session, v.Epoch
	return func() bool { return (a.live.is(id) || a.safe.is(epoch)) && a.probe.answers() }
}

func (a *Agent) useGate(g *replica.Gate) {
	a.gate = g
	a.wg.Go(func() {
		<-g.Ended()
		a.wake()
	})
}

func (a *Agent) makeBacklog(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	delay := 5
	if text, err := a.redis.get(ctx, "repl-diskless-sync-delay"); err == nil {
		fmt.Sscan(text, &delay)
	}
	return replica.MakeBacklog(ctx, a.redis.target, delay)
}

// write writes the register, if all is as it was when that was decided.
func (a *Agent) write(ctx context.Context, v *failover.View, act failover.Action) error {
	if !act.Next.Writable() || act.Next.Node != a.cfg.Name {
		a.closeGate(act.Why)
	}
	a.attachAhead(ctx, v, act)
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	t := client.Txn{Do: []client.Op{client.SetOp(a.paths.Register(), act.Next.Encode())}, Message: message(act)}
	if v.Epoch == 0 {
		t.If = append(t.If, client.Missing(a.paths.Register()))
	} else {
		t.If = append(t.If, client.Unchanged(a.paths.Register(), v.Epoch))
	}
	for _, id := range act.Live {
		t.If = append(t.If, exists(session.PathOf(id)))
	}
	for _, id := range act.Gone {
		t.If = append(t.If, client.Missing(session.PathOf(id)))
	}
	for _, id := range act.Drop {
		f, err := a.cfg.Store.Get(ctx, session.PathOf(id))
		switch {
		case err == nil:
			t.If = append(t.If, client.Unchanged(f.Path, f.Rev))
			t.Do = append(t.Do, client.DelOp(f.Path))
		case errors.Is(err, client.ErrNotExist):
			t.If = append(t.If, client.Missing(session.PathOf(id)))
		default:
			return err
		}
	}
	if act.Hist != nil {
		t.Do = append(t.Do, client.SetOp(a.paths.Hist(act.Hist.Epoch), act.Hist.Encode()))
	}
	if act.Down {
		s := failover.Stat{Role: failover.RoleDown, Gate: "closed", RunID: a.own.RunID, Epoch: v.Epoch, At: time.Now().UnixMilli()}
		t.Do = append(t.Do, client.SetOp(a.paths.Stat(a.cfg.Name), s.Encode()))
	}
	if act.DropCmd && v.Cmd != nil {
		t.If = append(t.If, client.Unchanged(a.paths.Cmd(), v.Cmd.Rev))
		t.Do = append(t.Do, client.DelOp(a.paths.Cmd()))
	}
	rev, err := a.cfg.Store.Txn(ctx, t)
	if err != nil {
		a.dropReady()
		return err
	}
	a.f.Catch(ctx, rev)
	if act.Hist != nil {
		a.clean(rev)
	}
	return nil
}

func message(act failover.Action) string {
	return strings.TrimSpace(string(act.Next.State) + " " + act.Next.Node + ": " + act.Why)
}

// bid makes Redis stand still and says what it has. A master stands still by
// refusing writes, so that what it alone has can still be read.
func (a *Agent) bid(ctx context.Context, v *failover.View) error {
	a.closeGate("an election")
	if a.own.Master {
		if err := a.redis.set(ctx, "min-replicas-to-write", shut); err != nil {
			return err
		}
	} else if !a.own.Fenced {
		if err := a.redis.fence(ctx); err != nil {
			return err
		}
	}
	if err := a.reread(ctx, v); err != nil {
		return err
	}
	id, _ := a.live.now()
	o := &a.own
	b := failover.Bid{
		Node: a.cfg.Name, Session: id, RunID: o.RunID, ReplID: o.ReplID, Offset: o.Offset, ReplID2: o.ReplID2, Second: o.Second,
		Priority: a.cfg.Priority, Restarted: o.Restarted, Partial: o.Partial, Master: o.Master, Keys: o.Keys,
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	rev, err := a.cfg.Store.Txn(ctx, client.Txn{
		If: []client.Cond{client.Unchanged(a.paths.Register(), v.Epoch), exists(session.PathOf(id))},
		Do: []client.Op{client.SetOp(a.paths.Bid(v.Epoch, a.cfg.Name), b.Encode())},
	})
	if err != nil {
		return err
	}
	a.log.Info("bid", "epoch", v.Epoch, "replid", b.ReplID, "offset", b.Offset)
	a.f.Catch(ctx, rev)
	return nil
}

// promote makes Redis a master, which takes no writes before the gate is open.
func (a *Agent) promote(ctx context.Context, v *failover.View) error {
	if err := a.shutWith(ctx, v); err != nil {
		return err
	}
	if !a.own.Master {
		if err := a.redis.promote(ctx); err != nil {
			return err
		}
	}
	if err := a.reread(ctx, v); err != nil {
		return err
	}
	if !a.own.Backlog {
		if err := a.makeBacklog(ctx); err != nil {
			return err
		}
		return a.reread(ctx, v)
	}
	return nil
}

// replicate makes Redis a replica of the master. One that was a master itself is
// looked at once more: what it got while the gate closed counts too.
func (a *Agent) replicate(ctx context.Context, v *failover.View, addr string) error {
	if a.own.Master {
		if err := a.redis.set(ctx, "min-replicas-to-write", shut); err != nil {
			return err
		}
		if err := a.reread(ctx, v); err != nil {
			return err
		}
		if a.own.Master && v.Ahead(&a.own) != nil && a.saved != v.Epoch {
			return nil // it is saved first
		}
	}
	turned := a.own.Master
	if err := a.redis.replicaOf(ctx, addr); err != nil {
		return err
	}
	a.looked = time.Time{}
	if turned {
		if err := a.redis.killClients(ctx); err != nil {
			a.log.Warn("the clients of the old master could not be disconnected", "error", err)
		}
	}
	return nil
}

// shutOld asks the Redis of a lost master to refuse writes, in the background:
// its gate is open for some time yet if its agent hangs. Clients are disconnected.
func (a *Agent) shutOld(ctx context.Context, v *failover.View, addr string) {
	done := make(chan struct{})
	a.asked, a.shutDown = v.Epoch, done
	t := a.redis.target
	t.Addr = addr
	a.wg.Go(func() {
		old := newServer(t)
		defer old.close()
		if err := old.shutOff(ctx); err != nil {
			a.log.Info("the old master was not reached", "addr", addr, "error", err)
			return
		}
		close(done)
		a.wake()
		a.keepOut(ctx, old, addr)
	})
}

// keepOut disconnects the clients of a Redis that is the master no more, when there
// is another one and then for as long as nobody makes it a replica. Its agent may be
// cut off from the store: a client that has come back to it, having asked a moment too
// early who the master is, would be refused and stay.
func (a *Agent) keepOut(ctx context.Context, old *server, addr string) {
	for pause := keepOutFirst; ; pause = min(2*pause, keepOutMax) {
		v, err := a.f.Wait(ctx, func(v failover.View) bool { return v.Register.State == failover.Running })
		if err != nil || v.Register.Addr == addr {
			return
		}
		in, err := old.info(ctx, "replication")
		if err != nil || in["role"] != "master" {
			return
		}
		if old.killClients(ctx) != nil {
			return
		}
		if sleep(ctx, pause); ctx.Err() != nil {
			return
		}
	}
}

// kill ends a Redis that hangs: one that goes on later would first answer the
// writes that wait in its connections.
func (a *Agent) kill(ctx context.Context) error {
	a.closeGate("Redis hangs")
	p := a.probe.get()
	a.killed = p.runID
	ctx, cancel := context.WithTimeout(ctx, killLimit)
	defer cancel()
	if err := p.proc.kill(ctx); err != nil {
		return fmt.Errorf("kill process %d: %w", p.proc.pid, err)
	}
	return nil
}

// refuse tells the operator why a command is not done.
func (a *Agent) refuse(ctx context.Context, v *failover.View, why string) error {
	c := *v.Cmd
	c.Done, c.Error = true, why
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	rev, err := a.cfg.Store.Txn(ctx, client.Txn{
		If: []client.Cond{client.Unchanged(a.paths.Cmd(), c.Rev)},
		Do: []client.Op{client.SetOp(a.paths.Cmd(), c.Encode())},
	})
	if err == nil {
		a.f.Catch(ctx, rev)
	}
	return err
}

// clean deletes, in the background, bids of elections that are over, and the
// oldest of the history.
func (a *Agent) clean(epoch int64) {
	a.wg.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), callLimit)
		defer cancel()
		if err := failover.Clean(ctx, a.cfg.Store, a.cfg.Group, epoch); err != nil {
			a.log.Debug("old files were not deleted", "error", err)
		}
	})
}
