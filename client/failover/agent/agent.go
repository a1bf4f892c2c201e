package agent

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/doozer-store/doozer/client/failover"
	"github.com/doozer-store/doozer/client/failover/replica"
	"github.com/doozer-store/doozer/client/session"
)

// Config says what an agent is for. Zero means the default.
type Config struct {
	// Store has the group's files.
	Store session.Store
	// Group and Name are the group and the node's name in it.
	Group, Name string
	// Redis is where the agent reaches its Redis; Announce where clients and the
	// other nodes do: Redis by default. host:port.
	Redis, Announce string
	// User and Password are for this and all other Redis servers of the group,
	// TLS as well; none by default.
	User, Password string
	TLS            *tls.Config
	// Priority decides between equals: 100 by default; below 0: never a master.
	Priority int
	// Dir is where the agent keeps its id and what would be lost. It has to be
	// there.
	Dir string
	// Sentinel and Web are the agent's ports, for the node's file.
	Sentinel, Web string
	// OnChange is a command that is run when the master changes, with the change
	// in its environment; none by default.
	OnChange []string
	// NoKill: a Redis that hangs is not killed.
	NoKill bool
	// Version is for the node's file.
	Version string
	// Logger is told what happens; nil discards it.
	Logger *slog.Logger
	// Step is called before each action, for tests that end an agent at each of
	// them: an error ends Run.
	Step func(failover.Action) error
}

const defaultPriority = 100

// Errors with which Run ends.
var (
	// ErrTaken: another agent that lives has the name, the Redis, or the directory.
	ErrTaken = errors.New("taken by another agent")
	// ErrUnfenced: Redis would start as a master that takes writes.
	ErrUnfenced = errors.New("redis is not boot fenced")
	// ErrForeignData: Redis has data that the group has never had.
	ErrForeignData = errors.New("redis has data of its own")
	// ErrBadConfig: the agent's configuration can't be.
	ErrBadConfig = errors.New("bad configuration")
)

// Agent is beside one Redis. Its methods but Run may be called at any time.
type Agent struct {
	cfg   Config
	log   *slog.Logger
	paths failover.Paths
	id    *identity

	f     *failover.Follower
	s     *session.Session
	redis *server
	probe *probe
	live  *live
	stats *stats
	hook  *hook
	hold  holder
	safe  safe

	// woken makes the loop look again.
	woken chan struct{}
	wg    sync.WaitGroup

	mu      sync.Mutex // guards what follows
	shown   failover.Stat
	changed chan struct{}
	leaving bool

	// What follows belongs to the loop.
	own      failover.Own
	ownInfo  info
	looked   time.Time // when own was read; zero: it has to be
	gate     *replica.Gate
	ready    *readyGate // attached ahead, nil if there is none
	attended int64      // the epoch of the switch for which one was prepared
	epoch    int64      // the register that was seen last
	since    time.Time  // since when
	bidSince time.Time  // since when there is a bid; zero: there is none
	saved    int64      // the epoch in which what is lost was saved
	saves    int
	failed   int64 // the epoch in which a switch failed, and why
	whyNot   string
	asked    int64         // the epoch in which the old master was asked to shut
	shutDown chan struct{} // closed when it has said so
	killed   string        // the run id that was tried to be killed
	prepared string        // the run id that was prepared
	problem  string
	synced   string // the run id that had all that its master had
	need     int64  // the offset from which a process started again has all
	partial  bool
	node     failover.Node // as registered
	lastIdle string
}

// Open checks the configuration, begins to follow the group and opens a session,
// whose TTL is the group's. A group that nobody has made is failover.ErrNoGroup.
func Open(ctx context.Context, cfg Config) (*Agent, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	paths, err := failover.PathsOf(cfg.Group)
	if err != nil {
		return nil, err
	}
	conf, _, err := failover.ReadConf(ctx, cfg.Store, cfg.Group)
	if err != nil {
		return nil, err
	}
	id, err := openIdentity(cfg.Dir)
	if err != nil {
		return nil, err
	}
	a := &Agent{
		cfg: cfg, log: cfg.Logger.With("group", cfg.Group, "node", cfg.Name), paths: paths, id: id,
		woken: make(chan struct{}, 1), changed: make(chan struct{}),
	}
	if a.f, err = failover.FollowWith(ctx, cfg.Store, cfg.Group, a.log); err != nil {
		id.close()
		return nil, err
	}
	who := "redis agent " + cfg.Group + "/" + cfg.Name
	a.s, err = session.Open(ctx, cfg.Store, session.TTL(conf.TTL()), session.Who(who), session.WithLogger(a.log))
	if err != nil {
		a.f.Close()
		id.close()
		return nil, err
	}
	target := replica.Target{Addr: cfg.Redis, User: cfg.User, Password: cfg.Password, TLS: cfg.TLS}
	a.redis = newServer(target)
	a.probe = newProbe(target, func() time.Duration { return a.f.View().Conf.Hang() }, a.wake)
	a.live = &live{s: a.s, news: a.wake}
	a.stats = newStats(a)
	a.safe.a = a
	a.hook = newHook(a)
	return a, nil
}

func (c *Config) check() error {
	if c.Announce == "" {
		c.Announce = c.Redis
	}
	if c.Priority == 0 {
		c.Priority = defaultPriority
	}
	c.Priority = max(c.Priority, 0)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if err := failover.CheckNode(c.Name); err != nil {
		return err
	}
	for _, addr := range []string{c.Announce, c.Redis} {
		if host, port, err := net.SplitHostPort(addr); err != nil || host == "" || port == "" || port == "0" {
			return fmt.Errorf("%w: the address of redis is %q; it has to be host:port", ErrBadConfig, addr)
		}
	}
	if st, err := os.Stat(c.Dir); err != nil || !st.IsDir() {
		return fmt.Errorf("%w: %q is no directory", ErrBadConfig, c.Dir)
	}
	return nil
}

// wake makes the loop look again.
func (a *Agent) wake() {
	select {
	case a.woken <- struct{}{}:
	default:
	}
}

// Run registers the node and takes part until ctx ends, or until it can't. At
// the end a master hands over to another node, if there is one; then the session
// ends, and the gate. Run may be called once.
func (a *Agent) Run(ctx context.Context) error {
	back, stop := context.WithCancel(context.WithoutCancel(ctx))
	a.wg.Go(func() { a.probe.run(back) })
	a.wg.Go(func() { a.live.run(back) })
	a.wg.Go(func() { a.stats.run(back) })
	a.wg.Go(func() { a.hook.run(back) })
	a.wg.Go(func() { a.safe.run(back) })
	err := a.loop(ctx)
	a.hold.close()
	a.shut(back, "the agent stops")
	if err == nil || ctx.Err() != nil {
		err = nil
	}
	stop()
	// The session ends last: until then nobody else may act for this node.
	closeErr := a.s.Close()
	a.wg.Wait()
	a.f.Close()
	a.redis.close()
	a.id.close()
	if closeErr != nil {
		a.log.Warn("the session could not be ended", "error", closeErr)
	}
	return err
}

// View is the group as this agent sees it: its own node as it is at this moment,
// and fresh only if the agent's session is.
func (a *Agent) View() failover.View {
	v := a.f.View()
	a.mu.Lock()
	own := a.shown
	a.mu.Unlock()
	nodes := make([]failover.NodeView, len(v.Nodes))
	copy(nodes, v.Nodes)
	for i := range nodes {
		if nodes[i].Name == a.cfg.Name && own.Role != "" {
			own.Rev = nodes[i].Stat.Rev
			nodes[i].Stat = own
		}
	}
	v.Nodes = nodes
	return v
}

// Changed is closed when View returns another register or node.
func (a *Agent) Changed() <-chan struct{} { return a.f.Changed() }

// Name is the node's.
func (a *Agent) Name() string { return a.cfg.Name }

// Follower is the agent's view of the group, which ends with Run.
func (a *Agent) Follower() *failover.Follower { return a.f }

// identity is what the agent keeps on its disk: a random text by which it knows
// itself again, and a lock, so that there is one agent to a directory.
type identity struct {
	text string
	lock *os.File
}

func (i *identity) close() { i.lock.Close() }
