// Package checkpoint keeps the durable state of a node in one bbolt file: a
// set of records (key, value) and, in the same transaction, the raft index
// they stand for.
//
// # Types
//
//   - DB: the open file. Commit writes a checkpoint, Load reads all of it.
//   - Export: a consistent reader of a DB as one byte stream, for a snapshot
//     to another node or a backup. Reader takes such a stream apart again.
//   - Stage: a second file beside the DB, built from a stream and then
//     installed over it.
//   - Meta: what a state stands for: index, term, members.
//
// # Files
//
//	<path>         the database
//	<path>.staged  a database that is being built; removed by Open
//	<path>.lock    locked (flock) by the process that has the DB open
//	<path>.redo    a large commit while it is brought into the database;
//	               completed by Open
//	<path>.redo.new  the same before its commit point; removed by Open
//
// # Durability
//
// A small Commit is one bbolt transaction, records and meta: data pages,
// fdatasync, meta page, fdatasync. Its commit point is the write of the meta
// page; a crash before leaves the previous checkpoint, a crash after leaves the
// new one. Both are states the log can be replayed onto.
//
// A large one is written to a redo file first, whose rename is its commit point,
// and then brought into the database by transactions of a bounded size (redo.go).
// A crash before the rename leaves the previous checkpoint; one after it leaves
// a part of the new one, which Open completes. An error after it is final.
//
// A first database, like a staged one, becomes visible by rename(2) of a
// complete and synced file, followed by fsync of the directory. A crash
// before the rename leaves the old state and a staged file that the next Open
// removes; a crash after it leaves the new state. If the rename is lost with
// the directory's cache, the old state is there as it was.
//
// An error of a callback rolls back and leaves the DB usable. So does a full
// disk: bbolt has written neither meta page then. Every other failure of a
// commit is final, because the kernel may have dropped what it could not
// write: the DB refuses all later commits and the process should end.
//
// # Goroutines and memory
//
// The package starts no goroutine. Commit, Install and Close exclude one
// another; Load and Export run beside them, on the state that was committed
// when they began; one that begins while a large commit is brought in waits for
// its end. While an Export is open bbolt may not reuse the pages it
// can see, so the file grows by what is committed meanwhile; the space is used
// again afterwards, and never given back to the file system except by a Stage
// that is installed.
//
// bbolt holds a whole transaction in memory, with every page it touches: a
// commit of a quarter of a million scattered records in one would take more than
// a gigabyte. As parts, and as a Stage, they take some 30 MB for any size, and
// each part uses the pages again that the one before has freed.
//
// Pages that a Load, Export or Commit has looked at are unmapped (letGo): they
// are the kernel's cache, not this process's memory.
//
// # Errors
//
// ErrInUse, ErrNewerFormat, ErrClosed, ErrStaging, ErrBadStream and
// *CorruptError. bbolt has no checksums on its data pages: a CorruptError is
// found by its structure only, and the state machine checks the contents by
// its own hash.
package checkpoint
