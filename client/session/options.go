package session

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Option changes a session.
type Option func(*config)

type config struct {
	ttl   time.Duration
	who   string
	log   *slog.Logger
	clock func() time.Duration
	beat  func(id string, deadline time.Duration)
	pids  []int
	anon  bool
}

// TTL is how long after its last sign of life the session may be ended by
// others; 15 s without this option. It is also what a take-over costs when a
// machine dies, and what an outage of the store may last before locks are lost.
func TTL(d time.Duration) Option { return func(c *config) { c.ttl = d } }

// Who describes the owner, for people: its file shows it. Without it that is
// the name of the program.
func Who(text string) Option { return func(c *config) { c.who = text } }

// WithLogger makes the session tell l about beats that fail, lapses and losses.
func WithLogger(l *slog.Logger) Option { return func(c *config) { c.log = l } }

// WithClock replaces the clock that deadlines are measured on: the time since
// some moment, which must not stand still while the machine sleeps. It is for
// tests and simulations; without it that is CLOCK_BOOTTIME.
func WithClock(now func() time.Duration) Option { return func(c *config) { c.clock = now } }

// OnBeat calls fn, on the session's goroutine, after every beat that was
// acknowledged, with the deadline it gives by the session's clock (see Now):
// for a process that has to outlive this one in order to end what hangs on the
// session. fn must not wait.
func OnBeat(fn func(id string, deadline time.Duration)) Option {
	return func(c *config) { c.beat = fn }
}

// Procs are processes of this host, beside the present one, that stand for the
// session: only when all of them have ended, and the present one, may others
// on this host end the session at once.
func Procs(pids ...int) Option {
	return func(c *config) { c.pids = append(c.pids, pids...) }
}

// Anonymous leaves host and processes out of the session's file. There is no
// fast take-over from such a session.
func Anonymous() Option { return func(c *config) { c.anon = true } }

func newConfig(opts []Option) (config, error) {
	cfg := config{ttl: DefaultTTL, log: slog.New(slog.DiscardHandler), clock: BootTime}
	for _, o := range opts {
		o(&cfg)
	}
	if cfg.ttl < MinTTL || cfg.ttl > MaxTTL {
		return config{}, fmt.Errorf("%w: %v is not from %v to %v", ErrBadTTL, cfg.ttl, MinTTL, MaxTTL)
	}
	return cfg, nil
}

// record is the session's file, but for beat and mark.
func (c *config) record() Record {
	r := Record{V: recordVersion, TTLms: c.ttl.Milliseconds(), Who: c.who}
	if c.anon {
		return r
	}
	if r.Who == "" && len(os.Args) > 0 {
		r.Who = filepath.Base(os.Args[0])
	}
	host, err := os.Hostname()
	if err != nil {
		return r
	}
	r.Host = host
	r.Boot, r.NS, r.Procs = identify(append([]int{os.Getpid()}, slices.Clone(c.pids)...))
	return r
}
