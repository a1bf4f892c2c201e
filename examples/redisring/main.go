// Command redisring keeps keys in any number of groups of Redis servers: a doozer
// ring says which group has a key, and the group's register which of its servers
// is the master. One of them can fail over, or be given another host, and the
// program goes on; no key moves to another group by that.
//
//	redisring new g1 g2 g3             # groups of 'doozer redis', see docs/redis.md
//	redisring put user:42 ann
//	redisring get user:42
//	redisring shares                   # how many of 10,000 keys each group has
//	redisring run                      # put and get all the time, and tell of pauses;
//	doozer redis switch --group g2     # meanwhile
//
// DOOZER_URI names the store.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/client/failover"
	"github.com/doozer-store/doozer/client/failover/redisdial"
	"github.com/doozer-store/doozer/client/ring"
)

// name is the ring's.
const name = "redis"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "redisring:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	c, err := client.Open(ctx, os.Getenv("DOOZER_URI"))
	if err != nil {
		return err
	}
	defer c.Close()
	if len(args) > 1 && args[0] == "new" {
		return newRing(ctx, c, args[1:])
	}
	s, err := open(ctx, c, nil)
	if err != nil {
		return err
	}
	defer s.close()
	switch strings.Join(args[:min(len(args), 1)], "") {
	case "get":
		if len(args) == 2 {
			value, err := s.get(ctx, args[1])
			if err == nil {
				fmt.Fprintln(out, value)
			}
			return err
		}
	case "put":
		if len(args) == 3 {
			return s.put(ctx, args[1], args[2])
		}
	case "shares":
		return s.shares(out)
	case "run":
		return s.run(ctx, out)
	}
	return errors.New("usage: new GROUP... | put KEY VALUE | get KEY | shares | run")
}

// newRing makes a ring whose nodes are groups: each is where its register says.
func newRing(ctx context.Context, c *client.Client, groups []string) error {
	f := &ring.File{}
	for _, group := range groups {
		paths, err := failover.PathsOf(group)
		if err != nil {
			return err
		}
		if err := f.Add(group, ring.Spec{Ref: paths.Register()}); err != nil {
			return err
		}
	}
	_, err := ring.Create(ctx, c, name, f)
	return err
}

// shards are the groups of the ring, each with a client that follows its master.
type shards struct {
	c    *client.Client
	opt  *redis.Options
	live *ring.Live

	mu     sync.Mutex // guards groups
	groups map[string]*shard
}

// shard is one group.
type shard struct {
	*redis.Client
	group *failover.Follower
}

// open follows the ring. opt is for the clients of the groups; nil: the defaults.
func open(ctx context.Context, c *client.Client, opt *redis.Options) (*shards, error) {
	// Without a local copy there is nothing to begin with but what the store says.
	live, err := ring.Open(ctx, c, name, ring.Config{Patience: time.Minute})
	if err != nil {
		return nil, err
	}
	return &shards{c: c, opt: opt, live: live, groups: make(map[string]*shard)}, nil
}

// owner is the group that has a key.
func (s *shards) owner(ctx context.Context, key string) (*shard, error) {
	n := s.live.Ring().Owner(key)
	if n == nil {
		return nil, errors.New("the ring has no groups")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if g := s.groups[n.Name]; g != nil {
		return g, nil
	}
	// The register is /redis/GROUP/master.
	group, err := failover.Follow(ctx, s.c, path.Base(path.Dir(n.Ref)))
	if err != nil {
		return nil, err
	}
	g := &shard{redis.NewClient(redisdial.Options(group, s.opt)), group}
	s.groups[n.Name] = g
	return g, nil
}

func (s *shards) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.groups {
		g.Close()
		g.group.Close()
	}
	s.live.Close()
}

func (s *shards) put(ctx context.Context, key, value string) error {
	g, err := s.owner(ctx, key)
	if err != nil {
		return err
	}
	return g.Set(ctx, key, value, 0).Err()
}

func (s *shards) get(ctx context.Context, key string) (string, error) {
	g, err := s.owner(ctx, key)
	if err != nil {
		return "", err
	}
	return g.Get(ctx, key).Result()
}

// shares prints how the ring divides keys, and where each group's master is.
func (s *shards) shares(out io.Writer) error {
	r := s.live.Ring()
	count := make(map[string]int)
	for i := range 10_000 {
		if n := r.Owner(fmt.Sprint("user:", i)); n != nil {
			count[n.Name]++
		}
	}
	for _, n := range r.Nodes() {
		addr := n.Addr
		if addr == "" {
			addr = "no master"
		}
		fmt.Fprintf(out, "%-10s %5d keys  %s\n", n.Name, count[n.Name], addr)
	}
	return nil
}

// run puts and gets until ctx ends, and tells of each call that took long.
func (s *shards) run(ctx context.Context, out io.Writer) error {
	for i := 0; ctx.Err() == nil; i++ {
		key := fmt.Sprint("user:", i%10_000)
		begun := time.Now()
		err := s.put(ctx, key, fmt.Sprint(i))
		if err == nil {
			_, err = s.get(ctx, key)
		}
		if took := time.Since(begun); ctx.Err() == nil && (err != nil || took > 100*time.Millisecond) {
			fmt.Fprintf(out, "%s of %s: %v, %v\n", key, s.live.Ring().Owner(key).Name, took.Round(time.Millisecond), err)
		}
	}
	return nil
}
