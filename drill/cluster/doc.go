// Package cluster runs real doozerd processes and does them harm.
//
// [Start] starts a [Cluster] of [Node]s,
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
// [StartProcess] is for the other programs of a test.
//
// The harness reports to a [TB]: a test, or outside of tests a [Solo].
// DOOZER_TEST_KEEP=dir keeps logs, goroutines and metrics there after a failure.
//
// # Goroutines
//
// Each running process has one goroutine that waits for its end; a Load has
// one for each writer, ended by Stop.
package cluster
