package wal

// FS is the file system the log lives on. Names are full paths. Package
// faultfs has one in memory that can lose power.
type FS interface {
	// MkdirAll makes dir and its parents, durably.
	MkdirAll(dir string) error
	// Create makes an empty file, or empties the one of that name.
	Create(name string) (File, error)
	// Open opens a file for reading and writing.
	Open(name string) (File, error)
	Remove(name string) error
	// Rename replaces newname atomically.
	Rename(oldname, newname string) error
	// ReadDir lists the names in dir, in no particular order.
	ReadDir(dir string) ([]string, error)
	// SyncDir makes creations, removals and renames in dir durable.
	SyncDir(dir string) error
}

// File is one open file. ReadAt may run concurrently with every other call;
// after Close it returns fs.ErrClosed.
type File interface {
	ReadAt(p []byte, off int64) (int, error)
	WriteAt(p []byte, off int64) (int, error)
	// Allocate makes the file size bytes of zeros with their disk space
	// reserved, so that a later write inside it cannot run out of space.
	Allocate(size int64) error
	// Datasync makes the content durable; Sync also what Allocate did to the
	// file's metadata.
	Datasync() error
	Sync() error
	Size() (int64, error)
	Close() error
}
