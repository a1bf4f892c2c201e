package drill

import (
	"context"
	"errors"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/doozer-store/doozer/drill/check"
	"github.com/doozer-store/doozer/drill/cluster"
	doozerpb "github.com/doozer-store/doozer/proto"
)

// observer records what one node says that was committed: a watch of every path,
// from the first rev on, asked for again whenever it ends. It speaks the protocol
// itself, so that no fault of the client library can hide one of the node, and it
// goes past the links for clients.
type observer struct {
	name string
	conn *grpc.ClientConn

	mu        sync.Mutex
	stretches []check.Stretch // guarded by mu
	marked    int64           // every change up to here was seen or skipped; guarded by mu
	errs      map[string]int  // how streams ended; guarded by mu
}

const (
	everything   = "/**"
	progressEach = 200 * time.Millisecond
	redialEvery  = 10 * time.Millisecond
)

// dialNode opens a connection to one address, which is tried again and again.
func dialNode(addr string) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///"+addr,
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy(), grpc.WithIdleTimeout(0),
		grpc.WithDisableServiceConfig(), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: redialEvery, Multiplier: 1, MaxDelay: redialEvery},
			MinConnectTimeout: time.Second,
		}))
}

// observe starts an observer of n, which runs until ctx ends.
func observe(ctx context.Context, n *cluster.Node, running *sync.WaitGroup) (*observer, error) {
	conn, err := dialNode(n.Listen())
	if err != nil {
		return nil, err
	}
	o := &observer{name: n.Name, conn: conn, errs: map[string]int{}}
	running.Go(func() {
		defer conn.Close()
		o.run(ctx)
	})
	return o, nil
}

func (o *observer) run(ctx context.Context) {
	next := int64(1)
	for ctx.Err() == nil {
		var err error
		next, err = o.stream(ctx, next)
		o.mu.Lock()
		if err != nil {
			o.errs[err.Error()]++
		}
		o.mu.Unlock()
		select {
		case <-time.After(redialEvery):
		case <-ctx.Done():
		}
	}
}

// stream records one stream, from the change at rev next on, and returns from
// where to go on. Where the node no longer has that, it goes on from the first
// rev that it has.
func (o *observer) stream(ctx context.Context, next int64) (int64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := doozerpb.NewDoozerClient(o.conn).Watch(ctx, &doozerpb.WatchRequest{
		Glob: everything, From: next, Local: true, NoResync: true, ProgressMs: uint32(progressEach.Milliseconds()),
	})
	if err != nil {
		return next, err
	}
	o.mu.Lock()
	o.stretches = append(o.stretches, check.Stretch{From: o.name})
	o.mu.Unlock()
	for {
		res, err := stream.Recv()
		if late := refusal(err); late.GetCode() == doozerpb.Code_TOO_LATE {
			return max(next, late.GetRev()+1), nil
		}
		if err != nil {
			return next, err
		}
		next = o.take(res, next)
	}
}

// take records one message.
func (o *observer) take(res *doozerpb.WatchResponse, next int64) int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := &o.stretches[len(o.stretches)-1]
	for _, e := range res.GetEvents() {
		s.Events = append(s.Events, eventOf(e))
		next = e.GetRev() + 1
	}
	o.marked = max(o.marked, res.GetRev())
	return next
}

// seen is the rev up to which everything was delivered.
func (o *observer) seen() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.marked
}

// recorded is all that was recorded.
func (o *observer) recorded() []check.Stretch {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.stretches
}

func eventOf(e *doozerpb.Event) check.Event {
	return check.Event{
		Path: e.GetPath(), Value: string(e.GetValue()), Rev: e.GetRev(),
		Del: e.GetKind() == doozerpb.Event_DEL, ID: e.GetMessage(),
	}
}

// refusal is what a node said when it ended a stream; nil when it is not known.
func refusal(err error) *doozerpb.Error {
	if err == nil {
		return nil
	}
	var s interface{ GRPCStatus() *status.Status }
	if !errors.As(err, &s) || s.GRPCStatus().Code() == codes.OK {
		return nil
	}
	for _, d := range s.GRPCStatus().Details() {
		if e, ok := d.(*doozerpb.Error); ok {
			return e
		}
	}
	return nil
}
