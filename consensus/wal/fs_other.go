//go:build !linux

package wal

// Allocate writes zeros: the portable way to reserve space.
func (f osFile) Allocate(size int64) error { return f.writeZeros(size) }

// Datasync is a full sync where there is no cheaper one.
func (f osFile) Datasync() error { return f.Sync() }
