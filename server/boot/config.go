package boot

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/doozer-store/doozer/server"
	"github.com/doozer-store/doozer/store"
)

// Config says what a node is. The zero value of a field means its default.
type Config struct {
	// Name is the node's name in Cluster; default: the one in the data
	// directory, else "doozer" for a node alone.
	Name string
	// DataDir is where the node keeps its data; required.
	DataDir string
	// Listen is the host:port for clients (127.0.0.1:8046), Advertise what
	// clients are told to dial (Listen).
	Listen, Advertise string
	// PeerListen is the host:port for peers, PeerAdvertise what /ctl says of
	// it; both default to the node's own address in Cluster, which is what
	// the peers of a static cluster dial.
	PeerListen, PeerAdvertise string
	// Web is the host:port of the web listener (127.0.0.1:8000), or "false".
	Web string
	// Cluster lists the first members, "a=host:port,b=host:port", with their
	// peer addresses; empty: a cluster of this node alone, or what the data
	// directory says.
	Cluster string
	// History is how many revs stay readable (100,000).
	History int64
	// Volatile are the globs of files of which the history keeps the newest
	// rev only (/session/*); "none" alone is none. See store's package comment.
	Volatile []string
	// MaxValue is the largest value a client may set, in bytes (1 MiB, which
	// is also the most it may be).
	MaxValue int
	// CheckpointBytes is how much log may be applied between checkpoints
	// (128 MiB).
	CheckpointBytes int64
	// Heartbeat (125 ms) and ElectionTimeout (500 ms) suit one site; raise
	// both where the way between nodes takes longer than the first.
	Heartbeat, ElectionTimeout time.Duration
	// Version is told to peers and clients.
	Version string
	// Logger gets what an operator needs to know; nil discards it.
	Logger *slog.Logger

	// limits, by which tests get at the edges.
	limits server.Limits
}

// Defaults of Config, shown by doozerd --help.
const (
	DefaultListen          = "127.0.0.1:8046"
	DefaultPeerListen      = "127.0.0.1:8056"
	DefaultWeb             = "127.0.0.1:8000"
	DefaultHistory         = 100_000
	DefaultVolatile        = "/session/*"
	DefaultMaxValue        = 1 << 20
	DefaultCheckpointBytes = 128 << 20
	DefaultHeartbeat       = 125 * time.Millisecond
	DefaultElectionTimeout = 500 * time.Millisecond
)

// Bounds of Config's numbers.
const (
	maxHistory         = 10_000_000
	minCheckpointBytes = 4 << 10
	maxNameLength      = 64
)

// member is one of the first members.
type member struct {
	name string
	addr string // for peers
}

// parseCluster reads the list of first members, sorted by name: the sizes a
// majority makes sense for are 1, 3 and 5.
func parseCluster(s string) ([]member, error) {
	var out []member
	for _, part := range strings.Split(s, ",") {
		name, addr, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok {
			return nil, fmt.Errorf("--cluster: %q is not NAME=HOST:PORT", part)
		}
		if err := checkName(name); err != nil {
			return nil, fmt.Errorf("--cluster: %w", err)
		}
		if err := checkAddress(addr); err != nil {
			return nil, fmt.Errorf("--cluster: node %s: %w", name, err)
		}
		if slices.ContainsFunc(out, func(m member) bool { return m.name == name }) {
			return nil, fmt.Errorf("--cluster names node %s twice", name)
		}
		if i := slices.IndexFunc(out, func(m member) bool { return m.addr == addr }); i >= 0 {
			return nil, fmt.Errorf("--cluster gives nodes %s and %s the same address %s", out[i].name, name, addr)
		}
		out = append(out, member{name, addr})
	}
	if n := len(out); n != 1 && n != 3 && n != 5 {
		return nil, fmt.Errorf("--cluster has %d nodes; a cluster has 1, 3 or 5", n)
	}
	slices.SortFunc(out, func(a, b member) int { return strings.Compare(a.name, b.name) })
	return out, nil
}

func checkName(name string) error {
	ok := len(name) > 0 && len(name) <= maxNameLength
	for _, r := range name {
		ok = ok && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.')
	}
	if !ok || name == "." || name == ".." {
		return fmt.Errorf("%q is not a node name (1 to %d letters, digits, '-', '_' or '.')", name, maxNameLength)
	}
	return nil
}

// checkAddress tells whether others could dial addr.
func checkAddress(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%q is not HOST:PORT", addr)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return fmt.Errorf("%q has no port from 1 to 65535", addr)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		return fmt.Errorf("%q has no host that others could dial", addr)
	}
	return nil
}

// checkListen tells whether addr can be listened on; port 0 is for tests.
func checkListen(addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%q is not HOST:PORT", addr)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Errorf("%q has no port from 0 to 65535", addr)
	}
	return nil
}

// prepare fills in defaults and checks what can be checked without the data
// directory.
func (c *Config) prepare() error {
	if c.DataDir == "" {
		return errors.New("--data-dir is missing: name the directory for this node's data")
	}
	if c.Name != "" {
		if err := checkName(c.Name); err != nil {
			return fmt.Errorf("--name: %w", err)
		}
	}
	setDefault(&c.Listen, DefaultListen)
	setDefault(&c.Web, DefaultWeb)
	setDefault(&c.History, DefaultHistory)
	if len(c.Volatile) == 0 {
		c.Volatile = []string{DefaultVolatile}
	}
	setDefault(&c.MaxValue, DefaultMaxValue)
	setDefault(&c.CheckpointBytes, DefaultCheckpointBytes)
	setDefault(&c.Heartbeat, DefaultHeartbeat)
	setDefault(&c.ElectionTimeout, DefaultElectionTimeout)
	setDefault(&c.Version, "unknown")
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.limits.MaxValue = c.MaxValue
	for _, l := range []struct{ flag, addr string }{{"--listen", c.Listen}, {"--peer-listen", c.PeerListen}, {"--web", c.Web}} {
		if l.addr == "" || l.flag == "--web" && l.addr == "false" {
			continue
		}
		if err := checkListen(l.addr); err != nil {
			return fmt.Errorf("%s: %w", l.flag, err)
		}
	}
	for _, l := range []struct{ flag, addr string }{{"--advertise", c.Advertise}, {"--peer-advertise", c.PeerAdvertise}} {
		if l.addr != "" {
			if err := checkAddress(l.addr); err != nil {
				return fmt.Errorf("%s: %w", l.flag, err)
			}
		}
	}
	if c.Advertise == "" && checkAddress(c.Listen) != nil && !strings.HasSuffix(c.Listen, ":0") {
		return fmt.Errorf("--listen %s has no host that clients could dial: add --advertise HOST:PORT", c.Listen)
	}
	switch {
	case c.History < 1 || c.History > maxHistory:
		return fmt.Errorf("--history %d is not between 1 and %d", c.History, maxHistory)
	case c.MaxValue < 1 || c.MaxValue > DefaultMaxValue:
		return fmt.Errorf("--max-value %d is not between 1 and %d", c.MaxValue, DefaultMaxValue)
	case c.CheckpointBytes < minCheckpointBytes:
		return fmt.Errorf("--checkpoint-bytes %d is below %d", c.CheckpointBytes, minCheckpointBytes)
	case c.Heartbeat < 10*time.Millisecond:
		return fmt.Errorf("--heartbeat %v is below 10ms", c.Heartbeat)
	case c.ElectionTimeout < 4*c.Heartbeat:
		return fmt.Errorf("--election-timeout %v is below four heartbeats of %v", c.ElectionTimeout, c.Heartbeat)
	}
	if err := (&store.Config{Volatile: c.volatile()}).Validate(); err != nil {
		return fmt.Errorf("--volatile %s: %w", strings.Join(c.Volatile, ","), err)
	}
	return nil
}

// volatile returns Volatile as the store has it.
func (c *Config) volatile() string {
	if slices.Equal(c.Volatile, []string{"none"}) {
		return store.NoVolatile
	}
	return strings.Join(c.Volatile, "\n")
}

func setDefault[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}
