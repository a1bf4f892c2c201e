package failover

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Choice is the outcome of an election so far.
type Choice struct {
	// Winner is nil as long as there is none.
	Winner *Bid
	// Wait is how long to wait for more bids before it is looked at again; 0:
	// until something changes.
	Wait time.Duration
	// Why says what keeps the election from ending.
	Why string
	// AcceptedLoss: an operator chose the winner, against a rule.
	AcceptedLoss bool
}

// Elect looks at the bids of an election that this agent has seen for since,
// and at bids for sinceBid (negative: there is none).
//
// A bid counts if its history has the one with which the last master began. Of
// those the one wins that has most of that history; then a master that kept
// running, then the higher priority, then the name.
func Elect(v *View, since, sinceBid time.Duration) Choice {
	bids := standing(v)
	if cmd := promoteCmd(v); cmd != nil {
		if w := chosen(bids, cmd); w != nil {
			return Choice{Winner: w, AcceptedLoss: true}
		}
	}
	if missing := missingBids(v, bids); missing > 0 {
		limit := v.Conf.Bid()
		switch {
		case v.Register.ReplID == "":
			return Choice{Why: fmt.Sprintf("the first election: %d of %d nodes have no bid", missing, max(v.Conf.Nodes, len(v.Nodes)))}
		case sinceBid < 0:
			return Choice{Why: "no bids"}
		case v.Conf.Failsafe:
			// A node that lives and does not bid may have promised to wait.
			return Choice{Why: fmt.Sprintf("%d nodes live and have no bid", missing)}
		case sinceBid < limit:
			return Choice{Wait: limit - sinceBid, Why: fmt.Sprintf("%d nodes live and have no bid", missing)}
		}
	}
	fit := slices.DeleteFunc(slices.Clone(bids), func(b Bid) bool { return !eligible(v, &b) })
	if all := max(v.Conf.Nodes, len(v.Nodes)); v.Conf.Failsafe && 2*len(bids) <= all {
		return Choice{Why: fmt.Sprintf("failsafe: the bids of more than half of %d nodes are needed; doozer redis promote --accept-loss does not wait", all)}
	}
	if len(fit) == 0 {
		return Choice{Why: fmt.Sprintf("none of %d bids has what the last master began with; doozer redis promote --accept-loss chooses one all the same", len(bids))}
	}
	if why := divergent(v, fit); why != "" {
		return Choice{Why: why}
	}
	if why := tooFew(v, fit); why != "" {
		return Choice{Why: why}
	}
	slices.SortFunc(fit, func(a, b Bid) int { return better(v, &a, &b) })
	w := fit[0]
	if lag := v.Register.PrevOffset - reach(v, &w); v.Conf.MaxLagBytes > 0 && lag > v.Conf.MaxLagBytes {
		return Choice{Why: fmt.Sprintf("the best bid, of %s, is %d bytes behind; max_lag_bytes is %d; doozer redis promote --accept-loss chooses it all the same", w.Node, lag, v.Conf.MaxLagBytes)}
	}
	return Choice{Winner: &w}
}

// standing are the bids of agents that live, each of its present session.
func standing(v *View) []Bid {
	var list []Bid
	for _, b := range v.Bids {
		if n, ok := v.Node(b.Node); ok && n.Alive && n.Session == b.Session {
			list = append(list, b)
		}
	}
	return list
}

// missingBids is how many nodes have no bid that should have one: those that
// live and whose Redis is not known to be down; in a first election, all.
func missingBids(v *View, bids []Bid) int {
	n := 0
	for i := range v.Nodes {
		node := &v.Nodes[i]
		expected := node.Alive && node.Stat.Role != RoleDown || v.Register.ReplID == ""
		if expected && !slices.ContainsFunc(bids, func(b Bid) bool { return b.Node == node.Name }) {
			n++
		}
	}
	if v.Register.ReplID == "" {
		n += max(0, v.Conf.Nodes-len(v.Nodes))
	}
	return n
}

// promoteCmd is an operator's wish to have a master at any price.
func promoteCmd(v *View) *Cmd {
	if c := v.Cmd; c != nil && c.Verb == VerbPromote && c.AcceptLoss && !c.Done && c.Epoch == v.Epoch {
		return c
	}
	return nil
}

// chosen is the bid that the operator's command names, or the one with the
// highest offset of the most common history.
func chosen(bids []Bid, cmd *Cmd) *Bid {
	var best *Bid
	for i := range bids {
		b := &bids[i]
		if cmd.To != "" && b.Node != cmd.To {
			continue
		}
		if best == nil || !b.Partial && (best.Partial || b.Offset > best.Offset) {
			best = b
		}
	}
	return best
}

func eligible(v *View, b *Bid) bool {
	return b.Priority > 0 && !b.Partial && reach(v, b) >= 0
}

// reach is how far a bid goes in the history that the register names; -1: it has
// another history, or not as much as the last master began with.
func reach(v *View, b *Bid) int64 {
	r := &v.Register
	switch {
	case r.ReplID == "":
		return b.Offset
	case b.ReplID == r.ReplID && b.Offset >= r.StartOffset:
		return b.Offset
	case b.ReplID2 == r.ReplID && b.Second-1 >= r.StartOffset && b.Offset >= b.Second-1:
		// It was to be the master and did not become it.
		return b.Second - 1
	case r.ReplID2 != "" && b.ReplID == r.ReplID2 && b.Offset == r.StartOffset:
		return b.Offset
	}
	return -1
}

// better orders bids: the best one first.
func better(v *View, a, b *Bid) int {
	empty := func(x *Bid) int {
		if v.Register.ReplID == "" && x.Keys == 0 {
			return 1
		}
		return 0
	}
	master := func(x *Bid) int {
		if x.Master {
			return 0
		}
		return 1
	}
	wanted := func(x *Bid) int {
		if x.Node == v.Register.To {
			return 0
		}
		return 1
	}
	return cmp.Or(
		cmp.Compare(empty(a), empty(b)),
		cmp.Compare(reach(v, b), reach(v, a)),
		cmp.Compare(wanted(a), wanted(b)),
		cmp.Compare(master(a), master(b)),
		cmp.Compare(b.Priority, a.Priority),
		cmp.Compare(a.Node, b.Node),
	)
}

// divergent finds, in a first election, servers that hold different data: one of
// them would be emptied.
func divergent(v *View, bids []Bid) string {
	if v.Register.ReplID != "" {
		return ""
	}
	var first *Bid
	for i := range bids {
		b := &bids[i]
		switch {
		case b.Keys == 0:
		case first == nil:
			first = b
		case !akin(first, b):
			return fmt.Sprintf("%s (%d keys) and %s (%d keys) hold data that are no copies of each other; empty one, or doozer redis promote --accept-loss NODE chooses", first.Node, first.Keys, b.Node, b.Keys)
		}
	}
	return ""
}

// akin tells that two bids have a history in common.
func akin(a, b *Bid) bool {
	return a.ReplID == b.ReplID || a.ReplID2 != "" && a.ReplID2 == b.ReplID || b.ReplID2 != "" && b.ReplID2 == a.ReplID
}

// tooFew says, in sync mode, why the bids do not prove that one of them has
// every write that k replicas have confirmed: each such write is on k of the R
// replicas, so any R-k+1 of them have one that has it.
func tooFew(v *View, fit []Bid) string {
	k := v.Conf.Sync
	if k == 0 || v.Register.ReplID == "" {
		return ""
	}
	n := 0
	for i := range fit {
		b := &fit[i]
		if b.Node == v.Register.Prev && b.RunID == v.Register.PrevRunID && b.Master {
			return "" // it is the one that all writes went to
		}
		if !b.Restarted && b.Node != v.Register.Prev {
			n++
		}
	}
	need := max(v.Conf.Nodes, len(v.Nodes)) - 1 - k + 1
	if n < need {
		return fmt.Sprintf("sync is %d: %d bids of replicas that did not restart are needed, there are %d; doozer redis promote --accept-loss does not wait", k, need, n)
	}
	return ""
}
