package consensus

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"go.etcd.io/raft/v3/raftpb"
)

// machineState is a list of commands and which part of the log they are.
type machineState struct {
	Meta Meta
	List []string
}

// machine is a StateMachine that keeps what is applied; the result of a
// command is its place in the list.
type machine struct {
	mu       sync.Mutex
	now      machineState // Meta.Index alone is kept up
	durable  machineState
	lastTime int64

	checkpoints []Meta
	staged      int // snapshots at hand
	installs    int
	gate        chan struct{} // when not nil, a checkpoint waits for it
	applyGate   chan struct{} // when not nil, Apply waits for it
	failInstall error
	failCommit  error
	afterStage  func() // called when a snapshot was installed
}

func newMachine(m Meta) *machine {
	s := machineState{Meta: m}
	return &machine{now: s, durable: s}
}

func (m *machine) Apply(index uint64, now int64, commands [][]byte, results []any) {
	m.mu.Lock()
	gate := m.applyGate
	m.mu.Unlock()
	if gate != nil {
		<-gate
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if index <= m.now.Meta.Index {
		panic(fmt.Sprintf("apply %d after %d", index, m.now.Meta.Index))
	}
	m.now.Meta.Index = index
	m.lastTime = now
	for i, c := range commands {
		results[i] = len(m.now.List)
		m.now.List = append(m.now.List, string(c))
	}
}

func (m *machine) Checkpoint(meta Meta) func() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := machineState{Meta: meta, List: slices.Clip(m.now.List)}
	installs := m.installs
	return func() error {
		m.mu.Lock()
		gate := m.gate
		m.mu.Unlock()
		if gate != nil {
			<-gate
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.failCommit != nil {
			return m.failCommit
		}
		if m.installs != installs {
			return nil
		}
		m.durable = s
		m.checkpoints = append(m.checkpoints, meta)
		return nil
	}
}

func (m *machine) OpenSnapshot() (Meta, io.ReadCloser, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, err := json.Marshal(m.durable)
	return m.durable.Meta, io.NopCloser(bytes.NewReader(b)), err
}

var errCutStream = errors.New("the stream was cut")

func (m *machine) StageSnapshot(meta Meta, r io.Reader) (func() error, func(), error) {
	var s machineState
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, nil, err
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, nil, err
	}
	if s.Meta.Index != meta.Index || s.Meta.Term != meta.Term {
		return nil, nil, fmt.Errorf("stream of %d, message of %d", s.Meta.Index, meta.Index)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.staged++
	return func() error { return m.install(s) }, m.discard, nil
}

func (m *machine) install(s machineState) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failInstall != nil {
		return m.failInstall
	}
	m.staged--
	m.installs++
	m.now, m.durable = s, s
	m.now.List = slices.Clone(s.List)
	if m.afterStage != nil {
		m.afterStage()
	}
	return nil
}

func (m *machine) discard() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.staged--
}

func (m *machine) list() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.now.List)
}

func (m *machine) size() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.now.List)
}

// crash leaves what was durable.
func (m *machine) crash() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = m.durable
	m.now.List = slices.Clone(m.durable.List)
	m.staged = 0
}

func (m *machine) with(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
}

func (m *machine) meta() Meta {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.durable.Meta
}

func (m *machine) confState() *raftpb.ConfState { return m.meta().ConfState }

// stagedBy is a StateMachine whose staged snapshot is installed by a function.
type stagedBy struct{ install func() error }

func (stagedBy) Apply(uint64, int64, [][]byte, []any)       {}
func (stagedBy) Checkpoint(Meta) func() error               { return func() error { return nil } }
func (stagedBy) OpenSnapshot() (Meta, io.ReadCloser, error) { return Meta{}, nil, errCutStream }
func (s stagedBy) StageSnapshot(Meta, io.Reader) (func() error, func(), error) {
	return s.install, func() {}, nil
}
