// Package consensus makes raft usable: it turns commands that callers propose
// on any node into one log that every node applies in the same order, and
// tells when a read may be answered. It knows nothing of files.
//
// Types:
//
//   - Node is a member of the cluster: Open, Propose, ReadIndex, Stop.
//   - Log, Transport and StateMachine are what a Node needs of others: the
//     log on disk, the way to its peers, and what commands are applied to.
//   - core holds all decisions and does no I/O; a Node drives it with
//     goroutines, a simulator can drive it by hand.
//
// # Goroutines
//
// Open starts five, Stop ends them and waits:
//
//   - the loop owns core, and with it raft's RawNode; nothing else touches it;
//   - the writer owns the writing side of Log: it stores entries and votes,
//     with one sync for all that waits, and then lets raft's answers go;
//   - the applier owns StateMachine.Apply, and answers proposals;
//   - the reader answers reads once the applier has come far enough;
//   - the checkpointer makes checkpoints durable and shortens the log.
//
// They hand work to each other through queues that never block; what can be
// in them is bounded by raft's limits and by Limits.
//
// # Life of a proposal
//
// A proposal waits until the node knows a leader. A leader puts all that
// waits, its own and what others forwarded, into one entry; a follower
// forwards its own to the leader, marked with the leader's term. The entry
// carries who proposed each command, so when a node applies it, the node where
// the caller waits answers. Nothing is sent back from the leader.
//
// A leader accepts forwarded commands for its own term only, and an entry's
// term is that of the leader who made it. Terms never fall along the log. So
// once a node has applied an entry of a higher term than the one in which a
// command was handed over, and has not seen the command, the command is not in
// the log and never will be: it is handed over again, safely. That is how a
// proposal survives the loss of any leader with no doubt about its outcome. In
// doubt (ErrUnknown) are only those whose deadline passes, whose node stops,
// or whose node had to skip entries by installing a snapshot.
//
// If the connection to the leader breaks within a term, or the leader has not
// put them into the log for long, all commands that are not answered are
// forwarded again, in order of their numbers. The leader drops those it has
// taken already. Each group says which number it follows, and the leader takes
// none whose predecessors it lacks: what it has taken of a process is always
// all up to one number.
//
// # Reads
//
// ReadIndex asks raft for an index that a majority confirms (ReadOnlySafe:
// no clock is trusted), one question for all reads that wait, each with a
// context that is never used again, and lets the reads go when that index is
// applied here.
//
// # Failure of the leader
//
// PreVote and CheckQuorum are on. When the connection to the leader's process
// breaks and the address refuses a new one, the process is dead: the node
// forgets the leader and campaigns after a few milliseconds by its rank. A
// leader whose disk does not finish a write within an election timeout hands
// leadership to the peer with the longest log.
//
// # An idle node
//
// Raft's clock is given its ticks when one of them may do something: see
// raftClock. The loop is woken by an Alarm, which may be better than the
// runtime's.
//
// # Errors
//
// ErrNoLeader, ErrOverloaded, ErrStopped and ErrDeadline mean that nothing was
// done, ErrUnknown that nobody can tell. An error of Log is final: the node
// ends (Done, Err) and its process should.
package consensus
