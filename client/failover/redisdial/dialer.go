package redisdial

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/doozer-store/doozer/client/failover"
)

// ErrNoMaster is the error of a dial that found no master in time.
var ErrNoMaster = errors.New("the group has no master")

// Dialer dials the master of a group. It is safe for use by many goroutines, and
// by many clients.
type Dialer struct {
	src failover.ViewSource

	mu    sync.Mutex // guards the following
	conns map[*conn]bool
	// end stops the goroutine that follows the register; nil without connections.
	end context.CancelFunc
}

// New makes a Dialer, which lasts as long as src does.
func New(src failover.ViewSource) *Dialer {
	return &Dialer{src: src, conns: make(map[*conn]bool)}
}

// Options are options for redis.NewClient by which it follows the group. What
// base says of connections holds for those to each master: TLSConfig, Dialer,
// DialTimeout, names and passwords. Its Addr and Network are not used.
func Options(src failover.ViewSource, base *redis.Options) *redis.Options {
	return New(src).Options(base)
}

// Options are options for redis.NewClient that dial by d.
func (d *Dialer) Options(base *redis.Options) *redis.Options {
	var opt redis.Options
	if base != nil {
		opt = *base
	}
	dial := opt.Dialer
	if dial == nil {
		dial = (&net.Dialer{KeepAlive: 15 * time.Second}).DialContext
	}
	if opt.TLSConfig != nil {
		dial = overTLS(dial, opt.TLSConfig)
	}
	timeout := opt.DialTimeout
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	opt.Addr = d.src.View().Group
	opt.Dialer = func(ctx context.Context, _, _ string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		return d.dial(ctx, dial)
	}
	// The dialer repeats, and knows when that is of use.
	if opt.DialerRetries == 0 {
		opt.DialerRetries = 1
	}
	// Of a service that moves endpoints; a redis-server refuses it each time.
	if opt.MaintNotificationsConfig == nil {
		opt.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	}
	return &opt
}

// dialFunc is how one address is dialled.
type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// overTLS makes the connections of dial TLS. Without a ServerName it is the host.
func overTLS(dial dialFunc, cfg *tls.Config) dialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		c := cfg
		if c.ServerName == "" {
			host, _, _ := net.SplitHostPort(addr)
			c = c.Clone()
			c.ServerName = host
		}
		tc := tls.Client(nc, c)
		if err := tc.HandshakeContext(ctx); err != nil {
			nc.Close()
			return nil, err
		}
		return tc, nil
	}
}

// Dial connects to the master, as soon as there is one, within the time of ctx or
// five seconds. The connection ends when the group has another master.
func (d *Dialer) Dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, defaultTimeout)
	defer cancel()
	return d.dial(ctx, (&net.Dialer{KeepAlive: 15 * time.Second}).DialContext)
}

func (d *Dialer) dial(ctx context.Context, dial dialFunc) (net.Conn, error) {
	var failed error // of the last try
	for {
		changed := d.src.Changed()
		v := d.src.View()
		var again <-chan time.Time
		switch {
		case !v.Fresh:
			again = time.After(lookAgain)
		case v.Register.Writable():
			nc, err := dial(ctx, "tcp", v.Register.Addr)
			if err == nil {
				if c := d.adopt(nc, reignOf(v)); c != nil {
					return c, nil
				}
				continue // there is another one meanwhile
			}
			// The end of the time says less than what failed before.
			if failed == nil || !timedOut(err) {
				failed = err
			}
			again = time.After(retryDial)
		}
		select {
		case <-changed:
		case <-again:
		case <-ctx.Done():
			return nil, noMaster(d.src.View(), failed, ctx.Err())
		}
	}
}

func timedOut(err error) bool {
	var ne net.Error
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.As(err, &ne) && ne.Timeout()
}

// noMaster says why a dial did not succeed in time.
func noMaster(v failover.View, failed, cause error) error {
	why := string(v.Register.State)
	switch {
	case !v.Fresh:
		why = "the store has not answered for too long"
	case v.Epoch == 0:
		why = "it never had one"
	case v.Register.Writable() && failed != nil:
		return fmt.Errorf("redis group %s: master %s: %w", v.Group, v.Register.Node, failed)
	}
	return fmt.Errorf("redis group %s: %w: %s: %w", v.Group, ErrNoMaster, why, cause)
}
