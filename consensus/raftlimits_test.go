package consensus

import (
	"bytes"
	"testing"
	"time"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// TestRaftLimits: raft holds no more of what has no majority, and sends no more
// to a follower that is silent, than the limits say; by default both are endless.
func TestRaftLimits(t *testing.T) {
	const (
		kib         = 1 << 10
		uncommitted = 16 * kib
		inflight    = 8 * kib
	)
	start := func() (l *lab, leader uint64) {
		l = newLab(t, 3, func(cfg *Config) {
			cfg.Limits = Limits{EntryBytes: kib, MessageBytes: kib, UncommittedBytes: uncommitted, InflightBytes: inflight}
		})
		if !l.after(20, func() bool { return l.leader() != 0 && l.most() > 10 }) {
			t.Fatal("no leader")
		}
		return l, l.leader()
	}
	propose := func(l *lab, id uint64, n int) {
		for range n {
			p := &proposal{data: make([]byte, 2*kib), deadline: l.now.Add(time.Hour), done: func(any, error) {}}
			l.cores[id-1].c.propose(l.now, []*proposal{p})
			l.run(l.cores[id-1])
		}
	}
	size := func(es []*raftpb.Entry) (n int) {
		for _, e := range es {
			n += proto.Size(e)
		}
		return n
	}

	// Nobody answers.
	l, leader := start()
	propose(l, leader, 100)
	log := l.cores[leader-1].log.state()
	tail := log.entries[l.cores[leader-1].c.pending.commit.Load()-log.base:]
	if n := size(tail); n < uncommitted/2 || n > uncommitted+3*kib {
		t.Errorf("%d bytes are uncommitted, the limit is %d", n, uncommitted)
	}

	// One does not: what was sent to it since its last answer.
	l, leader = start()
	silent := leader%3 + 1
	l.cut[[2]uint64{silent, leader}] = true
	sent := 0
	for range 100 {
		propose(l, leader, 1)
		for _, m := range l.mail {
			if m.GetTo() == silent && m.GetType() == raftpb.MsgApp {
				sent += size(m.GetEntries())
			}
		}
		l.deliver()
	}
	if n := l.cores[leader-1].entries; n < 100 {
		t.Errorf("only %d commands were done with a majority", n)
	}
	if sent < inflight/2 || sent > inflight+3*kib {
		t.Errorf("%d bytes are on their way to a silent follower, the limit is %d", sent, inflight)
	}
}

// TestRaftCopiesProposals: what is proposed may be overwritten then, as
// proposeEntry does.
func TestRaftCopiesProposals(t *testing.T) {
	l := newLab(t, 1, nil)
	if !l.after(20, func() bool { return l.leader() != 0 && l.most() > 1 }) {
		t.Fatal("no leader")
	}
	lab := l.cores[0]
	for i := range 3 {
		data := bytes.Repeat([]byte{byte('a' + i)}, 100)
		p := &proposal{data: data, deadline: l.now.Add(time.Hour), done: func(any, error) {}}
		lab.c.propose(l.now, []*proposal{p})
		first := &lab.c.entry[0]
		lab.c.propose(l.now, nil)
		l.run(lab)
		for k := range lab.c.entry {
			lab.c.entry[k] = 0xff
		}
		log := lab.log.state()
		last := log.entries[len(log.entries)-1].GetData()
		if !bytes.Contains(last, data) || &last[0] == first {
			t.Fatalf("the entry is %q", last)
		}
	}
}
