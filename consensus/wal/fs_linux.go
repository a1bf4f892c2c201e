package wal

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Allocate reserves the blocks with fallocate, or writes zeros where the file
// system has none.
func (f osFile) Allocate(size int64) error {
	return f.reserve(size, func() error { return unix.Fallocate(int(f.Fd()), 0, 0, size) })
}

func (f osFile) reserve(size int64, fallocate func() error) error {
	err := uninterrupted(fallocate)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return f.writeZeros(size)
	}
	return err
}

func (f osFile) Datasync() error {
	return uninterrupted(func() error { return unix.Fdatasync(int(f.Fd())) })
}

// uninterrupted repeats a call that a signal cut short. That is not a retry of
// a failed sync: an interrupted one has reported nothing about the data.
func uninterrupted(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
