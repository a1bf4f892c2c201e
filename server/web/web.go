package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Bounds of the listener: it is for people and probes, a few at a time.
const (
	// readyTimeout is what /readyz gives the quorum read.
	readyTimeout = time.Second
	// liveTimeout is what /livez gives the process to take its locks.
	liveTimeout = 5 * time.Second
	// headerTimeout ends a connection that sends no request.
	headerTimeout = 5 * time.Second
	// readTimeout and idleTimeout end one that is slow or silent.
	readTimeout = 30 * time.Second
	idleTimeout = 2 * time.Minute
	// writeTimeout leaves room for a profile, which is asked for by the
	// second (?seconds=, 30 by default).
	writeTimeout = 5 * time.Minute
	// maxHeader bytes of a request's header; beyond it: 431.
	maxHeader = 64 << 10
	// maxProbes is how many probes of a kind may wait at once. Beyond it:
	// 503 at once, so that a stuck node does not collect goroutines.
	maxProbes = 64
)

// Config says what the pages show. All fields are required but Log.
type Config struct {
	// Name of the node, for people.
	Name string
	// Ready does a read that needs a majority; nil when it succeeded.
	Ready func(context.Context) error
	// Live returns when it could take the locks the node works with.
	Live func(context.Context) error
	// Metrics is what /metrics shows.
	Metrics prometheus.Gatherer
	// Log gets what net/http complains about; nil: nobody does.
	Log *slog.Logger
}

// Server serves the pages on one listener. Its methods are safe for
// concurrent use.
type Server struct {
	cfg   Config
	http  *http.Server
	ready chan struct{} // a place for each probe that runs
	live  chan struct{}

	// wg counts the probes that outlived the request that asked for them.
	wg sync.WaitGroup
}

// New returns a Server that has not been started.
func New(cfg Config) (*Server, error) {
	if cfg.Ready == nil || cfg.Live == nil || cfg.Metrics == nil {
		return nil, errors.New("web: Config lacks Ready, Live or Metrics")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		cfg:   cfg,
		ready: make(chan struct{}, maxProbes),
		live:  make(chan struct{}, maxProbes),
	}
	s.http = &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(cfg.Log.Handler(), slog.LevelWarn),
	}
	return s, nil
}

// Serve answers on lis until Close; it then returns nil.
func (s *Server) Serve(lis net.Listener) error {
	if err := s.http.Serve(lis); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("web: serve %v: %w", lis.Addr(), err)
	}
	return nil
}

// Close ends all connections and waits for what they started. It may be
// called more than once.
func (s *Server) Close() error {
	err := s.http.Close()
	s.wg.Wait()
	return err
}

// Handler returns the pages.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.cfg.Metrics, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, r *http.Request) {
		s.probe(w, r, s.live, liveTimeout, s.cfg.Live)
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		s.probe(w, r, s.ready, readyTimeout, s.cfg.Ready)
	})
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /{$}", s.index)
	return mux
}

// probe answers 200 when check succeeds within timeout, else 503 and why. A
// check that does not return in time goes on without the request and keeps
// its place.
func (s *Server) probe(w http.ResponseWriter, r *http.Request, places chan struct{}, timeout time.Duration, check func(context.Context) error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	select {
	case places <- struct{}{}:
	default:
		http.Error(w, "too many probes wait", http.StatusServiceUnavailable)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	done := make(chan error, 1)
	s.wg.Go(func() {
		defer func() { <-places }()
		done <- check(ctx)
	})
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		err = fmt.Errorf("no answer within %v", timeout)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	io.WriteString(w, "ok\n")
}
