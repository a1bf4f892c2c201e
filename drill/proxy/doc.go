// Package proxy is a faulty wire: a TCP forwarder between two processes that a
// test can cut, cut in one direction, delay, reset, or make lose a reply.
//
// A [Link] listens on a loopback port and forwards every connection to one
// target. What a cut does is what a cut cable does to TCP: bytes stop, nobody
// is told, and what was under way arrives after the cable is mended. A reset is
// the other kind of loss: both ends learn of it at once. A link that is told that
// its target is gone refuses connections as the target does.
//
// # Goroutines
//
// New starts one that accepts; a link that refuses connections has none. Each connection has one that dials and, per
// direction, one that reads and one that writes. Close ends all of them and
// returns when they have ended.
//
// # Limits
//
// A direction holds at most queueLen chunks of chunkSize bytes; then it stops
// reading, and the sender feels it. A link carries at most maxConns
// connections; further ones are reset.
package proxy
