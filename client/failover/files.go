package failover

import (
	"encoding/json"
	"fmt"
)

// State is how far the choice of a master has come.
type State string

// The states of a register. doc.go tells what they mean.
const (
	Electing  State = "electing"
	Promoting State = "promoting"
	Running   State = "running"
	Switching State = "switching"
)

// Register is the file master. Its rev is the epoch.
type Register struct {
	State State `json:"state"`
	// Node is the master: to be, when promoting; until it has handed over, when
	// switching; empty when electing. Addr is where its Redis is, Session its
	// agent's session, RunID the process.
	Node    string `json:"node,omitempty"`
	Addr    string `json:"addr,omitempty"`
	Session string `json:"session,omitempty"`
	RunID   string `json:"run_id,omitempty"`
	// ReplID and StartOffset are where the history of the last running master
	// began: who does not have that much has an older history. They stay through
	// an election.
	ReplID      string `json:"replid,omitempty"`
	StartOffset int64  `json:"start_offset"`
	// ReplID2 is the history that was the same up to StartOffset.
	ReplID2 string `json:"replid2,omitempty"`
	// Prev is the master before, or the one that was lost.
	Prev string `json:"prev,omitempty"`
	// PrevRunID is its process.
	PrevRunID string `json:"prev_run_id,omitempty"`
	// PrevOffset is the last offset that was known of it; 0: not known.
	PrevOffset int64 `json:"prev_offset,omitempty"`
	// To is who is to take over, when switching, and when an election followed.
	To string `json:"to,omitempty"`
	// Election is the epoch at which the election or the switch began that led
	// to this state; 0 in electing, whose own epoch it is.
	Election int64 `json:"election,omitempty"`
	// Auto: no operator asked for the failover.
	Auto bool `json:"auto,omitempty"`
	// AcceptedLoss: an operator chose the bid.
	AcceptedLoss bool `json:"accepted_loss,omitempty"`
	// Began is when the failover began: milliseconds since 1970, by the clock of
	// the agent that began it.
	Began int64  `json:"began,omitempty"`
	Why   string `json:"why,omitempty"`

	// Rev is the epoch; 0: there is no register. It is not part of the file.
	Rev int64 `json:"-"`
}

// Writable tells whether clients that want to write have a place to go to.
func (r Register) Writable() bool { return r.State == Running || r.State == Switching }

// Node is the file node/N.
type Node struct {
	Name string `json:"name"`
	// Addr is where Redis is, for clients and for the other nodes.
	Addr string `json:"addr"`
	// Session is the agent's.
	Session string `json:"session"`
	// Agent is host:port of the agent's Sentinel port, Web of its HTTP; empty if
	// it has none.
	Agent string `json:"agent,omitempty"`
	Web   string `json:"web,omitempty"`
	// Priority decides between bids with equal offsets: the higher one wins; 0:
	// never a master.
	Priority int `json:"priority"`
	// Instance is a random text that the agent keeps on its disk: who has the
	// same is the same agent, started again.
	Instance string `json:"instance,omitempty"`
	Host     string `json:"host,omitempty"`
	Version  string `json:"version,omitempty"`
	RunID    string `json:"run_id,omitempty"`

	Rev int64 `json:"-"`
}

// The roles in a Stat.
const (
	RoleMaster  = "master"
	RoleReplica = "replica"
	RoleDown    = "down"
)

// Stat is the file stat/N: how the agent last found its Redis. It changes when
// it means something, so its offset may be old.
type Stat struct {
	Role   string `json:"role"`
	Offset int64  `json:"offset"`
	ReplID string `json:"replid,omitempty"`
	// LagMs is how far a replica is behind: the time since it last heard from its
	// master, in milliseconds.
	LagMs int64 `json:"lag_ms"`
	// Link is "up" or "down": a replica's to its master; "sync" while it loads
	// everything.
	Link string `json:"link,omitempty"`
	// Gate is "open" or "closed".
	Gate  string `json:"gate,omitempty"`
	RunID string `json:"run_id,omitempty"`
	// Epoch is the one that the agent acts by.
	Epoch int64 `json:"epoch"`
	// Note says what keeps the node from taking part.
	Note string `json:"note,omitempty"`
	// At is when it was written: milliseconds since 1970 by the agent's clock.
	At int64 `json:"at"`

	Rev int64 `json:"-"`
}

// Bid is the file bid/E/N: what a node that stands still has.
type Bid struct {
	Node string `json:"node"`
	// Session is the agent's that froze it.
	Session string `json:"session"`
	RunID   string `json:"run_id"`
	// ReplID is the history that it has, to Offset; up to Second it is that of
	// ReplID2 as well. Second is -1 without ReplID2.
	ReplID   string `json:"replid"`
	Offset   int64  `json:"offset"`
	ReplID2  string `json:"replid2,omitempty"`
	Second   int64  `json:"second"`
	Priority int    `json:"priority"`
	// Restarted: its process has ended since it last had all that its master had,
	// and may have lost what it had confirmed.
	Restarted bool `json:"restarted,omitempty"`
	// Partial: it was receiving a whole copy and does not have it.
	Partial bool `json:"partial,omitempty"`
	// Master: it was a master when it was frozen.
	Master bool `json:"master,omitempty"`
	// Keys is how many keys it has.
	Keys int64 `json:"keys"`

	Rev int64 `json:"-"`
}

// The verbs of a Cmd.
const (
	VerbSwitch  = "switch"
	VerbPromote = "promote"
)

// Cmd is the file cmd: what an operator asks the agents for. It is deleted
// when it is done; if it can't be, Error says why and Done is set.
type Cmd struct {
	Verb string `json:"verb"`
	// To is the node that is to be the master; empty: the best.
	To string `json:"to,omitempty"`
	// AcceptLoss: a promoted node may lack writes.
	AcceptLoss bool   `json:"accept_loss,omitempty"`
	ID         string `json:"id"`
	// Epoch is the one that the operator saw: in another nothing is done.
	Epoch int64  `json:"epoch"`
	Done  bool   `json:"done,omitempty"`
	Error string `json:"error,omitempty"`

	Rev int64 `json:"-"`
}

// Hist is the file hist/E: one failover. It is written with the register that
// ends it, and again when it is found what an old master alone had.
type Hist struct {
	// Epoch is that of the election or the switch.
	Epoch int64  `json:"epoch"`
	From  string `json:"from,omitempty"`
	To    string `json:"to"`
	Why   string `json:"why"`
	Auto  bool   `json:"auto,omitempty"`
	// Began and Ended are milliseconds since 1970.
	Began int64 `json:"began"`
	Ended int64 `json:"ended"`
	// ReplID is the history that ended, at Offset, where NewReplID begins.
	ReplID    string `json:"replid,omitempty"`
	Offset    int64  `json:"offset"`
	NewReplID string `json:"new_replid,omitempty"`
	// AcceptedLoss: an operator chose a bid that would have been refused.
	AcceptedLoss bool `json:"accepted_loss,omitempty"`
	// Lost tells what other nodes had beyond Offset, by node; none: nothing, or
	// nobody has come back yet.
	Lost map[string]Lost `json:"lost,omitempty"`

	Rev int64 `json:"-"`
}

// Lost is what one node alone had when another was made the master.
type Lost struct {
	Bytes int64 `json:"bytes"`
	// Commands is how many were saved in File, on the node's host; -1: they could
	// not be saved, and Why says why.
	Commands int64  `json:"commands"`
	File     string `json:"file,omitempty"`
	Why      string `json:"why,omitempty"`
}

// Encode is the value of the register.
func (r Register) Encode() []byte { return encode(r) }

// Encode is the value of the file.
func (n Node) Encode() []byte { return encode(n) }

// Encode is the value of the file.
func (s Stat) Encode() []byte { return encode(s) }

// Encode is the value of the file.
func (b Bid) Encode() []byte { return encode(b) }

// Encode is the value of the file.
func (c Cmd) Encode() []byte { return encode(c) }

// Encode is the value of the file.
func (h Hist) Encode() []byte { return encode(h) }

// ParseRegister reads the file master.
func ParseRegister(value []byte, rev int64) (Register, error) {
	r, err := parse[Register](value, "register")
	if err == nil {
		switch r.State {
		case Electing:
		case Promoting, Running, Switching:
			if r.Node == "" || r.Addr == "" || r.Session == "" {
				err = fmt.Errorf("%w: register: %s without node, addr or session", ErrBadFile, r.State)
			}
		default:
			err = fmt.Errorf("%w: register: state %q", ErrBadFile, r.State)
		}
	}
	r.Rev = rev
	return r, err
}

func parse[T any](value []byte, what string) (T, error) {
	var v T
	if err := json.Unmarshal(value, &v); err != nil {
		return v, fmt.Errorf("%w: %s: %w", ErrBadFile, what, err)
	}
	return v, nil
}

// encode cannot fail: the files have only text and numbers.
func encode(v any) []byte {
	value, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("failover: encode %+v: %v", v, err))
	}
	return value
}

// short cuts a reason to what is kept.
func short(why string) string {
	if len(why) > maxWhy {
		why = why[:maxWhy]
	}
	return why
}

// ParseHist reads a file of the history.
func ParseHist(value []byte) (Hist, error) { return parse[Hist](value, "hist") }
