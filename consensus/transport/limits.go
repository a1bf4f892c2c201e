package transport

import (
	"context"
	"hash/crc32"
	"net"
	"time"

	"github.com/doozer-store/doozer/consensus/quiet"
)

// Limits bounds what a Transport holds and how long it waits. A zero field
// means its default.
type Limits struct {
	// QueueBytes and QueueMessages bound what waits for one peer (32 MiB,
	// 65,536). What does not fit is dropped and reported as Unreachable;
	// Forward answers false.
	QueueBytes    int
	QueueMessages int
	// EnvelopeBytes is where an envelope is closed (1 MiB). A single message
	// may be larger.
	EnvelopeBytes int
	// MessageBytes is the largest message taken from a peer (16 MiB); a
	// larger one ends the stream, and one of ours is dropped.
	MessageBytes int
	// Conns is how many connections the listener keeps (256); more are closed
	// at once. Streams is how many calls one of them may have open (16).
	Conns   int
	Streams uint32

	// Handshake is how long a connection, and then a stream, may take until
	// the Hello, and a Hello until its answer (2 s).
	Handshake time.Duration
	// Probe is how long a dial may take while a lost peer is being probed
	// (100 ms).
	Probe time.Duration
	// MinBackoff and MaxBackoff bound the jittered wait between dials
	// (20 ms, 500 ms).
	MinBackoff, MaxBackoff time.Duration
	// Ping is after how much silence a node pings those connected to it (5 s).
	// It is for a process that stands still while its machine goes on; a
	// machine that is gone, or cut off, the kernel notices (keepAlive), which
	// wakes nobody.
	Ping time.Duration
	// Silence is how long the answer to a ping may take, and data be
	// unacknowledged (2 s).
	Silence time.Duration
}

const (
	chunkBytes = 256 << 10 // of snapshot data in one message

	// Flow-control windows of the receiving side. Static: with grpc's
	// estimator a stream would start at 64 KiB.
	streamWindow = 4 << 20
	connWindow   = 8 << 20
	ioBuffer     = 256 << 10 // of each direction of a connection

	// The least grpc allows a client. Silence is noticed earlier by the
	// server's pings and by the kernel.
	clientPing = 10 * time.Second
	// A connection without a stream is closed after this.
	idleConn = 10 * time.Second
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli) // read only

func (l Limits) withDefaults() Limits {
	def(&l.QueueBytes, 32<<20)
	def(&l.QueueMessages, 1<<16)
	def(&l.EnvelopeBytes, 1<<20)
	def(&l.MessageBytes, 16<<20)
	def(&l.Conns, 256)
	def(&l.Streams, 16)
	def(&l.Handshake, 2*time.Second)
	def(&l.Probe, 100*time.Millisecond)
	def(&l.MinBackoff, 20*time.Millisecond)
	def(&l.MaxBackoff, 500*time.Millisecond)
	def(&l.Ping, 5*time.Second)
	def(&l.Silence, 2*time.Second)
	return l
}

func def[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}

// keepAlive makes the kernel end a connection whose other end is gone without
// a word within three seconds, on either side; data that is on its way is
// timed by grpc's TCP_USER_TIMEOUT (Silence).
func keepAlive() net.KeepAliveConfig {
	return net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second, Count: 2}
}

// dialTCP is the default Config.Dial.
func (l *Limits) dialTCP(ctx context.Context, addr string) (net.Conn, error) {
	d := net.Dialer{KeepAliveConfig: keepAlive()}
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return quiet.Conn(c, l.Silence), nil
}
