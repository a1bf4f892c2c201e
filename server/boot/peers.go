package boot

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/doozer-store/doozer/consensus"
	"github.com/doozer-store/doozer/consensus/transport"
	"github.com/doozer-store/doozer/proto/peerpb"
	"github.com/doozer-store/doozer/store"
)

// wire is the transport as consensus wants it.
type wire struct{ t *transport.Transport }

func (w wire) Send(msgs []*raftpb.Message) { w.t.Send(msgs) }
func (w wire) Connected(id uint64) bool    { return w.t.Connected(id) }
func (w wire) Forward(to, term uint64, group []byte) bool {
	return w.t.Forward(to, term, []uint64{0}, [][]byte{group})
}

// peerHandler gives what peers send to consensus and to the verifier. It
// waits, once, until consensus exists.
type peerHandler struct {
	n     *Node
	ready chan struct{}
}

func (h *peerHandler) consensus() *consensus.Node {
	<-h.ready
	return h.n.consensus
}

func (h *peerHandler) Receive(from uint64, msgs []*raftpb.Message) {
	h.consensus().Receive(from, msgs)
}

func (h *peerHandler) ReceiveForward(from, term uint64, _ []uint64, groups [][]byte) {
	for _, g := range groups {
		h.consensus().ReceiveForward(from, term, g)
	}
}

func (h *peerHandler) ReceiveHash(from, index uint64, rev int64, hash uint64) {
	h.n.verifier.peer(from, index, rev, hash)
}

func (h *peerHandler) ReceiveSnapshot(from uint64, m *raftpb.Message, r io.Reader) error {
	return h.consensus().ReceiveSnapshot(from, m, r)
}

func (h *peerHandler) PeerUp(id uint64) {
	if err := h.n.checkPeer(id); err != nil {
		h.n.cfg.Logger.Error("peer is not the one it was", "peer", id, "err", err)
	}
	h.consensus().PeerUp(id)
}
func (h *peerHandler) PeerDown(id uint64, refused bool)  { h.consensus().PeerDown(id, refused) }
func (h *peerHandler) Unreachable(id uint64)             { h.consensus().Unreachable(id) }
func (h *peerHandler) SnapshotSent(id uint64, err error) { h.consensus().SnapshotSent(id, err) }

func (h *peerHandler) openSnapshot() (transport.SnapshotMeta, io.ReadCloser, error) {
	m, r, err := h.n.machine.OpenSnapshot()
	return transport.SnapshotMeta(m), r, err
}

// Refused ends a node that its cluster does not take. A node that serves its
// cluster is not ended by one peer that says it belongs to another.
func (h *peerHandler) Refused(id uint64, reason error) {
	err := fmt.Errorf("node %d refuses this node: %w", id, reason)
	if strings.Contains(reason.Error(), lostData) || h.consensus().Leader() == 0 {
		h.n.fail(err)
		return
	}
	h.n.cfg.Logger.Error("refused", "err", err)
}

// lostData is in the refusal of a node whose data directory is not the one
// that belongs to its id.
const lostData = "lost its data"

// authorize decides on a peer's hello.
func (n *Node) authorize(h *peerpb.Hello) error {
	own := n.id.bootstrapID()
	if !bytes.Equal(h.GetBootstrapId(), own[:]) {
		return fmt.Errorf("node %s belongs to a cluster of other members than %s: check --cluster on both", h.GetName(), strings.Join(n.id.Members, ", "))
	}
	if mine := n.clusterID(); len(mine) > 0 && len(h.GetClusterId()) > 0 && !bytes.Equal(mine, h.GetClusterId()) {
		return fmt.Errorf("node %s belongs to cluster %x, this one to cluster %x", h.GetName(), h.GetClusterId(), mine)
	}
	if len(h.GetIncarnation()) != 16 {
		return errors.New("hello without an incarnation")
	}
	return n.checkIncarnation(h.GetFrom(), h.GetName(), h.GetIncarnation())
}

// checkPeer checks who answered this node's own hello.
func (n *Node) checkPeer(id uint64) error {
	p, ok := n.transport.Peer(id)
	if !ok || len(p.Incarnation) != 16 {
		return nil
	}
	return n.checkIncarnation(id, p.Name, p.Incarnation)
}

// checkIncarnation compares with what the cluster recorded, and with what this
// node saw itself.
func (n *Node) checkIncarnation(id uint64, name string, incarnation []byte) error {
	lost := fmt.Errorf("node %s (id %d) %s: its data directory is not the one that belongs to this id, and what it had promised is forgotten: it may not come back under the old id; restore its directory as it was when it last ran", name, id, lostData)
	var recorded string
	n.machine.View(func(s *store.Store) {
		if e, err := s.Get(ctlNode(id, "incarnation"), 0); err == nil {
			recorded = string(e.Value())
		}
	})
	if recorded != "" && recorded != hex.EncodeToString(incarnation) {
		return lost
	}
	same, err := n.book.check(id, incarnation)
	if err != nil {
		return fmt.Errorf("%w: %v", transport.ErrLater, err)
	}
	if !same {
		return lost
	}
	return nil
}

// clusterID returns the cluster's random id, nil until it has one.
func (n *Node) clusterID() []byte {
	var id [16]byte
	n.machine.View(func(s *store.Store) { id = s.Config().ClusterID })
	if id == [16]byte{} {
		return nil
	}
	return id[:]
}
