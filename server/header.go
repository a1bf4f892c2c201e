package server

import (
	"sync/atomic"
	"time"

	doozerpb "github.com/doozer-store/doozer/proto"
	"google.golang.org/protobuf/encoding/protowire"
)

// statusCache holds one answer of Consensus.Status for statusEvery.
type statusCache struct {
	p atomic.Pointer[cachedStatus]
	// busy is set by the one who asks again; others go on with what is there.
	busy atomic.Bool
}

type cachedStatus struct {
	Status
	at int64 // Server.clock
}

// currentStatus returns what consensus said at most about statusEvery ago.
func (s *Server) currentStatus(now int64) *cachedStatus {
	c := s.status.p.Load()
	if c != nil && now-c.at < int64(statusEvery) {
		return c
	}
	if c != nil && !s.status.busy.CompareAndSwap(false, true) {
		return c
	}
	fresh := &cachedStatus{Status: s.consensus.Status(), at: now}
	s.status.p.Store(fresh)
	s.status.busy.Store(false)
	s.metrics.sawLeader(fresh.Leader)
	return fresh
}

// headerAge returns the age for a header at now: what was true when consensus
// was asked, and the time since, except on a leader that has a majority.
func (c *cachedStatus) headerAge(now int64) time.Duration {
	if c.Age == 0 && c.Leader != 0 && c.Leader == c.ID {
		return 0
	}
	return c.Age + time.Duration(max(0, now-c.at))
}

// age returns how long ago the node heard from a leader.
func (s *Server) age() time.Duration {
	now := s.clock()
	return s.currentStatus(now).headerAge(now)
}

// header returns the header of a response that is made now: after its content
// was read, so that its rev is no older.
func (s *Server) header() *doozerpb.Header {
	now := s.clock()
	st, cluster := s.currentStatus(now), s.machine.cluster.Load()
	return &doozerpb.Header{
		ClusterId: cluster.id,
		Epoch:     cluster.epoch,
		Node:      s.node,
		Rev:       s.machine.Rev(),
		AgeMs:     uint64(st.headerAge(now).Milliseconds()),
		Leader:    st.Leader,
	}
}

// appendHeader appends what header returns as field num of a message.
func (s *Server) appendHeader(b []byte, num protowire.Number) []byte {
	now := s.clock()
	st, cluster := s.currentStatus(now), s.machine.cluster.Load()
	rev, age := uint64(s.machine.Rev()), uint64(st.headerAge(now).Milliseconds())
	n := bytesSize(len(cluster.id)) + uintSize(cluster.epoch) + uintSize(s.node) +
		uintSize(rev) + uintSize(age) + uintSize(st.Leader)
	b = appendLen(b, num, n)
	b = appendBytes(b, 1, cluster.id)
	b = appendUint(b, 2, cluster.epoch)
	b = appendUint(b, 3, s.node)
	b = appendUint(b, 4, rev)
	b = appendUint(b, 5, age)
	return appendUint(b, 6, st.Leader)
}
