package wal

import (
	"errors"
	"fmt"
)

// Met by Open.
var (
	// ErrForeign: the directory holds the log of another node or cluster.
	ErrForeign = errors.New("wal: the log belongs to another node or cluster")
	// ErrNewerFormat: a segment was written by a newer version of this package.
	ErrNewerFormat = errors.New("wal: the log was written by a newer version")
)

// Met by Append, Compact and Reset. Nothing was written and the log goes on.
var (
	// ErrGap: the entries do not continue the log, or each other.
	ErrGap = errors.New("wal: entries are not consecutive")
	// ErrCommitted: an entry would replace a committed one of another term.
	ErrCommitted = errors.New("wal: a committed entry would be replaced")
	// ErrBeyond: a commit or compaction index is not in the log.
	ErrBeyond = errors.New("wal: index is beyond the last entry")
	// ErrTooLarge: the entries exceed MaxBatch.
	ErrTooLarge = errors.New("wal: batch is too large")
)

// ErrClosed is returned by every call that follows Close.
var ErrClosed = errors.New("wal: log is closed")

// CorruptError is damage that is not the torn tail of an interrupted write:
// entries that were promised to be durable may be lost, so the log refuses to
// open, or to return the entry.
type CorruptError struct {
	Segment string // file name, without its directory
	Offset  int64  // byte in the file where reading failed
	Reason  string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("wal: segment %s is damaged at offset %d: %s", e.Segment, e.Offset, e.Reason)
}
