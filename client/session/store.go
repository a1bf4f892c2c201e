package session

import (
	"context"
	"iter"

	"github.com/doozer-store/doozer/client"
)

// Store is what sessions, and the recipes over them, need of a store.
// *client.Client is one; package fakestore has another for tests.
//
// Get and Walk without options are linearizable. Txn is all or nothing and done
// at most once. Wait returns the first change with rev >= from, of a file that
// matches glob. Await needs no linearizable read, but one of a single rev.
type Store interface {
	Get(ctx context.Context, path string, opts ...client.ReadOption) (client.File, error)
	Walk(ctx context.Context, glob string, opts ...client.ReadOption) iter.Seq2[client.File, error]
	Txn(ctx context.Context, t client.Txn) (int64, error)
	Rev(ctx context.Context, opts ...client.ReadOption) (int64, error)
	Await(ctx context.Context, a client.Await) (client.Awaited, error)
	Wait(ctx context.Context, glob string, from int64) (client.Event, error)
	Watch(ctx context.Context, glob string, opts ...client.WatchOption) iter.Seq2[client.Event, error]
}

var _ Store = (*client.Client)(nil)
