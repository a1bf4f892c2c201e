// Package server answers clients: it translates the wire protocol to commands
// and reads of the store, checks them, and gives the commands to consensus.
//
// # Types
//
//   - Machine is the replicated state of one node: the store behind a lock,
//     its checkpoint database, and those who wait for changes. It is the
//     state machine that consensus applies entries to.
//   - Server is the gRPC service over a Machine and a Consensus, with health
//     and reflection. Consensus is what it needs of package consensus.
//   - Metrics are the node's measurements, in a registry of their own.
//   - Limits are the bounds of all that a client can make a node hold.
//   - doStream serves one Do call, watcher one Watch call, hub hands changes
//     to watchers, call is one write on its way.
//
// # Life of a request on Do
//
// The receiver decodes requests one by one from the message's bytes. A write
// is checked, encoded and proposed; consensus calls back with its result,
// which goes to the stream's answers. The reads of a message ask a majority
// together, with one question, and go to the sender when it is answered. The
// sender does the reads and puts all that is ready into one message. So a
// request costs no goroutine, and a batch few wake-ups.
//
// A read at a given rev needs no majority: what the tree was then is the same
// on every node, for ever. It waits until this node has that rev.
//
// # Life of a long read
//
// A list, a log, a snapshot and what a watch catches up on are read in parts,
// each of which holds the state's lock for a bounded number of visits
// (Limits.Visits). Apply gets in between two of them; the parts show one rev
// all the same, for the store keeps the past. When Apply has moved the window
// beyond that rev the read ends with TOO_LATE, or a watch starts over.
//
// # Life of an event
//
// Apply changes the store under its lock and publishes the events after
// unlocking, in order. The hub finds the watches that match through an index
// of globs and appends to their queues, never waiting. A watch whose queue is
// full loses it, and reads what it missed from the store's window; one that
// the window has left behind starts over with a snapshot (RESYNC). An event
// is encoded once, by the first watch that sends it.
//
// # Goroutines
//
// Those of grpc, one for each call, and:
//
//   - Server.watchHealth, started by New, ended and waited for by Stop;
//   - a receiver for each Do call, whose handler is the sender; it ends when
//     the handler returns, and Stop waits for it;
//   - timers of requests that wait for a rev in the future.
//
// Machine starts none. Apply, Checkpoint and install run on the goroutine of
// consensus that applies; what Checkpoint returns on another.
//
// # Locks
//
// Machine.disk before Machine.mu; hub.mu before a subscription's. Nothing is
// sent, waited for or logged with Machine.mu held. The hub is
// never called with Machine.mu held. A doStream's mu is held for a few
// instructions and nothing is called under it.
//
// # Errors
//
// What a client gets is a doozerpb.Error: as the detail of a status on unary
// calls and streams, as itself on Do. errors.go has the tables. One says that
// nothing was done, unless it is UNKNOWN_OUTCOME.
package server
