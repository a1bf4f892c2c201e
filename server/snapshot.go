package server

import (
	"errors"
	"fmt"
	"io"

	"github.com/doozer-store/doozer/consensus/checkpoint"
	"github.com/doozer-store/doozer/store"
)

// Checkpoint takes what has changed since the last one and returns a function
// that makes it durable as of m, in one transaction with m. If that fails, or
// the process dies first, the changes are in the log still and in the next
// checkpoint.
func (m *Machine) Checkpoint(meta Meta) func() error {
	m.mu.Lock()
	st, installs := m.st, m.installs
	c := st.Capture()
	m.mu.Unlock()
	return func() error {
		m.disk.Lock()
		defer m.disk.Unlock()
		if m.installs != installs {
			return nil // a newer state is durable already, in its place
		}
		err := m.db.Commit(checkpoint.Meta(meta), c.Records)
		if err != nil {
			m.mu.Lock()
			st.Uncapture(c)
			m.mu.Unlock()
			return fmt.Errorf("server: checkpoint at index %d: %w", meta.Index, err)
		}
		return nil
	}
}

// OpenSnapshot opens a stream of the last durable checkpoint. The stream is
// consistent however long it is read; the database grows meanwhile.
func (m *Machine) OpenSnapshot() (Meta, io.ReadCloser, error) {
	e, err := m.db.Export()
	if err != nil {
		return Meta{}, nil, fmt.Errorf("server: open a snapshot: %w", err)
	}
	return Meta(e.Meta()), e, nil
}

// StageSnapshot reads a stream of OpenSnapshot into a database beside the
// present one, durably, and into a store. install makes both the present
// state: its commit point is the rename of the database. A crash before it
// leaves the old state and its log, one after it the new.
func (m *Machine) StageSnapshot(meta Meta, r io.Reader) (install func() error, discard func(), err error) {
	stage, st, err := m.stage(meta, r)
	if err != nil {
		return nil, nil, fmt.Errorf("server: stage the snapshot at index %d: %w", meta.Index, err)
	}
	return func() error { return m.install(stage, st) },
		// What can't be removed is overwritten by the next stage.
		func() { _ = stage.Abort() },
		nil
}

func (m *Machine) stage(meta Meta, r io.Reader) (Stage, *store.Store, error) {
	in, err := checkpoint.NewReader(r)
	if err != nil {
		return nil, nil, err
	}
	if got := in.Meta(); got.Index != meta.Index || got.Term != meta.Term {
		return nil, nil, fmt.Errorf("the stream is of index %d, term %d", got.Index, got.Term)
	}
	stage, err := m.db.Stage(checkpoint.Meta(meta))
	if err != nil {
		return nil, nil, err
	}
	st, err := fillStage(stage, in, meta.Index)
	if err != nil {
		return nil, nil, errors.Join(err, stage.Abort())
	}
	return stage, st, nil
}

// fillStage copies all records of in to the stage and a new store, and
// commits the stage once the store has found them whole.
func fillStage(stage Stage, in *checkpoint.Reader, index uint64) (*store.Store, error) {
	p := newLoading()
	defer func() { _ = p.end() }() // it has told finish, unless another error came first
	for {
		k, v, err := in.Next()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = stage.Put(k, v)
		}
		if err == nil {
			err = p.add(k, v)
		}
		if err != nil {
			return nil, err
		}
	}
	st, err := p.finish(index)
	if err != nil {
		return nil, err
	}
	return st, stage.Commit()
}

// install is called by the applier: nothing is applied meanwhile. Watchers go
// on from the new store's window, or resync when that begins after their
// last event.
func (m *Machine) install(stage Stage, st *store.Store) error {
	m.disk.Lock()
	defer m.disk.Unlock()
	index := stage.Meta().Index
	if err := m.db.Install(stage); err != nil {
		return fmt.Errorf("server: install the snapshot at index %d: %w", index, err)
	}
	m.mu.Lock()
	m.setStore(st)
	m.installs++
	m.hashes.jump(index)
	m.mu.Unlock()
	m.hub.jump(st.Rev())
	m.revs.advance(st.Rev())
	return nil
}
