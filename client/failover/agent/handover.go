package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/doozer-store/doozer/client/failover"
)

// handOver makes the Redis at addr the master in place of the own one, without
// loss. Writes are held back meanwhile; from when the own Redis is a replica it
// refuses them. Redis's own FAILOVER is not used: it waits for acknowledgements,
// which replicas send once a second.
//
// Crash cases: before the own Redis is turned the pause ends by itself, and the
// own Redis is the master still; after it, nobody takes writes until the target
// has been promoted, by this or by an election.
func (a *Agent) handOver(ctx context.Context, v *failover.View, addr string) error {
	t := a.redis.target
	t.Addr = addr
	target := newServer(t)
	defer target.close()
	err := a.transfer(ctx, target)
	a.looked = time.Time{}
	if err != nil {
		a.failed, a.whyNot = v.Epoch, err.Error()
		a.log.Warn("the switch failed", "to", addr, "error", err)
	}
	return nil
}

func (a *Agent) transfer(ctx context.Context, target *server) (err error) {
	// Its connection is made before writes wait for it.
	in, err := target.info(ctx, "replication")
	if err != nil {
		return err
	}
	if in["role"] != "slave" || in["master_link_status"] != "up" {
		return errors.New("the target is not connected to this master")
	}
	ctx, cancel := context.WithTimeout(ctx, handOverLimit)
	defer cancel()
	// Nor do they wait for one that is behind: after a whole copy a replica is
	// sent nothing before its first acknowledgement, which takes up to a second.
	if _, _, err := a.reached(ctx, target); err != nil {
		return err
	}
	unpaused := context.WithoutCancel(ctx)
	if err := a.redis.do(ctx, "CLIENT", "PAUSE", pauseLimit.Milliseconds(), "WRITE"); err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, a.redis.do(unpaused, "CLIENT", "UNPAUSE"))
		if err == nil {
			if e := a.redis.killClients(unpaused); e != nil {
				a.log.Warn("the clients of the old master could not be disconnected", "error", e)
			}
		}
	}()
	if err := a.even(ctx, target); err != nil {
		return err
	}
	if err := a.redis.replicaOf(ctx, target.target.Addr); err != nil {
		return err
	}
	// What Redis itself has written in between, pings and expired keys, has to
	// arrive as well.
	if err := a.even(ctx, target); err != nil {
		return err
	}
	if err := target.promote(ctx); err != nil {
		return err
	}
	a.closeGate("handed over")
	return nil
}

// reached waits until the target has what the own Redis has at present, and
// returns what both of them said of themselves.
func (a *Agent) reached(ctx context.Context, target *server) (own, other info, err error) {
	if own, err = a.redis.info(ctx, "replication"); err != nil {
		return nil, nil, err
	}
	for {
		if other, err = target.info(ctx, "replication"); err != nil {
			return nil, nil, err
		}
		left := own.int("master_repl_offset") - other.int("master_repl_offset")
		if left <= 0 {
			return own, other, nil
		}
		sleep(ctx, handOverPoll)
		if ctx.Err() != nil {
			return nil, nil, fmt.Errorf("the target is %d bytes behind after %v", left, handOverLimit)
		}
	}
}

// even waits until the target has all that the own Redis has, which takes no
// writes: where the target has more, both have moved on meanwhile.
func (a *Agent) even(ctx context.Context, target *server) error {
	for {
		own, other, err := a.reached(ctx, target)
		if err != nil {
			return err
		}
		if own["master_repl_offset"] == other["master_repl_offset"] && own["master_replid"] == other["master_replid"] {
			return nil
		}
		sleep(ctx, handOverPoll)
		if ctx.Err() != nil {
			return fmt.Errorf("the target does not follow the own history after %v", handOverLimit)
		}
	}
}
