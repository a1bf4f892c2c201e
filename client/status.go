package client

import (
	"context"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"

	doozerpb "github.com/doozer-store/doozer/proto"
)

// Status asks every node that the client knows, in parallel, one second each
// (WithStatusTimeout): itself, so that no node answers for another, and without a majority.
// A node that does not answer is in the result too, with the reason. The
// error is only that of ctx, or ErrClosed.
func (c *Client) Status(ctx context.Context) ([]NodeStatus, error) {
	if c.router.ctx.Err() != nil {
		return nil, &OpError{Op: "status", Err: ErrClosed}
	}
	c.learnMembers(ctx)
	targets := c.router.nodes.targets()
	list := make([]NodeStatus, len(targets))
	var wg sync.WaitGroup
	for i, t := range targets {
		wg.Go(func() { list[i] = c.statusOf(ctx, t) })
	}
	wg.Wait()
	err := ctx.Err()
	if c.router.ctx.Err() != nil {
		err = ErrClosed
	}
	if err != nil {
		return nil, &OpError{Op: "status", Err: err}
	}
	// An address without an id may have turned out to be a known node's.
	seen := make(map[uint64]bool)
	list = slices.DeleteFunc(list, func(s NodeStatus) bool {
		again := s.ID != 0 && seen[s.ID]
		seen[s.ID] = true
		return again
	})
	return list, nil
}

// learnMembers brings the table up to date, as far as a node can tell: Status
// is asked most when the table is stale. Its failure is no error, and it does
// not wait for nodes that have all just been tried in vain.
func (c *Client) learnMembers(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.status)
	defer cancel()
	if c.waitOpen(ctx) != nil {
		return
	}
	if addrs, err := c.readMembers(ctx); err == nil {
		c.router.nodes.learn(addrs)
	}
}

// statusOf asks one node, over a connection of its own. The one that calls use
// is the router's, which closes it as soon as it finds the node dead: what was
// under way on it ends without the reason. And that a node still takes
// connections is part of how it is.
func (c *Client) statusOf(ctx context.Context, t target) NodeStatus {
	s := NodeStatus{ID: t.id, Addr: t.addr}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.status)
	defer cancel()
	defer context.AfterFunc(c.router.ctx, cancel)()
	conn, err := grpc.NewClient("passthrough:///"+t.addr, c.router.nodes.dial...)
	if err != nil {
		s.Err = err
		return s
	}
	defer closeConn(conn)
	res, err := doozerpb.NewDoozerClient(conn).Status(ctx, &doozerpb.StatusRequest{})
	if err != nil {
		s.Err = rpcError(err)
		return s
	}
	s.fill(res)
	return s
}

// fill takes over what the node says. Fields of the protocol that it leaves out,
// being older than the client, are zero.
func (s *NodeStatus) fill(res *doozerpb.StatusResponse) {
	h := res.GetHeader()
	s.Reachable, s.ID, s.Name = true, h.GetNode(), res.GetName()
	s.Role, s.Leader, s.Term = roleOf(res.GetRole()), h.GetLeader(), res.GetTerm()
	s.AppliedIndex, s.CommitIndex = res.GetAppliedIndex(), res.GetCommitIndex()
	s.LastIndex, s.CheckpointIndex = res.GetLastIndex(), res.GetCheckpointIndex()
	s.Rev, s.Oldest, s.Hash = h.GetRev(), res.GetOldestRev(), res.GetHash()
	s.Age = time.Duration(h.GetAgeMs()) * time.Millisecond
	s.DBSize, s.LogSize = res.GetDbSize(), res.GetLogSize()
	s.Files, s.Watchers, s.Clients = res.GetFiles(), res.GetWatchers(), res.GetClients()
	s.Version, s.Started = res.GetVersion(), timeOf(res.GetStarted())
	s.ClusterID, s.Epoch = h.GetClusterId(), h.GetEpoch()
	s.Members, s.NotReady = membersOf(res.GetMembers()), res.GetNotReady()
}

// roleOf maps the protocol's roles; one that is unknown here is a follower.
func roleOf(r doozerpb.StatusResponse_Role) Role {
	switch r {
	case doozerpb.StatusResponse_LEADER:
		return RoleLeader
	case doozerpb.StatusResponse_CANDIDATE:
		return RoleCandidate
	case doozerpb.StatusResponse_LEARNER:
		return RoleLearner
	}
	return RoleFollower
}

// membersOf keeps the node's order.
func membersOf(list []*doozerpb.Member) []Member {
	var members []Member
	for _, m := range list {
		members = append(members, Member{
			ID: m.GetId(), Name: m.GetName(), Addr: m.GetAddr(), PeerAddr: m.GetPeerAddr(),
			Voter: m.GetVoter(), Match: m.GetMatch(), Connected: m.GetConnected(), Version: m.GetVersion(),
		})
	}
	return members
}
