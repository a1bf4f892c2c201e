package failover

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/doozer-store/doozer/client/session"
)

// Conf is what the operator wants of a group, as JSON in its file conf. What the
// file leaves out has the value of DefaultConf.
type Conf struct {
	V int `json:"v"`
	// Nodes is how many Redis servers the group has. The first master is chosen
	// when all of them are there; the gate of a master has one connection for
	// each, so that real replicas alone can't hold it open.
	Nodes int `json:"nodes"`
	// TTLms is the TTL of the agents' sessions in milliseconds: after the loss of
	// a host another takes over that much later.
	TTLms int64 `json:"ttl_ms"`
	// GateLagS is min-replicas-max-lag in seconds: Redis refuses writes at most
	// two seconds more after its agent has stopped acknowledging.
	GateLagS int `json:"gate_lag_s"`
	// GateReplicas is how many connections a gate has; 0: Nodes. More are needed
	// if replicas that are no nodes of the group are attached to the master.
	GateReplicas int `json:"gate_replicas"`
	// Sync is the k for which no write for which WAIT k returned k or more is
	// ever lost: an election then waits for as many bids as that takes. 0: none.
	Sync int `json:"sync"`
	// MaxLagBytes is how far behind the master's last known offset the best bid
	// may be; 0: any. If it is further behind nobody is chosen until an operator
	// accepts the loss.
	MaxLagBytes int64 `json:"max_lag_bytes"`
	// BidMs is how long an election waits for bids of nodes whose agents live,
	// in milliseconds after the first bid.
	BidMs int64 `json:"bid_ms"`
	// HangMs is how long a Redis may leave its agent without an answer until it is
	// killed and its group goes on without it.
	HangMs int64 `json:"hang_ms"`
	// FlapMs is how long after an automatic failover there is no other one, unless
	// the process of Redis is known to have ended; 0: no limit.
	FlapMs int64 `json:"flap_ms"`
	// Strict: after the loss of a host the next master waits until the gate of the
	// one before must have closed by itself, if that can't be asked to close it.
	Strict bool `json:"strict"`
	// Failsafe lets the master go on without the store as long as the agents of
	// all other nodes promise to elect nobody, which they do over HTTP: each needs
	// its --web. An election then needs the bids of more than half of all nodes, and
	// of all whose agents live.
	Failsafe bool `json:"failsafe"`
	// Paused: the agents begin no failover.
	Paused   bool   `json:"paused"`
	PauseWhy string `json:"pause_why"`
}

// DefaultConf is the conf of a group of three.
func DefaultConf() Conf {
	return Conf{V: 1, Nodes: 3, TTLms: 2000, GateLagS: 1, BidMs: 100, HangMs: 1000}
}

// ParseConf reads a conf file.
func ParseConf(value []byte) (Conf, error) {
	c := DefaultConf()
	if err := json.Unmarshal(value, &c); err != nil {
		return Conf{}, fmt.Errorf("%w: conf: %w", ErrBadFile, err)
	}
	if err := c.Check(); err != nil {
		return Conf{}, err
	}
	return c, nil
}

// Encode is the value of the conf file.
func (c Conf) Encode() []byte { return encode(c) }

// TTL is TTLms.
func (c Conf) TTL() time.Duration { return time.Duration(c.TTLms) * time.Millisecond }

// Bid is BidMs.
func (c Conf) Bid() time.Duration { return time.Duration(c.BidMs) * time.Millisecond }

// Hang is HangMs.
func (c Conf) Hang() time.Duration { return time.Duration(c.HangMs) * time.Millisecond }

// Flap is FlapMs.
func (c Conf) Flap() time.Duration { return time.Duration(c.FlapMs) * time.Millisecond }

// Gate is how many connections the gate of a master has.
func (c Conf) Gate() int {
	if c.GateReplicas > 0 {
		return c.GateReplicas
	}
	return c.Nodes
}

// GateBound is the longest time for which a Redis takes writes after its agent
// has stopped acknowledging without closing the gate: it counts whole seconds,
// and looks once a second.
func (c Conf) GateBound() time.Duration { return time.Duration(c.GateLagS+2) * time.Second }

// Check refuses settings that can't be, naming field and remedy.
func (c Conf) Check() error {
	bad := func(field string, value any, want string) error {
		return fmt.Errorf("%w: %s is %v; it has to be %s", ErrBadConf, field, value, want)
	}
	switch {
	case c.V != 1:
		return bad("v", c.V, "1")
	case c.Nodes < 1 || c.Nodes > maxNodes:
		return bad("nodes", c.Nodes, fmt.Sprintf("1 to %d", maxNodes))
	case c.TTL() < session.MinTTL || c.TTLms > maxTTL.Milliseconds():
		return bad("ttl_ms", c.TTLms, fmt.Sprintf("%d to %d", session.MinTTL.Milliseconds(), maxTTL.Milliseconds()))
	case c.GateLagS < 1 || c.GateLagS > maxGateLag:
		return bad("gate_lag_s", c.GateLagS, fmt.Sprintf("1 to %d", maxGateLag))
	case c.GateReplicas != 0 && (c.GateReplicas < c.Nodes || c.GateReplicas > 2*maxNodes):
		return bad("gate_replicas", c.GateReplicas, fmt.Sprintf("0, or nodes to %d: fewer than nodes, and real replicas hold the gate open", 2*maxNodes))
	case c.Sync < 0 || c.Sync > 0 && c.Sync >= c.Nodes:
		return bad("sync", c.Sync, "0 to nodes-1: a master has no more replicas")
	case c.MaxLagBytes < 0:
		return bad("max_lag_bytes", c.MaxLagBytes, "0 or more")
	case c.BidMs < 1 || c.BidMs > 60_000:
		return bad("bid_ms", c.BidMs, "1 to 60000")
	case c.HangMs < 100 || c.HangMs > 3_600_000:
		return bad("hang_ms", c.HangMs, "100 to 3600000")
	case c.FlapMs < 0 || c.FlapMs > 86_400_000:
		return bad("flap_ms", c.FlapMs, "0 to 86400000")
	case len(c.PauseWhy) > maxWhy:
		return bad("pause_why", fmt.Sprintf("%d bytes", len(c.PauseWhy)), fmt.Sprintf("%d at most", maxWhy))
	}
	return nil
}
