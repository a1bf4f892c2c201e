package checkpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime/debug"
	"syscall"
)

// ErrInUse: another process has the database open.
var ErrInUse = errors.New("checkpoint: in use by another process")

// ErrNewerFormat: the file or stream was written by a newer version of
// doozer, which this one cannot read.
var ErrNewerFormat = errors.New("checkpoint: written by a newer version")

// ErrClosed: the DB, Export or Stage was closed.
var ErrClosed = errors.New("checkpoint: closed")

// ErrStaging: a stage is being built already; there is room for one.
var ErrStaging = errors.New("checkpoint: a stage is already being built")

// ErrBadStream: an exported stream is damaged, cut short or out of order.
var ErrBadStream = errors.New("checkpoint: damaged stream")

// CorruptError says that a database file is not what this package wrote.
type CorruptError struct {
	Path   string
	Reason string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("checkpoint: %s is damaged: %s", e.Path, e.Reason)
}

// guard runs fn, which reads pages of the file at path, and makes a
// CorruptError of what bbolt does about pages that make no sense: it panics,
// or follows a page number beyond the end of the file, which is a fault.
func guard(path string, fn func() error) (err error) {
	old := debug.SetPanicOnFault(true)
	defer debug.SetPanicOnFault(old)
	defer func() {
		if r := recover(); r != nil {
			err = &CorruptError{Path: path, Reason: fmt.Sprint(r)}
		}
	}()
	return fn()
}

// diskFull says whether a failed bbolt commit left the file as it was, so
// that it may be tried again: a write that found no room. An fdatasync that
// failed, for whatever reason, is not among them; bbolt returns its bare
// errno.
func diskFull(err error) bool {
	var p *fs.PathError
	if !errors.As(err, &p) || p.Op != "write" {
		return false
	}
	return errors.Is(p.Err, syscall.ENOSPC) || errors.Is(p.Err, syscall.EDQUOT)
}
