package agent

import (
	"context"
	"time"

	"github.com/doozer-store/doozer/client/failover"
	"github.com/doozer-store/doozer/client/failover/replica"
)

// readyGate is a gate that is attached before it may be opened, so that it has only
// to be opened when the register is written: in a switch, clients wait for it. Until
// then Redis refuses writes because it is shut.
type readyGate struct {
	epoch  int64 // by which it was begun
	runID  string
	n      int
	cancel context.CancelFunc
	done   chan struct{} // closed when what follows is known
	gate   *replica.Gate // nil: there is none
	at     time.Time     // when it was attached
}

const (
	// readyFor is for how long a gate that is ready may be used: Redis counts a
	// replica that says nothing for a second.
	readyFor = 500 * time.Millisecond
	// readyLimit is how long one that is being attached is waited for.
	readyLimit = 250 * time.Millisecond
	// promotionPoll is how often Redis is asked whether it has been promoted.
	promotionPoll = 500 * time.Microsecond
)

// attachAhead begins to attach a gate if act makes the own Redis, which is a master
// already, the one that takes writes.
func (a *Agent) attachAhead(ctx context.Context, v *failover.View, act failover.Action) {
	own := a.own
	if act.Next.State != failover.Running || act.Next.Node != a.cfg.Name || a.gate != nil || a.ready != nil || !own.Up || !own.Master || !own.Backlog {
		return
	}
	a.begin(ctx, v, func(ctx context.Context, g *replica.Gate) error {
		if err := a.shutWith(ctx, v); err != nil {
			return err
		}
		return g.Attach(ctx, own.ReplID, own.Offset)
	})
}

// attendSwitch prepares the gate of a node that is to take over, and attaches it as
// soon as its Redis is promoted. It is told of each view, and drops what was prepared
// for what does not come about.
func (a *Agent) attendSwitch(ctx context.Context, v *failover.View) {
	r := &v.Register
	to := r.State == failover.Switching && r.To == a.cfg.Name && r.Node != a.cfg.Name
	if a.ready != nil && !to && !(r.Writable() && r.Node == a.cfg.Name) || a.ready != nil && to && a.ready.epoch != v.Epoch {
		a.dropReady()
	}
	if !to || a.attended == v.Epoch || a.gate != nil || !a.own.Up || a.own.Master {
		return
	}
	a.attended = v.Epoch
	if err := a.shutWith(ctx, v); err != nil {
		a.log.Debug("no gate is prepared", "error", err)
		return
	}
	a.begin(ctx, v, func(ctx context.Context, g *replica.Gate) error {
		in, err := a.promoted(ctx, r.ReplID)
		if err != nil {
			return err
		}
		a.wake()
		return g.Attach(ctx, in["master_replid"], in.int("master_repl_offset"))
	})
}

// shutWith makes Redis refuse writes however many replicas it has.
func (a *Agent) shutWith(ctx context.Context, v *failover.View) error {
	return a.redis.set(ctx, "min-replicas-to-write", shut, "min-replicas-max-lag", v.Conf.GateLagS)
}

// promoted returns what Redis says of itself when it has become a master whose
// history goes on from replid.
func (a *Agent) promoted(ctx context.Context, replid string) (info, error) {
	c, err := replica.Open(ctx, a.redis.target)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	for {
		text, err := c.Do(ctx, "INFO", "replication")
		if err != nil {
			return nil, err
		}
		if in := parseInfo(text); in["role"] == "master" && in["master_replid2"] == replid {
			return in, nil
		}
		if sleep(ctx, promotionPoll); ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
}

// begin prepares a gate and has it attached in the background, until dropReady.
func (a *Agent) begin(ctx context.Context, v *failover.View, attach func(context.Context, *replica.Gate) error) {
	ctx, cancel := context.WithCancel(ctx)
	r := &readyGate{epoch: v.Epoch, runID: a.own.RunID, n: a.gateSize(v), cancel: cancel, done: make(chan struct{})}
	a.ready = r
	a.wg.Go(func() {
		defer close(r.done)
		g, err := replica.Prepare(ctx, a.redis.target, r.n)
		if err == nil {
			if err = attach(ctx, g); err != nil {
				g.Close()
			}
		}
		if err != nil {
			a.log.Debug("no gate is attached ahead", "error", err)
			return
		}
		r.gate, r.at = g, time.Now()
	})
}

// takeReady returns the gate that is ready, nil if there is none that fits.
func (a *Agent) takeReady(v *failover.View, n int) *replica.Gate {
	r := a.ready
	if r == nil {
		return nil
	}
	t := time.NewTimer(readyLimit)
	defer t.Stop()
	select {
	case <-r.done:
		if r.gate != nil && a.gate == nil && r.n == n && r.runID == v.Register.RunID && r.runID == a.own.RunID && time.Since(r.at) < readyFor {
			a.ready = nil
			r.cancel()
			return r.gate
		}
	case <-t.C:
	}
	a.dropReady()
	return nil
}

// dropReady lets go of a gate that is ready, or is to be.
func (a *Agent) dropReady() {
	r := a.ready
	if r == nil {
		return
	}
	a.ready = nil
	r.cancel()
	<-r.done
	if r.gate != nil {
		r.gate.Close()
	}
}
