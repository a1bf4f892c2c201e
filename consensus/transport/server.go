package transport

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/doozer-store/doozer/consensus/quiet"
	"github.com/doozer-store/doozer/proto/peerpb"
)

// peerServer answers the peers. Each call runs on a goroutine of grpc, which
// Server.Stop waits for.
type peerServer struct {
	peerpb.UnimplementedPeerServer
	t *Transport
}

// authenticate decides on a hello. A caller that may never come in gets
// FailedPrecondition; one that should try again, another code.
func (t *Transport) authenticate(h *peerpb.Hello) (*link, error) {
	switch {
	case h == nil:
		return nil, status.Error(codes.InvalidArgument, "no hello")
	case h.GetProtocol() != Protocol:
		return nil, status.Errorf(codes.FailedPrecondition, "peer protocol %d is not spoken here, %d is", h.GetProtocol(), Protocol)
	case h.GetTo() != t.c.ID:
		return nil, status.Errorf(codes.NotFound, "this is node %d, not %d", t.c.ID, h.GetTo())
	}
	l := t.link(h.GetFrom())
	if l == nil {
		// Perhaps it has been added and this node does not know yet.
		return nil, status.Errorf(codes.Unavailable, "node %d is not a peer of %d", h.GetFrom(), t.c.ID)
	}
	if err := t.c.Authorize(h); err != nil {
		t.c.Logger.Warn("peer refused", "peer", h.GetFrom(), "name", h.GetName(), "err", err)
		if errors.Is(err, ErrLater) {
			return nil, status.Error(codes.Unavailable, err.Error())
		}
		return nil, status.Error(codes.FailedPrecondition, err.Error())
	}
	return l, nil
}

// Messages receives from one peer until the stream ends.
func (p *peerServer) Messages(stream peerpb.Peer_MessagesServer) error {
	t := p.t
	first, err := recvFirst(t, stream.Recv)
	if err != nil {
		return err
	}
	l, err := t.authenticate(first.GetHello())
	if err != nil {
		return err
	}
	if len(first.GetRaft())+len(first.GetForward())+len(first.GetHash()) > 0 {
		return status.Error(codes.InvalidArgument, "the first envelope carries more than a hello")
	}
	mark := &incomingMark{}
	l.mu.Lock()
	l.incoming = mark
	l.mu.Unlock()
	// A peer that calls can be called.
	signal(l.kick)
	err = stream.Send(&peerpb.Welcome{
		ClusterId: t.c.ClusterID(), Incarnation: t.c.Incarnation, Name: t.c.Name, Version: t.c.Version,
	})
	in := t.inbound(l.id)
	for err == nil {
		if err = stream.RecvMsg(in); err != nil {
			break
		}
		if t.link(l.id) != l || !l.isIncoming(mark) {
			return status.Error(codes.Aborted, "replaced by another stream, or removed")
		}
		err = t.receive(l.id, in)
	}
	if l.isIncoming(mark) && t.ctx.Err() == nil {
		l.suspect()
	}
	if err == io.EOF {
		return nil
	}
	return err
}

func (l *link) isIncoming(mark *incomingMark) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.incoming == mark
}

// receive checks one envelope and hands its parts to the handler. If any raft
// message in it is wrong, nothing is handed over.
func (t *Transport) receive(from uint64, in *inbound) error {
	env := &in.rest
	switch {
	case in.err != nil:
		return in.err
	case env.GetHello() != nil:
		return status.Error(codes.InvalidArgument, "a second hello")
	}
	if len(in.raft) > 0 {
		t.c.Handler.Receive(from, in.raft)
	}
	for _, f := range env.GetForward() {
		cmds := f.GetCommands()
		if len(cmds) == 0 {
			continue
		}
		ids, data := make([]uint64, len(cmds)), make([][]byte, len(cmds))
		for i, c := range cmds {
			ids[i], data[i] = c.GetId(), c.GetData()
		}
		t.c.Handler.ReceiveForward(from, f.GetTerm(), ids, data)
	}
	for _, h := range env.GetHash() {
		t.c.Handler.ReceiveHash(from, h.GetIndex(), h.GetRev(), h.GetHash())
	}
	return nil
}

// inbound returns what the envelopes of a peer are received into.
func (t *Transport) inbound(from uint64) *inbound {
	return &inbound{check: func(m *raftpb.Message) error {
		if m.GetType() == raftpb.MsgSnap {
			return status.Error(codes.InvalidArgument, "a MsgSnap comes by Snapshot")
		}
		return t.addressed(from, m)
	}}
}

// addressed checks that a message is from the authenticated peer and to us.
func (t *Transport) addressed(from uint64, m *raftpb.Message) error {
	if m.GetFrom() != from || m.GetTo() != t.c.ID {
		return status.Errorf(codes.InvalidArgument, "raft message from %d to %d on a stream from %d to %d",
			m.GetFrom(), m.GetTo(), from, t.c.ID)
	}
	return nil
}

// recvFirst receives the first message of a stream, which must come within
// the handshake limit. On a timeout the receiving goroutine ends soon after
// the caller returns from the call's handler, as that cancels the stream.
func recvFirst[M any](t *Transport, recv func() (M, error)) (M, error) {
	type result struct {
		m   M
		err error
	}
	c := make(chan result, 1)
	var none M
	if !t.spawn(func() {
		m, err := recv()
		c <- result{m, err}
	}) {
		return none, status.Error(codes.Unavailable, "closing")
	}
	timer := time.NewTimer(t.c.Limits.Handshake)
	defer timer.Stop()
	select {
	case r := <-c:
		return r.m, r.err
	case <-timer.C:
		return none, status.Error(codes.DeadlineExceeded, "no hello")
	case <-t.ctx.Done():
		return none, status.Error(codes.Unavailable, "closing")
	}
}

// Tree answers for Config.Tree.
func (p *peerServer) Tree(ctx context.Context, r *peerpb.TreeRequest) (*peerpb.TreeResponse, error) {
	if _, err := p.t.authenticate(r.GetHello()); err != nil {
		return nil, err
	}
	if p.t.c.Tree == nil {
		return nil, status.Error(codes.Unimplemented, "no trees here")
	}
	entries, err := p.t.c.Tree(ctx, r.GetDir(), r.GetRev())
	if err != nil {
		return nil, err
	}
	return &peerpb.TreeResponse{Entries: entries}, nil
}

// limitedListener closes connections above a number at once, so that whoever
// opens many cannot make the others wait.
type limitedListener struct {
	net.Listener
	max  int64
	open atomic.Int64
}

func newLimitedListener(l net.Listener, max int) *limitedListener {
	return &limitedListener{Listener: l, max: int64(max)}
}

func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.open.Add(1) <= l.max {
			if tcp, ok := c.(*net.TCPConn); ok {
				_ = tcp.SetKeepAliveConfig(keepAlive()) // else the pings notice
			}
			return &limitedConn{Conn: quiet.Conn(c, 0), l: l}, nil
		}
		l.open.Add(-1)
		_ = c.Close()
	}
}

type limitedConn struct {
	net.Conn
	l    *limitedListener
	once sync.Once
}

func (c *limitedConn) Close() error {
	c.once.Do(func() { c.l.open.Add(-1) })
	return c.Conn.Close()
}
