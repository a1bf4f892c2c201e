package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/doozer-store/doozer/client/failover"
)

// handOver makes the Redis at act.Addr the master in place of the own one, without
// loss, and writes that into the register. Writes are held back meanwhile; from when
// the own Redis is a replica it refuses them. Redis's own FAILOVER is not used: it
// waits for acknowledgements, which replicas send once a second.
//
// Crash cases: before the own Redis is turned the pause ends by itself, and the
// own Redis is the master still; after it, nobody takes writes until the target
// has been promoted, by this or by an election; from then on the target's agent
// writes the register if this one does not.
func (a *Agent) handOver(ctx context.Context, v *failover.View, act failover.Action) error {
	t := a.redis.target
	t.Addr = act.Addr
	target := newServer(t)
	defer target.close()
	own, paused, err := a.transfer(ctx, target)
	if err == nil {
		s := a.situation(*v)
		// Clients are let go when they can be told where to go to.
		err = a.write(ctx, v, s.HandedOver(own))
		a.release(ctx, true)
		return err
	}
	if paused {
		a.release(ctx, false)
	}
	a.looked = time.Time{}
	a.failed, a.whyNot = v.Epoch, err.Error()
	a.log.Warn("the switch failed", "to", act.Addr, "error", err)
	return nil
}

// release lets go on, or ends, who waits to write.
func (a *Agent) release(ctx context.Context, over bool) {
	a.looked = time.Time{}
	if err := a.redis.do(ctx, "CLIENT", "UNPAUSE"); err != nil {
		a.log.Warn("writes could not be let go on", "error", err)
	}
	if !over {
		return
	}
	if err := a.redis.killClients(ctx); err != nil {
		a.log.Warn("the clients of the old master could not be disconnected", "error", err)
	}
}

// transfer brings the target to where the own Redis is, makes that a replica of it,
// and it a master: as what it returns. paused: writes are held back.
func (a *Agent) transfer(ctx context.Context, target *server) (own failover.Own, paused bool, err error) {
	// Its connection is made before writes wait for it.
	process, err := target.info(ctx)
	if err != nil {
		return own, false, err
	}
	if process["role"] != "slave" || process["master_link_status"] != "up" {
		return own, false, errors.New("the target is not connected to this master")
	}
	ctx, cancel := context.WithTimeout(ctx, handOverLimit)
	defer cancel()
	// Nor do they wait for one that is behind: after a whole copy a replica is
	// sent nothing before its first acknowledgement, which takes up to a second.
	at, err := a.redis.info(ctx, "replication")
	if err == nil {
		_, err = a.reached(ctx, target, at)
	}
	if err != nil {
		return own, false, err
	}
	if at, err = a.redis.then(ctx, "CLIENT", "PAUSE", pauseLimit.Milliseconds(), "WRITE"); err != nil {
		return own, true, err
	}
	there, err := a.even(ctx, target, at)
	if err != nil {
		return own, true, err
	}
	host, port, err := net.SplitHostPort(target.target.Addr)
	if err != nil {
		return own, true, err
	}
	if at, err = a.redis.then(ctx, "REPLICAOF", host, port); err != nil {
		return own, true, err
	}
	// What Redis itself has written in between, pings and expired keys, has to
	// arrive as well.
	if !same(at, there) {
		if there, err = a.even(ctx, target, at); err != nil {
			return own, true, err
		}
	}
	its, err := target.then(ctx, "REPLICAOF", "NO", "ONE")
	if err != nil {
		return own, true, err
	}
	own = its.own()
	own.RunID = process["run_id"]
	if !own.Master || own.ReplID2 != there["master_replid"] || own.Second != there.int("master_repl_offset")+1 {
		return own, true, fmt.Errorf("the target, promoted, does not go on from %s:%d", there["master_replid"], there.int("master_repl_offset"))
	}
	return own, true, nil
}

// same tells that two servers have the same history up to the same byte.
func same(a, b info) bool {
	return a["master_repl_offset"] == b["master_repl_offset"] && a["master_replid"] == b["master_replid"]
}

// even waits until the target has all that the own Redis has, which takes no writes,
// and returns what it then says of itself. own is what the own Redis has said: where the
// target has more, both have moved on since.
func (a *Agent) even(ctx context.Context, target *server, own info) (there info, err error) {
	for {
		if there, err = a.reached(ctx, target, own); err != nil || same(own, there) {
			return there, err
		}
		if own, err = a.redis.info(ctx, "replication"); err != nil {
			return nil, err
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("the target does not follow the own history after %v", handOverLimit)
		}
	}
}

// reached waits until the target has come to where the own Redis was, and returns what
// it then says of itself.
func (a *Agent) reached(ctx context.Context, target *server, own info) (there info, err error) {
	for {
		if there, err = target.info(ctx, "replication"); err != nil {
			return nil, err
		}
		left := own.int("master_repl_offset") - there.int("master_repl_offset")
		if left <= 0 {
			return there, nil
		}
		sleep(ctx, handOverPoll)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("the target is %d bytes behind after %v", left, handOverLimit)
		}
	}
}
