package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	doozerpb "github.com/doozer-store/doozer/proto"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
)

// Config is what a Server is made of. Machine and Consensus are required.
type Config struct {
	// Node is this node's id; Name and Version are for people.
	Node          uint64
	Name, Version string

	Machine   *Machine
	Consensus Consensus
	// Leaders receives when the leader that Consensus knows may be another:
	// by it the health service stays true. It has one slot, and what is not
	// taken yet stands for all that came. Nil: never.
	Leaders <-chan struct{}

	// Metrics counts requests; nil: they are counted nowhere. One Metrics
	// serves one Server.
	Metrics     *Metrics
	Limits      Limits
	Credentials CredentialsConfig
	// Log gets what an operator should see; nil: nobody does.
	Log *slog.Logger
}

// Server answers clients on one listener. Its methods are safe for concurrent
// use.
type Server struct {
	doozerpb.UnimplementedDoozerServer

	node          uint64
	name, version string
	now           func() time.Time // time.Now, or a simulation's
	started       time.Time        // also the origin of clock
	machine       *Machine
	consensus     Consensus
	metrics       *Metrics
	limits        Limits
	log           *slog.Logger

	status statusCache
	grpc   *grpc.Server
	health *health.Server

	// stopping is closed when no request is taken any more.
	stopping chan struct{}
	stopOnce sync.Once
	// wg counts the health goroutine, the receivers of Do streams and their
	// awaiters.
	wg sync.WaitGroup
}

// New returns a Server that does not listen yet. Its health goroutine runs
// until Stop.
func New(cfg Config) (*Server, error) {
	if cfg.Machine == nil || cfg.Consensus == nil {
		return nil, errors.New("server: Config lacks a Machine or a Consensus")
	}
	if cfg.Metrics == nil {
		cfg.Metrics = NewMetrics()
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		node:      cfg.Node,
		name:      cfg.Name,
		version:   cfg.Version,
		now:       time.Now,
		started:   time.Now(),
		machine:   cfg.Machine,
		consensus: cfg.Consensus,
		metrics:   cfg.Metrics,
		limits:    cfg.Limits.orDefault(),
		log:       cfg.Log,
		health:    health.NewServer(),
		stopping:  make(chan struct{}),
	}
	options, err := s.options(cfg.Credentials)
	if err != nil {
		return nil, err
	}
	s.grpc = grpc.NewServer(options...)
	doozerpb.RegisterDoozerServer(s.grpc, s)
	healthpb.RegisterHealthServer(s.grpc, s.health)
	reflection.Register(s.grpc)
	s.metrics.addServer(s)
	s.setHealth(false)
	s.wg.Go(func() { s.watchHealth(cfg.Leaders) })
	return s, nil
}

// options are grpc's, each of which bounds what a client can do. Windows that
// grow by themselves, larger read and write buffers and a yield before each
// send were measured too (BenchmarkDoSet, BenchmarkDoGet): no difference that
// the noise does not cover. So windows are fixed, and the rest is grpc's.
func (s *Server) options(c CredentialsConfig) ([]grpc.ServerOption, error) {
	creds, err := listenerCredentials(c)
	if err != nil {
		return nil, fmt.Errorf("server: credentials: %w", err)
	}
	l := &s.limits
	return []grpc.ServerOption{
		grpc.Creds(creds),
		grpc.ForceServerCodecV2(newCodec()),
		grpc.MaxConcurrentStreams(l.ConnStreams),
		grpc.MaxRecvMsgSize(l.MaxMessage),
		grpc.MaxHeaderListSize(maxHeader),
		grpc.StaticStreamWindowSize(l.Window),
		grpc.StaticConnWindowSize(l.Window),
		grpc.WaitForHandlers(true),
		grpc.ConnectionTimeout(l.HandshakeTimeout),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: l.KeepaliveTime, Timeout: l.KeepaliveTimeout}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: l.MinPing, PermitWithoutStream: true}),
	}, nil
}

// Serve answers on lis until Stop; it then returns nil. It closes lis.
func (s *Server) Serve(lis net.Listener) error {
	if err := s.grpc.Serve(lis); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return fmt.Errorf("server: serve %v: %w", lis.Addr(), err)
	}
	return nil
}

// Stop makes health say NOT_SERVING, ends watches, tells Do streams to go
// elsewhere and refuses requests; what is in flight is answered until ctx
// ends. Then all connections are closed and all goroutines have ended. It may
// be called more than once.
func (s *Server) Stop(ctx context.Context) {
	s.stopOnce.Do(func() {
		s.health.Shutdown()
		close(s.stopping)
	})
	done := make(chan struct{})
	go func() {
		s.grpc.GracefulStop()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		s.grpc.Stop()
		<-done
	}
	s.wg.Wait()
}

// Ready does what a linearizable read does, without reading; nil when a
// majority answered before ctx ended.
func (s *Server) Ready(ctx context.Context) error {
	if reason := s.notReady(); reason != "" {
		return errors.New(reason)
	}
	if e := s.readIndex(ctx); e != nil {
		return errors.New(e.Message)
	}
	return nil
}

// notReady returns why the node should not be sent requests, "" if it should.
func (s *Server) notReady() string {
	if reason := s.machine.Quarantined(); reason != "" {
		return "quarantined: " + reason
	}
	select {
	case <-s.stopping:
		return "stopping"
	default:
	}
	if s.consensus.Status().Leader == 0 {
		return "no leader is known"
	}
	return ""
}

// watchHealth keeps the health service true; it ends with Stop. It is woken by
// what notReady looks at.
func (s *Server) watchHealth(leaders <-chan struct{}) {
	quarantined := s.machine.quarantined
	for {
		s.setHealth(s.notReady() == "")
		select {
		case <-s.stopping:
			return
		case <-leaders:
		case <-quarantined:
			quarantined = nil // it stays so
		}
	}
}

// setHealth sets what health says of the node as a whole and of its service.
func (s *Server) setHealth(ready bool) {
	status := healthpb.HealthCheckResponse_NOT_SERVING
	if ready {
		status = healthpb.HealthCheckResponse_SERVING
	}
	s.health.SetServingStatus("", status)
	s.health.SetServingStatus(doozerpb.Doozer_ServiceDesc.ServiceName, status)
}

// refuse returns why no request is taken at present, nil if they are.
func (s *Server) refuse() *doozerpb.Error {
	if reason := s.machine.Quarantined(); reason != "" {
		return quarantined(reason)
	}
	select {
	case <-s.stopping:
		return stopping()
	default:
		return nil
	}
}

// clock returns the time since the server was made, by the monotonic clock.
func (s *Server) clock() int64 { return int64(s.now().Sub(s.started)) }
