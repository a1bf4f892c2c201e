// Package fakestore is a store in memory, for tests of what is built on the
// client: sessions, locks, elections.
//
// A Store has files, revs and a window of changes, and answers as a cluster
// does. A Client is one program's way to it, with faults of its own: Cut makes
// it wait until its calls time out, and Fault decides about single calls: a
// request that never arrives, a reply that is lost, a request that arrives long
// after its sender gave up.
//
// It waits on channels and timers only, so that it works under testing/synctest
// (Bubble), and counts what is asked of it. It starts no goroutine but one for each late
// request. Its calls may be made from any goroutine.
package fakestore
