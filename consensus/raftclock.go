package consensus

import (
	"time"

	"go.etcd.io/raft/v3"
)

// raftClock decides when raft is given its ticks. A tick that could change
// nothing but a counter is not waited for: it is given later, with the first
// that may do something. So an idle leader wakes to send heartbeats, and an
// idle follower that hears them does not wake by its clock at all. Owned by
// the core.
type raftClock struct {
	tick time.Duration
	// base is up to when raft was given its ticks, a multiple of tick after
	// the start; due is when it is to be given the next.
	base, due time.Time
	// count is how many ticks raft has had since it began to count anew: on a
	// leader since the last heartbeat, else since it heard the leader. It may
	// be too high, which costs a wake-up, but not too low.
	count int
}

func (k *raftClock) init(cfg *Config, now time.Time) {
	k.tick, k.base, k.due = cfg.Tick, now, now.Add(cfg.Tick)
}

// elapsed returns how many ticks have passed since base.
func (k *raftClock) elapsed(now time.Time) int { return max(0, int(now.Sub(k.base)/k.tick)) }

// restart is called when raft has begun to count anew, as it does when it
// hears the leader and when role or term change: what it was not given before
// is of no use to it.
func (k *raftClock) restart(now time.Time) {
	k.base = k.base.Add(time.Duration(k.elapsed(now)) * k.tick)
	k.count = 0
}

// plan sets due, after what has happened is known to raft. While anything
// waits that has a deadline or is tried again, the ticks are given one by one;
// so they are while there is no leader, and when a follower has not heard its
// leader for so long that it will soon campaign: at least for a heartbeat it has
// been awake then, and a process that was stopped, or starved, has read what
// its leader sent meanwhile.
func (k *raftClock) plan(c *core) {
	n := 1
	if c.idle() {
		if c.role == raft.StateLeader {
			n = c.cfg.HeartbeatTicks - k.count
		} else {
			n = c.cfg.ElectionTicks - c.cfg.HeartbeatTicks - 1 - k.count
		}
	}
	// Where an idle node is given something to do, what it has slept is due.
	n = max(n, 1, k.elapsed(c.now))
	k.due = k.base.Add(time.Duration(n) * k.tick)
}

// take returns how many ticks raft is to be given at now: those that were
// planned, once all of them have passed, and none for the time by which the
// driver comes too late. A process that did not run could not hear either: to
// a follower that comes later than a heartbeat the time counts as one tick,
// since its sleep may have been no more than the beginning of a pause. A
// leader has at most a heartbeat's ticks due, and must send it at once.
func (k *raftClock) take(c *core) int {
	if c.now.Before(k.due) {
		return 0
	}
	n := int(k.due.Sub(k.base) / k.tick)
	if c.role != raft.StateLeader && c.now.Sub(k.due) > c.cfg.heartbeat() {
		n = 1
	}
	k.base = k.base.Add(time.Duration(k.elapsed(c.now)) * k.tick)
	k.count += n
	if c.role == raft.StateLeader {
		k.count %= c.cfg.HeartbeatTicks
	}
	return n
}

// idle tells that nothing here has a deadline or would be tried again: raft's
// own clock is all that goes on.
func (c *core) idle() bool {
	return c.leader != raft.None && (c.role == raft.StateLeader || c.role == raft.StateFollower) &&
		len(c.queue) == 0 && len(c.foreign) == 0 && !c.resend.gaveUp &&
		len(c.reads.waiting) == 0 && len(c.reads.open) == 0 && c.pending.empty()
}
