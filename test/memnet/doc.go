// Package memnet is a network in memory, for tests in a bubble of
// testing/synctest: no time passes while anything can move, so that no deadline,
// handshake, probe or election depends on how fast the machine is, and what a test
// says of times holds to the millisecond.
package memnet
