package boot

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/doozer-store/doozer/store"
)

// registerRetry is how long the registrar waits after a failure, and
// registerEvery how often it looks when nothing has happened.
const (
	registerRetry = 200 * time.Millisecond
	registerEvery = 30 * time.Second
)

func ctlNode(id uint64, field string) string {
	return "/ctl/node/" + strconv.FormatUint(id, 10) + "/" + field
}

// onLeader wakes the registrar, since who leads may have work to do, and the
// server's health.
func (n *Node) onLeader(uint64, uint64) {
	for _, c := range []chan struct{}{n.verifier.leader, n.leaders} {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// register keeps /ctl true: what this node says of itself, and on the leader
// what belongs to the cluster. It ends with ctx.
func (n *Node) register(ctx context.Context) {
	for {
		wait := registerEvery
		if err := n.registerOnce(ctx); err != nil {
			wait = registerRetry
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		case <-n.verifier.leader:
			timer.Stop()
		}
	}
}

func (n *Node) registerOnce(ctx context.Context) error {
	leader := n.consensus.Leader()
	if leader == 0 {
		return fmt.Errorf("no leader")
	}
	if leader == n.id.ID {
		if err := n.configure(ctx); err != nil {
			return err
		}
	}
	want := map[string]string{
		ctlNode(n.id.ID, "name"):        n.id.Name,
		ctlNode(n.id.ID, "addr"):        n.clientAddr,
		ctlNode(n.id.ID, "peer-addr"):   n.peerAddr,
		ctlNode(n.id.ID, "version"):     n.cfg.Version,
		ctlNode(n.id.ID, "role"):        "voter",
		ctlNode(n.id.ID, "incarnation"): n.id.Incarnation,
	}
	if leader == n.id.ID {
		n.clusterFiles(want)
	}
	return n.publish(ctx, want)
}

// configure gives the cluster its id, and its settings where the leader's
// flags say otherwise.
func (n *Node) configure(ctx context.Context) error {
	var now store.Config
	n.machine.View(func(s *store.Store) { now = s.Config() })
	want := now
	if want.ClusterID == [16]byte{} {
		_, _ = rand.Read(want.ClusterID[:]) // never fails
		want.Epoch = 1
	}
	want.History, want.Volatile = n.cfg.History, n.cfg.volatile()
	if want == now {
		return nil
	}
	return n.propose(ctx, &store.Command{Kind: store.Configure, Config: &want})
}

// clusterFiles adds what the leader publishes.
func (n *Node) clusterFiles(want map[string]string) {
	var c store.Config
	n.machine.View(func(s *store.Store) { c = s.Config() })
	want["/ctl/cluster/id"] = hex.EncodeToString(c.ClusterID[:])
	want["/ctl/cluster/epoch"] = strconv.FormatUint(c.Epoch, 10)
	for slot, m := range n.consensus.Status().Members {
		if m.Voter {
			want["/ctl/cal/"+strconv.Itoa(slot)] = strconv.FormatUint(m.ID, 10)
		}
	}
}

// publish writes those files that differ, in one transaction.
func (n *Node) publish(ctx context.Context, want map[string]string) error {
	cmd := &store.Command{Kind: store.System, Author: "node " + n.id.Name}
	n.machine.View(func(s *store.Store) {
		for _, path := range slices.Sorted(maps.Keys(want)) {
			value := want[path]
			if e, err := s.Get(path, 0); err != nil || !bytes.Equal(e.Value(), []byte(value)) {
				cmd.Ops = append(cmd.Ops, store.Op{Path: path, Value: []byte(value)})
			}
		}
	})
	if len(cmd.Ops) == 0 {
		return nil
	}
	return n.propose(ctx, cmd)
}

// propose puts a command of the node's own into the log and waits for it.
func (n *Node) propose(ctx context.Context, cmd *store.Command) error {
	type outcome struct {
		result any
		err    error
	}
	done := make(chan outcome, 1)
	deadline := time.Now().Add(5 * time.Second)
	n.consensus.Propose(cmd.Append(nil), deadline, func(r any, err error) { done <- outcome{r, err} })
	select {
	case o := <-done:
		if o.err != nil {
			return o.err
		}
		if r, ok := o.result.(*store.Result); ok && r.Err != nil {
			return r.Err
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
