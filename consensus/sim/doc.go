// Package sim runs whole clusters of 1, 3 or 5 nodes in one goroutine, on a
// simulated network, disk and clock for each node, with every fault drawn from
// a seed. Nothing of the product is copied: store, consensus, the log, the
// logic of checkpoints and snapshots, the watch hub, the streams and the
// exactly-once table are the real ones, driven step by step by
// consensus.Stepper and server.Stepper.
//
// # Types
//
//   - Run does one seed: Config says which, Result counts what happened, and
//     its error is a violation.
//   - Wrong makes the environment break its word, for tests of the checks: a
//     disk that lies, a reader that asks nobody, a hub that loses an event.
//   - world holds the events still to come, in order of time; popping one is
//     all that ever happens. node is a machine: its disk outlives processes.
//     net, disk, clock, client and watch are the environment, faults does harm.
//   - truth is what the cluster has committed, learned from the first node that
//     applies an entry, and what everybody else is compared with. Its past says
//     which changes are left in the window: a twin of the store's, made from the
//     commands alone.
//
// # What is simulated
//
//   - The network delays, loses, repeats and reorders messages, and cuts links
//     in one direction or both; a connection over a cut link ends after a while.
//   - The log's disk is faultfs.MemFS: power cuts lose or tear what was not
//     synced, operations fail, space ends, syncs stall. bbolt needs a real file
//     and mmap, so a checkpoint is a model: commit and install are atomic; the
//     records are the store's own, and snapshots are streams of their format.
//   - Each node's clock runs at its own rate; what it says of the time of day
//     may jump.
//   - A process is killed, loses power (also in the middle of a write), pauses,
//     and ends by itself after a disk error. It starts as boot does: log,
//     checkpoint, consensus, and clients when what was known to be committed is
//     applied.
//
// # What is checked
//
// At every step: one leader a term; an entry is applied only when a majority
// has it synced; all nodes apply the same entries, and have after each the same
// tree hash and the window that the commands lead to; a restarted log has every
// entry and vote it had synced; revs never go back; a command is applied once;
// nothing refused is applied; an acknowledged write is in the log at its rev,
// after everything acknowledged before it began; a linearizable read sees what
// was acknowledged before it; a local read shows a state the node had, a list at
// a past rev the files of then; watches are ordered, unique, whole, atomic and
// bookmarked, alone on a stream or with others; what a node holds is within its
// limits.
//
// Clients rewrite their sessions all the time, which are volatile files, and in
// some runs so are others, or none from some time on. A rewrite may be left out
// of a watch only where that is not live and the node has forgotten the rewrite;
// what a list shows in its place must be the newest that is kept.
//
// Then all faults end, and within healLimit a write by way of every node must
// succeed, all nodes and watches must come to the same end, and their records
// must be the same bytes.
//
// # Determinism
//
// One seed, one trace: everything that happens goes into Result.Hash. Raft
// draws its election timeouts from crypto/rand, whose source the caller sets by
// Config.Random (tests: cryptotest.SetGlobalRandom); one Run at a time in a
// process, therefore.
package sim
