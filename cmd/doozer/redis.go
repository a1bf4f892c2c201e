package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/client/failover"
)

// redisFlags are the flags that all verbs of redis but agent and init have.
type redisFlags struct{ group string }

// Redis is the verb of groups of Redis servers; what it does is in its own verbs.
func (c *command) addRedis(root *cobra.Command) {
	cmd := c.add(root, verb{
		use:   "redis VERB",
		short: "Groups of Redis servers with one master",
		long: `Redis is about groups of Redis servers: one master that all clients agree on, and
replicas of which one takes over when the master is lost. Beside each server runs
an agent; what they know together is below /redis/GROUP. --group may be left out
where there is one group.`,
		examples: []string{
			"doozer redis init --group cache 10.0.0.1:6379 10.0.0.2:6379 10.0.0.3:6379",
			"doozer redis agent --group cache --redis 10.0.0.1:6379 --sentinel :26379",
			"doozer redis status --watch",
			"doozer redis switch --to b",
		},
		args: cobra.ArbitraryArgs,
		exit: "  0   done\n  2   any other error\n  64  usage",
		run: func(_ context.Context, _ *cobra.Command, given []string) error {
			if len(given) > 0 {
				return usagef("unknown verb of redis: %q", given[0])
			}
			return usagef("a verb of redis is missing")
		},
	})
	c.addRedisInit(cmd)
	c.addRedisAgent(cmd)
	c.addRedisStatus(cmd)
	c.addRedisSwitch(cmd)
	c.addRedisPromote(cmd)
	c.addRedisPause(cmd)
	c.addRedisResume(cmd)
	c.addRedisConf(cmd)
	c.addRedisHistory(cmd)
}

// exitRedis is what the statuses of the verbs that change a group mean.
const exitRedis = `  0   done
  1   refused: the agents did not do it, or the group has changed since
  2   any other error, or the outcome is unknown
  3   no such group
  64  usage`

func (f *redisFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.group, "group", "g", "", "the `name` of the group; the only one there is unless given")
}

// withGroup runs fn with a client and the name of the group.
func (c *command) withGroup(ctx context.Context, f *redisFlags, fn func(ctx context.Context, db *client.Client, group string) error) error {
	if f.group != "" {
		if err := checkGroup(f.group); err != nil {
			return asUsage(err)
		}
	}
	return c.withClient(ctx, func(ctx context.Context, db *client.Client) error { return c.inGroup(ctx, db, f, fn) })
}

func (c *command) inGroup(ctx context.Context, db *client.Client, f *redisFlags, fn func(ctx context.Context, db *client.Client, group string) error) error {
	group := f.group
	if group == "" {
		var err error
		if group, err = onlyGroup(ctx, db); err != nil {
			return err
		}
	}
	c.subject = group
	return redisError(fn(ctx, db, group))
}

// onlyGroup is the group that there is.
func onlyGroup(ctx context.Context, db *client.Client) (string, error) {
	var names []string
	for f, err := range db.Walk(ctx, failover.Dir+"/*/conf", client.NoValues()) {
		if err != nil {
			return "", err
		}
		names = append(names, strings.Split(f.Path, "/")[2])
	}
	switch len(names) {
	case 0:
		return "", &exitError{statusNoFile, errors.New("there is no group; 'doozer redis init' makes one")}
	case 1:
		return names[0], nil
	}
	return "", usagef("--group is missing; there are %s", strings.Join(names, ", "))
}

// withFollower runs fn with a view of the group, which has to exist.
func (c *command) withFollower(ctx context.Context, f *redisFlags, fn func(ctx context.Context, db *client.Client, group *failover.Follower) error) error {
	return c.withGroup(ctx, f, follow(fn))
}

func follow(fn func(ctx context.Context, db *client.Client, group *failover.Follower) error) func(context.Context, *client.Client, string) error {
	return func(ctx context.Context, db *client.Client, group string) error {
		f, err := failover.Follow(ctx, db, group)
		if err != nil {
			return err
		}
		defer f.Close()
		if v := f.View(); !v.HasConf && v.Epoch == 0 && len(v.Nodes) == 0 {
			return fmt.Errorf("%w; 'doozer redis init' makes it", failover.ErrNoGroup)
		}
		return fn(ctx, db, f)
	}
}

// redisError gives errors of package failover their exit statuses.
func redisError(err error) error {
	switch {
	case err == nil || errors.Is(err, client.ErrUnknownOutcome):
		return err
	case errors.Is(err, failover.ErrNoGroup):
		return &exitError{statusNoFile, err}
	case errors.Is(err, failover.ErrBadName), errors.Is(err, failover.ErrBadConf):
		return asUsage(err)
	case errors.Is(err, failover.ErrExists), errors.Is(err, failover.ErrBusy), errors.Is(err, failover.ErrRefused), errors.Is(err, failover.ErrStale):
		return &exitError{statusCondition, err}
	}
	return err
}
