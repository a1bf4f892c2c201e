// Package check decides from records whether a cluster kept its word. It talks
// to no server: a test records what callers did and saw ([History]) and what
// the store says happened ([Event]s of its log, files of its tree), and the
// checkers compare.
//
//   - [Acked]: every acknowledged write is in the log at its rev and still shows
//     in the tree; nothing was applied twice; nothing refused was applied.
//   - [Revs]: no rev given twice to one path, and none that goes back in time.
//   - [Counters]: read-modify-write increments add up.
//   - [Linearizable]: reads and writes of each path have one order (porcupine).
//   - [Watch]: a recorded stream is filtered, ordered, unique, atomic, reliable
//     and bookmarked; with a snapshot, snapshot and changes give the tree.
//   - [MaxGap]: the longest time without a successful write.
//
// A checker returns nil or [Problems]. Each has canaries among its tests: bad
// histories made by hand that it must refuse, each for the right reason.
package check
