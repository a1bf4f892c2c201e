package client

import "time"

// Every limit of the client, with what happens when it is reached.
const (
	// defaultTimeout is the time of a call whose context has no deadline.
	defaultTimeout = 10 * time.Second

	// maxCalls and maxBytes bound what is in flight on one pipe: further
	// calls wait, to their deadline. maxCalls is a power of two, for tags.
	maxCalls = 4096
	maxBytes = 64 << 20
	// maxAwaits is how many Awaits of the client may be out at once, so that they
	// leave room for other calls: one more does not wait at the node, and comes
	// back after awaitPause.
	maxAwaits  = 2048
	awaitPause = 100 * time.Millisecond
	// awaitMax is how long one Await is let wait at a node.
	awaitMax = time.Minute
	// batchBytes and batchCalls bound one DoRequest; what is more goes in the
	// next. A single larger request goes alone.
	batchBytes = 512 << 10
	batchCalls = 1024
	// maxRequest is the largest request that is sent at all; above it a call
	// fails with ErrTooLarge. maxMessage is the largest message received.
	maxRequest = 16 << 20
	maxMessage = 64 << 20
	// keepBuffer is the largest buffer that is kept for the next call.
	keepBuffer = 64 << 10
	// streamWindow is what a node may send on a stream that is not read: with
	// one message more it bounds the memory of a slow watch.
	streamWindow = 1 << 20
	connWindow   = 4 << 20
	// listPage is how many entries List and Walk ask for at once.
	listPage = 1000

	// probeAfter and leaveAfter are how long a node may be silent that owes
	// an answer: first it is asked who it is, then it is left.
	probeAfter = 400 * time.Millisecond
	leaveAfter = 800 * time.Millisecond
	// overtakenAfter is how long a node that led may owe answers after calls
	// have begun to go to the new leader.
	overtakenAfter = 200 * time.Millisecond
	// patrolEvery is how often a pipe in use is looked at; one that was idle
	// for patrolIdle is not, until the next call.
	patrolEvery = 50 * time.Millisecond
	patrolIdle  = 2 * time.Second
	// dialStagger is the head start of each node over the next one.
	dialStagger = 50 * time.Millisecond
	// dialTimeout is how long one attempt to reach a node may take.
	dialTimeout = 2 * time.Second
	// roundPause is the first and the longest time between two rounds in
	// which no node answered.
	roundPause    = 10 * time.Millisecond
	roundPauseMax = 500 * time.Millisecond
	// suspectFor is how long a node that was left is tried last.
	suspectFor = 2 * time.Second
	// refreshEvery is how often the addresses of the members are read.
	refreshEvery = 30 * time.Second
	// refreshPause is the least time between two such reads.
	refreshPause = time.Second
	// staleAge is how long a node may have heard from no leader before calls
	// go to another.
	staleAge = time.Second
	// maxNodes bounds the table of addresses; further members are ignored.
	maxNodes = 64

	// backoffMin and backoffMax are the pauses between attempts of a call.
	backoffMin = 5 * time.Millisecond
	backoffMax = 100 * time.Millisecond
	// maxReregister is how often one write takes a new client id.
	maxReregister = 3
	// windowWait is how long a write waits for the oldest unanswered one when
	// the client id has no free sequence number; then a further client id is
	// registered.
	windowWait = 50 * time.Millisecond
	// defaultWindow is used when a node does not tell the window.
	defaultWindow = 4096

	// statusTimeout is how long Status waits for one node, without
	// WithStatusTimeout.
	statusTimeout = time.Second

	// watchProgress is how often progress marks are asked for; a watch that
	// hears nothing for watchSilence moves to another node.
	watchProgress = time.Second
	watchSilence  = 3 * time.Second
	// watchQueue messages and watchQueueBytes are what a watch on a shared stream
	// holds for its consumer; beyond, it gets a stream of its own.
	watchQueue      = 1024
	watchQueueBytes = 4 << 20
	// watchStart is how long the first message of a stream may take.
	watchStart = time.Second
	// watchPauseMax is the longest pause between attempts of a watch.
	watchPauseMax = time.Second
)
