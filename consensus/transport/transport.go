package transport

import (
	"context"
	"errors"
	"maps"
	"net"
	"sync"
	"sync/atomic"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/doozer-store/doozer/proto/peerpb"
)

// Transport is a node's end of the connections to its peers. Its methods may
// be called from any goroutine.
type Transport struct {
	c      Config
	server *grpc.Server
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup // all goroutines that are not grpc's

	// links is replaced, never changed, under mu; read without it.
	links atomic.Pointer[map[uint64]*link]

	mu      sync.Mutex
	started bool // guarded by mu
	closed  bool // guarded by mu; no goroutine is started after it
}

// New checks c and builds the transport. Nothing runs before Start.
func New(c Config) (*Transport, error) {
	if err := c.validate(); err != nil {
		if c.Listener != nil {
			_ = c.Listener.Close()
		}
		return nil, err
	}
	t := &Transport{c: c.withDefaults()}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	links := make(map[uint64]*link, len(c.Peers))
	for id, addr := range c.Peers {
		links[id] = newLink(t, id, addr)
	}
	t.links.Store(&links)
	t.server = grpc.NewServer(t.serverOptions()...)
	peerpb.RegisterPeerServer(t.server, &peerServer{t: t})
	return t, nil
}

func (t *Transport) serverOptions() []grpc.ServerOption {
	l := t.c.Limits
	return append([]grpc.ServerOption{
		grpc.ForceServerCodecV2(newCodec()),
		grpc.MaxConcurrentStreams(l.Streams),
		grpc.MaxRecvMsgSize(l.MessageBytes + messageSlack),
		grpc.MaxHeaderListSize(16 << 10),
		grpc.StaticStreamWindowSize(streamWindow),
		grpc.StaticConnWindowSize(connWindow),
		grpc.ReadBufferSize(ioBuffer),
		grpc.ConnectionTimeout(l.Handshake),
		grpc.WaitForHandlers(true),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			Time: l.Ping, Timeout: l.Silence, MaxConnectionIdle: idleConn,
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{
			MinTime: clientPing / 2, PermitWithoutStream: true,
		}),
	}, t.c.ServerOptions...)
}

// Start serves the listener and dials the peers. Starting twice, or after
// Close, does nothing.
func (t *Transport) Start() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.started || t.closed {
		return
	}
	t.started = true
	lis := newLimitedListener(t.c.Listener, t.c.Limits.Conns)
	t.wg.Go(func() {
		// Stop makes it return nil; anything else leaves this node without
		// incoming streams, which its peers see.
		if err := t.server.Serve(lis); err != nil {
			t.c.Logger.Error("peer listener failed", "err", err)
		}
	})
	for _, l := range *t.links.Load() {
		l.start()
	}
}

// Close ends all connections and returns when every goroutine of the
// transport has ended, calls to the Handler included. It is idempotent. It
// must not be called from the Handler.
func (t *Transport) Close() error {
	t.mu.Lock()
	started := t.started
	t.closed = true
	t.mu.Unlock()
	t.cancel()
	t.server.Stop()
	t.wg.Wait()
	if started {
		return nil // the server closed the listener
	}
	if err := t.c.Listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// spawn runs fn on a goroutine that Close waits for, unless it is too late.
func (t *Transport) spawn(fn func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.wg.Go(fn)
	return true
}

func (t *Transport) link(id uint64) *link { return (*t.links.Load())[id] }

// Send hands messages to the connections of their To. It never blocks: a
// message for which there is no connection or no room is dropped, and the
// peer reported Unreachable. A MsgSnap is sent on a stream of its own, at
// most one a peer at a time; SnapshotSent tells how it ended, always, since
// raft sends such a peer nothing else until then. The messages must not be
// changed afterwards.
func (t *Transport) Send(msgs []*raftpb.Message) {
	for _, m := range msgs {
		l := t.link(m.GetTo())
		switch {
		case l == nil && m.GetType() == raftpb.MsgSnap:
			// Of a peer that was added, raft may know first.
			t.spawn(func() { t.snapshotSent(m.GetTo(), ErrUnknownPeer) })
		case l == nil: // removed; raft will learn of it
		case m.GetType() == raftpb.MsgSnap:
			l.sendSnapshot(m)
		default:
			l.push(m)
		}
	}
}

// Forward hands commands to a peer, which drops them if it is not the leader
// of term. It reports whether they were queued; whether they arrive is not
// known. ids and data, of the same length, must not be changed afterwards.
func (t *Transport) Forward(to, term uint64, ids []uint64, data [][]byte) bool {
	l := t.link(to)
	return l != nil && len(ids) == len(data) && l.pushForward(forward{term: term, ids: ids, data: data})
}

// SendHash tells all connected peers this node's root hash at index.
func (t *Transport) SendHash(index uint64, rev int64, hash uint64) {
	h := &peerpb.StateHash{Index: index, Rev: rev, Hash: hash}
	for _, l := range *t.links.Load() {
		l.pushHash(h)
	}
}

// SetPeer adds a peer, or gives it another address. It does not block.
func (t *Transport) SetPeer(id uint64, addr string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	old := t.link(id)
	if t.closed || id == t.c.ID || old != nil && old.addr == addr {
		return
	}
	if old != nil {
		old.cancel()
	}
	l := newLink(t, id, addr)
	links := maps.Clone(*t.links.Load())
	links[id] = l
	t.links.Store(&links)
	if t.started {
		l.start()
	}
}

// RemovePeer ends the connections to and from a peer, silently. It does not
// block; calls to the handler may still be on their way.
func (t *Transport) RemovePeer(id uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	old := t.link(id)
	if old == nil {
		return
	}
	old.cancel()
	links := maps.Clone(*t.links.Load())
	delete(links, id)
	t.links.Store(&links)
}

// Connected says whether messages to the peer are being sent.
func (t *Transport) Connected(id uint64) bool {
	l := t.link(id)
	return l != nil && l.open() != nil
}

// Peer returns what the peer said of itself when it was last connected to;
// false before that.
func (t *Transport) Peer(id uint64) (PeerInfo, bool) {
	l := t.link(id)
	if l == nil {
		return PeerInfo{}, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.info, l.known
}

// Tree asks a peer for the hashes of what is directly under dir at rev, on a
// connection of its own. Errors: ErrUnknownPeer, ErrClosed, a failure to
// connect, or a grpc status.
func (t *Transport) Tree(ctx context.Context, id uint64, dir string, rev int64) ([]*peerpb.TreeEntry, error) {
	l := t.link(id)
	if l == nil {
		return nil, ErrUnknownPeer
	}
	if t.ctx.Err() != nil {
		return nil, ErrClosed
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(l.ctx, cancel)()
	cc, err := l.dial(ctx, t.c.Limits.Handshake)
	if err != nil {
		return nil, err
	}
	defer cc.Close()
	r, err := peerpb.NewPeerClient(cc).Tree(ctx, &peerpb.TreeRequest{Hello: t.hello(id), Dir: dir, Rev: rev})
	return r.GetEntries(), err
}

func (t *Transport) hello(to uint64) *peerpb.Hello {
	return &peerpb.Hello{
		BootstrapId: t.c.BootstrapID, ClusterId: t.c.ClusterID(), Incarnation: t.c.Incarnation,
		From: t.c.ID, To: to, Protocol: Protocol, Name: t.c.Name, Version: t.c.Version,
	}
}
