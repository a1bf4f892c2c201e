package redisdial

import "time"

const (
	// defaultTimeout is how long a dial may wait for a master if nobody says
	// otherwise: the DialTimeout of go-redis.
	defaultTimeout = 5 * time.Second

	// retryDial is the pause before the same master is dialled again. It is
	// there when the register changes earlier.
	retryDial = 50 * time.Millisecond

	// lookAgain is how often a view that is stale is looked at: that it is fresh
	// again is not told.
	lookAgain = 20 * time.Millisecond
)
