// Package client is how Go programs talk to a doozer cluster.
//
//	c, err := client.Open(ctx, "doozer:?ca=10.0.0.1:8046&ca=10.0.0.2:8046")
//	rev, err := c.Set(ctx, "/app/config", value, client.IfRev(rev))
//
// # What the caller may rely on
//
// Reads are linearizable unless they are asked for with Local. A write is
// applied at most once, however often the client has to send it: it carries
// an id (client id, sequence number) that the store remembers. A call ends at
// the deadline of its context, or WithTimeout after its start. If a write's
// fate is not known by then, its error is ErrUnknownOutcome; every other error
// says that nothing was done. A watch delivers every change once and in order,
// from whichever nodes there are; Watch tells what a resync means.
//
// # Which node
//
// The client starts with the addresses of its target, in random order, and
// learns those of all members from /ctl/node, which it reads again every half
// minute: it outlives every node that it was given. Writes and linearizable
// reads go to the leader, which every answer names, or, if that cannot be
// reached, to another node, which passes them on. Local reads, watches and
// logs go to any node, or, WithTargetFirst, to one that the target names; Served
// tells which answered, and how old it is. A node that fails is left at once;
// one that owes an answer and is silent, even when it is asked who it is, after
// 0.8 s. What had no answer is sent again elsewhere.
//
// # The parts
//
//   - Client (client.go, verbs.go, list.go, log.go, status.go): the calls, and
//     the loop of attempts that each of them is.
//   - retry.go decides what may be sent again; nothing else does. errors.go
//     maps the protocol's codes to errors; nothing else does.
//   - ids: client ids and sequence numbers of writes, and which are answered.
//   - router, near.go, race.go: decides where calls go, and moves them. One
//     goroutine, run, owns the decision; nodes is its table of addresses.
//   - pipe, patrol.go, frame.go: one Do stream. Calls of all goroutines are
//     gathered while the batch before is being sent; there is no delay for the
//     sake of batching, and no timer per call.
//   - Watcher and view: a watch over any number of streams. Watcher has the
//     I/O, view the rules.
//
// # Goroutines
//
// One for the router; three for each pipe (send, receive, patrol), of which
// there are one or two, and for a moment more while calls move; one for each
// attempt to reach a node; one for each Watcher that is in use, which reads
// one message ahead of the consumer. All of them end with Close, which waits
// for them.
//
// # Limits
//
// limits.go has them all: 4096 calls and 64 MiB in flight on a pipe, beyond
// which calls wait; 16 MiB for a request, beyond which it is ErrTooLarge; a
// watch that is not consumed holds a stream window (1 MiB) and two messages.
//
// # Errors
//
// Every call's error is an *OpError that names verb, path and cause, and Is
// one of the errors of this package, or that of the context. A failed
// condition is a *RevMismatchError, a rev below the window a *TooLateError.
package client
