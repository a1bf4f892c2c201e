package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/client/failover"
)

// The group of status has nobody to write to, or only for as long as the gate is
// open.
var (
	errNoRedisMaster   = errors.New("the group has no master")
	errDeadRedisMaster = errors.New("the master's agent is dead")
)

// groupJSON is a group as status shows it.
type groupJSON struct {
	Group string `json:"group"`
	// State is none before there was a register.
	State  string `json:"state"`
	Epoch  int64  `json:"epoch"`
	Master string `json:"master,omitempty"`
	Addr   string `json:"addr,omitempty"`
	// MasterAlive: the session of the master's agent lives.
	MasterAlive bool        `json:"master_alive"`
	Prev        string      `json:"prev,omitempty"`
	To          string      `json:"to,omitempty"`
	Why         string      `json:"why,omitempty"`
	Paused      bool        `json:"paused"`
	PauseWhy    string      `json:"pause_why,omitempty"`
	Nodes       []redisJSON `json:"nodes"`
	Cmd         *redisCmd   `json:"cmd,omitempty"`
	Problems    []string    `json:"problems,omitempty"`
}

// redisCmd is a command that waits, or was refused.
type redisCmd struct {
	Verb  string `json:"verb"`
	To    string `json:"to,omitempty"`
	Epoch int64  `json:"epoch"`
	Error string `json:"error,omitempty"`
}

// redisJSON is one node.
type redisJSON struct {
	Node   string `json:"node"`
	Master bool   `json:"master"`
	Addr   string `json:"addr"`
	Role   string `json:"role"`
	Offset int64  `json:"offset"`
	// LagBytes is how far its published offset is behind the master's, LagMs how
	// long ago it had heard of its master; of a replica only.
	LagBytes *int64 `json:"lag_bytes,omitempty"`
	LagMs    *int64 `json:"lag_ms,omitempty"`
	Link     string `json:"link,omitempty"`
	Gate     string `json:"gate,omitempty"`
	Session  string `json:"session"`
	Alive    bool   `json:"alive"`
	BeatMs   *int64 `json:"beat_age_ms,omitempty"`
	Epoch    int64  `json:"epoch"`
	Priority int    `json:"priority"`
	Sentinel string `json:"sentinel,omitempty"`
	Web      string `json:"web,omitempty"`
	Note     string `json:"note,omitempty"`
}

func (c *command) addRedisStatus(parent *cobra.Command) {
	var f redisFlags
	var watch bool
	cmd := c.add(parent, verb{
		use:   "status [--watch]",
		short: "Show a group: its master and all nodes",
		long: `Status shows who is the master (*), and of each node what its agent has last said:
its role, offset, how long ago it had heard of its master (LAG), the link to that,
the gate by which the agent lets a master take writes, and the epoch that the agent
acts by. SESSION is the time since the agent's last sign of life, as the clock of
this machine has it, or dead. Offsets are published when they mean something, not
all the time.

With --watch it is painted again whenever something changes, and each second, until
it is interrupted; -o json prints an object a line then.`,
		examples: []string{
			"doozer redis status",
			"doozer redis status --group cache --watch",
			"doozer redis status -o json | jq -r .addr",
		},
		args: args(),
		exit: "  0   the group has a master whose agent lives\n  2   not so, or any error\n  3   no such group\n  64  usage",
		run: func(ctx context.Context, _ *cobra.Command, _ []string) error {
			if watch {
				return c.redisWatch(ctx, &f)
			}
			return c.withFollower(ctx, &f, c.redisStatus)
		},
	})
	f.add(cmd)
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "go on, and show each change")
}

func (c *command) redisStatus(ctx context.Context, db *client.Client, group *failover.Follower) error {
	g, err := c.redisGroup(ctx, db, group.View())
	if err != nil {
		return err
	}
	if err := c.printGroup(g); err != nil {
		return err
	}
	switch {
	case g.Master == "":
		return errNoRedisMaster
	case !g.MasterAlive:
		return errDeadRedisMaster
	}
	return nil
}

// redisWatch shows the group until ctx ends, which is no error once it has begun.
func (c *command) redisWatch(ctx context.Context, f *redisFlags) error {
	if f.group != "" {
		if err := checkGroup(f.group); err != nil {
			return asUsage(err)
		}
	}
	began := false
	err := c.withUnbounded(ctx, func(ctx context.Context, db *client.Client) error {
		return c.inGroup(ctx, db, f, follow(func(ctx context.Context, db *client.Client, group *failover.Follower) error {
			return c.repaint(ctx, db, group, &began)
		}))
	})
	if began && ctx.Err() != nil {
		return nil
	}
	return err
}

func (c *command) repaint(ctx context.Context, db *client.Client, group *failover.Follower, began *bool) error {
	for {
		changed := group.Changed()
		v := group.View()
		g, err := c.redisGroup(ctx, db, v)
		if err != nil && ctx.Err() != nil {
			return err
		}
		if c.format == formatText && c.terminal() {
			// To the corner, and away with what is below.
			c.stdout.WriteString("\x1b[H\x1b[J")
		}
		if err != nil {
			// The store may be there again at the next look.
			fmt.Fprintln(c.stdout, plain(reason(err)))
		} else if err := c.printGroup(g); err != nil {
			return err
		}
		if err := c.stdout.Flush(); err != nil {
			return err
		}
		*began = true
		var tick <-chan time.Time
		if c.format == formatText && c.terminal() {
			tick = time.After(redisTick)
		}
		select {
		case <-changed:
		case <-tick:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// terminal tells whether somebody looks at the output.
func (c *command) terminal() bool {
	f, ok := c.out.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// redisGroup is the group with the ages of its sessions.
func (c *command) redisGroup(ctx context.Context, db *client.Client, v failover.View) (*groupJSON, error) {
	g := &groupJSON{
		Group: v.Group, State: "none", Epoch: v.Epoch, Prev: v.Register.Prev, To: v.Register.To, Why: v.Register.Why,
		Paused: v.Conf.Paused, PauseWhy: v.Conf.PauseWhy, Problems: v.Problems, Nodes: []redisJSON{},
	}
	if v.Epoch != 0 {
		g.State = string(v.Register.State)
	}
	if v.Register.Writable() {
		g.Master, g.Addr = v.Register.Node, v.Register.Addr
		var s placeJSON
		if err := s.read(ctx, db, v.Register.Session); err != nil {
			return nil, err
		}
		g.MasterAlive = s.State != "dead"
	}
	if v.Cmd != nil {
		g.Cmd = &redisCmd{Verb: v.Cmd.Verb, To: v.Cmd.To, Epoch: v.Cmd.Epoch, Error: v.Cmd.Error}
	}
	master, _ := v.Node(g.Master)
	for _, n := range v.Nodes {
		j := redisJSON{
			Node: n.Name, Master: n.Name == g.Master, Addr: n.Addr, Role: n.Stat.Role, Offset: n.Stat.Offset, Link: n.Stat.Link,
			Gate: n.Stat.Gate, Session: n.Session, Epoch: n.Stat.Epoch, Priority: n.Priority, Sentinel: n.Agent, Web: n.Web, Note: n.Stat.Note,
		}
		if n.Stat.Role == failover.RoleReplica {
			j.LagMs = &n.Stat.LagMs
			if g.Master != "" {
				lag := max(master.Stat.Offset-n.Stat.Offset, 0)
				j.LagBytes = &lag
			}
		}
		var s placeJSON
		if err := s.read(ctx, db, n.Session); err != nil {
			return nil, err
		}
		if j.Alive = n.Session != "" && s.State != "dead"; j.Alive {
			j.BeatMs = &s.BeatMs
		}
		g.Nodes = append(g.Nodes, j)
	}
	return g, nil
}

func (c *command) printGroup(g *groupJSON) error {
	if c.format == formatJSON {
		return printJSON(c.stdout, g)
	}
	for _, line := range g.lines() {
		fmt.Fprintln(c.stdout, plain(line))
	}
	if len(g.Nodes) == 0 {
		return nil
	}
	t := newTable(c.stdout, true, column{name: ""}, column{name: "NODE"}, column{name: "ROLE"}, column{name: "OFFSET", right: true}, column{name: "LAG", right: true},
		column{name: "LINK"}, column{name: "GATE"}, column{name: "SESSION", right: true}, column{name: "EPOCH", right: true}, column{name: "ADDR"}, column{name: "NOTE"})
	for i := range g.Nodes {
		if err := t.add(g.Nodes[i].cells()...); err != nil {
			return err
		}
	}
	return t.flush()
}

// lines are what there is to say of the group as a whole.
func (g *groupJSON) lines() []string {
	head := fmt.Sprintf("%s: %s, epoch %d: ", g.Group, g.State, g.Epoch)
	switch {
	case g.Epoch == 0:
		head = g.Group + ": no master so far: it is chosen when all nodes are there"
	case g.Master != "" && g.State == string(failover.Switching):
		head += fmt.Sprintf("%s at %s hands over", g.Master, g.Addr)
	case g.Master != "":
		head += fmt.Sprintf("%s is the master, at %s", g.Master, g.Addr)
	case g.Prev != "":
		head += "no master; the last one was " + g.Prev
	default:
		head += "no master"
	}
	if g.Master != "" && !g.MasterAlive {
		head += "; its agent is dead"
	}
	if g.Why != "" {
		head += " (" + g.Why + ")"
	}
	lines := []string{head}
	if g.Paused {
		lines = append(lines, strings.TrimSuffix("paused: no failover begins by itself: "+g.PauseWhy, ": "))
	}
	if g.Cmd != nil {
		text := "a command waits: " + g.Cmd.Verb
		if g.Cmd.Error != "" {
			text = "the last command was refused: " + g.Cmd.Verb
		}
		if g.Cmd.To != "" {
			text += " to " + g.Cmd.To
		}
		if g.Cmd.Error != "" {
			text += ": " + g.Cmd.Error
		}
		lines = append(lines, text)
	}
	for _, p := range g.Problems {
		lines = append(lines, "not understood: "+p)
	}
	return lines
}

func (j *redisJSON) cells() []string {
	mark, lag, beat := "", "-", "dead"
	if j.Master {
		mark = "*"
	}
	if j.LagMs != nil {
		lag = span(time.Duration(*j.LagMs) * time.Millisecond)
	}
	if j.BeatMs != nil {
		beat = span(time.Duration(*j.BeatMs) * time.Millisecond)
	}
	return []string{
		mark, plain(j.Node), orDash(plain(j.Role)), strconv.FormatInt(j.Offset, 10), lag, orDash(plain(j.Link)), orDash(plain(j.Gate)),
		beat, strconv.FormatInt(j.Epoch, 10), plain(j.Addr), plain(j.Note),
	}
}
