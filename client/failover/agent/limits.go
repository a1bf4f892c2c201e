package agent

import "time"

const (
	// callLimit bounds one command to Redis, and one write to the store.
	callLimit = 3 * time.Second
	// lookEvery is how often the agent asks its Redis how it is, when nothing
	// happens.
	lookEvery = 500 * time.Millisecond
	// retryAfter is the pause after an action that failed.
	retryAfter = 50 * time.Millisecond
	// shutLimit bounds the attempt to reach the Redis of a lost master, or the own one
	// at the end.
	shutLimit = time.Second
	// keepOutFirst and keepOutMax are the pauses between two times that the clients
	// of a lost master are disconnected.
	keepOutFirst = 500 * time.Millisecond
	keepOutMax   = 8 * time.Second
	// lagLimit bounds the question how far a replica is behind.
	lagLimit = 500 * time.Millisecond
	// handOverLimit is how long writes may wait in a switch: the target then has
	// not got everything, and the switch is called off.
	handOverLimit = 2 * time.Second
	// pauseLimit is how long Redis holds writes back in a switch if its agent
	// dies meanwhile.
	pauseLimit = 5 * time.Second
	// handOverPoll is how often the target of a switch is asked how far it is.
	handOverPoll = 200 * time.Microsecond
	// redialFirst and redialMax are the pauses between attempts to reach Redis.
	redialFirst = 5 * time.Millisecond
	redialMax   = 200 * time.Millisecond
	// busyFactor is how much longer than hang_ms a Redis may be silent that uses
	// its processor all the time: it is at work on a long command.
	busyFactor = 10
	// killLimit is how long the process may take to be gone after SIGKILL.
	killLimit = 2 * time.Second
	// hookLimit is how long a hook may run; then it is killed.
	hookLimit = 30 * time.Second
	// statDelay is how long after a change it is told the others.
	statDelay = 30 * time.Millisecond
	// statEvery is the least time between two writes of an offset alone.
	statEvery = time.Second
	// saveTries is how often it is tried to save what is lost before the node goes
	// on without.
	saveTries = 3
	// leaveLimit is how long an agent that stops waits for a switch.
	leaveLimit = 5 * time.Second
	// syncDelayS is how long a master waits at most, in seconds, for more replicas
	// that want a whole copy, before it begins to send one.
	syncDelayS = 1
	// shut is the min-replicas-to-write of a Redis that is to refuse all writes.
	shut = 9999
)
