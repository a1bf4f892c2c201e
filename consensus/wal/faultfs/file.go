package faultfs

import (
	"fmt"
	"io"
	"io/fs"

	"github.com/doozer-store/doozer/consensus/wal"
)

// file is an open file of a MemFS; the file system's mutex protects it.
type file struct {
	fs     *MemFS
	name   string
	node   *inode
	closed bool
}

var _ wal.File = (*file)(nil)

// do asks the fault function and then runs fn on the open file.
func (f *file) do(op Op, fn func(n *inode) error) error {
	op.Name = f.name
	if err := f.fs.ask(op); err != nil {
		return err
	}
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.closed {
		return &fs.PathError{Op: op.Kind.String(), Path: f.name, Err: fs.ErrClosed}
	}
	return fn(f.node)
}

// ReadAt fills p or returns io.EOF with what there is.
func (f *file) ReadAt(p []byte, off int64) (got int, err error) {
	err = f.do(Op{Kind: OpRead, Off: off, Len: len(p)}, func(n *inode) error {
		got = int(max(0, min(int64(len(p)), n.size-off)))
		n.readAt(p[:got], off)
		if got < len(p) {
			return io.EOF
		}
		return nil
	})
	return got, err
}

// WriteAt writes all of p or, when the fault function says so, nothing.
func (f *file) WriteAt(p []byte, off int64) (int, error) {
	err := f.do(Op{Kind: OpWrite, Off: off, Len: len(p)}, func(n *inode) error {
		n.writeAt(p, off)
		return nil
	})
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// Allocate extends an empty file with zeros.
func (f *file) Allocate(size int64) error {
	return f.do(Op{Kind: OpAllocate, Len: int(size)}, func(n *inode) error {
		if n.size != 0 {
			return fmt.Errorf("faultfs: allocate %s: it has %d bytes already", f.name, n.size)
		}
		n.size = size
		return nil
	})
}

// Datasync and Sync make content and size durable.
func (f *file) Datasync() error { return f.sync() }

// Sync is Datasync.
func (f *file) Sync() error { return f.sync() }

func (f *file) sync() error {
	return f.do(Op{Kind: OpSync}, func(n *inode) error {
		n.sync()
		return nil
	})
}

// Size returns the file's length.
func (f *file) Size() (size int64, err error) {
	err = f.do(Op{Kind: OpSize}, func(n *inode) error {
		size = n.size
		return nil
	})
	return size, err
}

// Close never fails, and no fault function is asked.
func (f *file) Close() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	f.closed = true
	return nil
}
