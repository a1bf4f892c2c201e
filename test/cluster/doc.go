// Package cluster runs real doozerd processes, does them harm, and checks that
// the cluster keeps its word.
//
// [Start] builds doozerd once per process and starts a [Cluster] of [Node]s,
// each with its own data directory, ports and log file; when the test ends it
// stops them and fails the test if a log tells of a panic or a data race. A Node can be killed,
// terminated, paused, resumed, restarted and wiped. With [Options].Proxy every
// directed connection between two nodes goes through a link that can be cut or
// delayed ([Cluster.Cut], [Cluster.CutOneWay], [Cluster.Heal]); with
// [Options].LoseReply clients reach the nodes through links that can lose
// replies.
//
// [Load] is concurrent writers whose every call is recorded; package check
// decides from the records. [Cluster.Verify] is the usual verdict: nothing
// acknowledged lost, nothing applied twice, revs never back, all nodes alike.
//
// [Eventually] is the one way to wait: it asks until the answer is right, and
// tells the last answer when it never was.
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
//
// # Goroutines
//
// Each running process has one goroutine that waits for its end; a Load has
// one for each writer, ended by Stop.
package cluster
