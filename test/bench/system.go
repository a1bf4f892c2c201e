package main

import (
	"context"
	"errors"
)

// system is a store under test: server processes on loopback.
type system interface {
	name() string
	// settings tells the version, and what differs from the defaults.
	settings() string
	// start starts n servers with data below dir and returns once they serve.
	start(dir string, n int) error
	// dial makes one connection, to the i-th server where a system's clients
	// stay with one.
	dial(i int) (conn, error)
	// nodes are the processes of the servers.
	nodes() []*process
	// leader is the index of the server that leads.
	leader() (int, error)
	// restart starts the i-th server again and returns once it serves.
	restart(i int) error
	// wipe deletes what the i-th server has, so that it has to catch up; it is
	// not running.
	wipe(i int) error
	// caughtUp tells whether the i-th server has all that the others have.
	caughtUp(i int) (bool, error)
	stop()
}

// conn is one connection of a client, used by many callers at once. Keys are
// paths of doozer's form.
type conn interface {
	// set writes a key that may exist; create one that does not.
	set(ctx context.Context, key string, value []byte) error
	create(ctx context.Context, key string, value []byte) error
	// update reads a key and writes it if nobody else has meanwhile; it tells
	// whether it did.
	update(ctx context.Context, key string, value []byte) (bool, error)
	// txn writes all keys or none.
	txn(ctx context.Context, keys []string, value []byte) error
	// get is linearizable; localGet is the state of any one server.
	get(ctx context.Context, key string) error
	localGet(ctx context.Context, key string) error
	// list reads the names in a directory and returns how many there are.
	list(ctx context.Context, dir string) (int, error)
	// watch calls each with the value of every change below dir, or of the
	// file dir itself if one is true, until ctx ends; it calls ready when no
	// further change will be missed.
	watch(ctx context.Context, dir string, one bool, ready func(), each func(value []byte)) error
	close()
}

// errNotDone: a system has no such operation.
var errNotDone = errors.New("this system cannot do that")

// systems makes those of that name.
var systems = map[string]func() system{
	"doozer":       func() system { return &doozer{} },
	"doozer-unary": func() system { return &doozer{unary: true} },
	"etcd":         func() system { return &etcd{} },
	"zookeeper":    func() system { return &zookeeper{} },
	"echo":         func() system { return &echo{} },
}
