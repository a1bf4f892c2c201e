package transport

import (
	"go.etcd.io/raft/v3/raftpb"

	"github.com/doozer-store/doozer/proto/peerpb"
)

// Estimated bytes of a message, entry or command beside its payload.
const (
	messageOverhead = 64
	entryOverhead   = 24
	commandOverhead = 16
	// What an envelope adds to the largest message in it.
	messageSlack = 64 << 10
	// Hashes are for comparison, and the newest ones do.
	maxHashes = 64
)

// queue holds what waits for a stream. What went into it counts until it is
// sent, also while the sender has it.
type queue struct {
	urgent   []*raftpb.Message
	normal   []*raftpb.Message
	forwards []forward
	hashes   []*peerpb.StateHash
	bytes    int
	count    int
}

// forward is a batch of commands for the leader of a term.
type forward struct {
	term uint64
	ids  []uint64
	data [][]byte
}

func (q *queue) empty() bool {
	return len(q.urgent)+len(q.normal)+len(q.forwards)+len(q.hashes) == 0
}

// room takes bytes and count into the queue, if both fit.
func (q *queue) room(l Limits, bytes, count int) bool {
	if q.bytes+bytes > l.QueueBytes || q.count+count > l.QueueMessages {
		return false
	}
	q.bytes += bytes
	q.count += count
	return true
}

// urgent says whether a message may overtake others: it is small, and raft
// does not depend on its order with appends.
func urgent(m *raftpb.Message) bool {
	switch m.GetType() {
	case raftpb.MsgHeartbeat, raftpb.MsgHeartbeatResp,
		raftpb.MsgVote, raftpb.MsgVoteResp, raftpb.MsgPreVote, raftpb.MsgPreVoteResp,
		raftpb.MsgTimeoutNow, raftpb.MsgReadIndex, raftpb.MsgReadIndexResp:
		return true
	}
	return false
}

// estimate is about the encoded size of a message, without encoding it.
func estimate(m *raftpb.Message) int {
	n := messageOverhead + len(m.GetContext())
	for _, e := range m.GetEntries() {
		n += entryOverhead + len(e.GetData())
	}
	return n
}

func (f forward) estimate() int {
	n := commandOverhead * len(f.ids)
	for _, d := range f.data {
		n += len(d)
	}
	return n
}

// push queues a message or drops it.
func (l *link) push(m *raftpb.Message) {
	n := estimate(m)
	c := l.wake
	l.mu.Lock()
	switch {
	case l.session == nil || !l.q.room(l.t.c.Limits, n, 1):
		c = l.drops
	case urgent(m):
		l.q.urgent = append(l.q.urgent, m)
	default:
		l.q.normal = append(l.q.normal, m)
	}
	l.mu.Unlock()
	signal(c)
}

func (l *link) pushForward(f forward) bool {
	for _, d := range f.data {
		if len(d)+commandOverhead > l.t.c.Limits.MessageBytes {
			return false
		}
	}
	n := f.estimate()
	l.mu.Lock()
	ok := l.session != nil && l.q.room(l.t.c.Limits, n, len(f.ids))
	if ok && len(f.ids) > 0 {
		l.q.forwards = append(l.q.forwards, f)
	}
	l.mu.Unlock()
	if ok {
		signal(l.wake)
	}
	return ok
}

func (l *link) pushHash(h *peerpb.StateHash) {
	l.mu.Lock()
	ok := l.session != nil
	if ok {
		if len(l.q.hashes) == maxHashes {
			l.q.hashes = append(l.q.hashes[:0], l.q.hashes[1:]...)
		}
		l.q.hashes = append(l.q.hashes, h)
	}
	l.mu.Unlock()
	if ok {
		signal(l.wake)
	}
}
