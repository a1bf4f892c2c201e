package client

import (
	"context"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"

	doozerpb "github.com/doozer-store/doozer/proto"
)

// Every error names what was asked, of which path, and why it failed.
func ExampleOpError() {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	srv := grpc.NewServer()
	store := &fakeCluster{files: make(map[string]*doozerpb.File), known: make(map[uint64]bool),
		results: make(map[[2]uint64]*doozerpb.Response), applied: make(map[[2]uint64]int), changed: make(chan struct{})}
	doozerpb.RegisterDoozerServer(srv, &fakeService{n: &fakeNode{c: store, id: 1}})
	go srv.Serve(lis)
	defer srv.Stop()

	ctx := context.Background()
	c, err := Open(ctx, lis.Addr().String(), WithTimeout(time.Minute))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	_, err = c.Get(ctx, "/app/name")
	fmt.Println(err)
	rev, err := c.Set(ctx, "/app/name", []byte("doozer"), IfMissing())
	fmt.Println(rev, err)
	_, err = c.Set(ctx, "/app/name", []byte("other"), IfMissing())
	fmt.Println(err)
	// Output:
	// get /app/name: no such file or directory
	// 1 <nil>
	// set /app/name: revision mismatch: the file is at rev 1
}
