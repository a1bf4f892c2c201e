// Package failover is about groups of Redis servers: one master that all
// clients agree on, and replicas of which one takes over when the master goes
// down, without two masters that accept writes.
//
// Beside each Redis runs an agent (package agent, 'doozer redis agent'). All that
// the agents know together is in the files of the group, and one of them is the
// register:
//
//	/redis/G/conf       Conf: what the operator wants
//	/redis/G/master     Register: who is the master, or how far the choice has come
//	/redis/G/node/N     Node: where Redis N and its agent are; written at its start
//	/redis/G/stat/N     Stat: how Redis N is; written when that changes
//	/redis/G/bid/E/N    Bid: what Redis N has, in the election that began at rev E
//	/redis/G/cmd        Cmd: what an operator asks for
//	/redis/G/hist/E     Hist: the failover that began at rev E, and what it cost
//
// The rev of the register is the epoch of the group. Every step of a failover
// is one compare-and-set of the register, so that any agent continues what
// another has begun, and none can act on an older state:
//
//	electing    nobody is the master. Every agent freezes its Redis and bids what
//	            it has; the best bid is chosen
//	promoting   the node is to become the master, and takes no writes yet
//	running     the node is the master
//	switching   the node is the master until it has handed over to another
//
// While the session of a running master lives only its own agent takes the
// register from it; after the session's end anybody may. The master's Redis takes
// writes only while its agent acknowledges the replication stream on extra
// connections, the gate, which it does only while its session is valid. So Redis
// itself stops taking writes when the agent dies, hangs, or is cut off.
//
// # The parts
//
//   - Conf, Node, Stat, Bid, Register, Cmd, Hist: the files.
//   - View: all files together, as of one rev; Follower keeps one up to date.
//   - Decide: what an agent does next, a pure function of what it sees; Elect: who
//     wins. Their tests run whole groups in a simulation.
//   - Ask, SetConf, Init: what operators do.
//
// # Goroutines
//
// A Follower has one for the watch of the group, one that asks the store
// whether the view is up to date, and one for each session that it follows. Close
// ends them and waits.
//
// # Errors and limits
//
// ErrBadName, ErrBadConf, ErrBadFile and those of package client. limits.go has
// the limits.
package failover
