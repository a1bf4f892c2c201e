package consensus

import (
	"math/rand/v2"
	"slices"
	"time"

	"go.etcd.io/raft/v3"
)

// Times of an election without waiting for a timeout. The first candidate
// leaves the others time to see the same; each further rank waits long enough
// for the one before to win.
const (
	campaignDelay  = 4 * time.Millisecond
	campaignStep   = 15 * time.Millisecond
	campaignRepeat = 40 * time.Millisecond
	campaignTries  = 12
	// candidateRepeats is how many repeats a candidate waits for votes. Then
	// another has got the votes it lacks, and none may have enough.
	candidateRepeats = 3
)

// failover campaigns at once where waiting for the election timeout could
// tell nothing new: the leader's process is gone, or the cluster has just been
// started. PreVote makes a needless campaign harmless. Owned by the core.
type failover struct {
	rand *rand.Rand
	// next is when to campaign, zero for never; tries is what is left.
	next  time.Time
	tries int
	// asking counts the repeats for which this node has been a candidate.
	asking int
	// started is set once a leader was known: the start is over.
	started   bool
	connected map[uint64]bool
}

func (f *failover) init(cfg *Config) {
	f.rand = rand.New(rand.NewPCG(cfg.Nonce, cfg.ID))
	f.connected = map[uint64]bool{}
}

// settled is called when a leader is known.
func (f *failover) settled() {
	f.started, f.next, f.tries = true, time.Time{}, 0
}

// up notes a connection. Right after the start, a node that reaches a majority
// campaigns without waiting for a leader that nobody has.
func (f *failover) up(c *core, id uint64) {
	f.connected[id] = true
	if f.started || c.leader != raft.None || !f.next.IsZero() {
		return
	}
	if n := len(c.storage.voters()); (len(f.connected)+1)*2 > n {
		f.schedule(c, raft.None)
	}
}

// down notes the loss of a connection; refused means that the peer's process
// is dead. When it was the leader's, its term is over.
func (f *failover) down(c *core, id uint64, refused bool) {
	delete(f.connected, id)
	if !refused || id != c.leader || c.role == raft.StateLeader {
		return
	}
	c.log.Info("the leader's process is gone", "leader", id, "term", c.term)
	if err := c.raw.ForgetLeader(); err != nil {
		return
	}
	c.observeState()
	f.schedule(c, id)
}

// schedule plans campaigns by this node's rank among the voters left.
func (f *failover) schedule(c *core, dead uint64) {
	voters := c.storage.voters()
	if !voters[c.cfg.ID] {
		return
	}
	var ids []uint64
	for id := range voters {
		if id != dead {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	rank := time.Duration(slices.Index(ids, c.cfg.ID))
	f.tries = campaignTries
	f.next = c.now.Add(campaignDelay + rank*campaignStep + f.jitter())
}

func (f *failover) jitter() time.Duration {
	return time.Duration(f.rand.Int64N(int64(3 * time.Millisecond)))
}

// campaign is called when next has come.
func (f *failover) campaign(c *core) {
	if f.next.IsZero() || c.now.Before(f.next) {
		return
	}
	f.next = time.Time{}
	if c.leader != raft.None || c.role == raft.StateLeader || f.tries == 0 {
		return
	}
	f.tries--
	if f.asking++; c.role != raft.StateCandidate || f.asking >= candidateRepeats {
		f.asking = 0
		_ = c.raw.Campaign()
	}
	if f.tries > 0 {
		f.next = c.now.Add(campaignRepeat + f.jitter()*5)
	}
}

// stallGuard watches how long the writer has been at one write. Owned by the
// core; Node tells it through Config.writing.
type stallGuard struct{ asked time.Time }

// check hands leadership away when the disk does not finish a write within an
// election timeout: followers would stay loyal to a leader that can answer
// nobody.
func (s *stallGuard) check(c *core) {
	timeout := c.cfg.electionTimeout()
	since := c.cfg.writing()
	if c.role != raft.StateLeader || since.IsZero() || c.now.Sub(since) < timeout || c.now.Sub(s.asked) < timeout {
		return
	}
	s.asked = c.now
	to := c.transfer()
	c.log.Warn("the disk stalls: handing leadership away", "stalled", c.now.Sub(since), "to", to)
}

// lonelyEvery is how often a node that knows no leader says so.
const lonelyEvery = 5 * time.Second

// lonelyWatch logs that there is no leader, and what an operator needs to see
// why. Owned by the core.
type lonelyWatch struct{ since, looked, logged time.Time }

func (w *lonelyWatch) check(c *core) {
	paused := c.now.Sub(w.looked) > c.cfg.electionTimeout() // the process itself
	w.looked = c.now
	if c.leader != raft.None || paused {
		w.since = c.now
		return
	}
	if c.now.Sub(w.since) < 4*c.cfg.electionTimeout() || c.now.Sub(w.logged) < lonelyEvery {
		return
	}
	w.logged = c.now
	var connected []uint64
	for id := range c.storage.voters() {
		if id != c.cfg.ID && c.cfg.Transport.Connected(id) {
			connected = append(connected, id)
		}
	}
	slices.Sort(connected)
	c.log.Warn("no leader: an election needs a majority of the voters", "for", c.now.Sub(w.since).Round(time.Millisecond),
		"role", c.role.String(), "term", c.term, "last", c.lastIndex, "commit", c.pending.commit.Load(), "connected", connected,
		"voters", len(c.storage.voters()), "writing", !c.cfg.writing().IsZero())
}

// resendTimer forwards again what a leader has had for long: it may have
// dropped it for want of room, or because something before it was lost.
type resendTimer struct {
	at    time.Time
	mark  uint64 // the last number handed over at that time
	after time.Duration
	// gaveUp: something that the leader may lack is not waited for any more.
	// Until it hears that nothing comes before, it takes nothing that follows.
	gaveUp bool
}

// resendTimeouts is how many election timeouts a leader has at first.
const resendTimeouts = 2

func (r *resendTimer) check(c *core) {
	first := resendTimeouts * c.cfg.electionTimeout()
	if c.role == raft.StateLeader || c.leader == raft.None {
		*r = resendTimer{gaveUp: r.gaveUp}
		return
	}
	if r.after == 0 {
		*r = resendTimer{at: c.now, mark: c.pending.lastHanded(), after: first, gaveUp: r.gaveUp}
	}
	if c.now.Sub(r.at) < r.after {
		return
	}
	// Sending it all again costs most when the leader is slow: more rarely
	// each time.
	waits := c.pending.waits(r.mark, c.term)
	if waits || r.gaveUp {
		c.requeueForwarded()
	}
	if waits {
		r.after = min(2*r.after, 16*first)
	} else {
		r.after = first
	}
	r.at, r.mark, r.gaveUp = c.now, c.pending.lastHanded(), false
}
