package main

import (
	"bufio"
	"cmp"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/doozer-store/doozer/client"
)

// Nodes disagree: one that is cut off takes an old leader for the present one,
// and knows old members. So one node is believed about the cluster, the chief,
// and every other node only about itself. The leader of the highest term is the
// best chief there can be: raft has one leader a term, and a higher one has more
// recently been elected. Without a leader the node with the most recent state is.

// health is what the answers of all nodes say about the cluster.
type health struct {
	nodes []client.NodeStatus // by id, those without one last
	// The node that is believed about the cluster: the leader, else the one
	// with the highest term and rev; nil when none answered.
	chief     *client.NodeStatus
	leader    uint64 // id; 0: none
	voters    map[uint64]bool
	reachable int
	majority  bool // a majority of the voters answered
}

// newHealth sorts and judges what Status returned; it keeps nothing of nodes.
func newHealth(nodes []client.NodeStatus) *health {
	h := &health{nodes: withUnasked(nodes), voters: map[uint64]bool{}}
	slices.SortStableFunc(h.nodes, func(a, b client.NodeStatus) int {
		// An id of 0 wraps around to the end.
		return cmp.Or(cmp.Compare(a.ID-1, b.ID-1), cmp.Compare(a.Addr, b.Addr))
	})
	for i := range h.nodes {
		n := &h.nodes[i]
		if !n.Reachable {
			continue
		}
		h.reachable++
		if h.chief == nil || cmp.Or(
			cmp.Compare(n.Term, h.chief.Term),
			-cmp.Compare(b2i(h.chief.Role == client.RoleLeader), b2i(n.Role == client.RoleLeader)),
			cmp.Compare(n.Rev, h.chief.Rev)) > 0 {
			h.chief = n
		}
	}
	if h.chief == nil {
		return h
	}
	if h.chief.Role == client.RoleLeader {
		h.leader = h.chief.ID
	}
	h.count()
	return h
}

// count finds the voters and whether most of them answered, and names those
// that did not. Where no member list is known, all that were asked vote.
func (h *health) count() {
	names := map[uint64]string{}
	for _, m := range h.chief.Members {
		h.voters[m.ID], names[m.ID] = m.Voter, m.Name
	}
	voters, answered := 0, 0
	for i, n := range h.nodes {
		h.nodes[i].Name = cmp.Or(n.Name, names[n.ID])
		if len(h.chief.Members) > 0 && !h.voters[n.ID] {
			continue
		}
		voters++
		answered += b2i(n.Reachable)
	}
	h.majority = answered > voters/2
}

// withUnasked adds those members that some node knows and that were not asked.
func withUnasked(nodes []client.NodeStatus) []client.NodeStatus {
	all := slices.Clone(nodes)
	for _, n := range nodes {
		for _, m := range n.Members {
			known := slices.ContainsFunc(all, func(o client.NodeStatus) bool {
				return o.ID == m.ID || o.Addr == m.Addr
			})
			if !known {
				all = append(all, client.NodeStatus{Addr: m.Addr, ID: m.ID, Name: m.Name})
			}
		}
	}
	return all
}

// b2i makes flags comparable and countable.
func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// lag is how many revs n is behind the leader, or where there is none behind
// the chief.
func (h *health) lag(n client.NodeStatus) int64 { return max(0, h.chief.Rev-n.Rev) }

// role is what n does; a node that is gone may be known not to vote.
func (h *health) role(n client.NodeStatus) string {
	switch {
	case !n.Reachable:
		return "-"
	case n.ID == h.leader:
		return string(n.Role) + "*"
	case n.Role == client.RoleFollower && len(h.voters) > 0 && !h.voters[n.ID]:
		return "standby"
	}
	return string(n.Role)
}

// trouble says why n is not reachable, or not ready; empty when all is well.
func trouble(n client.NodeStatus) string {
	switch {
	case n.Reachable:
		return n.NotReady
	case n.Err != nil:
		return strings.TrimPrefix(reason(n.Err), client.ErrUnreachable.Error()+": ")
	}
	return "not asked"
}

// summary is the line above the table.
func (h *health) summary() string {
	id, epoch, leader := "-", "-", "NO LEADER"
	if h.chief != nil {
		id = orDash(hex.EncodeToString(h.chief.ClusterID))
		epoch = strconv.FormatUint(h.chief.Epoch, 10)
	}
	if h.leader != 0 {
		leader = "leader " + strings.TrimSpace(plain(h.chief.Name)+" ") + " (" + idText(h.leader) + ")"
	}
	return fmt.Sprintf("cluster %s, epoch %s, %d of %d reachable, %s", id, epoch, h.reachable, len(h.nodes), leader)
}

// print writes the summary and a row for each node.
func (h *health) print(out *bufio.Writer) error {
	if _, err := out.WriteString(h.summary() + "\n\n"); err != nil {
		return err
	}
	t := newTable(out, true, column{"ID", true}, column{"NAME", false}, column{"ROLE", false},
		column{"ADDRESS", false}, column{"REV", true}, column{"LAG", true}, column{"AGE", true},
		column{"DB", true}, column{"LOG", true}, column{"VERSION", false}, column{"REACHABLE", false})
	for _, n := range h.nodes {
		id, name, addr := idText(n.ID), orDash(plain(n.Name)), orDash(plain(n.Addr))
		if !n.Reachable {
			t.add(id, name, h.role(n), addr, "-", "-", "-", "-", "-", "-", "no: "+plain(trouble(n)))
			continue
		}
		yes := "yes"
		if why := trouble(n); why != "" {
			yes += ", not ready: " + plain(why)
		}
		t.add(id, name, h.role(n), addr, strconv.FormatInt(n.Rev, 10), strconv.FormatInt(h.lag(n), 10),
			span(n.Age), size(n.DBSize), size(n.LogSize), orDash(plain(n.Version)), yes)
	}
	return t.flush()
}
