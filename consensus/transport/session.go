package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"github.com/doozer-store/doozer/proto/peerpb"
)

// session is one open Messages stream to a peer, on a connection of its own.
// Its sender is the link's goroutine; a second goroutine waits for the end of
// the stream and is joined by close.
type session struct {
	l      *link
	cc     *client
	stream peerpb.Peer_MessagesClient
	cancel context.CancelFunc
	broken chan struct{} // closed when the stream has ended
	err    error         // why; set before broken is closed
	out    outbox
}

// client is a grpc client on one connection.
type client struct {
	*grpc.ClientConn
	raw net.Conn
}

// Close closes the connection also if grpc has not come to take it.
func (c *client) Close() error {
	return errors.Join(c.ClientConn.Close(), c.raw.Close())
}

// dial opens one TCP connection and puts a grpc client on it that never opens
// another: grpc would redial with a backoff of its own.
func (l *link) dial(ctx context.Context, timeout time.Duration) (*client, error) {
	c := &l.t.c
	dctx, cancel := context.WithTimeout(ctx, timeout)
	raw, err := c.Dial(dctx, l.addr)
	cancel()
	if err != nil {
		return nil, fmt.Errorf("transport: dial %s: %w", l.addr, err)
	}
	var used atomic.Bool
	once := func(context.Context, string) (net.Conn, error) {
		if used.Swap(true) {
			return nil, errors.New("transport: the connection is gone")
		}
		return raw, nil
	}
	cc, err := grpc.NewClient("passthrough:///"+l.addr, append([]grpc.DialOption{
		grpc.WithContextDialer(once),
		grpc.WithNoProxy(),
		grpc.WithDisableRetry(),
		grpc.WithDisableServiceConfig(),
		grpc.WithIdleTimeout(0),
		grpc.WithConnectParams(grpc.ConnectParams{MinConnectTimeout: c.Limits.Handshake}),
		grpc.WithWriteBufferSize(ioBuffer),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallSendMsgSize(c.Limits.MessageBytes+messageSlack),
			grpc.MaxCallRecvMsgSize(c.Limits.MessageBytes+messageSlack)),
		// The timeout is also the connection's TCP_USER_TIMEOUT, and so
		// bounds how long data may be unacknowledged.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time: clientPing, Timeout: c.Limits.Silence, PermitWithoutStream: true,
		}),
	}, c.DialOptions...)...)
	if err != nil {
		_ = raw.Close()
		return nil, fmt.Errorf("transport: %w", err)
	}
	cc.Connect()
	return &client{ClientConn: cc, raw: raw}, nil
}

// connect opens a stream and exchanges hello and welcome, within timeout.
func (l *link) connect(timeout time.Duration) (*session, error) {
	cc, err := l.dial(l.ctx, timeout)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(l.ctx)
	s := &session{l: l, cc: cc, cancel: cancel, broken: make(chan struct{})}
	deadline := time.AfterFunc(timeout, cancel)
	w, err := s.handshake(ctx)
	if !deadline.Stop() && err == nil {
		err = context.DeadlineExceeded
	}
	if err != nil {
		cancel()
		_ = cc.Close()
		return nil, err
	}
	l.mu.Lock()
	l.session = s
	l.info = PeerInfo{Name: w.GetName(), Version: w.GetVersion(), ClusterID: w.GetClusterId(), Incarnation: w.GetIncarnation()}
	l.known = true
	l.mu.Unlock()
	go s.watch()
	return s, nil
}

func (s *session) handshake(ctx context.Context) (*peerpb.Welcome, error) {
	var err error
	if s.stream, err = peerpb.NewPeerClient(s.cc).Messages(ctx); err != nil {
		return nil, err
	}
	// An error of Send is told in full by Recv.
	_ = s.stream.Send(&peerpb.Envelope{Hello: s.l.t.hello(s.l.id)})
	return s.stream.Recv()
}

// watch waits for the end of the stream. Joined by close.
func (s *session) watch() {
	defer close(s.broken)
	if _, s.err = s.stream.Recv(); s.err == nil {
		s.err = status.Error(codes.InvalidArgument, "a second welcome")
	}
	s.cancel() // frees a Send that waits for the window
}

func (s *session) close() {
	s.cancel()
	_ = s.cc.Close()
	<-s.broken
}

// serve sends what is queued until the stream breaks, and says why it did.
func (s *session) serve() error {
	for {
		for s.out.fill(s.l) {
			if err := s.stream.Send(&s.out.env); err != nil {
				<-s.broken // Recv has the reason; ours is EOF
				return s.err
			}
			s.l.sent(&s.out)
		}
		select {
		case <-s.broken:
			return s.err
		case <-s.l.wake:
		case <-s.l.ctx.Done():
			return s.l.ctx.Err()
		}
	}
}

// sent gives the room of the last envelope back.
func (l *link) sent(o *outbox) {
	l.mu.Lock()
	l.q.bytes -= o.bytes
	l.q.count -= o.count
	l.mu.Unlock()
}
