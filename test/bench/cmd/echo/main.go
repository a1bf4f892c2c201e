// Command echo speaks doozer's Do stream and answers every request at once,
// with nothing behind it: what the RPC layer alone could do.
package main

import (
	"fmt"
	"net"
	"os"

	"google.golang.org/grpc"

	doozerpb "github.com/doozer-store/doozer/proto"
)

type server struct {
	doozerpb.UnimplementedDoozerServer
	header *doozerpb.Header
	file   *doozerpb.File
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: echo HOST:PORT")
		os.Exit(64)
	}
	ln, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "echo:", err)
		os.Exit(2)
	}
	s := grpc.NewServer(grpc.WriteBufferSize(64<<10), grpc.ReadBufferSize(64<<10))
	doozerpb.RegisterDoozerServer(s, &server{
		header: &doozerpb.Header{ClusterId: []byte("echo-echo-echo-e"), Epoch: 1, Node: 1, Leader: 1, Rev: 1},
		file:   &doozerpb.File{Path: "/echo", Value: make([]byte, 256), Len: 256, Rev: 1, Exists: true},
	})
	if err := s.Serve(ln); err != nil {
		fmt.Fprintln(os.Stderr, "echo:", err)
		os.Exit(2)
	}
}

// Do answers each message with one.
func (s *server) Do(stream grpc.BidiStreamingServer[doozerpb.DoRequest, doozerpb.DoResponse]) error {
	for {
		in, err := stream.Recv()
		if err != nil {
			return err
		}
		out := &doozerpb.DoResponse{Header: s.header}
		for _, r := range in.GetRequests() {
			out.Responses = append(out.Responses, s.answer(r))
		}
		if err := stream.Send(out); err != nil {
			return err
		}
	}
}

func (s *server) answer(r *doozerpb.Request) *doozerpb.Response {
	a := &doozerpb.Response{Tag: r.GetTag()}
	switch r.GetOp().(type) {
	case *doozerpb.Request_Get:
		a.Result = &doozerpb.Response_Get{Get: &doozerpb.GetResponse{File: s.file}}
	case *doozerpb.Request_Set:
		a.Result = &doozerpb.Response_Set{Set: &doozerpb.SetResponse{Rev: 1}}
	case *doozerpb.Request_Self:
		a.Result = &doozerpb.Response_Self{Self: &doozerpb.SelfResponse{Name: "echo"}}
	case *doozerpb.Request_Register:
		a.Result = &doozerpb.Response_Register{Register: &doozerpb.RegisterResponse{Client: 1, TtlMs: 3_600_000, Window: 1 << 20}}
	default:
		a.Result = &doozerpb.Response_Error{Error: &doozerpb.Error{Code: doozerpb.Code_NOENT}}
	}
	return a
}
