package server

import "time"

// Limits are the bounds of everything a client can make this node hold. The
// zero value of a field means its default; each default tells its reason and
// what happens when it is reached. What only grpc enforces is at the end.
type Limits struct {
	// MaxValue bytes in a file's value (1 MiB: doozer holds small files).
	// Beyond it a write is refused with TOO_LARGE.
	MaxValue int
	// MaxCommand bytes in one write as the log stores it (8 MiB: a Txn of
	// 128 values is the largest thing there is, and one entry must not
	// delay the heartbeats behind it). Beyond it: TOO_LARGE.
	MaxCommand int

	// DefaultTimeout is the deadline of a request that brings none (10 s).
	// MaxTimeout caps those that do (5 min), so that no caller can park a
	// request for ever. At the deadline the answer says whether anything was
	// done: NO_QUORUM, DEADLINE or UNKNOWN_OUTCOME.
	DefaultTimeout time.Duration
	MaxTimeout     time.Duration

	// StreamRequests (4096) and StreamBytes (64 MiB) bound what one Do
	// stream has been read but not answered. Beyond either the stream is not
	// read from until answers have left: HTTP/2 flow control holds the
	// client back. One request more than StreamBytes is let in when nothing
	// else is in flight, so that the largest message always passes.
	StreamRequests int
	StreamBytes    int
	// MessageBytes is what one response message aims for (1 MiB, soft): it
	// is closed by the response that reaches it. A message of one rev's
	// events, or of one big file, is as big as those are.
	MessageBytes int

	// PageEntries (1000) bounds the entries of one List message, of one page
	// on Do and of one SNAPSHOT message. What is beyond is in the next.
	PageEntries int
	// Visits (4096) bounds the nodes of the tree, or changes of the window,
	// that are looked at while the state's lock is held once: some 0.4 ms,
	// the longest that Apply waits for a reader. A read that has not come to
	// its end by then lets Apply in and goes on at the same rev; when that
	// has left the window meanwhile it ends with TOO_LATE, a watch's with
	// RESYNC.
	Visits int

	// RevWaiters is how many requests for a rev in the future may wait on
	// this node (100,000: a few hundred bytes each). Beyond it: OVERLOADED.
	RevWaiters int

	// Watchers on this node (100,000: some 5 KiB each with its stream, so
	// half a gigabyte in all). Beyond it: OVERLOADED.
	Watchers int
	// WatchEvents (1024) and WatchBytes (1 MiB) bound one watcher's queue.
	// Beyond either the queue is dropped and the watcher reads what it
	// missed from the store's window, at its own pace.
	WatchEvents int
	WatchBytes  int
	// HubBytes bounds the queues of all watchers together (256 MiB, counting
	// an event once for each queue it is in). Beyond it a watcher that would
	// queue more falls back to the window as above.
	HubBytes int64
	// WatchProgress is how often a watcher that does not ask gets a PROGRESS
	// (30 s: a hundred thousand idle watchers then cost 3,000 messages a
	// second); MinWatchProgress (100 ms) is the least it can ask for.
	WatchProgress    time.Duration
	MinWatchProgress time.Duration

	// HashEvery is the distance in log indexes between two comparisons of
	// the root hash with the peers' (1024); HashRing how many of those a
	// node remembers (256). A peer that is further behind is compared when
	// it has caught up.
	HashEvery uint64
	HashRing  int

	// ConnStreams is how many RPCs one connection may have at once (2000:
	// its unary calls, watches and Do streams). grpc makes the client wait.
	ConnStreams uint32
	// MaxMessage bytes of one received message (16 MiB: MaxCommand, and as
	// much again for a Do message that is filled up by another request).
	// grpc refuses a larger one with RESOURCE_EXHAUSTED.
	MaxMessage int
	// Window is the HTTP/2 flow control window of a stream and of a
	// connection in bytes (1 MiB): what a client may have sent that was not
	// yet read. Fixed: memory then does not depend on grpc's guess of the
	// bandwidth, and the guess was measured to gain nothing.
	Window int32
	// HandshakeTimeout ends a connection that has not finished its handshake
	// (10 s), so that silent connections cost little.
	HandshakeTimeout time.Duration
	// KeepaliveTime without a sign of life makes the node ping the client
	// (30 s), KeepaliveTimeout without an answer ends the connection (10 s).
	// A client that pings more often than MinPing (5 s) is disconnected.
	KeepaliveTime    time.Duration
	KeepaliveTimeout time.Duration
	MinPing          time.Duration
}

const (
	// maxHeader bytes of HTTP/2 headers in one call (64 KiB; grpc would allow
	// 16 MiB). grpc ends the stream of a larger one.
	maxHeader = 64 << 10
	// drainGrace is what a stopping node gives the caller of a Do stream, who
	// was told to go away and has nothing in flight, to close it itself.
	drainGrace = 500 * time.Millisecond
	// statusEvery is how long a node goes on using one answer of
	// Consensus.Status for the headers of responses. Asking costs an
	// allocation and locks of consensus, a header is in every response; an
	// age is given its extra time.
	statusEvery = 50 * time.Millisecond
	// retryOverloaded is when a refused client should try again.
	retryOverloaded = 100 * time.Millisecond
	// readsPerLock is how many single reads are done while holding the
	// store's lock once: some 50 us, the longest Apply waits for readers.
	readsPerLock = 128
)

// orDefault returns l with every zero field set to its default.
func (l Limits) orDefault() Limits {
	def(&l.MaxValue, 1<<20)
	def(&l.MaxCommand, 8<<20)
	def(&l.DefaultTimeout, 10*time.Second)
	def(&l.MaxTimeout, 5*time.Minute)
	def(&l.StreamRequests, 4096)
	def(&l.StreamBytes, 64<<20)
	def(&l.MessageBytes, 1<<20)
	def(&l.PageEntries, 1000)
	def(&l.Visits, 4096)
	def(&l.RevWaiters, 100_000)
	def(&l.Watchers, 100_000)
	def(&l.WatchEvents, 1024)
	def(&l.WatchBytes, 1<<20)
	def(&l.HubBytes, 256<<20)
	def(&l.WatchProgress, 30*time.Second)
	def(&l.MinWatchProgress, 100*time.Millisecond)
	def(&l.HashEvery, 1024)
	def(&l.HashRing, 256)
	def(&l.ConnStreams, 2000)
	def(&l.MaxMessage, 16<<20)
	def(&l.Window, 1<<20)
	def(&l.HandshakeTimeout, 10*time.Second)
	def(&l.KeepaliveTime, 30*time.Second)
	def(&l.KeepaliveTimeout, 10*time.Second)
	def(&l.MinPing, 5*time.Second)
	return l
}

// def sets *p to d if it is zero.
func def[T comparable](p *T, d T) {
	var zero T
	if *p == zero {
		*p = d
	}
}

// timeout returns how long a request that asks for ms milliseconds may take.
func (l *Limits) timeout(ms uint32) time.Duration {
	d := time.Duration(ms) * time.Millisecond
	if d == 0 {
		return l.DefaultTimeout
	}
	return min(d, l.MaxTimeout)
}
