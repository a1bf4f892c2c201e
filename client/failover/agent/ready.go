package agent

import (
	"context"
	"time"

	"github.com/doozer-store/doozer/client/failover"
	"github.com/doozer-store/doozer/client/failover/replica"
)

// readyGate is a gate that was attached while the register was written, so that
// it has only to be opened when that is done: in a switch, clients wait for it.
// Until then Redis refuses writes because it is shut.
type readyGate struct {
	*replica.Gate
	runID string
	n     int
	at    time.Time
}

// readyFor is for how long a gate that is ready may be used: Redis counts a
// replica that says nothing for a second.
const readyFor = 500 * time.Millisecond

// attachAhead begins to attach a gate if act makes the own Redis the master that
// takes writes. The channel gets it, or nil: openGate does it again then.
func (a *Agent) attachAhead(ctx context.Context, v *failover.View, act failover.Action) <-chan *readyGate {
	a.dropReady()
	done := make(chan *readyGate, 1)
	own, n, at := a.own, a.gateSize(v), time.Now()
	if act.Next.State != failover.Running || act.Next.Node != a.cfg.Name || a.gate != nil || !own.Up || !own.Master || !own.Backlog {
		done <- nil
		return done
	}
	a.wg.Go(func() {
		err := a.redis.set(ctx, "min-replicas-to-write", shut, "min-replicas-max-lag", v.Conf.GateLagS)
		if err == nil {
			var g *replica.Gate
			if g, err = replica.Attach(ctx, a.redis.target, n, own.ReplID, own.Offset); err == nil {
				done <- &readyGate{g, own.RunID, n, at}
				return
			}
		}
		a.log.Debug("no gate is attached ahead", "error", err)
		done <- nil
	})
	return done
}

// takeReady returns the gate that is ready, nil if there is none that fits.
func (a *Agent) takeReady(v *failover.View, n int) *replica.Gate {
	r := a.ready
	if r == nil || a.gate != nil || r.n != n || r.runID != v.Register.RunID || r.runID != a.own.RunID || time.Since(r.at) > readyFor {
		a.dropReady()
		return nil
	}
	a.ready = nil
	return r.Gate
}

// dropReady lets go of a gate that is ready.
func (a *Agent) dropReady() {
	if a.ready != nil {
		a.ready.Close()
		a.ready = nil
	}
}
