// Package cluster holds the tests that run real doozerd processes, do them harm,
// and check that the cluster keeps its word. What starts, harms and judges is
// in package drill and below it; this is what is asked of it.
//
// TestDrills is a fire drill of every kind of harm, in short; make campaign does
// drills for as long as it is told, on clusters of 3 and 5 nodes, and writes a
// report (cmd/campaign). cmd/load measures.
//
// # Running
//
// By default the tests run in a short form, a few minutes in all. The
// environment changes that:
//
//	DOOZER_TEST_LONG=1   the long form: more kills, more changes, more clients
//	DOOZER_TEST_SEED=n   the seed of random choices; a failure prints its own
//	DOOZER_TEST_RACE=1   doozerd is built with the race detector, as it is when
//	                     the tests are
//	DOOZER_TEST_BIN=path use this doozerd and build none
//	DOOZER_TEST_KEEP=dir after a failure keep logs, goroutines and metrics there
//
// Times (of failover, of catching up) are printed, not asserted, but for bounds
// that only a hang exceeds.
package cluster
