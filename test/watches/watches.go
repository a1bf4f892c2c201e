package watches

import (
	"context"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	doozerpb "github.com/doozer-store/doozer/proto"
)

// Watch serves one watch.
type Watch = func(*doozerpb.WatchRequest, doozerpb.Doozer_WatchServer) error

// Serve serves each watch of a stream by watch. A refusal ends that watch alone,
// another error the stream.
func Serve(stream doozerpb.Doozer_WatchesServer, header func() *doozerpb.Header, watch Watch) error {
	ctx, cancel := context.WithCancelCause(stream.Context())
	defer cancel(nil)
	var mu sync.Mutex // of sending
	send := func(h *doozerpb.Header, told *doozerpb.WatchesResponse_Told) error {
		mu.Lock()
		defer mu.Unlock()
		return stream.Send(&doozerpb.WatchesResponse{Header: h, Told: []*doozerpb.WatchesResponse_Told{told}})
	}
	var all sync.WaitGroup
	defer all.Wait()
	ends := map[uint64]context.CancelFunc{}
	requests := make(chan *doozerpb.WatchesRequest)
	go func() {
		for {
			m, err := stream.Recv()
			if err != nil {
				cancel(nil)
				return
			}
			select {
			case requests <- m:
			case <-ctx.Done():
				return
			}
		}
	}()
	for {
		var m *doozerpb.WatchesRequest
		select {
		case m = <-requests:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		for _, id := range m.GetClose() {
			if end := ends[id]; end != nil {
				end()
			}
		}
		for _, o := range m.GetOpen() {
			life, end := context.WithCancel(ctx)
			ends[o.GetId()] = end
			all.Go(func() {
				err := watch(o.GetWatch(), &told{ctx: life, id: o.GetId(), send: send})
				if e := refusalIn(err); e != nil {
					_ = send(header(), &doozerpb.WatchesResponse_Told{Ids: []uint64{o.GetId()}, Error: e})
				} else if err != nil {
					cancel(err)
				}
			})
		}
	}
}

// refusalIn is the error of a node that err carries, nil if it carries none.
func refusalIn(err error) *doozerpb.Error {
	s, _ := status.FromError(err)
	for _, d := range s.Details() {
		if e, ok := d.(*doozerpb.Error); ok {
			return e
		}
	}
	return nil
}

// told is the stream of one of many watches.
type told struct {
	grpc.ServerStream
	ctx  context.Context
	id   uint64
	send func(*doozerpb.Header, *doozerpb.WatchesResponse_Told) error
}

func (w *told) Context() context.Context { return w.ctx }

func (w *told) Send(m *doozerpb.WatchResponse) error {
	if w.ctx.Err() != nil {
		return nil
	}
	return w.send(m.GetHeader(), &doozerpb.WatchesResponse_Told{Ids: []uint64{w.id}, Kind: m.GetKind(), Rev: m.GetRev(), Events: m.GetEvents()})
}
