package rig

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/doozer-store/doozer/drill/cluster"
)

// Host is one of three machines: a Redis server and what watches over it.
type Host struct {
	Name  string
	Redis *Redis
	// Front is where others reach the Redis server.
	Front string

	log   string
	guard atomic.Pointer[cluster.Process] // its Sentinel or its agent; set by the test's goroutine
	start func() (*cluster.Process, error)
}

// KillGuard ends its Sentinel or agent by SIGKILL.
func (h *Host) KillGuard() { h.guard.Load().Kill() }

// PauseGuard stops its Sentinel or agent by SIGSTOP, ResumeGuard lets it go on.
func (h *Host) PauseGuard() { h.guard.Load().Signal(syscall.SIGSTOP) }

// ResumeGuard takes PauseGuard back.
func (h *Host) ResumeGuard() { h.guard.Load().Signal(syscall.SIGCONT) }

// System is what makes one of three Redis servers the master, and tells clients.
type System interface {
	Name() string
	// Master is the host that clients are sent to; "" when there is none.
	Master() string
	// Client follows the master over at most one connection, made with dial.
	Client(dial func(ctx context.Context, network, addr string) (net.Conn, error)) (*redis.Client, error)
	// Switch asks for another master, and does not wait for it.
	Switch() error
	// Whole tells whether all is as at the beginning: a master that all agree on,
	// and nothing thought to be down.
	Whole() (bool, string)
}

// Group is three hosts and a system.
type Group struct {
	t     cluster.TB
	Net   *Net
	Hosts []*Host
	System
	// Store is doozer's; nil with another system.
	Store *Store
}

// newHosts lays out three hosts. Their servers have not been started, so that
// their configuration can be added to.
func newHosts(t cluster.TB, n *Net, conf ...string) []*Host {
	t.Helper()
	var hosts []*Host
	for _, name := range []string{"a", "b", "c"} {
		r := NewRedis(t, n.ports, name)
		front, err := n.Front(name, r.Addr)
		if err != nil {
			t.Fatalf("%v", err)
		}
		host, port, _ := strings.Cut(front, ":")
		r.conf = append([]string{"replica-announce-ip " + host, "replica-announce-port " + port}, conf...)
		n.Own(name, r.pid)
		h := &Host{Name: name, Redis: r, Front: front}
		n.Own(name, func() int { return h.guard.Load().Pid() })
		t.Cleanup(func() {
			if p := h.guard.Load(); p != nil {
				p.Kill()
			}
			if t.Failed() && h.log != "" {
				t.Logf("the guard of %s, end of its log:\n%s", name, cluster.Tail(h.log, 40))
			}
		})
		hosts = append(hosts, h)
	}
	return hosts
}

// Host is the one of that name; nil if there is none.
func (g *Group) Host(name string) *Host {
	i := slices.IndexFunc(g.Hosts, func(h *Host) bool { return h.Name == name })
	if i < 0 {
		return nil
	}
	return g.Hosts[i]
}

// at is the name of the host with that front.
func at(hosts []*Host, front string) string {
	for _, h := range hosts {
		if h.Front == front {
			return h.Name
		}
	}
	return ""
}

// Cut cuts a host off from all others, and from clients; Heal takes it back.
func (g *Group) Cut(h *Host) { g.Net.Cut(h.Name, append(g.others(h), Outside)...) }

// Heal takes Cut back.
func (g *Group) Heal(h *Host) { g.Net.Heal(h.Name, append(g.others(h), Outside)...) }

// CutStore cuts a host off from the store alone.
func (g *Group) CutStore(h *Host) { g.Net.Cut(h.Name, g.Store.Hosts()...) }

func (g *Group) others(h *Host) []string {
	var all []string
	for _, o := range g.Hosts {
		if o != h {
			all = append(all, o.Name)
		}
	}
	if g.Store != nil {
		all = append(all, g.Store.Hosts()...)
	}
	return all
}

// StartRedis starts the Redis of a host that does not run.
func (g *Group) StartRedis(h *Host) {
	g.t.Helper()
	if !h.Redis.Running() {
		h.Redis.Start()
	}
}

// StartGuard starts the guard of a host if it does not run.
func (g *Group) StartGuard(h *Host) {
	g.t.Helper()
	if h.guard.Load().Pid() > 0 {
		return
	}
	p, err := h.start()
	if err != nil {
		g.t.Fatalf("%v", err)
	}
	h.guard.Store(p)
}

// Settle waits until the group is whole: one master, two replicas that have its
// every byte, and a system that knows it.
func (g *Group) Settle() {
	g.t.Helper()
	first := true
	cluster.Eventually(g.t, settleLimit, "the group is whole", func() (bool, string) {
		if !first {
			time.Sleep(settleEvery)
		}
		first = false
		for _, h := range g.Hosts {
			// As a service manager does: an agent kills a Redis that hangs, as one may on a
			// busy machine, and an agent that is started while the session of the one
			// before lives may end again.
			g.StartRedis(h)
			g.StartGuard(h)
		}
		m := g.Host(g.Master())
		if m == nil {
			return false, "there is no master"
		}
		return g.follow(m)
	})
}

const (
	settleLimit = 3 * time.Minute
	// settleEvery is the pause between two looks, each of which asks all processes.
	settleEvery = 40 * time.Millisecond
)

// follow tells whether m is the master of the other two and all agree.
func (g *Group) follow(m *Host) (bool, string) {
	ask := func(h *Host) map[string]string {
		s, err := h.Redis.Try("INFO", "replication")
		if err != nil {
			return map[string]string{"error": err.Error()}
		}
		return Fields(s)
	}
	its := ask(m)
	if its["role"] != "master" {
		return false, m.Name + ", the master: " + its["role"] + its["error"]
	}
	acknowledged := 0
	for i := 0; its[fmt.Sprint("slave", i)] != ""; i++ {
		s := its[fmt.Sprint("slave", i)]
		if !strings.Contains(s, "state=online") {
			return false, "a replica of " + m.Name + ": " + s
		}
		if !strings.Contains(s, ",offset=0,") { // as of gates, for ever
			acknowledged++
		}
	}
	// One that was given a whole copy is online before it is sent anything: that
	// takes its first acknowledgement.
	if want := len(g.Hosts) - 1; acknowledged < want {
		return false, fmt.Sprintf("%d of %d replicas of %s have acknowledged anything", acknowledged, want, m.Name)
	}
	for _, h := range g.Hosts {
		if h == m {
			continue
		}
		i := ask(h)
		host, port, _ := strings.Cut(m.Front, ":")
		if i["role"] != "slave" || i["master_host"] != host || i["master_port"] != port || i["master_link_status"] != "up" {
			return false, h.Name + ": " + i["role"] + " of " + i["master_port"] + " " + i["master_link_status"] + i["error"] + ", the master is " + m.Name + " " + m.Front
		}
		if i["master_repl_offset"] != its["master_repl_offset"] {
			return false, h.Name + " is at " + i["master_repl_offset"] + " of " + its["master_repl_offset"]
		}
	}
	return g.Whole()
}

// fullSyncs is how many whole copies each running server has sent, by its process.
func (g *Group) fullSyncs() map[int]int64 {
	sent := map[int]int64{}
	for _, h := range g.Hosts {
		if s, err := h.Redis.Try("INFO", "stats"); err == nil {
			sent[h.Redis.pid()] = atoi(Fields(s)["sync_full"])
		}
	}
	return sent
}

// tilts is how often Sentinels have said that they are in TILT mode.
func (g *Group) tilts() (n int) {
	for _, h := range g.Hosts {
		if b, err := os.ReadFile(h.log); err == nil {
			n += strings.Count(string(b), "+tilt")
		}
	}
	return n
}

// failovers is how many failovers doozer has on record.
func (g *Group) failovers() int {
	if a, ok := g.System.(*agents); ok {
		return len(a.follow.View().History)
	}
	return 0
}
