package replica

import "time"

const (
	// maxLine is the longest line that is read; Redis's own limit is 64 KiB.
	maxLine = 64 << 10
	// readBuffer is what one read of the stream takes at most.
	readBuffer = 256 << 10
	// MaxTail is the most that Tail returns: more is not kept in memory. Redis's
	// backlog is 1 MiB by default.
	MaxTail = 1 << 30
	// ackEvery is the time between two acknowledgements. Redis counts whole
	// seconds: with min-replicas-max-lag 1 one in a second is enough.
	ackEvery = 250 * time.Millisecond
	// stepLimit is how long Redis may take to answer one step of a handshake.
	stepLimit = 5 * time.Second
	// syncLimit is how long it may take until the stream begins, where Redis has
	// to start a child for it.
	syncLimit = 60 * time.Second
	// backlogPoll is how often MakeBacklog looks.
	backlogPoll = time.Millisecond
	// writeLimit is how long an acknowledgement may wait for the kernel.
	writeLimit = time.Second
)
