package rig

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/client/failover"
	"github.com/doozer-store/doozer/client/failover/redisdial"
	"github.com/doozer-store/doozer/drill/cluster"
)

// GroupName is that of the group, for doozer and for its agents' Sentinel ports.
const GroupName = "g"

// agents is doozer: an agent on each host.
type agents struct {
	t      cluster.TB
	hosts  []*Host
	dirs   []string
	fronts []string // of the agents' Sentinel ports
	store  *client.Client
	follow *failover.Follower
	// mortal: the agent that writes the register in the state that is in the file fuse
	// dies of it, and takes the file away first, so that one dies of it.
	mortal bool
	fuse   string
	// dial: clients follow the register by redisdial.
	dial bool
}

// arm lets the next agent that writes the register as Case.Die says die of it.
func (t *Trial) arm() {
	t.t.Helper()
	if err := os.WriteFile(t.System.(*agents).fuse, []byte(t.Case.Die), 0o644); err != nil {
		t.t.Fatalf("%v", err)
	}
}

// StartDoozer starts three nodes of doozer, three Redis servers and an agent beside each,
// as the case needs them. dial: clients use redisdial, else the agents' Sentinel ports.
func StartDoozer(t cluster.TB, n *Net, c Case, dial bool) *Group {
	t.Helper()
	dir, err := Build()
	if err != nil {
		t.Fatalf("%v", err)
	}
	s := &agents{t: t, hosts: newHosts(t, n, Fence), dial: dial, mortal: c.Die != "", fuse: filepath.Join(t.TempDir(), "fuse")}
	g := &Group{t: t, Net: n, Hosts: s.hosts, System: s, Store: StartStore(t, n)}
	s.store = g.Store.Client()
	settings := failover.DefaultConf()
	if c.Conf != nil {
		c.Conf(&settings)
	}
	ctx, cancel := context.WithTimeout(context.Background(), cluster.StartLimit)
	defer cancel()
	if _, err := failover.Init(ctx, s.store, GroupName, settings); err != nil {
		t.Fatalf("%v", err)
	}
	if s.follow, err = failover.Follow(context.Background(), s.store, GroupName); err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() { s.follow.Close() })
	for _, h := range s.hosts {
		h.Redis.Start()
		if err := s.prepare(t, n, h, dir, g.Store.Addrs()); err != nil {
			t.Fatalf("%v", err)
		}
		g.StartGuard(h)
	}
	g.Settle()
	return g
}

// prepare says how a host's agent is started.
func (s *agents) prepare(t cluster.TB, n *Net, h *Host, bins, store string) error {
	port, err := n.ports.FreeAddr()
	if err != nil {
		return err
	}
	front, err := n.Front(h.Name, port)
	if err != nil {
		return err
	}
	dir := filepath.Join(t.TempDir(), "agent")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	s.dirs, s.fronts = append(s.dirs, dir), append(s.fronts, front)
	h.log = filepath.Join(dir, "agent.log")
	h.start = func() (*cluster.Process, error) {
		if s.mortal {
			return cluster.StartProcess(h.log, filepath.Join(bins, "agent"), store, s.fuse, h.Name, h.Redis.Addr, h.Front, dir, port)
		}
		return cluster.StartProcess(h.log, filepath.Join(bins, "doozer"), "-a", store, "redis", "agent", "--group", GroupName,
			"--name", h.Name, "--redis", h.Redis.Addr, "--announce", h.Front, "--dir", dir, "--sentinel", port)
	}
	return nil
}

func (s *agents) Name() string {
	if s.dial {
		return "doozer, redisdial"
	}
	return "doozer"
}

func (s *agents) Master() string {
	v := s.follow.View()
	if v.Register.State != failover.Running {
		return ""
	}
	return v.Register.Node
}

// Client finds the master as clients of Redis Sentinel do, at the agents' ports, or by the
// register.
func (s *agents) Client(dial func(ctx context.Context, network, addr string) (net.Conn, error)) (*redis.Client, error) {
	if s.dial {
		return redis.NewClient(redisdial.Options(s.follow, &redis.Options{
			Dialer: dial, PoolSize: 1, PipelinePoolSize: -1, MaxRetries: -1,
			DialTimeout: dialLimit, ReadTimeout: clientLimit, WriteTimeout: clientLimit,
		})), nil
	}
	return redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: GroupName, SentinelAddrs: s.fronts, Dialer: dial,
		PoolSize: 1, PipelinePoolSize: -1, MaxRetries: -1, DialTimeout: dialLimit, ReadTimeout: clientLimit, WriteTimeout: clientLimit,
	}), nil
}

// SentinelPorts are where others reach the agents' Sentinel ports.
func (g *Group) SentinelPorts() []string { return g.System.(*agents).fronts }

func (s *agents) Switch() error {
	ctx, cancel := context.WithTimeout(context.Background(), outcomeLimit)
	defer cancel()
	_, err := failover.Ask(ctx, s.store, s.follow, failover.Cmd{Verb: failover.VerbSwitch})
	return err
}

func (s *agents) Whole() (bool, string) {
	v := s.follow.View()
	if v.Register.State != failover.Running || v.Alive() != len(s.hosts) {
		return false, fmt.Sprintf("%s, %d agents alive", v.Register.State, v.Alive())
	}
	for _, n := range v.Nodes {
		if n.Stat.Note != "" {
			return false, n.Name + ": " + n.Stat.Note
		}
		i := slices.IndexFunc(s.hosts, func(h *Host) bool { return h.Name == n.Name })
		if run := s.hosts[i].Redis.Info("server")["run_id"]; n.RunID != run {
			return false, fmt.Sprintf("%s is not known to have had all: %q, not %s", n.Name, n.RunID, run)
		}
		// What a switch goes by is told some time after it is so.
		if n.Name != v.Register.Node && (n.Stat.Role != failover.RoleReplica || n.Stat.Link != "up") {
			return false, fmt.Sprintf("%s has not told that it is a replica: %q, link %q", n.Name, n.Stat.Role, n.Stat.Link)
		}
	}
	return true, ""
}

// compareLost compares what the agents saved with what was lost.
func (s *agents) compareLost(t *Trial, lost []Write) string {
	saved := map[int64]bool{}
	for _, dir := range s.dirs {
		files, _ := filepath.Glob(filepath.Join(dir, "lost-*"))
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				return err.Error()
			}
			for _, id := range addedIn(string(b), t.key) {
				saved[id] = true
			}
		}
	}
	missing := 0
	for _, w := range lost {
		if !saved[w.ID] {
			missing++
		}
	}
	switch {
	case len(lost) == 0 && len(saved) == 0:
		return ""
	case missing == 0:
		return "equal"
	case t.oldProcess != t.Old.Redis.pid():
		return "its process ended"
	}
	return fmt.Sprintf("%d of %d lost are not in it", missing, len(lost))
}

// addedIn are the ids that commands in the form of RESP add to a key.
func addedIn(resp, key string) []int64 {
	var ids []int64
	words := strings.Split(resp, "\r\n")
	for i := 0; i+4 < len(words); i++ {
		if strings.EqualFold(words[i], "sadd") && words[i+2] == key {
			if id, err := strconv.ParseInt(words[i+4], 10, 64); err == nil {
				ids = append(ids, id)
			}
		}
	}
	return ids
}
