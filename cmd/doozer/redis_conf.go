package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/client/failover"
)

func (c *command) addRedisPause(parent *cobra.Command) {
	var f redisFlags
	var why string
	cmd := c.add(parent, verb{
		use:   "pause [--why TEXT]",
		short: "Let no failover begin by itself",
		long: `Pause keeps the agents from beginning a failover, until resume. Gates stay as they
are: a master whose agent ends takes no more writes. 'switch' and 'promote' work.`,
		examples: []string{"doozer redis pause --why 'kernel update, until 18:00'"},
		args:     args(),
		exit:     exitRedis,
		writes:   true,
		run: func(ctx context.Context, _ *cobra.Command, _ []string) error {
			return c.redisPause(ctx, &f, true, why)
		},
	})
	f.add(cmd)
	cmd.Flags().StringVar(&why, "why", "", "what others see in status")
}

func (c *command) addRedisResume(parent *cobra.Command) {
	var f redisFlags
	cmd := c.add(parent, verb{
		use:      "resume",
		short:    "End pause",
		long:     "Resume lets failovers begin by themselves again. One that is due begins at once.",
		examples: []string{"doozer redis resume"},
		args:     args(),
		exit:     exitRedis,
		writes:   true,
		run: func(ctx context.Context, _ *cobra.Command, _ []string) error {
			return c.redisPause(ctx, &f, false, "")
		},
	})
	f.add(cmd)
}

func (c *command) redisPause(ctx context.Context, f *redisFlags, paused bool, why string) error {
	return c.withGroup(ctx, f, func(ctx context.Context, db *client.Client, group string) error {
		conf, err := failover.SetConf(ctx, db, group, func(conf *failover.Conf) error {
			conf.Paused, conf.PauseWhy = paused, why
			return nil
		})
		if err != nil {
			return err
		}
		text := group + " is paused"
		if !paused {
			text = group + " goes on"
		}
		return c.print(text, conf)
	})
}

func (c *command) addRedisConf(parent *cobra.Command) {
	var f redisFlags
	cmd := c.add(parent, verb{
		use:   "conf [KEY=VALUE]...",
		short: "Show or change the settings of a group",
		long: `Conf prints the settings of a group, after changing those that are given. They are
changed together, by compare-and-set, and count at once: the agents watch them.

    nodes          how many servers the group has
    ttl_ms         after the loss of a host another takes over that much later
    gate_lag_s     after so many seconds and two Redis itself refuses writes when its
                   agent is silent
    gate_replicas  connections of the gate; 0: as many as nodes
    sync           k: no write is lost for which WAIT k returned k or more; 0: off
    max_lag_bytes  nobody further behind is chosen by itself; 0: no limit
    bid_ms         how long an election waits for the bids of nodes that live
    hang_ms        how long a Redis may be silent until it is killed
    flap_ms        at least that long between failovers; 0: no limit
    strict         true: after the loss of a host the next master waits until the gate
                   of the one before must have closed
    failsafe       without the store a master goes on while all other agents answer
    paused, pause_why  see pause`,
		examples: []string{"doozer redis conf", "doozer redis conf ttl_ms=5000 sync=1", "doozer redis conf -o json | jq .sync"},
		args:     cobra.ArbitraryArgs,
		exit:     exitRedis,
		run: func(ctx context.Context, _ *cobra.Command, given []string) error {
			if _, err := setConf(failover.DefaultConf(), given); err != nil {
				return err
			}
			c.writes = len(given) > 0
			return c.withGroup(ctx, &f, func(ctx context.Context, db *client.Client, group string) error {
				return c.redisConf(ctx, db, group, given)
			})
		},
	})
	f.add(cmd)
}

func (c *command) redisConf(ctx context.Context, db *client.Client, group string, given []string) error {
	conf, _, err := failover.ReadConf(ctx, db, group)
	if err == nil && len(given) > 0 {
		conf, err = failover.SetConf(ctx, db, group, func(conf *failover.Conf) (err error) {
			*conf, err = setConf(*conf, given)
			return err
		})
	}
	if err != nil {
		return err
	}
	if c.format == formatJSON {
		return printJSON(c.stdout, conf)
	}
	fields := confFields(conf)
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		fmt.Fprintf(c.stdout, "%s=%s\n", key, plain(confText(fields[key])))
	}
	return nil
}

// confFields are the settings by their names in the file, as JSON.
func confFields(conf failover.Conf) map[string]json.RawMessage {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(conf.Encode(), &fields); err != nil {
		panic(fmt.Sprintf("conf %+v: %v", conf, err)) // it was encoded a moment ago
	}
	delete(fields, "v")
	return fields
}

// confText is a setting without the quotes of JSON.
func confText(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}

// setConf changes settings. What they may be the group decides when all are set.
func setConf(conf failover.Conf, given []string) (failover.Conf, error) {
	fields := confFields(conf)
	for _, arg := range given {
		key, value, ok := strings.Cut(arg, "=")
		if !ok {
			return conf, usagef("%q is no KEY=VALUE", arg)
		}
		old, ok := fields[key]
		if !ok {
			return conf, usagef("there is no setting %q; there are %s", key, strings.Join(slices.Sorted(maps.Keys(fields)), ", "))
		}
		raw := []byte(value)
		if old[0] == '"' {
			raw, _ = json.Marshal(value) // a string is always JSON
		}
		one, err := json.Marshal(map[string]json.RawMessage{key: raw})
		if err == nil {
			err = json.Unmarshal(one, &conf)
		}
		if err != nil {
			return conf, usagef("%s can't be %q; at present it is %s", key, value, confText(old))
		}
	}
	return conf, nil
}

func (c *command) addRedisInit(parent *cobra.Command) {
	var group string
	var nodes countFlag
	cmd := c.add(parent, verb{
		use:   "init --group G [HOST:PORT]...",
		short: "Make a group, and say what to do next",
		long: `Init writes the settings of a new group: as many nodes as there are addresses, or
--nodes, three unless given. It prints what is to be done then; no server is asked.
The first master is chosen when the agents of all nodes are there.`,
		examples: []string{
			"doozer redis init --group cache 10.0.0.1:6379 10.0.0.2:6379 10.0.0.3:6379",
			"doozer redis init --group cache --nodes 3",
		},
		args:   cobra.ArbitraryArgs,
		exit:   "  0   done\n  1   there is a group of that name\n  2   any other error\n  64  usage",
		writes: true,
		run: func(ctx context.Context, _ *cobra.Command, addrs []string) error {
			return c.redisInit(ctx, group, int(nodes), addrs)
		},
	})
	cmd.Flags().StringVarP(&group, "group", "g", "", "the `name` of the group")
	cmd.Flags().Var(&nodes, "nodes", "how many servers it has")
}

func (c *command) redisInit(ctx context.Context, group string, nodes int, addrs []string) error {
	if group == "" {
		return usagef("--group is missing")
	}
	if err := checkGroup(group); err != nil {
		return asUsage(err)
	}
	for _, addr := range addrs {
		if host, port, err := net.SplitHostPort(addr); err != nil || host == "" || port == "" {
			return usagef("%q is no HOST:PORT", addr)
		}
	}
	conf := failover.DefaultConf()
	switch {
	case len(addrs) > 0 && nodes > 0 && nodes != len(addrs):
		return usagef("--nodes is %d, but there are %d addresses", nodes, len(addrs))
	case len(addrs) > 0:
		conf.Nodes = len(addrs)
	case nodes > 0:
		conf.Nodes = nodes
	}
	c.subject = group
	return c.withClient(ctx, func(ctx context.Context, db *client.Client) error {
		if _, err := failover.Init(ctx, db, group, conf); err != nil {
			return redisError(err)
		}
		return c.print(nextSteps(group, conf, addrs), conf)
	})
}

// nextSteps is what init tells.
func nextSteps(group string, conf failover.Conf, addrs []string) string {
	if len(addrs) == 0 {
		addrs = []string{"HOST:PORT"}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Group %s of %d nodes is made. Next, on the host of each server:\n\n", group, conf.Nodes)
	b.WriteString("1. In its redis.conf, so that it takes no writes before its agent lets it:\n\n       replicaof 127.0.0.1 0\n\n")
	b.WriteString("   and restart it. A server whose data the group is to have is started first,\n   with its agent; see docs/redis.md.\n")
	b.WriteString("2. Run its agent, with DOOZER_URI as here:\n\n")
	for _, addr := range addrs {
		fmt.Fprintf(&b, "       doozer redis agent --group %s --redis %s --sentinel :26379 --web :8009\n", group, addr)
	}
	fmt.Fprintf(&b, "\n3. See the first master chosen, when all %d agents are there:\n\n       doozer redis status --group %s --watch\n\n", conf.Nodes, group)
	fmt.Fprintf(&b, "4. Give clients of Redis Sentinel the agents' addresses, and the master's name %s.", group)
	return b.String()
}
