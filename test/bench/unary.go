package main

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/doozer-store/doozer/client"
	doozerpb "github.com/doozer-store/doozer/proto"
)

// unaryConn makes its calls one by one, without ids: what a stub does. Watches
// are those of doozer's client: they are a stream for anyone.
type unaryConn struct {
	doozerConn
	cc  *grpc.ClientConn
	api doozerpb.DoozerClient
}

// dialUnary connects to the leader; watches go through c.
func (d *doozer) dialUnary(c *client.Client) (conn, error) {
	var leader int
	if err := until(30*time.Second, "a leader", func() (ok bool, err error) {
		leader, err = d.leader()
		return err == nil, err
	}); err != nil {
		return nil, err
	}
	cc, err := grpc.NewClient(d.addrs[leader], grpc.WithTransportCredentials(insecure.NewCredentials()))
	return &unaryConn{doozerConn: doozerConn{Client: c}, cc: cc, api: doozerpb.NewDoozerClient(cc)}, err
}

func (c *unaryConn) set(ctx context.Context, key string, value []byte) error {
	_, err := c.api.Set(ctx, &doozerpb.SetRequest{Path: key, Value: value})
	return err
}

func (c *unaryConn) create(ctx context.Context, key string, value []byte) error {
	_, err := c.api.Set(ctx, &doozerpb.SetRequest{Path: key, Value: value, If: &doozerpb.If{Kind: doozerpb.If_MISSING}})
	return err
}

func (c *unaryConn) update(ctx context.Context, key string, value []byte) (bool, error) {
	g, err := c.api.Get(ctx, &doozerpb.GetRequest{Path: key})
	if err != nil {
		return false, err
	}
	_, err = c.api.Set(ctx, &doozerpb.SetRequest{Path: key, Value: value, If: &doozerpb.If{Kind: doozerpb.If_UNCHANGED, Rev: g.GetFile().GetRev()}})
	if status.Code(err) == codes.Aborted {
		return false, nil
	}
	return err == nil, err
}

func (c *unaryConn) txn(ctx context.Context, keys []string, value []byte) error {
	t := &doozerpb.TxnRequest{}
	for _, k := range keys {
		t.Ops = append(t.Ops, &doozerpb.Op{Path: k, Value: value})
	}
	_, err := c.api.Txn(ctx, t)
	return err
}

func (c *unaryConn) get(ctx context.Context, key string) error {
	_, err := c.api.Get(ctx, &doozerpb.GetRequest{Path: key})
	return err
}

func (c *unaryConn) localGet(ctx context.Context, key string) error {
	_, err := c.api.Get(ctx, &doozerpb.GetRequest{Path: key, Local: true})
	return err
}

func (c *unaryConn) list(ctx context.Context, dir string) (n int, err error) {
	stream, err := c.api.List(ctx, &doozerpb.ListRequest{Dir: dir})
	if err != nil {
		return 0, err
	}
	for {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return 0, err
		}
		n += len(r.GetFiles())
	}
}

func (c *unaryConn) close() {
	c.cc.Close()
	c.doozerConn.close()
}
