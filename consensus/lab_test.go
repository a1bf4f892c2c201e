package consensus

import (
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// lab is the cores of a cluster in lockstep: a tick for each, then messages
// until none is left, on links that deliver at once or lose. Nothing in it
// waits for a clock, so that it can afford every partition there is.
type lab struct {
	t     *testing.T
	now   time.Time
	cores []*labCore // of node i+1
	// cut loses what the first sends to the second.
	cut  map[[2]uint64]bool
	mail []*raftpb.Message
	made int // proposals
}

// labCore is a core whose log and applier are at once.
type labCore struct {
	c       *core
	log     *memLog
	applied uint64
	entries int // applied ones with commands
}

// newLab makes a lab of n nodes; tune, if any, changes each Config.
func newLab(t *testing.T, n int, tune func(*Config)) *lab {
	l := &lab{t: t, now: time.Unix(1e9, 0), cut: map[[2]uint64]bool{}}
	var ids []uint64
	for id := range uint64(n) {
		ids = append(ids, id+1)
	}
	for _, id := range ids {
		log := &memLog{}
		cfg := &Config{
			ID: id, Nonce: id, State: Bootstrap(slices.Clone(ids)), Log: log, Machine: newMachine(Meta{}),
			Transport: deaf{}, Wall: func() int64 { return 1 }, Logger: slog.New(slog.DiscardHandler),
		}
		if tune != nil {
			tune(cfg)
		}
		if err := cfg.prepare(); err != nil {
			t.Fatal(err)
		}
		cfg.Fatal = func(err error) { t.Errorf("node %d ended: %v", id, err) }
		cfg.heard = func(time.Time) {}
		cfg.writing = func() time.Time { return time.Time{} }
		cfg.staged = func(*raftpb.SnapshotMetadata) bool { return false }
		st, err := newStorage(log, cfg.State)
		if err != nil {
			t.Fatal(err)
		}
		c, err := newCore(cfg, st, newPending(), l.now)
		if err != nil {
			t.Fatal(err)
		}
		l.cores = append(l.cores, &labCore{c: c, log: log, applied: cfg.State.Index})
	}
	return l
}

// run lets n do its work.
func (l *lab) run(n *labCore) {
	for {
		out := n.c.advance()
		l.mail = append(l.mail, out.send...)
		appends, applies := slices.Clone(out.append), slices.Clone(out.apply)
		for _, m := range appends {
			var hs *raftpb.HardState
			if m.Term != nil {
				hs = &raftpb.HardState{Term: m.Term, Vote: m.Vote, Commit: m.Commit}
			}
			if err := n.log.Append(hs, m.GetEntries(), true); err != nil {
				l.t.Fatal(err)
			}
			own := []*raftpb.Message{}
			for _, r := range m.GetResponses() {
				if r.GetTo() == n.c.cfg.ID {
					own = append(own, r)
				} else {
					l.mail = append(l.mail, r)
				}
			}
			n.c.stored(l.now, own)
		}
		for _, m := range applies {
			es := m.GetEntries()
			for _, e := range es {
				n.applied++
				if len(e.GetData()) > 0 {
					n.entries++
				}
			}
			n.c.applied(l.now, m.GetResponses(), n.applied, es[len(es)-1].GetTerm())
		}
		if len(appends)+len(applies) == 0 {
			return
		}
	}
}

// tick moves all clocks and delivers what that leads to. Leaders are given a
// command each.
func (l *lab) tick() {
	l.now = l.now.Add(l.cores[0].c.cfg.Tick)
	for _, n := range l.cores {
		n.c.wake(l.now)
		if n.c.role == raft.StateLeader && len(n.c.queue) == 0 {
			l.made++
			p := &proposal{data: []byte(fmt.Sprint(l.made)), deadline: l.now.Add(time.Hour), done: func(any, error) {}}
			n.c.propose(l.now, []*proposal{p})
		}
		l.run(n)
	}
	l.deliver()
}

// deliver gives out what was sent, and what that leads to.
func (l *lab) deliver() {
	for len(l.mail) > 0 {
		m := l.mail[0]
		l.mail = l.mail[1:]
		if l.cut[[2]uint64{m.GetFrom(), m.GetTo()}] {
			continue
		}
		n := l.cores[m.GetTo()-1]
		n.c.receive(l.now, m.GetFrom(), []*raftpb.Message{proto.Clone(m).(*raftpb.Message)})
		l.run(n)
	}
}

// after ticks for so many election timeouts, or until done says so, which it
// returns.
func (l *lab) after(timeouts int, done func() bool) bool {
	for range timeouts * l.cores[0].c.cfg.ElectionTicks {
		l.tick()
		if done() {
			return true
		}
	}
	return false
}

func (l *lab) most() (entries int) {
	for _, n := range l.cores {
		entries = max(entries, n.entries)
	}
	return entries
}

func (l *lab) term() (term uint64) {
	for _, n := range l.cores {
		term = max(term, n.c.term)
	}
	return term
}

func (l *lab) leader() uint64 {
	for _, n := range l.cores {
		if n.c.role == raft.StateLeader {
			return n.c.cfg.ID
		}
	}
	return 0
}
