// Package wal is the raft log on disk: entries and HardState in segment files,
// with one write and one fdatasync for each batch.
//
// Log is what a node uses: Open, Append, Compact, Reset, Close, and the reading
// half of raft.Storage. Options say where it lives; FS and File are the seam to
// the disk (package faultfs has one that loses power). Everything else is
// private: index is what the log holds without the data, cache the newest
// entries, segment one file, replay the reader of a whole log at Open.
//
// # What is on disk
//
// Segments named <sequence>-<index it was made for>.wal, of 64 MiB, allocated
// before use and never reused, so a byte that was not written is zero. The first
// sector of 512 bytes is the segment's header: whose log this is, and which
// segment and batch must come here. Then batches, one for each Append, each
// starting at a sector boundary: a header with a number that is consecutive over
// the whole log, records, and zeros up to the sector's end. The layouts are drawn
// in format.go and record.go.
//
// Every batch repeats the HardState; the first batch of a segment also the base,
// which is the last compacted index and its term, and the last index before it.
// So the segments that remain after older ones were removed are a whole log. An
// entry that conflicts with older ones is appended like any other, and a later
// record wins in replay: nothing that was written is ever overwritten, and a
// reader needs no lock while it reads from a file.
//
// # What the disk is assumed to do
//
// It writes a sector of 512 bytes wholly or not at all, in any order among
// sectors. What fdatasync reported as stored, and names after a sync of their
// directory, survive a power cut. Between syncs anything may be kept or lost. It
// may return wrong data, which checksums find.
//
// # Commit points and crashes
//
// Append commits by the fdatasync of its batch. Before that the batch may be
// there, be torn or be missing; an entry becomes readable after it.
//
// A new segment is prepared under a temporary name: allocated, synced. Rotation
// syncs the old segment, writes and syncs the header, renames, syncs the
// directory, and only then writes a batch into it. A crash before the rename
// leaves a file that Open removes; after it, an empty segment that Open goes on
// with. A *.wal file without a sound header is therefore damage.
//
// Compact moves the base in memory. If that leaves segments without a live entry
// it first makes a batch with the base durable and then removes them, the oldest
// first, each durably before the next: a crash never leaves a hole.
//
// Reset commits by one batch in a new segment. A crash before leaves the old log,
// a crash after it the new one, with old segments that the next Open removes.
//
// A failed write, sync or removal is final. The kernel may have dropped the data
// and marked the pages clean, so a second fdatasync that succeeds proves nothing:
// every later change returns the first error and the process must end. Reads go
// on, from what had been synced. The next Open writes the newest batches again,
// those that no later batch vouches for, before it counts on them: what it read
// may have come from such a page.
//
// # A torn tail and damage
//
// Each batch says up to which number all batches were durable before it was
// written. Normally that is the one before; batches appended without sync form a
// group that may tear anywhere. At the first place where no sound batch begins,
// Open decides in this order:
//
//   - A batch further on was written after the missing one had been synced, or a
//     later segment exists: damage. (At the end of an earlier segment, zeros up to
//     its end and the right number in the next segment's header are normal.)
//   - The sector is zero: the end of the log, or a torn write whose first sector
//     was lost.
//   - The sector is not zero and not a sound header: a sector is written whole, so
//     damage.
//   - The header is sound, the payload is not: torn if more of its sectors are zero
//     than were when it was written (its header counts them), for these never
//     reached the disk. If none is missing, damage. Where such a batch ends, the
//     next one's header begins or the sector is zero; anything else is damage.
//
// A file that is not as long as its header says, a missing segment, a segment in
// another's place, older segments removed though no batch says so, and records
// that contradict each other are damage too. What is torn is cleared and synced
// before anything is appended, and Torn tells of it; damage is a *CorruptError
// with segment and offset, and the log stays as it is.
//
// What cannot be told apart: the newest batch (or group of batches) lost as a
// whole or in whole sectors after it was synced looks like a torn write, and so
// does the removal of the newest segment, or one whose end reads as zeros: that
// is the disk of an earlier moment. It takes a disk that breaks its word about
// the last write and all that could vouch for what is missing; no log that ends
// where its file ends could tell. This node then forgot entries or a vote it had
// acknowledged. A leader that still runs sends a commit index beyond this log,
// which raft refuses; and committed entries are on the rest of their majority.
// Where the first sector of one later batch is left, nothing is lost silently.
//
// A sector that is written in part, which the assumptions above exclude, is
// refused or cut off, and never taken for data.
//
// # What the caller owes
//
// One Log for a directory at a time. Entries are not changed after Append.
// HardState changes appended without sync are only in memory until the next
// batch, so after a kill the Commit found may be older than a checkpoint that is
// newer than the log's base: raise it to the checkpoint's index before raft
// starts. That is safe, since what a checkpoint holds was committed.
//
// # Limits
//
// In limits.go: bytes of a batch, of a segment, of the cache, of a read. For each
// entry above the base 24 bytes of memory are used; how many there are is up to
// whoever calls Compact.
//
// # Goroutines
//
// One, which prepares the next segment: started after a rotation and by Open, it
// ends by itself; the next rotation and Close wait for it.
//
// # Errors
//
// Open: ErrForeign, ErrNewerFormat, *CorruptError, or what the file system said.
// Append, Compact, Reset: ErrGap, ErrCommitted, ErrBeyond and ErrTooLarge refuse
// one call; anything else is final. Reads: raft.ErrCompacted, raft.ErrUnavailable,
// *CorruptError. After Close: ErrClosed.
package wal
