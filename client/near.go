package client

import (
	"time"

	"google.golang.org/grpc"
)

// What any one node can answer goes where it costs least: near, for calls on a
// pipe; usual, for watches and logs, which have streams of their own. Without
// targetFirst both mean a node that has a connection already.
//
// With targetFirst the caller wants to hear a particular node, perhaps because
// it is the one that is cut off from the others. The rules are then:
//
//   - near is a node of the target, or there is none; a link that does not fit
//     is never kept for local reads.
//   - That a node is old, or knows no leader, is no reason to leave it: that is
//     what its local reads are asked for. Only main leaves it.
//   - While the target has not been tried, local reads wait. When none of its
//     nodes can be reached they go to main, and the target is tried again every
//     suspectFor.

// fits tells whether l is where local reads are wanted to go.
func (r *router) fits(l *link) bool { return !r.targetFirst || l.n.given }

// dropNear gives near up when it has ended or goes away.
func (r *router) dropNear() {
	near := r.near.Load()
	if near == nil || near.usable() && !near.goingAway.Load() {
		return
	}
	r.near.Store(nil)
	if near != r.main.Load() {
		near.drain()
	}
}

// settleNear finds a near where none is that fits: a link of its own to the
// first node of the target that answers. Until that was tried local reads wait;
// if it was in vain they go to main, and it is tried again after a while.
func (r *router) settleNear(main *link, now time.Time) (bool, time.Duration) {
	if r.near.Load() != nil || r.fits(main) {
		r.astray.Store(false)
		return false, refreshEvery
	}
	if wait := r.nextNear.Sub(now); r.astray.Load() && wait > 0 {
		return false, wait
	}
	var list []*node
	for _, n := range r.nodes.order(0, now) {
		if n.given {
			list = append(list, n)
		}
	}
	leader := main.leader.Load()
	wanted := func() bool {
		return main.usable() && !main.goingAway.Load() && !main.leave.Load() && main.leader.Load() == leader
	}
	l := r.race(list, wanted, nil)
	if l == nil && !wanted() {
		return false, dialStagger // called off: main comes first
	}
	if l != nil {
		r.near.Store(l)
	}
	r.astray.Store(l == nil)
	r.nextNear = time.Now().Add(suspectFor)
	r.announce(nil)
	return l != nil, suspectFor
}

// usual returns where watches and logs go: the node of near or of main if it
// fits, else one that would and is no suspect, else any, those with a connection
// first; not avoid, if there is another.
func (r *router) usual(avoid *node) *node {
	for _, l := range [...]*link{r.near.Load(), r.main.Load()} {
		if l != nil && l.usable() && !l.goingAway.Load() && l.n != avoid && r.fits(l) {
			return l.n
		}
	}
	now := time.Now()
	list := r.nodes.order(0, now)
	if r.targetFirst {
		for _, n := range list {
			if ok, _ := r.nodes.trusted(n, now); ok && n.given && n != avoid {
				return n
			}
		}
	}
	for _, n := range list {
		if n != avoid {
			return n
		}
	}
	return list[0]
}

// unfit notes that a watch or log could not use conn. If calls do use it,
// they decide about it.
func (r *router) unfit(n *node, conn *grpc.ClientConn, err error) {
	for _, l := range [...]*link{r.near.Load(), r.main.Load()} {
		if l != nil && l.usable() && l.conn == conn {
			return
		}
	}
	r.nodes.fail(n, conn, err)
}
