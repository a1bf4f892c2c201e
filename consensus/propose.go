package consensus

import (
	"encoding/binary"
	"slices"
	"time"

	"go.etcd.io/raft/v3"
)

// handOver gives what waits to the leader: as one entry to raft when that is
// this node, else by forwarding. It reports whether raft was given something.
func (c *core) handOver() bool {
	switch {
	case len(c.queue) == 0 && len(c.foreign) == 0:
		return false
	case c.role == raft.StateLeader:
		return c.proposeEntry()
	case c.leader != raft.None && c.leader != c.cfg.ID:
		c.forward()
	}
	return false
}

// proposeEntry makes one entry of what waits, if the pipeline has room.
func (c *core) proposeEntry() bool {
	if c.refused || c.gathering {
		return false
	}
	n, groups, size := c.nextEntry()
	// What is not committed is on its way to a majority: wait for it, and let
	// the next entry grow meanwhile, unless it is full already.
	if c.open() >= c.limits.Pipeline && size < c.limits.EntryBytes {
		return false
	}
	if cap(c.entry) < size || cap(c.entry) > 2*c.limits.EntryBytes {
		c.entry = make([]byte, 0, size)
	}
	data := appendEntryHeader(c.entry[:0], c.cfg.Wall())
	for _, g := range c.foreign[:groups] {
		data = append(data, g...)
	}
	if n > 0 {
		c.pending.hand(c.queue[:n], c.term)
		data = appendGroup(data, c.cfg.ID, c.cfg.Nonce, c.queue[:n])
	}
	c.entry = data
	if err := c.raw.Propose(data); err != nil {
		// Too much is uncommitted, or leadership is being handed over.
		c.pending.unhand(c.queue[:n])
		c.refused = true
		return false
	}
	for _, g := range c.foreign[:groups] {
		c.foreignBytes -= int64(len(g))
	}
	c.foreign = dropFront(c.foreign, groups)
	c.queue = dropFront(c.queue, n)
	c.crowd = n+groups > 1
	return true
}

// open returns how many entries have no majority yet.
func (c *core) open() uint64 { return c.lastIndex - min(c.pending.commit.Load(), c.lastIndex) }

// waiting returns how much waits to be handed over.
func (c *core) waiting() int { return len(c.queue) + len(c.foreign) }

// mayGather reports whether an entry could be made now, and is likely to grow
// when it is not: the last one was not of one write alone.
func (c *core) mayGather() bool {
	if c.role != raft.StateLeader || !c.crowd || c.waiting() == 0 || c.open() >= c.limits.Pipeline {
		return false
	}
	_, _, size := c.nextEntry()
	return size < c.limits.EntryBytes
}

// nextEntry tells how many of the queue and of foreign go into the next entry,
// and about its size. Where both wait, the queue gets half of it.
func (c *core) nextEntry() (n, groups, size int) {
	limit := c.limits.EntryBytes
	own := limit
	if len(c.foreign) > 0 {
		own = limit / 2
	}
	size = entryHeaderSize + groupOverhead
	for n < len(c.queue) && size < max(own, entryHeaderSize+groupOverhead+1) {
		size += len(c.queue[n].data) + commandOverhead
		n++
	}
	for groups < len(c.foreign) && (size < limit || n+groups == 0) {
		size += len(c.foreign[groups])
		groups++
	}
	return n, groups, size
}

const (
	// forwardBytes is the size at which a forwarded group ends.
	forwardBytes = 256 << 10
	// commandOverhead and groupOverhead are about what an entry holds beside a
	// command and a group.
	commandOverhead = 16
	groupOverhead   = 32
	// maxSenders bounds the processes whose commands a leader takes in a term.
	maxSenders = 4096
)

// forward sends what waits to the leader: the number before which the leader
// must have taken everything, then the group.
func (c *core) forward() {
	for len(c.queue) > 0 && c.cfg.Transport.Connected(c.leader) {
		n, size := 0, 0
		for n < len(c.queue) && (n == 0 || size < forwardBytes) {
			size += len(c.queue[n].data) + commandOverhead
			n++
		}
		live := c.pending.hand(c.queue[:n], c.term)
		if len(live) > 0 {
			data := binary.AppendUvarint(make([]byte, 0, size+groupOverhead+binary.MaxVarintLen64), c.sent)
			data = appendGroup(data, c.cfg.ID, c.cfg.Nonce, live)
			if !c.cfg.Transport.Forward(c.leader, c.term, data) {
				c.pending.unhand(live)
				return
			}
			c.sent = live[len(live)-1].id
			c.pending.forwarded(live)
		}
		c.queue = dropFront(c.queue, n)
	}
}

// forwarded takes a group of commands from a follower. It is dropped unless
// this node leads exactly the term the follower meant: the follower finds out
// by what it applies. It is also dropped when there is no room, or when it
// does not follow what was taken: the follower sends all of it again.
func (c *core) forwarded(now time.Time, from, term uint64, data []byte) {
	c.now = now
	if c.role != raft.StateLeader || term != c.term {
		return
	}
	var r entryReader
	before, data, err := r.forwarded(data, from)
	if err != nil {
		c.log.Warn("forwarded commands refused", "peer", from, "err", err)
		return
	}
	key := sender{from, r.groups[0].nonce}
	taken, known := c.taken[key]
	ids := r.groups[0].ids
	switch last := ids[len(ids)-1]; {
	case last <= taken, before > taken, !known && len(c.taken) >= maxSenders:
		return
	case c.foreignBytes > 0 && c.foreignBytes+int64(len(data)) > c.limits.PendingBytes:
		return
	}
	if ids[0] <= taken {
		data = regroup(&r, taken)
	}
	c.taken[key] = ids[len(ids)-1]
	c.foreign = append(c.foreign, data)
	c.foreignBytes += int64(len(data))
}

// regroup encodes the group in r again without the numbers up to taken.
func regroup(r *entryReader, taken uint64) []byte {
	g := r.groups[0]
	var ps []*proposal
	for i, id := range g.ids {
		if id > taken {
			ps = append(ps, &proposal{id: id, data: r.commands[i]})
		}
	}
	return appendGroup(nil, g.origin, g.nonce, ps)
}

// requeue takes back what was handed over in a term below the given one, an
// entry of which has been applied here: it is not in the log.
func (c *core) requeue(term uint64) {
	if ps := c.pending.takeBelow(term); len(ps) > 0 {
		// Those that are sent again have numbers, and go first.
		at := slices.IndexFunc(c.queue, func(p *proposal) bool { return !p.resend })
		if at < 0 {
			at = len(c.queue)
		}
		c.queue = slices.Insert(c.queue, at, ps...)
	}
}

// requeueForwarded queues what was forwarded to the present leader once more:
// the leader knows by the numbers what it has. The numbers must reach it in
// order, so these go first.
func (c *core) requeueForwarded() {
	if c.role == raft.StateLeader {
		return
	}
	c.dropResends()
	c.sent = 0
	if ps := c.pending.resend(c.term); len(ps) > 0 {
		c.queue = append(ps, c.queue...)
	}
}

// dropResends leaves only those in the queue that no leader has.
func (c *core) dropResends() {
	c.queue = slices.DeleteFunc(c.queue, func(p *proposal) bool { return p.resend })
}

// skipped gives up what was handed over up to the term of a snapshot that
// replaced part of the log: the node did not see those entries. Those of them
// that wait to be sent again are dropped from the queue by hand.
func (c *core) skipped(now time.Time, term uint64) {
	c.now = now
	for _, p := range c.pending.takeSkipped(term) {
		c.resend.gaveUp = true
		c.out.expired = append(c.out.expired, expiry{proposal: p, err: ErrUnknown})
	}
}

// propose queues proposals, which have rising ids.
func (c *core) propose(now time.Time, ps []*proposal) {
	c.now = now
	c.queue = append(c.queue, ps...)
}

// expire ends what is past its deadline.
func (c *core) expire() {
	c.queue = slices.DeleteFunc(c.queue, func(p *proposal) bool {
		if p.deadline.After(c.now) {
			return false
		}
		if !p.resend { // else pending has it too, and ends it below
			c.out.expired = append(c.out.expired, expiry{proposal: p, err: ErrDeadline})
		}
		return true
	})
	for _, p := range c.pending.takeExpired(c.now) {
		c.resend.gaveUp = true
		c.out.expired = append(c.out.expired, expiry{proposal: p, err: ErrUnknown})
	}
	c.reads.expire(c)
}
