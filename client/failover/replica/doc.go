// Package replica speaks Redis's replication protocol as a replica would that
// keeps nothing.
//
// A Conn is one connection. Gate is what an agent keeps to its own Redis: as many
// connections as the master has nodes, each of which reads the replication
// stream, throws it away, and acknowledges (REPLCONF ACK 0) while a function says
// that it may. With min-replicas-to-write set to their number and
// min-replicas-max-lag to 1, Redis itself refuses writes when they are closed, and
// at most three seconds after they were last acknowledged: a dead-man switch that
// works when the agent is killed, stopped or cut off. ACK 0 counts for
// min-replicas-to-write and not for WAIT.
//
// Tail reads what a master has beyond an offset, as it would send it to a
// replica: the commands that nobody else has.
//
// # Goroutines
//
// A Gate has one that acknowledges and one for each connection that reads;
// Close ends them and waits. A Conn has none.
//
// # Errors and limits
//
// ErrRefused wraps what Redis answers; ErrGone tells that the history asked for is
// no longer there; limits.go has the limits.
package replica
