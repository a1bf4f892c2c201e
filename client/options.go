package client

import (
	"log/slog"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// Option changes how a Client works.
type Option func(*config)

type config struct {
	log     *slog.Logger
	timeout time.Duration
	dial    []grpc.DialOption
	noWait  bool
	// status is how long Status waits for one node.
	status time.Duration
	// targetFirst: local reads, watches and logs go to a node of the target.
	targetFirst bool
}

func newConfig(opts []Option) config {
	cfg := config{log: slog.New(slog.DiscardHandler), timeout: defaultTimeout, status: statusTimeout}
	for _, o := range opts {
		o(&cfg)
	}
	return cfg
}

// WithLogger makes the client tell l when it leaves a node, moves or resyncs.
// Without it nothing is logged.
func WithLogger(l *slog.Logger) Option { return func(c *config) { c.log = l } }

// WithTimeout is the time that a call has whose context has no deadline: 10 s
// without this option. Watch, Wait and Log have no deadline but their
// context's. A d <= 0 is ignored.
func WithTimeout(d time.Duration) Option {
	return func(c *config) {
		if d > 0 {
			c.timeout = d
		}
	}
}

// WithStatusTimeout is how long Status waits for each node: 1 s without this
// option. A d <= 0 is ignored.
func WithStatusTimeout(d time.Duration) Option {
	return func(c *config) {
		if d > 0 {
			c.status = d
		}
	}
}

// WithDialOptions adds gRPC dial options, of which credentials are the usual
// ones: without credentials here, connections are not encrypted.
func WithDialOptions(opts ...grpc.DialOption) Option {
	return func(c *config) { c.dial = append(c.dial, opts...) }
}

// WithoutWait makes Open return before any node has answered.
func WithoutWait() Option { return func(c *config) { c.noWait = true } }

// WithTargetFirst sends what any one node can answer (Local reads, watches and
// logs) to a node that the target names, as long as one of those can be
// reached, and only then to others that the client has learnt of: to look at
// the state of one particular node, name that one. Without it such calls go to
// whichever node has a connection already.
func WithTargetFirst() Option { return func(c *config) { c.targetFirst = true } }

// dialOptions is the one place that decides how nodes are dialled. The
// caller's options come last, so that they win.
func (c *config) dialOptions() []grpc.DialOption {
	opts := []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithInitialWindowSize(streamWindow),
		grpc.WithInitialConnWindowSize(connWindow),
		grpc.WithIdleTimeout(0),
		grpc.WithDisableServiceConfig(),
		grpc.WithDisableRetry(),
		grpc.WithNoProxy(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)),
	}
	return append(opts, c.dial...)
}

// ReadOption changes a read: Get, Stat, List, Walk, Rev, Window, Self.
type ReadOption interface{ read(*readConfig) }

// WriteOption changes a Set or Del.
type WriteOption interface{ write(*writeConfig) }

// WatchOption changes a Watch.
type WatchOption interface{ watch(*watchConfig) }

// LogOption changes a Log.
type LogOption interface{ log(*logConfig) }

// AnyReadOption fits everything that reads.
type AnyReadOption interface {
	ReadOption
	WatchOption
	LogOption
}

type readConfig struct {
	rev      int64
	local    bool
	noValues bool
	served   func(Header)
}

type writeConfig struct {
	cond    CondKind
	rev     int64
	message string
}

type watchConfig struct {
	from     int64
	snapshot bool
	local    bool
	noResync bool
	progress func(rev int64)
}

type logConfig struct {
	from, to int64
	limit    int
	local    bool
	noValues bool
	served   func(Header)
}

type (
	atRev    int64
	local    struct{}
	noValues struct{}
	ifRev    int64
	ifMiss   struct{}
	message  string
	from     int64
	to       int64
	last     int
	snapshot struct{}
	noResync struct{}
	progress func(int64)
	served   func(Header)
)

// AtRev reads the store as it was at rev. A rev below the window is
// ErrTooLate; one in the future waits until it exists. Rev ignores it.
func AtRev(rev int64) ReadOption { return atRev(rev) }

// Local reads the state of any one node that can be reached, without asking a
// majority: it may be old, and Served tells how old. A Local watch may start at
// an older rev, and misses nothing after it. WithTargetFirst tells which node.
func Local() AnyReadOption { return local{} }

// Served hands fn the header of the response: which node answered, and how
// current its state is. fn is called on the caller's goroutine, before the read
// returns or yields what the response holds: once for a Get, Stat, Rev, Window or
// Self that succeeds, once for each page of a List or Walk and for each message
// of a Log. All pages are at the rev of the first, whose header is thus the one
// that says how old they are.
func Served(fn func(Header)) interface {
	ReadOption
	LogOption
} {
	return served(fn)
}

// NoValues leaves the values out, for Walk and Log; other reads ignore it. Len
// still tells how long they are.
func NoValues() interface {
	ReadOption
	LogOption
} {
	return noValues{}
}

// IfRev writes only if the file exists and its rev is <= rev.
func IfRev(rev int64) WriteOption { return ifRev(rev) }

// IfMissing writes only if there is no file.
func IfMissing() WriteOption { return ifMiss{} }

// Message says something about the change, for the history.
func Message(s string) WriteOption { return message(s) }

// From delivers the changes with rev or a higher one. In a Watch, a rev that
// the window has lost gives a resync; a Snapshot excludes From.
func From(rev int64) interface {
	WatchOption
	LogOption
} {
	return from(rev)
}

// To ends a Log after rev, which is included.
func To(rev int64) LogOption { return to(rev) }

// Last limits a Log to the newest n events.
func Last(n int) LogOption { return last(n) }

// Snapshot delivers first the files that match, in byte order of their paths,
// as events that set them, then every change after. The client keeps path and
// rev of each: with them a resync is exact.
func Snapshot() WatchOption { return snapshot{} }

// NoResync ends the watch with ErrTooLate where it would resync.
func NoResync() WatchOption { return noResync{} }

// Progress calls fn, on the goroutine that asks for the next event, when every
// change up to rev has been delivered: about once a second, after a snapshot,
// and when the watch starts. A later watch From(rev+1) goes on from there.
func Progress(fn func(rev int64)) WatchOption { return progress(fn) }

func (o atRev) read(c *readConfig)     { c.rev = int64(o) }
func (local) read(c *readConfig)       { c.local = true }
func (local) watch(c *watchConfig)     { c.local = true }
func (local) log(c *logConfig)         { c.local = true }
func (noValues) read(c *readConfig)    { c.noValues = true }
func (noValues) log(c *logConfig)      { c.noValues = true }
func (o served) read(c *readConfig)    { c.served = o }
func (o served) log(c *logConfig)      { c.served = o }
func (o ifRev) write(c *writeConfig)   { c.cond, c.rev = CondUnchanged, int64(o) }
func (ifMiss) write(c *writeConfig)    { c.cond = CondMissing }
func (o message) write(c *writeConfig) { c.message = string(o) }
func (o from) watch(c *watchConfig)    { c.from = int64(o) }
func (o from) log(c *logConfig)        { c.from = int64(o) }
func (o to) log(c *logConfig)          { c.to = int64(o) }
func (o last) log(c *logConfig)        { c.limit = int(o) }
func (snapshot) watch(c *watchConfig)  { c.snapshot = true }
func (noResync) watch(c *watchConfig)  { c.noResync = true }
func (o progress) watch(c *watchConfig) {
	c.progress = o
}
