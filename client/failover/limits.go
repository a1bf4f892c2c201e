package failover

import "time"

const (
	// maxNodes is the most nodes of a group: every one more costs the master a
	// gate connection, which carries the whole write traffic.
	maxNodes = 9
	// maxHist is how many failovers are remembered; the oldest go.
	maxHist = 100
	// maxWhy is the bytes of a reason that is kept.
	maxWhy = 300
	// maxTTL bounds how long the death of a host may go unnoticed.
	maxTTL = time.Hour
	// maxGateLag is Redis's min-replicas-max-lag, in seconds: a gate that takes
	// longer to close is none.
	maxGateLag = 10
	// claimGrace is how long the others leave it to the winner of an election to
	// say so.
	claimGrace = 150 * time.Millisecond
	// promoteLimit is how long a node may take from being chosen to being the
	// master; then there is another election.
	promoteLimit = 3 * time.Second
	// handOverLimit is how long a switch may take once the old master is none.
	handOverLimit = 2 * time.Second
	// takeGrace is how long the node that is to take over leaves it to the old master
	// to say so, and takePoll how often it looks at its Redis after that.
	takeGrace = 150 * time.Millisecond
	takePoll  = 10 * time.Millisecond
	// sessionWatch is how long one watch of a session lasts before its file is
	// read again.
	sessionWatch = 10 * time.Second
)

// freshEvery is how often a Follower asks the store for the register.
func freshEvery(ttl time.Duration) time.Duration { return ttl / 4 }
