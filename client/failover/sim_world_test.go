package failover

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/doozer-store/doozer/client"
)

// A simulation of whole groups: a store with all its versions, Redis servers and
// agents that look, decide by Decide and do, in any order, on views as old as may
// be, with crashes in between all steps. Nothing in it is concurrent; the seed
// decides everything. Time is in milliseconds.

const (
	simTTL   = 2000
	simBound = 3000 // the longest time a gate stays open without acknowledgements
)

// simRedis is one server. Its data is its log; its offset is the log's length.
type simRedis struct {
	addr            string
	up, hung        bool
	runID           int
	master, fenced  bool
	source          string
	backlog         bool
	log             []int // ids of writes; 0: what Redis writes by itself
	replid, replid2 string
	second          int64
	linked          bool // attached to its source since it was last re-pointed
	// partial: a whole copy was cut off. log is as much as had come, while
	// replid and offset are what they were before.
	partial bool
	before  int64
	shut    bool  // min-replicas-to-write is out of reach
	disk    []int // what survives the process; nil: nothing
	diskID  string
}

// simSession is a session: its owner relies on it up to deadline, others may end
// it some time after that.
type simSession struct {
	alive    bool
	deadline int
}

// simAgent is one agent.
type simAgent struct {
	name             string
	redis            *simRedis
	up, paused       bool
	session          string
	version          int // of the store, as it is seen
	own              Own
	sawRev           int64
	since, bidSince  int
	saved, asked     int64
	failed           int64
	whyNot           string
	oldShut          bool
	synced           int
	killed           int
	gate             bool
	gateSession      string
	lastAck          int
	leaving, started bool
}

type simVersion struct {
	files    map[string]client.File
	sessions map[string]bool
	view     *View
}

type world struct {
	rng      *rand.Rand
	now      int
	ids      int
	rev      int64
	conf     Conf
	files    map[string]client.File
	sessions map[string]*simSession
	versions []simVersion
	redis    []*simRedis
	agents   []*simAgent
	trace    []string
	fail     string

	accepted  map[int]bool // writes that a client was told of
	confirmed map[int]bool // and that k replicas had then
	startLog  []int        // what the last running master had at its start
	acceptAny bool         // an operator accepted a loss
	lossless  bool         // nothing has failed: only switches
	restarts  bool         // processes are started again often
	copies    int          // percent of links that need a whole copy, whatever the history
}

func newWorld(seed uint64, n int, conf Conf) *world {
	w := &world{rng: rand.New(rand.NewPCG(seed, 1)), conf: conf, files: make(map[string]client.File),
		sessions: make(map[string]*simSession), accepted: make(map[int]bool), confirmed: make(map[int]bool), lossless: true}
	w.conf.Nodes, w.conf.TTLms, w.conf.GateLagS = n, simTTL, 1
	p := Paths("g")
	w.write(nil, func(set func(string, []byte), _ func(string)) { set(p.Conf(), w.conf.Encode()) })
	for i := range n {
		r := &simRedis{addr: fmt.Sprintf("h%d:1", i)}
		w.boot(r)
		w.redis = append(w.redis, r)
		w.agents = append(w.agents, &simAgent{name: fmt.Sprintf("n%d", i), redis: r, killed: -1, synced: -1})
	}
	return w
}

func (w *world) id() int { w.ids++; return w.ids }

func (w *world) say(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf("%6d ", w.now)+fmt.Sprintf(format, args...))
}

func (w *world) chance(percent int) bool { return w.rng.IntN(100) < percent }

// boot starts the process: fenced, with what was on the disk.
func (w *world) boot(r *simRedis) {
	*r = simRedis{addr: r.addr, up: true, runID: w.id(), fenced: true, disk: r.disk, diskID: r.diskID, second: -1}
	r.replid = fmt.Sprintf("r%d", w.id())
	if r.disk != nil {
		r.log, r.replid = slices.Clone(r.disk), r.diskID
	}
}

func (r *simRedis) offset() int64 {
	if r.partial {
		return r.before
	}
	return int64(len(r.log))
}

func (r *simRedis) own() Own {
	return Own{Up: true, RunID: fmt.Sprint(r.runID), Master: r.master, Source: r.source, Fenced: r.fenced && !r.master,
		Backlog: r.backlog, ReplID: r.replid, ReplID2: r.replid2, Offset: r.offset(), Second: r.second, Partial: r.partial,
		Keys: int64(len(r.log)), Link: map[bool]string{true: "up", false: "down"}[r.linked]}
}

// write is a transaction of the store. ok nil: no condition.
func (w *world) write(ok func() bool, fn func(set func(string, []byte), del func(string))) bool {
	if ok != nil && !ok() {
		return false
	}
	w.rev++
	fn(func(path string, value []byte) {
		w.files[path] = client.File{Path: path, Value: value, Rev: w.rev}
	}, func(path string) { delete(w.files, path) })
	w.snapshot()
	return true
}

func (w *world) snapshot() {
	alive := make(map[string]bool)
	for id, s := range w.sessions {
		alive[id] = s.alive
	}
	w.versions = append(w.versions, simVersion{maps.Clone(w.files), alive, nil})
}

func (w *world) alive(id string) bool { return w.sessions[id] != nil && w.sessions[id].alive }

func (w *world) view(version int) View {
	v := &w.versions[version]
	if v.view == nil {
		v.view = new(v.build())
	}
	return *v.view
}

func (v *simVersion) build() View {
	return build(Paths("g"), v.files, func(id string) (bool, time.Time) { return v.sessions[id], time.Time{} })
}

func (w *world) latest() View { return w.view(len(w.versions) - 1) }

// acks tells whether the agent acknowledges for its Redis at this moment.
func (w *world) acks(a *simAgent) bool {
	s := w.sessions[a.gateSession]
	return a.up && !a.paused && a.gate && s != nil && s.alive && w.now < s.deadline && a.gateSession == a.session && a.redis.up && !a.redis.hung
}

// takes tells whether a Redis may take a write, in the worst case that its gate
// allows.
func (w *world) takes(a *simAgent) bool {
	r := a.redis
	return r.up && !r.hung && r.master && !r.shut && a.up && a.gate && w.now-a.lastAck <= simBound
}

// tick lets time go on, and what happens by itself: acknowledgements, replication,
// what Redis writes on its own.
func (w *world) tick(d int) {
	w.now += d
	for _, a := range w.agents {
		if w.acks(a) {
			a.lastAck = w.now
		}
		if a.gate && !a.paused && !w.acks(a) {
			a.gate = false // it notices itself
		}
	}
	for _, r := range w.redis {
		if r.up && !r.hung && r.master && w.chance(2) {
			r.log = append(r.log, 0)
		}
	}
	w.check()
}

// replicate lets a replica receive something.
func (w *world) replicate(r *simRedis) {
	if !r.up || r.hung || r.master || r.fenced {
		return
	}
	i := slices.IndexFunc(w.redis, func(o *simRedis) bool { return o.addr == r.source })
	if i < 0 || w.redis[i] == r {
		return
	}
	m := w.redis[i]
	if !m.up || m.hung || !m.master {
		r.linked = false
		return
	}
	if !r.linked {
		same := r.replid == m.replid && r.offset() <= m.offset()
		before := m.replid2 != "" && r.replid == m.replid2 && r.offset() <= m.second-1
		kept := w.chance(100 - w.copies) // the backlog reaches back so far
		if m.backlog && kept && !r.partial && (same || before) {
			r.replid, r.replid2, r.second = m.replid, m.replid2, m.second
		} else {
			if w.chance(50) {
				r.before, r.partial = r.offset(), true
				r.log = nil
				if w.chance(50) {
					r.log = slices.Clone(m.log[:w.rng.IntN(len(m.log)+1)])
				}
				return
			}
			if !m.backlog {
				m.backlog, m.replid, m.replid2, m.second = true, fmt.Sprintf("r%d", w.id()), "", -1
			}
			r.log, r.replid, r.replid2, r.second = slices.Clone(m.log), m.replid, m.replid2, m.second
		}
		r.linked, r.partial, r.before, r.backlog = true, false, 0, true
		return
	}
	if r.offset() < m.offset() {
		n := r.offset() + 1 + w.rng.Int64N(m.offset()-r.offset())
		r.log = append(r.log, m.log[r.offset():n]...)
	}
}

// client tries to write to any server.
func (w *world) client() {
	a := w.agents[w.rng.IntN(len(w.agents))]
	if !w.takes(a) {
		return
	}
	id := w.id()
	a.redis.log = append(a.redis.log, id)
	w.accepted[id] = true
	// WAIT: replicas that are attached have it, after they have received it.
	at := a.redis.offset()
	n := 0
	for _, r := range w.redis {
		if r != a.redis && r.up && !r.hung && r.linked && r.source == a.redis.addr && !r.master {
			if w.chance(70) {
				w.replicate(r)
			}
			if r.replid == a.redis.replid && r.offset() >= at {
				n++
			}
		}
	}
	if w.conf.Sync > 0 && n >= w.conf.Sync {
		w.confirmed[id] = true
	}
}

// check holds the invariants that hold at every moment.
func (w *world) check() {
	var who []string
	for _, a := range w.agents {
		if w.acks(a) && a.redis.master && !a.redis.shut {
			who = append(who, a.name)
		}
	}
	if len(who) > 1 && w.fail == "" {
		w.fail = fmt.Sprintf("%v keep their gates open", who)
	}
}

// checkRegister holds what every change of the register has to satisfy.
func (w *world) checkRegister(old, next Register, by *simAgent) {
	bad := func(format string, args ...any) {
		if w.fail == "" {
			w.fail = fmt.Sprintf("%s by %s: ", next.State, by.name) + fmt.Sprintf(format, args...)
		}
	}
	if (next.State != Electing) && !w.alive(next.Session) {
		bad("the session is dead")
	}
	if old.Writable() && w.alive(old.Session) && by.session != old.Session && !(old.State == Switching && next.State == Running && old.To == by.name) {
		bad("taken from %s, which lives", old.Node)
	}
	if next.State == Running && old.Writable() && next.Node != old.Node && old.State != Switching {
		bad("from %s without an election", old.Node)
	}
	if next.State != Running || old.Writable() && next.Node == old.Node {
		return
	}
	to := w.agents[slices.IndexFunc(w.agents, func(a *simAgent) bool { return a.name == next.Node })]
	r := to.redis
	if next.RunID != fmt.Sprint(r.runID) {
		return // it names a process that has ended: its gate stays closed
	}
	if !r.master || to != by && !(old.State == Switching && old.To == to.name) {
		bad("its Redis is no master")
	}
	has := make(map[int]bool)
	for _, id := range r.log {
		has[id] = true
	}
	if !w.acceptAny {
		for _, id := range w.startLog {
			if id != 0 && !has[id] {
				bad("it lacks write %d, which the master before began with", id)
			}
		}
		for id := range w.confirmed {
			if !has[id] {
				bad("it lacks write %d, which was confirmed", id)
			}
		}
	}
	if w.lossless {
		for id := range w.accepted {
			if !has[id] {
				bad("it lacks write %d although nothing failed", id)
			}
		}
	}
	w.startLog, w.acceptAny = slices.Clone(r.log), false
	for id := range w.confirmed {
		if !has[id] {
			delete(w.confirmed, id)
		}
	}
}
