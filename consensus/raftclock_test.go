package consensus

import (
	"testing"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
)

// sleep lets time pass as a driver does: core is woken when it wants to be and
// not in between. It returns how often that was.
func (h *handCore) sleep(d time.Duration) (wakes int) {
	end := h.now.Add(d)
	for next := h.c.nextWake(); !next.After(end); next = h.c.nextWake() {
		h.t.Helper()
		if next.After(h.now) {
			h.now = next
		}
		h.c.wake(h.now)
		h.run()
		if wakes++; wakes > 1e6 {
			h.t.Fatal("it does not sleep any more")
		}
	}
	h.now = end
	return wakes
}

// pause lets time pass in which the process does not run, and wakes core as
// the driver then does: nothing that was sent meanwhile has been read.
func (h *handCore) pause(d time.Duration) {
	h.now = h.now.Add(d)
	h.c.wake(h.now)
	h.run()
}

// beat is the leader's heartbeat to a follower.
func (h *handCore) beat() { h.receive(peerMessage(raftpb.MsgHeartbeat, handTerm, nil)) }

// count returns how many messages of a type were sent since it was asked last.
func (h *handCore) count(typ raftpb.MessageType) (n int) {
	for _, m := range h.sent {
		if m.GetType() == typ {
			n++
		}
	}
	h.sent = nil
	return n
}

// idleLeader returns a leader that waits for nothing.
func idleLeader(t *testing.T) *handCore {
	h := newHandCore(t).become("leader")
	h.c.reads.open, h.c.reads.waiting = nil, nil
	h.run()
	h.sent = nil
	return h
}

// answer is what both followers say to a heartbeat.
func (h *handCore) answer() {
	for id := range uint64(2) {
		m := peerMessage(raftpb.MsgHeartbeatResp, handTerm+1, func(m *raftpb.Message) { m.From = new(id + 2) })
		h.c.receive(h.now, id+2, []*raftpb.Message{m})
	}
	h.run()
}

func TestIdleFollowerSleeps(t *testing.T) {
	h := newHandCore(t).become("follower")
	for range 100 {
		if n := h.sleep(h.c.cfg.heartbeat()); n > 0 {
			t.Fatalf("it woke %d times between two heartbeats", n)
		}
		h.beat()
	}
}

// TestIdleLeaderWakesForHeartbeats, and sends them when they are due.
func TestIdleLeaderWakesForHeartbeats(t *testing.T) {
	h := idleLeader(t)
	for h.count(raftpb.MsgHeartbeat) == 0 {
		h.sleep(h.c.cfg.Tick)
	}
	h.answer()
	for range 100 {
		if n := h.sleep(h.c.cfg.heartbeat()); n != 1 {
			t.Fatalf("it woke %d times in the time of a heartbeat", n)
		}
		if n := h.count(raftpb.MsgHeartbeat); n != 2 {
			t.Fatalf("it sent %d heartbeats to 2 followers", n)
		}
		h.answer()
	}
}

// TestSilentLeader: a follower that slept campaigns one to two election
// timeouts after it heard its leader, also if it is given something to do
// meanwhile.
func TestSilentLeader(t *testing.T) {
	for i := range 200 {
		h := newHandCore(t).become("follower")
		h.sleep(h.c.cfg.heartbeat()*time.Duration(i%4)/2 + time.Duration(i)*time.Millisecond)
		h.beat()
		heard, timeout := h.now, h.c.cfg.electionTimeout()
		h.sent = nil
		h.sleep(time.Duration(i%7) * timeout / 7)
		if i%2 == 0 {
			h.c.propose(h.now, []*proposal{{data: []byte("x"), deadline: h.now.Add(time.Hour), done: func(any, error) {}}})
			h.run()
		}
		for h.c.role == raft.StateFollower && h.now.Sub(heard) < time.Minute {
			h.sleep(time.Millisecond)
		}
		silent := h.now.Sub(heard)
		if h.count(raftpb.MsgPreVote) != 2 || silent < timeout-h.c.cfg.Tick || silent > 2*timeout+h.c.cfg.Tick {
			t.Fatalf("it campaigned %v after it heard the leader, the election timeout is %v", silent, timeout)
		}
	}
}

// TestPausedFollower: a process was stopped, for however long, and continued.
// Its leader's messages are there, but have not been read when it wakes, nor
// for almost a heartbeat. It stays with its leader.
func TestPausedFollower(t *testing.T) {
	for _, busy := range []bool{false, true} {
		for _, pauses := range []int{1, 3} {
			for d := time.Millisecond; d < 12*time.Second; d += d/50 + time.Millisecond {
				h := newHandCore(t).become("follower")
				for range pauses {
					h.sleep(h.c.cfg.heartbeat())
					h.beat()
					if busy {
						h.c.propose(h.now, []*proposal{{data: []byte("x"), deadline: h.now.Add(time.Hour), done: func(any, error) {}}})
						h.run()
					}
					h.pause(d)
					h.sleep(h.c.cfg.heartbeat() - time.Millisecond)
					h.beat()
				}
				// And the leader goes on, with the next heartbeats.
				for range 5 {
					h.sleep(h.c.cfg.heartbeat())
					h.beat()
				}
				if n := h.count(raftpb.MsgPreVote); n > 0 || h.c.leader != 2 {
					t.Fatalf("after %d pauses of %v it asked for %d votes, its leader is %d (busy: %v)", pauses, d, n, h.c.leader, busy)
				}
			}
		}
	}
}

// TestPausedCluster: all processes were stopped, or the machine was, for longer
// than an election timeout. The followers wait for the leader nearly as long
// as they do when they have just heard it.
func TestPausedCluster(t *testing.T) {
	for i := range 100 {
		h := newHandCore(t).become("follower")
		h.pause(2*h.c.cfg.electionTimeout() + time.Duration(i)*time.Millisecond)
		h.sleep(h.c.cfg.electionTimeout() - 2*h.c.cfg.Tick)
		if n := h.count(raftpb.MsgPreVote); n > 0 {
			t.Fatalf("it asked for %d votes", n)
		}
	}
}

// TestNewLeaderCountsAnew: what a follower slept is not counted when it has
// become leader, by a transfer.
func TestNewLeaderCountsAnew(t *testing.T) {
	for slept := time.Duration(0); slept < 350*time.Millisecond; slept += 10 * time.Millisecond {
		h := newHandCore(t).become("follower")
		h.sleep(slept)
		h.receive(peerMessage(raftpb.MsgTimeoutNow, handTerm, nil))
		h.receive(peerMessage(raftpb.MsgVoteResp, handTerm+1, nil))
		if h.c.role != raft.StateLeader {
			t.Fatalf("it became %v", h.c.role)
		}
		h.sent = nil
		h.sleep(h.c.cfg.heartbeat() - h.c.cfg.Tick)
		if n := h.count(raftpb.MsgHeartbeat); n > 0 {
			t.Fatalf("%v after it slept %v it sent %d heartbeats", h.c.cfg.heartbeat()-h.c.cfg.Tick, slept, n)
		}
	}
}

// TestStarvedFollower: one that is always woken too late, by less than a
// heartbeat, and hears its leader just after, stays with it as well.
func TestStarvedFollower(t *testing.T) {
	for late := time.Duration(0); late < 125*time.Millisecond; late += 5 * time.Millisecond {
		h := newHandCore(t).become("follower")
		for range 20 {
			h.beat()
			h.pause(h.c.nextWake().Sub(h.now) + late)
		}
		if n := h.count(raftpb.MsgPreVote); n > 0 {
			t.Errorf("always %v late it asked for %d votes", late, n)
		}
	}
}

// TestWhatCameIsHeardFirst: the tick at which a follower would campaign and
// its leader's heartbeat are there together.
func TestWhatCameIsHeardFirst(t *testing.T) {
	now, sent := time.Unix(1e9, 0), &votes{}
	s, err := OpenStepper(Config{
		ID: 1, Nonce: 1, State: Bootstrap([]uint64{1, 2, 3}), Log: &memLog{}, Machine: newMachine(Meta{}),
		Transport: sent, Wall: func() int64 { return 1 },
	}, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	beat := func() {
		s.Receive(2, []*raftpb.Message{peerMessage(raftpb.MsgHeartbeat, 1, nil)})
		s.Loop()
		for s.BeginWrite() {
			s.EndWrite()
		}
	}
	beat()
	for try := 0; ; try++ {
		if try == 10_000 {
			t.Fatal("it always campaigns early")
		}
		// Raft draws a timeout of 20 to 39 ticks whenever it has campaigned.
		for range s.cfg.ElectionTicks*2 - 2 {
			now = now.Add(s.cfg.Tick)
			s.Loop()
		}
		if s.Leader() == 2 {
			break // it will with the next
		}
		beat()
	}
	now, sent.asked = now.Add(s.cfg.Tick), 0
	s.Receive(2, []*raftpb.Message{peerMessage(raftpb.MsgHeartbeat, 1, nil)})
	s.Loop()
	if sent.asked > 0 || s.Leader() != 2 {
		t.Error("it campaigned although its leader's heartbeat was there")
	}
}

// votes is a Transport that counts how often votes are asked for.
type votes struct {
	deaf
	asked int
}

func (v *votes) Send(ms []*raftpb.Message) {
	for _, m := range ms {
		if m.GetType() == raftpb.MsgPreVote {
			v.asked++
		}
	}
}

// TestLeaderWithoutAnswers steps down one to two election timeouts after the
// last answer of a majority, though it sleeps between heartbeats.
func TestLeaderWithoutAnswers(t *testing.T) {
	for answers := range 30 {
		h := idleLeader(t)
		for range answers {
			h.sleep(h.c.cfg.heartbeat())
			h.answer()
		}
		last, timeout := h.now, h.c.cfg.electionTimeout()
		for h.c.role == raft.StateLeader && h.now.Sub(last) < time.Minute {
			h.sleep(time.Millisecond)
		}
		if alone := h.now.Sub(last); alone > 2*timeout || answers > 0 && alone < timeout-h.c.cfg.heartbeat() {
			t.Errorf("after %d heartbeats it stepped down %v after the last answer, the election timeout is %v", answers, alone, timeout)
		}
	}
}

// TestPausedLeader: one that was stopped and continued sends its heartbeat at
// once, and stays what it is if its followers still answer: they may have
// campaigned, but it learns of that from them.
func TestPausedLeader(t *testing.T) {
	for beats := range 6 {
		for d := time.Millisecond; d < 12*time.Second; d += d/10 + 7*time.Millisecond {
			h := idleLeader(t)
			for range beats {
				h.sleep(h.c.cfg.heartbeat())
				h.answer()
			}
			h.sent = nil
			h.pause(d)
			if n := h.count(raftpb.MsgHeartbeat); d >= h.c.cfg.heartbeat() && n != 2 {
				t.Fatalf("after a pause of %v it sent %d heartbeats", d, n)
			}
			h.answer()
			for range 10 {
				h.sleep(h.c.cfg.heartbeat())
				h.answer()
			}
			if h.c.role != raft.StateLeader {
				t.Fatalf("it stepped down after a pause of %v", d)
			}
		}
	}
}

// TestBusyNodeTicks: what has a deadline, or is tried again, does not wait for
// a heartbeat.
func TestBusyNodeTicks(t *testing.T) {
	for what, add := range map[string]func(*handCore){
		"proposal": func(h *handCore) {
			h.c.propose(h.now, []*proposal{{data: []byte("x"), deadline: h.now.Add(time.Hour), done: func(any, error) {}}})
		},
		"read": func(h *handCore) {
			h.c.reads.add([]*read{{deadline: h.now.Add(time.Hour), done: func(error) {}}})
		},
		"lost forward": func(h *handCore) { h.c.resend.gaveUp = true },
	} {
		h := newHandCore(t).become("follower")
		h.sleep(h.c.cfg.heartbeat())
		add(h)
		h.run()
		for range 3 {
			if n := h.sleep(10 * h.c.cfg.Tick); n < 10 {
				t.Errorf("%s: it woke %d times in 10 ticks", what, n)
			}
			h.beat()
		}
	}
}
