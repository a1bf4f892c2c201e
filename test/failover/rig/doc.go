// Package rig is what Redis failover is tested with: real redis-servers, what watches
// over them, the network between them, and a verdict.
//
// A [Group] is three hosts, each a Redis server and its guard: an agent of doozer
// ([StartDoozer]) or a Redis Sentinel ([StartSentinel]). The servers of a [Net] are
// reached by fronts, which can tell the host of whoever connects, so that a host can be cut
// off from some and not from others. [Run] does one trial of a [Case] to a group: it
// writes, does the harm, waits for what the harm is to lead to, ends the harm, waits
// until the group is whole, and says what became of it, an [Outcome].
//
// The verdict does not ask the system under test. A [Journal] has every write, each
// of an id of its own, with who acknowledged it and when; what the last master does not
// have in the end is lost. An [Acceptance] has the answers of every server to probes that
// are refused as writes are and change nothing, every few milliseconds: the moments in which
// two servers took writes.
//
// [Redis] and [Conn] are also what the tests of Redis itself use.
//
// # Goroutines
//
// Each process has one that waits for its end; a front has one that accepts and
// two for each connection; a trial has one for each server it probes and one for
// each client. All end with the test, or the trial.
//
// # Limits
//
// Trials give up after outcomeLimit and settleLimit, which only a group that does not come
// back exceeds.
package rig
