// Package boot makes a running node of the server's parts. It is the one place
// that knows all of them: doozerd and tests start nodes through it.
//
// Types:
//
//   - Config says what a node is: the flags of doozerd.
//   - Node is a running one: Start, Stop, Done, Err.
//
// # A data directory
//
//	LOCK           locked (flock) by the process that uses the directory
//	identity.json  who the directory belongs to; see identity
//	peers.json     the data directories the peers had when first met
//	log/           the raft log, package consensus/wal
//	state.db       the last checkpoint, package consensus/checkpoint
//
// # Identity
//
// A data directory has a random incarnation. Every node remembers, on its own
// disk and in /ctl, which incarnation each peer had when it was first met, and
// refuses the hello of any other: a node that lost its data would otherwise
// come back under an id whose votes and acknowledgements it has forgotten.
//
// # Goroutines
//
// Start starts one that publishes the node in /ctl and sees to it that the
// cluster has an id (registrar), one that follows hashes (verifier), and those
// of the parts. Stop ends them in reverse order and waits.
//
// # Errors
//
// Every refusal to start is one sentence that names the flag, file or node it
// is about and says what to do. A node that runs ends by itself only when its
// disk fails, when a peer proves that its data was lost, or when its peers
// refuse it; Done is closed then and Err tells why.
package boot
