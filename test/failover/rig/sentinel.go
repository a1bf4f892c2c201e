package rig

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/doozer-store/doozer/drill/cluster"
)

const sentinelGroup = "m"

// sentinels is Redis Sentinel: one on each host, two of which decide.
type sentinels struct {
	hosts  []*Host
	fronts []string
	addrs  []string // their own addresses
	down   time.Duration
}

// StartSentinel starts three Redis servers, the first one the master, and three
// Sentinels that take it for down after down.
func StartSentinel(t cluster.TB, n *Net, down time.Duration) *Group {
	t.Helper()
	s := &sentinels{hosts: newHosts(t, n), down: down}
	g := &Group{t: t, Net: n, Hosts: s.hosts, System: s}
	first := s.hosts[0]
	first.Redis.Start()
	for _, h := range s.hosts[1:] {
		host, port, _ := strings.Cut(first.Front, ":")
		h.Redis.conf = append(h.Redis.conf, "replicaof "+host+" "+port)
		h.Redis.Start()
		h.Redis.AwaitLink(first.Redis) // a Sentinel looks for replicas every 10 s
	}
	for _, h := range s.hosts {
		if err := s.prepare(t, n, h, first.Front); err != nil {
			t.Fatalf("%v", err)
		}
		g.StartGuard(h)
	}
	g.Settle()
	return g
}

// prepare writes the configuration of a host's Sentinel.
func (s *sentinels) prepare(t cluster.TB, n *Net, h *Host, master string) error {
	addr, err := n.ports.FreeAddr()
	if err != nil {
		return err
	}
	front, err := n.Front(h.Name, addr)
	if err != nil {
		return err
	}
	s.addrs, s.fronts = append(s.addrs, addr), append(s.fronts, front)
	dir := t.TempDir()
	_, port, _ := strings.Cut(addr, ":")
	_, seen, _ := strings.Cut(front, ":")
	host, masterPort, _ := strings.Cut(master, ":")
	conf := strings.Join([]string{
		"bind 127.0.0.1", "port " + port, "dir " + dir,
		"sentinel announce-ip 127.0.0.1", "sentinel announce-port " + seen,
		fmt.Sprintf("sentinel monitor %s %s %s 2", sentinelGroup, host, masterPort),
		fmt.Sprintf("sentinel down-after-milliseconds %s %d", sentinelGroup, s.down.Milliseconds()),
		fmt.Sprintf("sentinel failover-timeout %s 10000", sentinelGroup),
		fmt.Sprintf("sentinel parallel-syncs %s 2", sentinelGroup), "",
	}, "\n")
	path := filepath.Join(dir, "sentinel.conf")
	h.log = filepath.Join(dir, "sentinel.log")
	h.start = func() (*cluster.Process, error) {
		return cluster.StartProcess(h.log, "redis-server", path, "--sentinel")
	}
	return os.WriteFile(path, []byte(conf), 0o644)
}

func (s *sentinels) Name() string { return "sentinel " + s.down.String() }

// ask asks one Sentinel; an error is "".
func (s *sentinels) ask(i int, args ...string) []string {
	c, err := DialLimit(s.addrs[i], time.Second)
	if err != nil {
		return nil
	}
	defer c.drop()
	answer, err := c.Do(append([]string{"SENTINEL"}, args...)...)
	if err != nil {
		return nil
	}
	return strings.Split(answer, "\n")
}

// Master is what all of the Sentinels that run say; "" while they differ.
func (s *sentinels) Master() string {
	all := ""
	for i, h := range s.hosts {
		if h.guard.Load().Pid() == 0 {
			continue
		}
		a := s.ask(i, "get-master-addr-by-name", sentinelGroup)
		if len(a) != 2 {
			return ""
		}
		name := at(s.hosts, a[0]+":"+a[1])
		if all != "" && name != all {
			return ""
		}
		all = name
	}
	return all
}

// hurry makes Sentinels look at the servers more often than every 10 s, or not: for what
// follows a trial's outcome, not for the trial.
func (s *sentinels) hurry(on bool) {
	every := "10000"
	if on {
		every = "500"
	}
	for i := range s.addrs {
		s.ask(i, "debug", "info-period", every)
	}
}

func (s *sentinels) Client(dial func(ctx context.Context, network, addr string) (net.Conn, error)) (*redis.Client, error) {
	return redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: sentinelGroup, SentinelAddrs: s.fronts, Dialer: dial,
		PoolSize: 1, PipelinePoolSize: -1, MaxRetries: -1, DialTimeout: dialLimit, ReadTimeout: clientLimit, WriteTimeout: clientLimit,
	}), nil
}

// Switch is SENTINEL FAILOVER, which asks nobody and does not wait for replicas.
func (s *sentinels) Switch() error {
	for i := range s.addrs {
		if a := s.ask(i, "failover", sentinelGroup); len(a) == 1 && a[0] == "OK" {
			return nil
		}
	}
	return fmt.Errorf("no Sentinel takes SENTINEL FAILOVER")
}

// pairs reads an array of fields and values.
func pairs(list []string) map[string]string {
	m := map[string]string{}
	for i := 0; i+1 < len(list); i += 2 {
		m[list[i]] = list[i+1]
	}
	return m
}

func (s *sentinels) Whole() (bool, string) {
	for i := range s.addrs {
		m := pairs(s.ask(i, "master", sentinelGroup))
		if m["flags"] != "master" || m["num-slaves"] != "2" || m["num-other-sentinels"] != "2" {
			return false, fmt.Sprintf("Sentinel %d of the master: %s, %s replicas, %s others", i, m["flags"], m["num-slaves"], m["num-other-sentinels"])
		}
		if m["ip"]+":"+m["port"] != s.front(s.Master()) {
			return false, fmt.Sprintf("Sentinel %d has %s", i, m["port"])
		}
		if bad := s.badReplica(i); bad != "" {
			return false, fmt.Sprintf("Sentinel %d: %s", i, bad)
		}
	}
	return true, ""
}

func (s *sentinels) front(name string) string {
	for _, h := range s.hosts {
		if h.Name == name {
			return h.Front
		}
	}
	return ""
}

// badReplica is a replica that the Sentinel would not promote.
func (s *sentinels) badReplica(i int) string {
	list := s.ask(i, "replicas", sentinelGroup)
	for k := range list {
		if list[k] == "flags" && k+1 < len(list) && list[k+1] != "slave" {
			return "a replica is " + list[k+1]
		}
		if list[k] == "master-link-status" && k+1 < len(list) && list[k+1] != "ok" {
			return "a replica's link is " + list[k+1]
		}
	}
	return ""
}

func atoi(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return -1
	}
	return n
}
