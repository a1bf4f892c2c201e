package client

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"

	doozerpb "github.com/doozer-store/doozer/proto"
)

// echoService answers every request at once: what is measured is the client,
// gRPC and the server's decoding.
type echoService struct {
	doozerpb.UnimplementedDoozerServer
}

func (echoService) Do(stream doozerpb.Doozer_DoServer) error {
	h := &doozerpb.Header{ClusterId: []byte("0123456789abcdef"), Epoch: 1, Node: 1, Leader: 1}
	for {
		req, err := stream.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		res := &doozerpb.DoResponse{Header: h, Responses: make([]*doozerpb.Response, 0, len(req.GetRequests()))}
		for _, r := range req.GetRequests() {
			out := &doozerpb.Response{Tag: r.GetTag()}
			switch r.GetOp().(type) {
			case *doozerpb.Request_Set:
				out.Result = &doozerpb.Response_Set{Set: &doozerpb.SetResponse{Rev: 1}}
			case *doozerpb.Request_Get:
				out.Result = &doozerpb.Response_Get{Get: &doozerpb.GetResponse{File: &doozerpb.File{Path: "/a", Rev: 1}}}
			case *doozerpb.Request_Register:
				out.Result = &doozerpb.Response_Register{Register: &doozerpb.RegisterResponse{Client: 1, Window: 4096}}
			case *doozerpb.Request_List:
				out.Result = &doozerpb.Response_List{List: &doozerpb.ListResponse{Rev: 1}}
			default:
				out.Result = &doozerpb.Response_Self{Self: &doozerpb.SelfResponse{}}
			}
			res.Responses = append(res.Responses, out)
		}
		if err := stream.Send(res); err != nil {
			return err
		}
	}
}

func echoClient(b testing.TB) *Client {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	srv := grpc.NewServer(grpc.InitialWindowSize(1<<20), grpc.InitialConnWindowSize(4<<20))
	doozerpb.RegisterDoozerServer(srv, echoService{})
	go srv.Serve(lis)
	b.Cleanup(srv.Stop)
	return openTarget(b, lis.Addr().String())
}

func benchmark(b *testing.B, call func(c *Client) error) {
	for _, callers := range []int{1, 64, 1000} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			c := echoClient(b)
			if err := call(c); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.ResetTimer()
			var wg sync.WaitGroup
			for i := range callers {
				n := b.N / callers
				if i < b.N%callers {
					n++
				}
				wg.Go(func() {
					for range n {
						if err := call(c); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
		})
	}
}

func BenchmarkSet(b *testing.B) {
	value := []byte(strings.Repeat("v", 64))
	benchmark(b, func(c *Client) error {
		_, err := c.Set(b.Context(), "/bench/key", value)
		return err
	})
}

func BenchmarkGet(b *testing.B) {
	benchmark(b, func(c *Client) error {
		_, err := c.Get(b.Context(), "/bench/key")
		return err
	})
}
