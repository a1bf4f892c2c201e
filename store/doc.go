// Package store is doozer's state machine: a tree of small files, every
// version of the last revs, and the results of the last writes.
//
// The package is pure. It reads no clock, does no I/O, starts no goroutine,
// draws no random number and depends on no map's order: the same commands at
// the same log indexes give the same records, byte for byte, on any machine,
// whenever records were captured and however often the state went through a
// Loader in between.
//
// # Types
//
//   - Command is what the log holds: a Write (conditions and operations), a
//     System write, a Register, a Configure, a Nop or a Check. Append and
//     DecodeCommand are its storage format; Validate is what a server asks
//     before it proposes one.
//   - Store is the tree. Apply is the only way to change it. Get, Stat, List,
//     Find and Events read it, at any rev of the window.
//   - Scan and Span are reads of many files or changes that are done in parts,
//     each of which looks at a bounded number of nodes.
//   - Event is one change of one file, and also the version of the file that
//     the change made. It never changes once it has been returned.
//   - Glob is a compiled pattern, Index a set of globs that finds those that
//     match a path without trying them all.
//   - Capture is what changed since the Capture before, as records; Snapshot
//     gives all records; Loader makes a Store of them.
//
// # Ownership
//
// A Store has no lock. Its caller holds one: Apply, Capture and Uncapture need
// it exclusively, everything else may share it. Records of a Capture and every
// Event may be used without it.
//
// # Window
//
// Oldest is the lowest rev R such that the tree at R can be read exactly. Each
// file keeps its versions newer than Oldest and, as a base, the newest one that
// is not. Changes of rev f are available if f > Oldest. The window ends at the
// rev that was last applied, which is always in it.
//
// # Volatile files
//
// Heartbeats would fill the window with versions that nobody asks for. So of a
// file that Config.Volatile matches, a version that rewrote the one before is
// forgotten when the next change of the file is made: gone from the window, which
// counts only the revs that are left, and from the file. What stays is its
// creation while that is in the window, or its base, and its newest version.
//
// A read at a past rev shows of such a file the newest version up to that rev
// that is kept; that the file was there is exact. Changes since a rev have every
// creation and deletion and the newest version, but not all in between. Nothing
// else is different: conditions, live events and the present tree see every
// write.
//
// # Tree
//
// A node stands for a path and is found by it in one table. It has the path's
// versions, and if nodes lie below it, a directory: its children in order of
// their names, how many of them are present, and the sum of the hashes of all
// files below. A write changes the sums of its ancestors, and stops counting
// entries at the first that existed before and still does.
//
// A directory has no versions of its own. It exists while it has entries; so it
// notes the revs of the window that changed their number, each with the number
// before. Whether it existed at a rev, and how long it was then, is one search.
//
// A version is dropped when the one after it has become the base, a deletion as
// soon as it leaves the window, and a node or directory with its last version.
//
// # Transactions
//
// A write does its operations one after the other in the tree. If one can't be
// done, those before it are undone, newest first; everything they did has an
// exact inverse. Only when all are done do they count: get a rev, enter the
// window, and become part of the next Capture.
//
// # Exactly once
//
// Register makes a client; its writes carry its id and a sequence number, and
// what came of each is remembered until the client acknowledges it. A write
// that comes again gets the same result. One whose result may have been
// forgotten is refused with ClientExpired: its number is below what the client
// acknowledged, or the client is not known. A client is forgotten when it has
// been idle for Config.ClientTTL of log time, or is idle longest while there
// are too many clients or results. Of a refusal only the numbers are kept; the
// repeated write names the path, and the tree has the file.
//
// A restored backup knows nothing of the writes that came after it, and would
// give the ids of clients that registered since to others. So restoring raises
// the epoch, and a Configure that does makes the store forget all clients (of
// any epoch but 0, which has no backups) and give out ids from the epoch times
// 2^32 on. No id of an older epoch meets a client of a newer one; the write it
// comes with is refused with ClientExpired.
//
// # Costs
//
// A write of a file that exists takes a search in a table, a copy of the value,
// its hash, and a step for each directory above; a new file also takes a place
// among its siblings, by binary search. What leaves the window is paid for by
// what enters it, version by version. A file of 256 bytes takes about 420 bytes
// in all. Get is one search in the table, at a past rev also one among the file's
// versions. Capture is O(1) but for the clients that changed.
//
// # Limits
//
// All limits are in limits.go, with what happens when one is reached. Those
// that an operator can choose are in Config, which is replicated: a node's own
// settings never decide what Apply answers.
//
// # Errors
//
// Every error is an *Error with a Code; errors.Is finds it by the constants
// ErrNoEnt, ErrTooLate and so on. Apply never panics, whatever bytes it is
// given; it answers with an Error and changes nothing.
package store
