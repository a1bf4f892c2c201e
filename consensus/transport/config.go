package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/grpc"

	"github.com/doozer-store/doozer/proto/peerpb"
)

// Protocol is the version of the peer protocol a Hello carries. A node that
// speaks another one is refused.
const Protocol = 1

// ErrLater, when Config.Authorize's error wraps it, refuses a peer only for
// the moment: the peer tries again instead of giving up.
var ErrLater = errors.New("transport: not now")

// ErrClosed is returned by calls on a closed Transport.
var ErrClosed = errors.New("transport: closed")

// ErrUnknownPeer is returned for an id that is not among the peers.
var ErrUnknownPeer = errors.New("transport: unknown peer")

// Config says who a node is and whom it talks to. The zero value of a field
// that is not marked as required means its default.
type Config struct {
	ID            uint64 // raft id of this node; required, not 0
	Name, Version string // told to the peers, for people to read

	// Listener is the peer listener; required. The transport owns it from
	// New on, also when New fails.
	Listener net.Listener
	// Peers maps ids to host:port, without this node.
	Peers map[uint64]string

	// BootstrapID and Incarnation go into every Hello.
	BootstrapID, Incarnation []byte
	// ClusterID is asked for every Hello and Welcome; it may answer nil until
	// the id is known. Nil means never known.
	ClusterID func() []byte
	// Authorize decides on a caller's Hello, whose From is a known peer and
	// whose To is this node. An error refuses the peer for good, and its text
	// reaches the peer's Handler.Refused; one that wraps ErrLater makes the
	// peer try again. Nil accepts.
	Authorize func(h *peerpb.Hello) error

	Handler Handler // required

	// OpenSnapshot opens a stream of the last durable state when raft asks
	// for a MsgSnap to be sent. Its meta replaces that of the message. Called
	// on a goroutine of its own; the transport closes the stream.
	OpenSnapshot func() (SnapshotMeta, io.ReadCloser, error)
	// Tree answers the Tree call of a peer.
	Tree func(ctx context.Context, dir string, rev int64) ([]*peerpb.TreeEntry, error)

	// Dial opens connections to peers, and probes them. Nil means TCP.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
	// ServerOptions and DialOptions are added to the transport's own; they
	// are where credentials come from. Without a credential among
	// DialOptions, dialling fails: pass insecure.NewCredentials for none.
	ServerOptions []grpc.ServerOption
	DialOptions   []grpc.DialOption

	Limits Limits
	Logger *slog.Logger // nil discards
}

// SnapshotMeta says which state a snapshot stream carries.
type SnapshotMeta struct {
	Index, Term uint64
	ConfState   *raftpb.ConfState
}

// PeerInfo is what a peer last said of itself.
type PeerInfo struct {
	Name, Version          string
	ClusterID, Incarnation []byte
}

// Handler receives what peers send and what the transport finds out about
// them. Calls come from the transport's goroutines: those about one incoming
// stream in the order of the stream, those about one peer's connection
// (PeerUp, PeerDown, Refused) in order from one goroutine. A method that
// blocks stalls that peer, and Close waits for it.
type Handler interface {
	// Receive takes decoded messages whose From is the authenticated peer and
	// whose To is this node. Nothing else about them has been checked. The
	// handler may keep them.
	Receive(from uint64, msgs []*raftpb.Message)
	// ReceiveForward takes commands meant for the leader of term. The handler
	// may keep ids and data.
	ReceiveForward(from, term uint64, ids []uint64, data [][]byte)
	// ReceiveHash takes the root hash a peer had after it applied index.
	ReceiveHash(from, index uint64, rev int64, hash uint64)
	// ReceiveSnapshot reads a snapshot to io.EOF, which it sees only if all
	// chunks and the sum of the whole were right, and returns when the state
	// is staged and accepted. Its error goes to the sender.
	ReceiveSnapshot(from uint64, m *raftpb.Message, r io.Reader) error

	// PeerUp: the stream to the peer is open and it answered our hello.
	PeerUp(id uint64)
	// PeerDown: the peer cannot be reached. refused means that its address
	// refuses connections: the process is dead. It may be called without a
	// PeerUp before, and again with refused=true after refused=false.
	PeerDown(id uint64, refused bool)
	// Unreachable: a message to the peer was dropped. Many drops may make one
	// call.
	Unreachable(id uint64)
	// SnapshotSent: the MsgSnap given to Send reached the peer, which staged
	// it (err nil), or not.
	SnapshotSent(id uint64, err error)
	// Refused: the peer refused our hello for good (another cluster, our data
	// was lost, ...). The process should end. Called once for each reason.
	Refused(id uint64, reason error)
}

func (c *Config) validate() error {
	if c.Listener == nil {
		return errors.New("transport: Config.Listener is required")
	}
	if c.ID == 0 {
		return errors.New("transport: Config.ID is required")
	}
	if c.Handler == nil {
		return errors.New("transport: Config.Handler is required")
	}
	for id, addr := range c.Peers {
		if id == 0 || id == c.ID {
			return fmt.Errorf("transport: Config.Peers must not contain id %d", id)
		}
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return fmt.Errorf("transport: address of peer %d: %w", id, err)
		}
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.ClusterID == nil {
		c.ClusterID = func() []byte { return nil }
	}
	if c.Authorize == nil {
		c.Authorize = func(*peerpb.Hello) error { return nil }
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.Limits = c.Limits.withDefaults()
	if c.Dial == nil {
		c.Dial = c.Limits.dialTCP
	}
	return c
}
