package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	doozerpb "github.com/doozer-store/doozer/proto"
)

// router decides which node calls go to. Its goroutine, run, is the only one
// that changes main and near; it is told by kick that something may have
// changed, and looks at everything again.
//
// Strong calls (writes and linearizable reads) go to main: the leader if it
// can be reached, else any node. Local reads go to near, a node that may be
// another one, and to main when there is no near. With targetFirst near is a
// node of the target, and main does for it only if it is one too, or if none
// can be reached (astray).
type router struct {
	log         *slog.Logger
	nodes       *nodes
	buffers     bufferPool
	targetFirst bool
	// refresh reads the members' addresses from the cluster.
	refresh func(ctx context.Context) (map[uint64]string, error)
	// onEpoch is called when the store's epoch has changed.
	onEpoch func()

	// ctx ends with the client; wg counts every goroutine of the client.
	ctx context.Context
	wg  sync.WaitGroup

	// Invariant: near is another link than main, and fits.
	main, near atomic.Pointer[link]
	// astray: with targetFirst, no node of the target was reached when they
	// were last tried. Only run sets it.
	astray atomic.Bool
	// kick has a token when run is to look again.
	kick chan struct{}

	mu sync.Mutex
	// changed is closed, and made anew, when main changed or a round failed.
	changed chan struct{}
	// closed: no further goroutine may be counted in wg.
	closed bool
	// failed is why the last round found no node; nil when there is one.
	failed error
	// cluster is the id first seen, epoch the highest.
	cluster []byte
	epoch   uint64

	// Owned by run.
	lastLeave   time.Time // when another main was last looked for
	leavePause  time.Duration
	triedLeader uint64 // the leader that was last tried
	chasePause  time.Duration
	nextChase   time.Time // the earliest, after a leader that knew another
	roundPause  time.Duration
	nextRound   time.Time // the earliest, after one in which no node answered
	nextRefresh time.Time // the earliest
	refreshDue  time.Time // the latest
	nextNear    time.Time // when a near is looked for again, if astray
	refreshing  atomic.Bool
}

// link is a pipe with the node that it goes to.
type link struct {
	*pipe
	n    *node
	conn *grpc.ClientConn
	// leave: calls were answered that the node cannot do them.
	leave atomic.Bool
}

func newRouter(ctx context.Context, cfg *config, addrs []string) *router {
	now := time.Now()
	return &router{
		log: cfg.log, nodes: newNodes(addrs, cfg.dialOptions()), targetFirst: cfg.targetFirst, ctx: ctx,
		kick: make(chan struct{}, 1), changed: make(chan struct{}), nextRefresh: now, refreshDue: now,
	}
}

// wake makes run look again.
func (r *router) wake() {
	select {
	case r.kick <- struct{}{}:
	default:
	}
}

// pick returns where k goes. It waits while there is no node.
func (r *router) pick(ctx context.Context, k *call) (*link, error) {
	for {
		if l := r.choose(k.local); l != nil {
			return l, nil
		}
		r.mu.Lock()
		changed := r.changed
		r.mu.Unlock()
		if l := r.choose(k.local); l != nil {
			return l, nil
		}
		if r.ctx.Err() != nil {
			return nil, ErrClosed
		}
		r.wake()
		if err := await(ctx, changed, k.deadline); err != nil {
			return nil, err
		}
	}
}

// choose returns a usable link for a strong or a local call; nil if none.
func (r *router) choose(local bool) *link {
	if local {
		if l := r.near.Load(); l != nil && l.usable() {
			return l
		}
	}
	l := r.main.Load()
	if l == nil || !l.usable() || local && !r.fits(l) && !r.astray.Load() {
		return nil
	}
	return l
}

// moved is closed when main changes from l; at once if it is another already.
func (r *router) moved(l *link) <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if main := r.main.Load(); main != l && main != nil && main.usable() {
		done := make(chan struct{})
		close(done)
		return done
	}
	return r.changed
}

// announce lets everyone look again who waits for a node.
func (r *router) announce(failed error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = failed
	close(r.changed)
	r.changed = make(chan struct{})
}

// hear takes note of the header of a message of l.
func (r *router) hear(l *link, h *doozerpb.Header) error {
	if err := r.checkCluster(h); err != nil {
		return err
	}
	if l.leader.Swap(h.GetLeader()) != h.GetLeader() || l.stale() {
		r.wake()
	}
	return nil
}

// stale tells whether the node has lost touch with the majority.
func (l *link) stale() bool { return l.age.Load() >= uint64(staleAge.Milliseconds()) }

// checkCluster compares the ids in a header with those known.
func (r *router) checkCluster(h *doozerpb.Header) error {
	r.mu.Lock()
	id := h.GetClusterId()
	if len(r.cluster) == 0 && len(id) > 0 {
		r.cluster = bytes.Clone(id)
	}
	if len(id) > 0 && !bytes.Equal(id, r.cluster) {
		defer r.mu.Unlock()
		return fmt.Errorf("%w: node %d belongs to cluster %x, not %x", ErrWrongCluster, h.GetNode(), id, r.cluster)
	}
	rose := r.epoch != 0 && h.GetEpoch() > r.epoch
	r.epoch = max(r.epoch, h.GetEpoch())
	r.mu.Unlock()
	if rose {
		r.log.Warn("the store was restored from a backup", "epoch", h.GetEpoch())
		r.onEpoch()
	}
	return nil
}

// lost is called, with l.mu held, when l has ended or its node goes away.
func (r *router) lost(l *link, cause error) {
	switch {
	case cause == nil || errors.Is(cause, errDrained) || errors.Is(cause, errLeft) || r.ctx.Err() != nil:
	default:
		r.log.Info("left a node", "addr", l.addr, "reason", cause)
		r.nodes.fail(l.n, l.conn, cause)
	}
	r.wake()
}

// run brings main and near to where they should be whenever something
// changed, until the client is closed; then it ends all pipes.
func (r *router) run() {
	for r.ctx.Err() == nil {
		again := r.settle()
		wait := time.NewTimer(again)
		select {
		case <-r.ctx.Done():
		case <-r.kick:
		case <-wait.C:
		}
		wait.Stop()
	}
	for _, l := range [...]*link{r.main.Load(), r.near.Load()} {
		if l != nil {
			l.end(ErrClosed)
		}
	}
	r.announce(ErrClosed)
}

// settle does what is to be done and returns when to look again at the
// latest. It depends on the present state only, not on what happened, so that
// a kick that is lost in another, or comes twice, does no harm. In order: have
// a main at all; leave one that goes away; leave one without a majority; be at
// the leader; have a near that fits.
func (r *router) settle() time.Duration {
	for r.ctx.Err() == nil {
		r.dropNear()
		now := time.Now()
		main := r.main.Load()
		if main == nil || !main.usable() {
			if again, ok := r.findAny(); !ok {
				return again
			}
			continue
		}
		again := r.startRefresh(now, main)
		moved, wait := r.settleMain(main, now)
		if !moved {
			again = min(again, wait)
			moved, wait = r.settleNear(main, now)
		}
		if !moved {
			return min(again, wait)
		}
	}
	return 0
}

// settleMain moves main, which is usable, to a better node if there is one. If
// it moved nothing, it returns when to try again.
func (r *router) settleMain(main *link, now time.Time) (bool, time.Duration) {
	leader := main.leader.Load()
	find := r.findLed
	switch {
	case main.goingAway.Load():
		find = r.findOther
	case main.leave.Load() || main.stale():
	case leader != 0 && leader != main.node.Load():
		return r.findLeader(main, leader)
	default:
		return false, refreshEvery
	}
	if wait := r.lastLeave.Add(r.leavePause).Sub(now); wait > 0 {
		return false, wait
	}
	return find(main)
}

// findAny races all nodes for the first that answers, whether or not it knows a
// leader: during an election none does, and waiting for a better one would
// only lengthen it. If none answers, findAny returns how long to pause.
func (r *router) findAny() (time.Duration, bool) {
	var prefer uint64
	old := r.main.Load()
	if old != nil {
		prefer = old.leader.Load()
	}
	if near := r.near.Load(); near != nil && near.usable() {
		// It is there already; and it says where the leader is.
		r.near.Store(nil)
		r.setMain(near)
		return 0, true
	}
	now := time.Now()
	if wait := r.nextRound.Sub(now); wait > 0 {
		return wait, false // every call that waits for a node kicks
	}
	l := r.race(r.nodes.order(prefer, now), nil, nil)
	if l == nil {
		r.roundPause = min(max(2*r.roundPause, roundPause), roundPauseMax)
		r.nextRound = time.Now().Add(r.roundPause)
		r.announce(r.nodes.describe())
		return r.roundPause, false
	}
	r.roundPause = 0
	r.setMain(l)
	return 0, true
}

// findOther replaces main, whose node goes away. That node is tried last for a
// while: it may still lead, and is not to be gone back to at once for that. If
// there is no other, findOther returns when to try again.
func (r *router) findOther(main *link) (bool, time.Duration) {
	r.lastLeave = time.Now()
	l := r.race(r.without(main), func() bool { return main.usable() }, nil)
	if l == nil {
		r.leavePause = min(max(2*r.leavePause, dialStagger), roundPauseMax)
		return false, r.leavePause
	}
	r.leavePause = 0
	r.nodes.avoid(main.n, errAway)
	r.setMain(l)
	return true, 0
}

// findLed replaces main, which cannot do what needs a majority, by a node
// that knows a leader. The calls that wait for an answer from main are sent
// again. If there is no such node, the next refusal makes it look again.
func (r *router) findLed(main *link) (bool, time.Duration) {
	main.leave.Store(false)
	r.lastLeave = time.Now()
	l := r.race(r.without(main), func() bool { return main.usable() },
		func(l *link) bool { return l.leader.Load() != 0 && !l.stale() })
	if l == nil {
		r.leavePause = min(max(2*r.leavePause, dialStagger), roundPauseMax)
		return false, refreshEvery
	}
	r.leavePause = dialStagger
	r.setMain(l)
	// It is no good for local reads either: what it has is old.
	r.near.CompareAndSwap(main, nil)
	main.end(errLeft)
	return true, 0
}

// findLeader moves main to the leader. If it cannot, it returns when to try
// again; until then main passes calls on to the leader.
func (r *router) findLeader(main *link, leader uint64) (bool, time.Duration) {
	n := r.nodes.byID(leader)
	if n == nil {
		r.refreshDue = time.Time{}
		return false, refreshPause
	}
	// That a node leads is news that clears it of suspicion, once.
	if ok, at := r.nodes.trusted(n, time.Now()); !ok && leader == r.triedLeader {
		return false, time.Until(at)
	}
	if wait := time.Until(r.nextChase); wait > 0 {
		return false, wait
	}
	r.triedLeader = leader
	l := r.race([]*node{n}, func() bool { return main.usable() && main.leader.Load() == leader }, nil)
	if l == nil {
		return false, roundPauseMax
	}
	// Two nodes may each take the other for the leader, until both know.
	if l.leader.Load() == leader {
		r.chasePause, r.nextChase = 0, time.Time{}
	} else {
		r.chasePause = min(max(2*r.chasePause, dialStagger), roundPauseMax)
		r.nextChase = time.Now().Add(r.chasePause)
	}
	// A near of that node is not made main: what it last said of the leader may
	// be old, and would send calls back.
	if near := r.near.Load(); near != nil && near.n == n {
		r.near.Store(nil)
		near.drain()
	}
	r.setMain(l)
	main.overtake()
	return true, 0
}

// overtake notes that calls go to a new leader from here on. What the node
// still owes then is asked of the leader, if it does not come soon.
func (p *pipe) overtake() { p.overtaken.CompareAndSwap(0, max(1, int64(time.Since(p.start)))) }

// without lists the nodes as they are to be tried, but for l's.
func (r *router) without(l *link) []*node {
	var list []*node
	for _, n := range r.nodes.order(l.leader.Load(), time.Now()) {
		if n != l.n {
			list = append(list, n)
		}
	}
	return list
}

// setMain makes l the main link. What was main before serves local reads if it
// fits and nothing else does; else it ends with its last call. It does so from
// before the change on: at no moment in between would local reads go to l.
func (r *router) setMain(l *link) {
	old := r.main.Load()
	keep := old != nil && old != l && old.usable() && !old.goingAway.Load() && r.fits(old) && r.near.Load() == nil
	if keep {
		r.near.Store(old)
	}
	l.overtaken.Store(0)
	r.main.Store(l)
	r.log.Debug("calls go to", "addr", l.addr, "node", l.node.Load(), "leader", l.leader.Load())
	r.announce(nil)
	if old != nil && old != l && !keep {
		old.drain()
	}
}

// spawn runs fn on a goroutine that the end of the client waits for, for
// those who are not on such a goroutine themselves. It refuses, with false,
// when the client is closed.
func (r *router) spawn(fn func()) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	r.wg.Go(fn)
	return true
}

// close ends everything and waits for it. The caller has canceled ctx.
func (r *router) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.nodes.close()
	r.wg.Wait()
}

// startRefresh reads the members' addresses when it is time, on a goroutine
// of its own, and returns when the next time is.
func (r *router) startRefresh(now time.Time, main *link) time.Duration {
	due := r.refreshDue
	if l := main.leader.Load(); l != 0 && r.nodes.byID(l) == nil {
		due = now
	}
	if due.Before(r.nextRefresh) {
		due = r.nextRefresh
	}
	if wait := due.Sub(now); wait > 0 {
		return wait
	}
	r.nextRefresh, r.refreshDue = now.Add(refreshPause), now.Add(refreshEvery)
	if !r.refreshing.Swap(true) {
		r.wg.Go(func() {
			defer r.refreshing.Store(false)
			addrs, err := r.refresh(r.ctx)
			if err == nil {
				r.nodes.learn(addrs)
				r.wake()
			} else if r.ctx.Err() == nil {
				r.log.Debug("could not read the members", "err", err)
			}
		})
	}
	return refreshPause
}
