package server

import (
	"io"

	"github.com/doozer-store/doozer/consensus/checkpoint"
)

// State is where a Machine keeps its checkpoints: a *checkpoint.DB, whose
// methods tell more, or in simulations a model of one. Each change is atomic:
// a crash leaves what was before or what is after.
type State interface {
	Meta() checkpoint.Meta
	Size() int64
	Load(fn func(k, v []byte) error) error
	Commit(m checkpoint.Meta, records func(put func(k, v []byte) error, del func(k []byte) error) error) error
	// Export opens a stream for checkpoint.NewReader.
	Export() (Export, error)
	Stage(m checkpoint.Meta) (Stage, error)
	// Install takes a Stage of this State that was committed.
	Install(s Stage) error
}

// Export is one state as a stream.
type Export interface {
	io.ReadCloser
	Meta() checkpoint.Meta
}

// Stage is a state that is built beside the present one.
type Stage interface {
	Meta() checkpoint.Meta
	Put(k, v []byte) error
	Commit() error
	Abort() error
}

// onDisk is a database as a State.
type onDisk struct{ *checkpoint.DB }

// Export implements State.
func (d onDisk) Export() (Export, error) { return d.DB.Export() }

// Stage implements State.
func (d onDisk) Stage(m checkpoint.Meta) (Stage, error) { return d.DB.Stage(m) }

// Install implements State.
func (d onDisk) Install(s Stage) error { return d.DB.Install(s.(*checkpoint.Stage)) }
