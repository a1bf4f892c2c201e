// Package check decides from records whether a cluster kept its word. It talks
// to no server: a test records what callers did and saw ([History]) and what
// the store says happened ([Event]s of its log, files of its tree), and the
// checkers compare.
//
// The committed log is what everything is held against: [Merge] puts it together
// from what watches at all nodes were given, [Ledger] finds things in it, and
// [Ledger.Volatile] which of them a store may have forgotten.
//
//   - [Linearizable]: the operations on each path have one order that every caller's
//     view fits, found by porcupine without the log's help. A write of unknown
//     outcome may have happened at any time since, or never. Not to find an answer
//     in time is a failure.
//   - [Serial]: all operations together, on all paths, fit the order of the log, and
//     that order fits time: strict serializability, transactions and lists included.
//   - [Applied]: each write is in the log as a whole, once or not at all, as its
//     caller was told; its conditions held.
//   - [Answers]: local reads, lists at past revs, refusals and TOO_LATE agree with
//     the log.
//   - [Recorded], [Watch], [SnapshotWatch]: what a watch was given is filtered,
//     ordered, unique, atomic, reliable, resumable and bookmarked; snapshots and
//     resyncs are the tree at their rev. [Mirror]: a copy kept by a watch's events
//     is the tree at every mark.
//   - [Acked]: every acknowledged write is in the log at its rev and still shows
//     in the tree; nothing was applied twice; nothing refused was applied.
//   - [Revs]: no rev given twice to one path, and none that goes back in time.
//   - [Counters]: read-modify-write increments add up.
//   - [MaxGap]: the longest time without a successful write.
//
// A checker returns nil or [Problems]. Each has canaries among its tests: bad
// histories made by hand that it must refuse, each for the right reason.
package check
