package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/spf13/cobra"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/client/failover"
	"github.com/doozer-store/doozer/client/failover/agent"
)

// agentFlags are the flags of redis agent.
type agentFlags struct {
	group, name, redis, announce string
	priority                     int
	authFile                     string
	tls                          bool
	tlsCA, tlsCert, tlsKey       string
	dir                          string
	sentinel, web                string
	onChange                     string
	noKill, verbose              bool
}

const agentLong = `Agent runs beside one redis-server, on the same host, for as long as that does. It
registers the server with its group, keeps it from taking writes unless it is the
group's master, finds out when a master is lost, and does its part of making
another one the master. A group has as many agents as servers.

The configuration of redis-server has to say

    replicaof 127.0.0.1 0

so that a server that is started again takes no writes and follows nobody before
its agent tells it to. The agent makes servers masters and replicas at run time,
and never writes to that file.

The file of --auth-file has the password, or a user and a password, in its first
line; it is for all servers of the group, which use it among themselves as well.

--on-change is run, without a shell, whenever the master changes, with
DOOZER_REDIS_GROUP, _NODE, _ROLE (of the node), _STATE, _EPOCH, _MASTER, _ADDR,
_PREV and _WHY in its environment.

On SIGTERM and SIGINT the agent of a master hands over to another node first.
--timeout bounds single calls to the store.`

// Agent is the one verb of redis that runs for ever; the others ask and tell.
func (c *command) addRedisAgent(parent *cobra.Command) {
	var f agentFlags
	cmd := c.add(parent, verb{
		use:   "agent --group G --redis HOST:PORT",
		short: "Keep a redis-server in its group: run beside each",
		long:  agentLong,
		examples: []string{
			"doozer redis agent --group cache --redis 10.0.0.1:6379",
			"doozer redis agent --group cache --redis 127.0.0.1:6379 --announce 10.0.0.1:6379 --name a --dir /var/lib/doozer-redis",
			"doozer redis agent --group cache --redis 10.0.0.1:6379 --auth-file /etc/redis/auth --tls --tls-ca ca.pem",
		},
		args: args(),
		exit: "  0   it was told to stop\n  2   any other error: the store, the server, its configuration\n  64  usage",
		run: func(ctx context.Context, cmd *cobra.Command, _ []string) error {
			c.subject = f.group
			if err := f.complete(); err != nil {
				return err
			}
			return c.redisAgent(ctx, &f)
		},
	})
	fl := cmd.Flags()
	fl.StringVarP(&f.group, "group", "g", "", "the `name` of the group")
	fl.StringVar(&f.redis, "redis", "", "where the agent reaches redis-server: `host:port`")
	fl.StringVar(&f.announce, "announce", "", "where clients and the other nodes do; as --redis unless given")
	fl.StringVar(&f.name, "name", "", "the node's name in the group; from --announce unless given")
	fl.IntVar(&f.priority, "priority", 100, "who is preferred among equals; 0: never a master")
	fl.StringVar(&f.authFile, "auth-file", "", "a `file` with the password, or user and password, of the servers")
	fl.BoolVar(&f.tls, "tls", false, "talk TLS to the servers")
	fl.StringVar(&f.tlsCA, "tls-ca", "", "a `file` with the certificates to trust; those of the system unless given")
	fl.StringVar(&f.tlsCert, "tls-cert", "", "a `file` with the certificate to show")
	fl.StringVar(&f.tlsKey, "tls-key", "", "a `file` with its key")
	fl.StringVar(&f.dir, "dir", "", "where the agent keeps its id, and what failovers lost; ~/.local/state/doozer-redis/GROUP/NAME unless given")
	fl.StringVar(&f.sentinel, "sentinel", "", "listen here for clients of Redis Sentinel: `host:port`")
	fl.StringVar(&f.web, "web", "", "listen here for HTTP: `host:port`")
	fl.StringVar(&f.onChange, "on-change", "", "a `command` to run when the master changes")
	fl.BoolVar(&f.noKill, "no-kill", false, "never kill a redis-server that hangs")
	fl.BoolVarP(&f.verbose, "verbose", "v", false, "log more")
}

// complete fills in what was not given.
func (f *agentFlags) complete() error {
	switch {
	case f.group == "":
		return usagef("--group is missing")
	case f.redis == "":
		return usagef("--redis is missing")
	case f.priority < 0 || f.priority > 1<<20:
		return usagef("--priority has to be from 0 to %d", 1<<20)
	case (f.tlsCert == "") != (f.tlsKey == ""):
		return usagef("--tls-cert and --tls-key belong together")
	case !f.tls && f.tlsCA+f.tlsCert != "":
		return usagef("--tls-ca, --tls-cert and --tls-key are for --tls")
	}
	if f.announce == "" {
		f.announce = f.redis
	}
	if f.name == "" {
		f.name = strings.ToLower(strings.Trim(strings.NewReplacer(":", "-", "[", "", "]", "").Replace(f.announce), "-"))
	}
	for _, err := range []error{checkGroup(f.group), failover.CheckNode(f.name)} {
		if err != nil {
			return usagef("%w", err)
		}
	}
	if f.dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return usagef("--dir is missing: %w", err)
		}
		f.dir = filepath.Join(home, ".local/state/doozer-redis", f.group, f.name)
	}
	if f.priority == 0 {
		f.priority = -1 // Config's zero is its default
	}
	return os.MkdirAll(f.dir, 0o700)
}

func checkGroup(name string) error {
	_, err := failover.PathsOf(name)
	return err
}

// redisAgent runs the agent until ctx ends.
func (c *command) redisAgent(ctx context.Context, f *agentFlags) error {
	level := slog.LevelInfo
	if f.verbose {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(c.stderr, &slog.HandlerOptions{Level: level}))
	// The pool of go-redis tells on stderr what the agent tells as well.
	redis.SetLogger(&logging.VoidLogger{})
	cfg := agent.Config{
		Group: f.group, Name: f.name, Redis: f.redis, Announce: f.announce, Priority: f.priority, Dir: f.dir,
		NoKill: f.noKill, Version: binaryVersion().String(), Logger: log,
	}
	if f.onChange != "" {
		cfg.OnChange = strings.Fields(f.onChange)
	}
	var err error
	if cfg.User, cfg.Password, err = readAuth(f.authFile); err != nil {
		return err
	}
	if cfg.TLS, err = f.tlsConfig(); err != nil {
		return err
	}
	ports, err := listenAgent(f)
	if err != nil {
		return err
	}
	defer ports.close()
	cfg.Sentinel, cfg.Web = ports.told(ports.sentinel, f.announce), ports.told(ports.web, f.announce)
	opts := append([]client.Option{client.WithTimeout(c.timeout.d), client.WithLogger(log)}, c.options...)
	db, err := client.Open(ctx, c.uri, opts...)
	if err != nil {
		return err
	}
	defer db.Close()
	cfg.Store = db
	a, err := agent.Open(ctx, cfg)
	if err != nil {
		return agentError(err)
	}
	if err := ports.serve(a, log); err != nil {
		return err
	}
	return agentError(a.Run(ctx))
}

// agentError makes errors that the command line caused usage errors.
func agentError(err error) error {
	if errors.Is(err, agent.ErrBadConfig) || errors.Is(err, failover.ErrBadName) {
		return usagef("%w", err)
	}
	return err
}

// readAuth reads the first line of a file: a password, or a user and a password.
func readAuth(path string) (user, password string, err error) {
	if path == "" {
		return "", "", nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", "", err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	switch f := strings.Fields(line); len(f) {
	case 1:
		return "", f[0], nil
	case 2:
		return f[0], f[1], nil
	}
	return "", "", usagef("%s: its first line has to be a password, or a user and a password", path)
}

func (f *agentFlags) tlsConfig() (*tls.Config, error) {
	if !f.tls {
		return nil, nil
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.tlsCA != "" {
		text, err := os.ReadFile(f.tlsCA)
		if err != nil {
			return nil, err
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(text) {
			return nil, usagef("%s has no certificate", f.tlsCA)
		}
	}
	if f.tlsCert != "" {
		pair, err := tls.LoadX509KeyPair(f.tlsCert, f.tlsKey)
		if err != nil {
			return nil, err
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}

// agentPorts are where an agent listens.
type agentPorts struct {
	sentinel, web net.Listener // nil: not
	closers       []func() error
}

func listenAgent(f *agentFlags) (*agentPorts, error) {
	p := &agentPorts{}
	for _, l := range []struct {
		flag, addr string
		lis        *net.Listener
	}{{"--sentinel", f.sentinel, &p.sentinel}, {"--web", f.web, &p.web}} {
		if l.addr == "" {
			continue
		}
		lis, err := net.Listen("tcp", l.addr)
		if err != nil {
			p.close()
			return nil, fmt.Errorf("%s: %w", l.flag, err)
		}
		*l.lis = lis
		p.closers = append(p.closers, lis.Close)
	}
	return p, nil
}

// told is the address of a port as others reach it: where it listens everywhere,
// at the host of the Redis.
func (p *agentPorts) told(lis net.Listener, announce string) string {
	if lis == nil {
		return ""
	}
	host, port, err := net.SplitHostPort(lis.Addr().String())
	if ip := net.ParseIP(host); err == nil && (ip == nil || ip.IsUnspecified()) {
		host, _, _ = net.SplitHostPort(announce)
	}
	return net.JoinHostPort(host, port)
}

func (p *agentPorts) close() {
	for _, fn := range p.closers {
		fn()
	}
}
