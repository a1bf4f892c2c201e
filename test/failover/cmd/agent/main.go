// Command agent is the agent of a Redis server that dies, by SIGKILL, of writing the
// register in a given state, if a file called fuse is there, which it takes away.
//
//	agent STORE STATE FUSE NAME REDIS ANNOUNCE DIR SENTINEL
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
	if len(os.Args) != 9 {
		fmt.Fprintln(os.Stderr, "agent: STORE STATE FUSE NAME REDIS ANNOUNCE DIR SENTINEL")
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
	state failover.State
	fuse  string
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
		if err == nil && r.State == m.state && os.Remove(m.fuse) == nil {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // the signal comes
		}
	}
	return rev, nil
}

func run(ctx context.Context, args []string) error {
	store, state, fuse := args[0], failover.State(args[1]), args[2]
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	db, err := client.Open(ctx, store, client.WithLogger(log))
	if err != nil {
		return err
	}
	defer db.Close()
	a, err := agent.Open(ctx, agent.Config{
		Store: mortal{db, state, fuse}, Group: group, Name: args[3], Redis: args[4], Announce: args[5], Dir: args[6],
		Sentinel: args[7], Logger: log,
	})
	if err != nil {
		return err
	}
	lis, err := net.Listen("tcp", args[7])
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
