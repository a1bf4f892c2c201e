package agent

import (
	"context"
	"errors"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/doozer-store/doozer/client/failover"
	"github.com/doozer-store/doozer/client/failover/replica"
)

// fenceHost and fencePort are nowhere: a replica of it stands still.
const (
	fenceHost = "127.0.0.1"
	fencePort = "0"
)

// server is a Redis. It is safe for use by many goroutines.
type server struct {
	target replica.Target
	cl     *redis.Client
}

func newServer(t replica.Target) *server {
	o := &redis.Options{
		Addr: t.Addr, Username: t.User, Password: t.Password,
		// The RESP2 handshake is one AUTH, at most. Every command here may be done
		// twice: a connection that was killed with the clients' costs one more try.
		Protocol: 2, DisableIdentity: true, MaxRetries: 1, MinRetryBackoff: -1, MaxRetryBackoff: -1, DialerRetries: 1, PoolSize: 4,
		DialTimeout: callLimit, ReadTimeout: callLimit, WriteTimeout: callLimit, ContextTimeoutEnabled: true,
		Dialer: func(ctx context.Context, _, _ string) (net.Conn, error) { return t.Dial(ctx) },
	}
	return &server{target: t, cl: redis.NewClient(o)}
}

func (s *server) close() { s.cl.Close() }

// do runs a command whose answer does not matter.
func (s *server) do(ctx context.Context, args ...any) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	return s.cl.Do(ctx, args...).Err()
}

// set changes a setting until Redis is started again.
func (s *server) set(ctx context.Context, nameValue ...any) error {
	return s.do(ctx, append([]any{"CONFIG", "SET"}, nameValue...)...)
}

// get is a setting.
func (s *server) get(ctx context.Context, name string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	m, err := s.cl.ConfigGet(ctx, name).Result()
	return m[name], err
}

// then runs a command and returns what INFO says of replication after it, in one
// round trip.
func (s *server) then(ctx context.Context, args ...any) (info, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	var text *redis.StringCmd
	_, err := s.cl.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.Do(ctx, args...)
		text = p.Info(ctx, "replication")
		return nil
	})
	if err != nil {
		return nil, err
	}
	return parseInfo(text.Val()), nil
}

func (s *server) replicaOf(ctx context.Context, addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	return s.do(ctx, "REPLICAOF", host, port)
}

func (s *server) fence(ctx context.Context) error {
	return s.do(ctx, "REPLICAOF", fenceHost, fencePort)
}

func (s *server) promote(ctx context.Context) error { return s.do(ctx, "REPLICAOF", "NO", "ONE") }

// killClients disconnects all who are no replicas, so that they ask again who
// the master is.
func (s *server) killClients(ctx context.Context) error {
	return errors.Join(
		s.do(ctx, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"),
		s.do(ctx, "CLIENT", "KILL", "TYPE", "pubsub", "SKIPME", "yes"))
}

// shutOff makes it refuse writes, if it can be reached at once.
func (s *server) shutOff(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, shutLimit)
	defer cancel()
	if err := s.set(ctx, "min-replicas-to-write", shut); err != nil {
		return err
	}
	s.killClients(ctx) // who stays is refused
	return nil
}

// info is INFO by field.
type info map[string]string

func (s *server) info(ctx context.Context, sections ...string) (info, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	text, err := s.cl.Info(ctx, sections...).Result()
	if err != nil {
		return nil, err
	}
	return parseInfo(text), nil
}

func parseInfo(text string) info {
	in := make(info)
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ":"); ok {
			in[name] = value
		}
	}
	return in
}

func (in info) int(name string) int64 {
	n, err := strconv.ParseInt(in[name], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// noReplID is what Redis says for none.
const noReplID = "0000000000000000000000000000000000000000"

// own is what INFO says, as a failover.Own.
func (in info) own() failover.Own {
	o := failover.Own{
		Up: true, RunID: in["run_id"], Loading: in["loading"] == "1" || in["async_loading"] == "1",
		Master: in["role"] == "master", Backlog: in["repl_backlog_active"] == "1",
		ReplID: in["master_replid"], ReplID2: in["master_replid2"],
		Offset: in.int("master_repl_offset"), Second: in.int("second_repl_offset"),
		Keys: in.keys(),
	}
	if o.ReplID2 == noReplID {
		o.ReplID2 = ""
	}
	if o.ReplID2 == "" {
		o.Second = -1
	}
	if !o.Master {
		o.Source = net.JoinHostPort(in["master_host"], in["master_port"])
		o.Fenced = in["master_port"] == fencePort
		o.Link = in["master_link_status"]
		if in["master_sync_in_progress"] == "1" {
			o.Link = "sync"
		}
	}
	return o
}

// keys is how many there are in all databases.
func (in info) keys() (n int64) {
	for i := 0; ; i++ {
		if i > 0 && i >= 16 {
			return n
		}
		value := in["db"+strconv.Itoa(i)]
		if text, ok := strings.CutPrefix(value, "keys="); ok {
			text, _, _ = strings.Cut(text, ",")
			k, _ := strconv.ParseInt(text, 10, 64)
			n += k
		}
	}
}

// lag is how long ago a replica heard from its master.
func (in info) lag() time.Duration {
	if in["role"] == "master" {
		return 0
	}
	if s := in.int("master_link_down_since_seconds"); s > 0 {
		return time.Duration(s) * time.Second
	}
	return time.Duration(max(0, in.int("master_last_io_seconds_ago"))) * time.Second
}
