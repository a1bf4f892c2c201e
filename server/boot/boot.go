package boot

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/doozer-store/doozer/consensus"
	"github.com/doozer-store/doozer/consensus/checkpoint"
	"github.com/doozer-store/doozer/consensus/quiet"
	"github.com/doozer-store/doozer/consensus/transport"
	"github.com/doozer-store/doozer/consensus/wal"
	"github.com/doozer-store/doozer/server"
	"github.com/doozer-store/doozer/server/web"
	"github.com/doozer-store/doozer/store"
)

// Node is a running node.
type Node struct {
	cfg     Config
	id      *identity
	book    *peerBook
	metrics *server.Metrics

	lock      *os.File
	db        *checkpoint.DB
	log       *wal.Log
	machine   *server.Machine
	transport *transport.Transport
	consensus *consensus.Node
	server    *server.Server
	web       *web.Server

	clientLis, peerLis, webLis net.Listener
	clientAddr, peerAddr       string // as advertised

	verifier *verifier
	leaders  chan struct{} // tells server that the leader may be another

	failOnce sync.Once
	failed   chan struct{}
	err      error // set before failed is closed

	cancel   context.CancelFunc // ends registrar and verifier
	group    *errgroup.Group
	stopOnce sync.Once
}

// Start starts a node. Its error is one sentence for an operator.
func Start(cfg Config) (*Node, error) {
	if err := cfg.prepare(); err != nil {
		return nil, err
	}
	n := &Node{cfg: cfg, failed: make(chan struct{}), leaders: make(chan struct{}, 1), metrics: server.NewMetrics()}
	if err := n.open(); err != nil {
		n.close()
		return nil, err
	}
	n.serve()
	return n, nil
}

// open does everything that can fail, in the order in which things depend on
// each other.
func (n *Node) open() error {
	for _, step := range []func() error{n.openDir, n.listen, n.openState, n.openConsensus, n.openServer} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) openDir() (err error) {
	if n.lock, err = lockDir(n.cfg.DataDir); err != nil {
		return err
	}
	if n.id, err = openIdentity(&n.cfg); err != nil {
		return err
	}
	n.book, err = openPeerBook(n.cfg.DataDir)
	return err
}

// listen opens the ports first: a port in use is the likeliest mistake, and
// costs nothing here.
func (n *Node) listen() (err error) {
	own := n.id.Addresses[n.id.Name]
	setDefault(&n.cfg.PeerListen, own)
	if n.clientLis, err = listen("--listen", n.cfg.Listen); err != nil {
		return err
	}
	if n.peerLis, err = listen("--peer-listen", n.cfg.PeerListen); err != nil {
		return err
	}
	if n.cfg.Web != "false" {
		if n.webLis, err = listen("--web", n.cfg.Web); err != nil {
			return err
		}
	}
	n.clientAddr, n.peerAddr = n.cfg.Advertise, n.cfg.PeerAdvertise
	setDefault(&n.clientAddr, n.clientLis.Addr().String())
	if len(n.id.Members) > 1 {
		setDefault(&n.peerAddr, own)
	}
	setDefault(&n.peerAddr, n.peerLis.Addr().String())
	return nil
}

func listen(flag, addr string) (net.Listener, error) {
	lis, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s: port %s is in use by another process: stop that one or give another address", flag, addr)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	return lis, nil
}

// openState opens what is on disk.
func (n *Node) openState() (err error) {
	dir := n.cfg.DataDir
	if n.db, err = checkpoint.Open(filepath.Join(dir, stateFile), checkpoint.Options{}); err != nil {
		return n.diskError(err)
	}
	if n.db.Meta().Index == 0 {
		first := consensus.Bootstrap(n.id.voters())
		empty := func(put func(k, v []byte) error, _ func(k []byte) error) error { return store.New().Snapshot(put) }
		if err := n.db.Commit(checkpoint.Meta(first), empty); err != nil {
			return n.diskError(err)
		}
	}
	n.log, err = wal.Open(wal.Options{
		Dir: filepath.Join(dir, logDir), BootstrapID: n.id.bootstrapID(), Node: n.id.ID, OnSync: n.metrics.ObserveSync,
	})
	if err != nil {
		return n.diskError(err)
	}
	if t := n.log.Torn(); t != nil {
		// Normal after a kill or a power cut: nobody was told that it is stored.
		n.cfg.Logger.Warn("an interrupted write was cut off the log", "segment", t.Segment, "offset", t.Offset, "bytes", t.Bytes)
	}
	n.verifier = newVerifier(n)
	n.machine, err = server.NewMachine(server.MachineConfig{DB: n.db, Limits: n.cfg.limits, Metrics: n.metrics, OnHash: n.verifier.own})
	if err != nil {
		return n.diskError(err)
	}
	return nil
}

// diskError says whose data the error is about and what can be done.
func (n *Node) diskError(err error) error {
	remedy := ""
	switch {
	case errors.Is(err, wal.ErrNewerFormat), errors.Is(err, checkpoint.ErrNewerFormat):
		remedy = ": use a newer doozerd"
	case errors.As(err, new(*wal.CorruptError)), errors.As(err, new(*checkpoint.CorruptError)), errors.Is(err, store.ErrDamaged):
		remedy = ": look at the disk, and restore the directory as it was when the node last ran; the rest of the cluster goes on without it"
	case errors.Is(err, wal.ErrForeign):
		remedy = ": its log is that of another node; name the right --data-dir"
	}
	return fmt.Errorf("data directory %s: %w%s", n.cfg.DataDir, err, remedy)
}

func (n *Node) openConsensus() (err error) {
	peers := peerHandler{n: n, ready: make(chan struct{})}
	creds := server.PeerCredentials(server.CredentialsConfig{})
	n.transport, err = transport.New(transport.Config{
		ID: n.id.ID, Name: n.id.Name, Version: n.cfg.Version,
		Listener: n.peerLis, Peers: n.id.peers(),
		BootstrapID: bytesOf(n.id.bootstrapID()), Incarnation: n.id.incarnation(),
		ClusterID: n.clusterID, Authorize: n.authorize,
		Handler: &peers, Tree: n.verifier.tree,
		OpenSnapshot:  peers.openSnapshot,
		ServerOptions: creds.Server, DialOptions: creds.Dial,
		Logger: n.cfg.Logger,
	})
	n.peerLis = nil // the transport's
	if err != nil {
		return err
	}
	var nonce [8]byte
	_, _ = rand.Read(nonce[:]) // never fails
	committed := n.log.HardState().GetCommit()
	tick := n.cfg.Heartbeat / heartbeatTicks
	n.consensus, err = consensus.Open(consensus.Config{
		ID: n.id.ID, Nonce: binary.LittleEndian.Uint64(nonce[:]), State: consensus.Meta(n.db.Meta()),
		Log: n.log, Transport: wire{n.transport}, Machine: n.machine, Alarm: newAlarm(), Yield: yield,
		Tick: tick, HeartbeatTicks: heartbeatTicks, ElectionTicks: int(n.cfg.ElectionTimeout / tick),
		CheckpointBytes: n.cfg.CheckpointBytes,
		Hooks: consensus.Hooks{
			Commit: n.metrics.ObserveCommit, Leader: n.onLeader, Checkpoint: n.metrics.ObserveCheckpoint,
			Apply: func(d time.Duration, _ int) { n.metrics.ObserveApply(d) },
		},
		Logger: n.cfg.Logger, Wall: func() int64 { return time.Now().UnixNano() },
	})
	if err != nil {
		return n.diskError(err)
	}
	close(peers.ready)
	// What was known to be committed is applied before anybody is served: a
	// restart then shows nobody a state older than the log tells.
	if err := n.waitApplied(committed); err != nil {
		return n.diskError(err)
	}
	if !n.id.Ready {
		// Log and state exist from here on.
		n.id.Ready = true
		return writeJSON(n.cfg.DataDir, identityFile, n.id)
	}
	return nil
}

// newAlarm returns an alarm that lets an idle node sleep, nil where there is
// none.
func newAlarm() consensus.Alarm {
	a, err := quiet.NewAlarm()
	if err != nil {
		return nil
	}
	return a
}

// waitApplied returns when the entry at index is applied: it is on this node's
// disk, nobody else is needed.
func (n *Node) waitApplied(index uint64) error {
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for n.consensus.Applied() < index {
		select {
		case <-look.C:
		case <-n.consensus.Done():
			return n.consensus.Err()
		}
	}
	return nil
}

func (n *Node) openServer() (err error) {
	n.server, err = server.New(server.Config{
		Node: n.id.ID, Name: n.id.Name, Version: n.cfg.Version,
		Machine: n.machine, Consensus: n.consensus, Leaders: n.leaders, Limits: n.cfg.limits, Metrics: n.metrics, Log: n.cfg.Logger,
	})
	if err != nil || n.webLis == nil {
		return err
	}
	n.web, err = web.New(web.Config{
		Name: n.id.Name, Metrics: n.metrics.Registry(), Ready: n.server.Ready, Live: n.machine.Live, Log: n.cfg.Logger,
	})
	return err
}

// serve starts what needs no answer.
func (n *Node) serve() {
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel = cancel
	n.group = &errgroup.Group{}
	n.transport.Start()
	n.group.Go(func() error { return n.watch(n.server.Serve(n.clientLis)) })
	if n.web != nil {
		n.group.Go(func() error { return n.watch(n.web.Serve(n.webLis)) })
	}
	n.group.Go(func() error { n.register(ctx); return nil })
	n.group.Go(func() error { n.verifier.run(ctx); return nil })
	n.group.Go(func() error {
		select {
		case <-n.consensus.Done():
			n.fail(n.consensus.Err())
		case <-ctx.Done():
		}
		return nil
	})
	n.cfg.Logger.Info("serving", "node", n.id.Name, "id", n.id.ID, "clients", n.clientAddr, "peers", n.peerAddr)
}

// watch makes the end of a listener the end of the node.
func (n *Node) watch(err error) error {
	if err != nil {
		n.fail(err)
	}
	return err
}

func (n *Node) fail(err error) {
	n.failOnce.Do(func() {
		n.err = err
		close(n.failed)
	})
}

// Done is closed when the node has ended by an error. The process should end:
// what Stop then does is best effort.
func (n *Node) Done() <-chan struct{} { return n.failed }

// Err returns why Done is closed.
func (n *Node) Err() error {
	select {
	case <-n.failed:
		return n.err
	default:
		return nil
	}
}

// Addr returns the address for clients, PeerAddr for peers, as advertised,
// and WebAddr the web listener's, "" if there is none.
func (n *Node) Addr() string     { return n.clientAddr }
func (n *Node) PeerAddr() string { return n.peerAddr }
func (n *Node) WebAddr() string {
	if n.webLis == nil {
		return ""
	}
	return n.webLis.Addr().String()
}

// Name returns the node's name.
func (n *Node) Name() string { return n.id.Name }

// heartbeatTicks is raft's ticks in a heartbeat: election timeouts are drawn in
// ticks, so that short ones make split votes rarer. They cost nothing, see
// consensus.raftClock.
const heartbeatTicks = 5

// handover bounds how long leadership may take to move when a node stops.
const handover = 2 * time.Second

// Stop ends the node in good order: leadership goes to another node, clients
// are told to go elsewhere, requests in flight are answered until ctx ends or
// the node has lost the majority; the others end with their connections, as when
// a node is lost. It returns when all goroutines have ended and all files are closed. Only the
// first call does anything.
func (n *Node) Stop(ctx context.Context) { n.stop(ctx, true) }

// StopAll stops all nodes of a cluster together; none hands leadership over.
func StopAll(ctx context.Context, nodes []*Node) {
	var wg sync.WaitGroup
	for _, n := range nodes {
		wg.Go(func() { n.stop(ctx, false) })
	}
	wg.Wait()
}

func (n *Node) stop(ctx context.Context, handOver bool) {
	n.stopOnce.Do(func() {
		n.cfg.Logger.Info("stopping", "node", n.id.Name)
		ctx, end := n.whileInMajority(ctx)
		if handOver {
			move, cancel := context.WithTimeout(ctx, handover)
			defer cancel()
			if err := n.consensus.TransferLeadership(move); err != nil && !errors.Is(err, consensus.ErrNoLeader) {
				n.cfg.Logger.Warn("leadership was not handed over", "err", err)
			}
		}
		n.cancel()
		n.server.Stop(ctx)
		end()
		n.close()
		_ = n.group.Wait() // its errors went through fail
	})
}

// close releases what open got, in reverse order. Errors no longer matter to
// anybody: what had to be durable was synced when it was acknowledged.
func (n *Node) close() {
	if n.web != nil {
		_ = n.web.Close()
	} else if n.webLis != nil {
		_ = n.webLis.Close()
	}
	if n.server == nil && n.clientLis != nil {
		_ = n.clientLis.Close()
	}
	if n.peerLis != nil {
		_ = n.peerLis.Close()
	}
	if n.consensus != nil {
		_ = n.consensus.Stop()
	}
	if n.transport != nil {
		_ = n.transport.Close()
	}
	if n.log != nil {
		_ = n.log.Close()
	}
	if n.db != nil {
		_ = n.db.Close()
	}
	if n.lock != nil {
		_ = n.lock.Close()
	}
}

func bytesOf(b [16]byte) []byte { return b[:] }
