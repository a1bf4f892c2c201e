// Package sessiontest gives tests of what is built on sessions programs that have
// one: over a fakestore.Store, in a bubble of testing/synctest.
package sessiontest
