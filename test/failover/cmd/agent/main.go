// Command agent is the agent of a Redis server that dies, by SIGKILL, of writing the
// register in the state that the file FUSE has, which it takes away.
//
//	agent STORE FUSE NAME REDIS ANNOUNCE DIR SENTINEL
package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"syscall"

	"github.com/redis/go-redis/v9/logging"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/client/failover"
	"github.com/doozer-store/doozer/client/failover/agent"
	"github.com/doozer-store/doozer/client/failover/sentinel"
	"github.com/doozer-store/doozer/client/session"
)

func main() {
	if len(os.Args) != 8 {
		fmt.Fprintln(os.Stderr, "agent: STORE FUSE NAME REDIS ANNOUNCE DIR SENTINEL")
		os.Exit(64)
	}
	logging.Disable()
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "agent:", err)
		os.Exit(1)
	}
}

const group = "g"

// mortal is a store whose client dies of writing the register in a state.
type mortal struct {
	session.Store
	fuse string
}

func (m mortal) Txn(ctx context.Context, t client.Txn) (int64, error) {
	rev, err := m.Store.Txn(ctx, t)
	if err != nil {
		return rev, err
	}
	for _, op := range t.Do {
		if op.Path != failover.Paths(group).Register() {
			continue
		}
		r, err := failover.ParseRegister(op.Value, rev)
		state, burns := os.ReadFile(m.fuse)
		if err == nil && burns == nil && string(state) == string(r.State) && os.Remove(m.fuse) == nil {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // the signal comes
		}
	}
	return rev, nil
}

func run(ctx context.Context, args []string) error {
	store, fuse := args[0], args[1]
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	db, err := client.Open(ctx, store, client.WithLogger(log))
	if err != nil {
		return err
	}
	defer db.Close()
	a, err := agent.Open(ctx, agent.Config{
		Store: mortal{db, fuse}, Group: group, Name: args[2], Redis: args[3], Announce: args[4], Dir: args[5],
		Sentinel: args[6], Logger: log,
	})
	if err != nil {
		return err
	}
	lis, err := net.Listen("tcp", args[6])
	if err != nil {
		return err
	}
	s, err := sentinel.New(sentinel.Config{Source: a, Self: a.Name(), Logger: log})
	if err != nil {
		return err
	}
	go s.Serve(lis)
	defer s.Close()
	return a.Run(ctx)
}
