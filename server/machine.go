package server

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/doozer-store/doozer/consensus/checkpoint"
	"github.com/doozer-store/doozer/store"
)

// MachineConfig is what a Machine is made of.
type MachineConfig struct {
	// DB holds the last checkpoint. The Machine uses it until its own end
	// and does not close it.
	DB *checkpoint.DB
	// State is where checkpoints are kept instead, if DB is nil.
	State State
	// Limits of watchers, waiters and hashes; zero fields take defaults.
	Limits Limits
	// Metrics to count watchers' fates in; nil: they are counted nowhere.
	Metrics *Metrics
	// OnHash is called on the applier's goroutine about every
	// Limits.HashEvery indexes with the root hash after that index; nil:
	// nobody is told. It must not block.
	OnHash func(index uint64, rev int64, hash uint64)
}

// Machine is the replicated state on one node: the store, its checkpoint, and
// those who wait for it to change. It is a consensus.StateMachine. Apply,
// Checkpoint and the install function of StageSnapshot are called by the
// applier, one at a time; everything else is safe for concurrent use.
type Machine struct {
	db     State
	limits Limits
	hub    *hub
	revs   revWaiters
	hashes hashRing

	// mu guards st, both which store it is and what is in it. Readers hold it
	// for Limits.Visits visits or readsPerLock reads at most, some 0.4 ms, so
	// that Apply need not wait long.
	mu sync.RWMutex
	st *store.Store

	// disk is held while a checkpoint is made durable and while a snapshot
	// takes its place. Before mu where both are held.
	disk sync.Mutex
	// installs counts installed snapshots: a checkpoint captured before one
	// must not be written after it. Written with disk and mu held.
	installs uint64

	// rev and cluster are copies of what is in st, for readers without mu;
	// set before anybody is told of the changes they include.
	rev     atomic.Int64
	cluster atomic.Pointer[clusterInfo]

	quarantine     atomic.Pointer[string]
	quarantineOnce sync.Once
	quarantined    chan struct{} // closed by the first SetQuarantine

	// events is the applier's scratch.
	events []*store.Event
}

// clusterInfo is the part of the replicated settings that is in every header.
type clusterInfo struct {
	id    []byte // empty until the cluster has one
	epoch uint64
}

// NewMachine loads the last checkpoint of cfg.DB. Errors are the database's
// and the loader's: a state whose hash is wrong is not served.
func NewMachine(cfg MachineConfig) (*Machine, error) {
	if cfg.DB != nil {
		cfg.State = onDisk{cfg.DB}
	}
	if cfg.State == nil {
		return nil, errors.New("server: MachineConfig lacks a DB")
	}
	if cfg.Metrics == nil {
		cfg.Metrics = NewMetrics()
	}
	m := &Machine{
		db:          cfg.State,
		limits:      cfg.Limits.orDefault(),
		quarantined: make(chan struct{}),
	}
	m.hub = newHub(&m.limits, cfg.Metrics)
	m.revs.limit = m.limits.RevWaiters
	st, err := loadStore(cfg.State)
	if err != nil {
		return nil, err
	}
	m.hashes = newHashRing(m.limits.HashEvery, m.limits.HashRing, cfg.State.Meta().Index, cfg.OnHash)
	m.setStore(st)
	m.hub.rev.Store(st.Rev())
	return m, nil
}

// loadStore returns the state of the last checkpoint, empty if there is none.
func loadStore(db State) (*store.Store, error) {
	meta := db.Meta()
	if meta.Index == 0 {
		return store.New(), nil
	}
	p := newLoading()
	if err := db.Load(p.add); err != nil {
		_ = p.end() // err says enough
		return nil, fmt.Errorf("server: load the checkpoint at index %d: %w", meta.Index, err)
	}
	st, err := p.finish(meta.Index)
	if err != nil {
		return nil, fmt.Errorf("server: the checkpoint at index %d: %w", meta.Index, err)
	}
	return st, nil
}

// setStore makes st the state. mu is held, or nobody else knows m yet.
func (m *Machine) setStore(st *store.Store) {
	m.st = st
	m.publishCopies()
}

// publishCopies brings rev and cluster up to date. mu is held as above.
func (m *Machine) publishCopies() {
	m.rev.Store(m.st.Rev())
	cfg := m.st.Config()
	if old := m.cluster.Load(); old != nil && old.epoch == cfg.Epoch && string(old.id) == string(cfg.ClusterID[:]) {
		return
	}
	info := &clusterInfo{epoch: cfg.Epoch}
	if cfg.ClusterID != [16]byte{} {
		info.id = append(info.id, cfg.ClusterID[:]...)
	}
	m.cluster.Store(info)
}

// Apply applies the commands of one log entry, under the lock once, then
// tells watchers and waiters. Each result is a *store.Result.
func (m *Machine) Apply(index uint64, now int64, commands [][]byte, results []any) {
	out := make([]store.Result, len(commands))
	m.mu.Lock()
	m.hashes.before(index, m.st)
	warmed := 0
	for i, cmd := range commands {
		if i == warmed && len(commands) > 1 {
			warmed += m.st.Warm(commands[i:])
		}
		var events []*store.Event
		out[i], events = m.st.Apply(index, now, cmd)
		m.events = append(m.events, events...)
		results[i] = &out[i]
	}
	m.hashes.after(index, m.st)
	m.publishCopies()
	m.mu.Unlock()

	m.hub.publish(m.events)
	clear(m.events)
	m.events = m.events[:0]
	m.revs.advance(m.rev.Load())
	m.hashes.tell()
}

// View calls fn with the state, which fn may only read, and only until it
// returns. fn holds up Apply and should be done in microseconds.
func (m *Machine) View(fn func(*store.Store)) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	fn(m.st)
}

// Rev returns the applied rev.
func (m *Machine) Rev() int64 { return m.rev.Load() }

// Oldest returns the oldest rev that can be read.
func (m *Machine) Oldest() (rev int64) {
	m.View(func(st *store.Store) { rev = st.Oldest() })
	return rev
}

// HashAt returns the rev and the root hash after the entry at index, which is
// a multiple of Limits.HashEvery; ok is false when the node has not come so
// far, or has forgotten.
func (m *Machine) HashAt(index uint64) (rev int64, hash uint64, ok bool) {
	return m.hashes.at(index)
}

// SetQuarantine makes every RPC answer QUARANTINED with reason, for good. The
// first reason stays.
func (m *Machine) SetQuarantine(reason string) {
	m.quarantineOnce.Do(func() {
		m.quarantine.Store(&reason)
		close(m.quarantined)
	})
}

// Quarantined returns why the node serves nothing, or "".
func (m *Machine) Quarantined() string {
	if p := m.quarantine.Load(); p != nil {
		return *p
	}
	return ""
}

// Live returns nil when the state's lock could be had before ctx ended.
func (m *Machine) Live(ctx context.Context) error {
	t := time.NewTicker(10 * time.Millisecond)
	defer t.Stop()
	for !m.mu.TryRLock() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("server: the state is locked: %w", ctx.Err())
		case <-t.C:
		}
	}
	m.mu.RUnlock()
	return nil
}

// MachineStats is what there is to say about a Machine.
type MachineStats struct {
	Rev, Oldest  int64
	Files        int64
	Clients      int
	HistoryBytes int64
	Hash         uint64
	DBSize       int64
	Watchers     int
	WatchBytes   int64
	RevWaiters   int
	Quarantined  string
}

// Stats returns the present measures; those of the store are of one moment.
func (m *Machine) Stats() MachineStats {
	s := MachineStats{
		DBSize:      m.db.Size(),
		Watchers:    m.hub.len(),
		WatchBytes:  m.hub.queued.Load(),
		RevWaiters:  m.revs.len(),
		Quarantined: m.Quarantined(),
	}
	m.View(func(st *store.Store) {
		s.Rev, s.Oldest, s.Files = st.Rev(), st.Oldest(), st.Files()
		s.Clients, s.HistoryBytes, s.Hash = st.Clients(), int64(st.HistoryBytes()), st.Hash()
	})
	return s
}
