package sentinel

import "time"

// What a server may use, and what happens at the limit.
const (
	// maxConns is how many connections there may be, unless Config says
	// otherwise. One more is told so, in the words of Redis, and closed.
	maxConns = 1000

	// maxArgs, maxArg and maxCommand bound a command: its words, the bytes of
	// one and of all. More is a protocol error, which ends the connection.
	// Nothing that is asked of a Sentinel comes near.
	maxArgs    = 256
	maxArg     = 4 << 10
	maxCommand = 32 << 10

	// maxLine is the longest line of the protocol, and so of a command that is
	// typed; more is a protocol error.
	maxLine = 4 << 10

	// maxSubs is how many channels and patterns a connection may subscribe to;
	// more is refused.
	maxSubs = 64

	// flushAt is how many bytes of answers wait for further commands that have
	// come already: with the longest answer the memory of a connection.
	flushAt = 16 << 10

	// helloLimit is how long a client may take for its first command, and for
	// each until it has given its password if there is one; commandLimit how long
	// a command that has begun may take to come. Then the connection ends. Between
	// commands a client may be silent: subscribers are.
	helloLimit   = 30 * time.Second
	commandLimit = 10 * time.Second

	// writeLimit is how long a client may take nothing of what is sent to it;
	// then the connection ends.
	writeLimit = 10 * time.Second

	// lingerLimit and maxLinger bound what is still read of a client that was
	// told that it is not understood.
	lingerLimit = time.Second
	maxLinger   = 64 << 10

	// settle is how long after an election its outcome is published. Clients that
	// lost their connection ask for it meanwhile, and do so again if they are told
	// in the midst of it, or worse: ioredis with failoverDetector ends for good.
	// Of a switch, at which nobody was without a master, all are told at once.
	settle = 200 * time.Millisecond

	// defaultHold is how long a question for the master waits while one is
	// being elected. It is below the time after which common clients give up
	// on a Sentinel (2 s and more, but for redis-py where it is set lower: it
	// then asks the next one).
	defaultHold = time.Second
)
