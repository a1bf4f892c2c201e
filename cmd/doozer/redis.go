package main

import (
	"context"

	"github.com/spf13/cobra"
)

// Redis is the verb of groups of Redis servers; what it does is in its own verbs.
func (c *command) addRedis(root *cobra.Command) {
	cmd := c.add(root, verb{
		use:   "redis VERB",
		short: "Groups of Redis servers with one master",
		long: `Redis is about groups of Redis servers: one master that all clients agree on, and
replicas of which one takes over when the master is lost.`,
		examples: []string{"doozer redis agent --group cache --redis 10.0.0.1:6379"},
		args:     cobra.ArbitraryArgs,
		exit:     "  0   done\n  2   any other error\n  64  usage",
		run: func(_ context.Context, _ *cobra.Command, given []string) error {
			if len(given) > 0 {
				return usagef("unknown verb of redis: %q", given[0])
			}
			return usagef("a verb of redis is missing")
		},
	})
	c.addRedisAgent(cmd)
}
