package sim

import (
	"time"

	"github.com/doozer-store/doozer/consensus"
	"github.com/doozer-store/doozer/server"
	"github.com/doozer-store/doozer/store"
)

// Config says which run to do.
type Config struct {
	Seed uint64
	// Nodes is 1, 3 or 5; 0: as the seed says.
	Nodes int
	// For is how long faults go on, in simulated time (60 s). What comes after,
	// until everything is whole again, is not in it.
	For time.Duration
	// Random makes crypto/rand a function of the seed; required.
	Random func(seed uint64)
	// Trace is given a line for everything that happens; nil: nobody is.
	Trace func(line string)
	// Wrong is what the environment does wrong.
	Wrong Wrong
}

// Wrong is what the environment does wrong, so that tests can see it caught.
// The product is the same in all of them.
type Wrong struct {
	// LyingDisk reports every second sync of the log as done and does nothing.
	LyingDisk bool
	// EarlyAck lets answers go before the log is synced, which happens soon
	// after.
	EarlyAck bool
	// ForgetVote keeps terms and votes from the log.
	ForgetVote bool
	// StaleReads confirms reads without asking anybody.
	StaleReads bool
	// RetryWithoutID sends a write again without its sequence number.
	RetryWithoutID bool
	// DropEvent, RepeatEvent, SplitRev and EarlyMark change what watches are
	// told: an event is missing, comes twice, a rev comes in two messages, a
	// mark names a rev that is still to come.
	DropEvent, RepeatEvent, SplitRev, EarlyMark bool
	// DropBeat keeps from a watch that is live a rewrite of a volatile file that
	// has been rewritten since.
	DropBeat bool
	// OtherTime gives one node's state machine another time for some entries.
	OtherTime bool
	// LostCheckpoint loses the checkpoint at power cuts.
	LostCheckpoint bool
	// NeverHeal keeps one node cut off when all faults have ended.
	NeverHeal bool
}

// Result counts what happened in a run.
type Result struct {
	Seed      uint64
	Nodes     int
	Hash      uint64        // of the trace
	Simulated time.Duration // with the time to heal
	Healed    time.Duration // from the end of the faults to the end of the run
	Events    uint64

	Writes, Reads, Unknown int // by clients, with an answer; Unknown had none that told
	Retries                int // attempts beyond the first
	WatchEvents            int
	Resyncs                int
	Forgotten, LeftOut     int // rewrites of volatile files, by the store; by watches that resumed
	Entries                int // applied by somebody
	Messages               int
	Snapshots              int // installed
	Checkpoints            int
	Leaders                int // terms with a leader
	Faults                 [numFaults]int
}

// settings are what a seed decides for a whole run.
type settings struct {
	nodes     int
	tick      time.Duration
	limits    consensus.Limits
	server    server.Limits
	replicate store.Config
	yield     func() // nil, or does nothing: then commits and entries go apart
	// reconfigure: what is kept of the history changes on the way.
	reconfigure bool

	checkpointBytes int64
	segmentBytes    int64
	cacheBytes      int64

	clients, watches int
	opEvery          time.Duration // of one client
	paths            int
	bigValues        float64
	beats            float64 // of the operations: rewrites of the client's session

	syncTime  time.Duration // typical
	stepTime  time.Duration
	faultGap  time.Duration // mean
	faultKind []faultKind   // that happen in this run
}

// draw decides the settings by the seed.
func (w *world) draw() {
	s := &w.set
	s.nodes = w.cfg.Nodes
	if s.nodes == 0 {
		s.nodes = pick(w, 1, 3, 3, 3, 3, 5)
	}
	s.tick = 25 * time.Millisecond
	if w.cfg.Seed%2 == 1 {
		s.yield = func() {}
	}
	s.limits = consensus.Limits{
		Pending: 256, PendingBytes: 1 << 20, CommandBytes: 64 << 10,
		EntryBytes: pick(w, 512, 4<<10, 64<<10), UncommittedBytes: pick[uint64](w, 8<<10, 64<<10, 1<<20),
		InflightMessages: pick(w, 2, 8, 128), InflightBytes: pick[uint64](w, 16<<10, 1<<20),
		MessageBytes: pick[uint64](w, 1<<10, 16<<10, 256<<10), ApplyBytes: pick[uint64](w, 1<<10, 64<<10),
		Pipeline: pick[uint64](w, 1, 1, 4), ReadBatches: pick(w, 1, 4),
	}
	s.server = server.Limits{
		MaxValue: 16 << 10, StreamRequests: 64, WatchEvents: pick(w, 4, 32, 1024), WatchBytes: pick(w, 2<<10, 1<<20),
		HubBytes: pick[int64](w, 4<<10, 1<<20), PageEntries: pick(w, 3, 20, 1000), Visits: pick(w, 4, 64, 4096),
		MessageBytes: pick(w, 512, 1<<20), HashEvery: 16, HashRing: 8,
	}
	s.replicate = store.Config{
		ClusterID: [16]byte{1}, Epoch: 1,
		ClientTTL: int64(pick(w, 20*time.Second, 600*time.Second)), MaxClients: pick(w, 3, 8, 1000), ClientWindow: pick(w, 4, 16, 4096),
	}
	w.drawHistory(&s.replicate)
	s.reconfigure = w.chance(0.3)
	s.checkpointBytes = pick[int64](w, 3<<10, 3<<10, 8<<10, 24<<10, 96<<10)
	s.segmentBytes = pick[int64](w, 4<<10, 16<<10, 64<<10)
	s.cacheBytes = pick[int64](w, 1, 4<<10, 1<<20)
	s.clients, s.watches = w.uniform(2, 4), w.uniform(1, 3)
	s.opEvery = pick(w, 80*time.Millisecond, 150*time.Millisecond, 250*time.Millisecond, 400*time.Millisecond)
	s.paths = pick(w, 3, 8, 24)
	s.bigValues = pick(w, 0, 0, 0.05)
	s.beats = pick(w, 0, 0.2, 0.5)
	s.syncTime = pick(w, 100*time.Microsecond, time.Millisecond, 8*time.Millisecond)
	s.stepTime = pick(w, 20*time.Microsecond, 200*time.Microsecond)
	s.faultGap = pick(w, 700*time.Millisecond, 2*time.Second, 5*time.Second)
	for k := range numFaults {
		if w.chance(0.6) {
			s.faultKind = append(s.faultKind, k)
		}
	}
}

// drawHistory draws how much is kept of the history, and of what.
func (w *world) drawHistory(c *store.Config) {
	c.History, c.HistoryBytes = pick[int64](w, 40, 100, 400), pick[int64](w, 64<<10, 1<<20)
	c.Volatile = pick(w, sessions, sessions, sessions+"\n/d/p*", store.NoVolatile)
}
