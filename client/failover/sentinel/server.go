package sentinel

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/doozer-store/doozer/client/failover"
)

// Config says how a Server works. The zero value of a field but Source means its
// default.
type Config struct {
	// Source is what is answered from.
	Source failover.ViewSource
	// Self is the name of the node whose agent this is: it is not in the list of
	// the other Sentinels.
	Self string
	// Password is what clients have to give; "" for none.
	Password string
	// Hold is how long a question for the master waits while one is being
	// elected: one second. A negative one answers at once.
	Hold time.Duration
	// MaxConns is how many connections there may be at a time: 1000.
	MaxConns int
	// Logger is told of clients that do what no client does; nil discards it.
	Logger *slog.Logger
}

// Server is a Sentinel of one group. It is safe for use by many goroutines.
type Server struct {
	cfg    Config
	life   context.Context
	stop   context.CancelFunc
	wg     sync.WaitGroup // connections and their pushers
	nextID atomic.Int64

	mu     sync.Mutex // guards the following
	closed bool
	lis    map[net.Listener]bool
	conns  map[*conn]bool
}

// ErrClosed is what Serve returns after Close.
var ErrClosed = errors.New("sentinel: server closed")

// New makes a server.
func New(cfg Config) (*Server, error) {
	if cfg.Source == nil {
		return nil, errors.New("sentinel: no source of views")
	}
	if cfg.Hold == 0 {
		cfg.Hold = defaultHold
	}
	if cfg.MaxConns <= 0 {
		cfg.MaxConns = maxConns
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{cfg: cfg, lis: make(map[net.Listener]bool), conns: make(map[*conn]bool)}
	s.life, s.stop = context.WithCancel(context.Background())
	return s, nil
}

// Serve answers the connections of lis until Close, and closes it. TLS is a
// matter of the listener. It returns ErrClosed after Close, else what the
// listener failed with; connections live on until Close.
func (s *Server) Serve(lis net.Listener) error {
	defer lis.Close()
	if !s.enter(lis) {
		return ErrClosed
	}
	defer s.leave(lis)
	for pause := time.Duration(0); ; {
		nc, err := lis.Accept()
		switch {
		case err == nil:
			pause = 0
			s.accept(nc)
		case s.life.Err() != nil:
			return ErrClosed
		case !transient(err):
			return err
		default:
			// Out of file descriptors, say: other connections will end.
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			s.cfg.Logger.Warn("sentinel port: a connection could not be accepted", "reason", err)
			select {
			case <-time.After(pause):
			case <-s.life.Done():
			}
		}
	}
}

// transient tells whether a listener may work again.
func transient(err error) bool {
	var ne net.Error
	return !errors.Is(err, net.ErrClosed) && errors.As(err, &ne)
}

func (s *Server) enter(lis net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.lis[lis] = true
	}
	return !s.closed
}

func (s *Server) leave(lis net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.lis, lis)
}

// accept starts a connection, or refuses it.
func (s *Server) accept(nc net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		nc.Close()
	case len(s.conns) >= s.cfg.MaxConns:
		// It fits into the empty buffer of a new connection: nobody waits.
		nc.SetWriteDeadline(time.Now().Add(time.Second))
		nc.Write([]byte("-ERR max number of clients reached\r\n"))
		nc.Close()
	default:
		c := newConn(s, nc, s.nextID.Add(1))
		s.conns[c] = true
		s.wg.Go(func() {
			c.serve()
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.conns, c)
		})
	}
}

// Close ends all listeners and connections and returns when nothing of them is
// left. It may be called more than once.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	s.stop()
	for lis := range s.lis {
		lis.Close()
	}
	for c := range s.conns {
		c.nc.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
	return nil
}
