package sentinel

import (
	"crypto/sha1"
	"encoding/hex"
	"strconv"

	"github.com/doozer-store/doozer/client/failover"
)

// field is a property of an instance, as SENTINEL tells them.
type field struct{ name, value string }

// fields appends the properties of one instance.
func (p *reply) fields(list []field) {
	p.pairs(len(list))
	for _, f := range list {
		p.bulk(f.name)
		p.bulk(f.value)
	}
}

// sentinelID is what stands for a Sentinel's run id: 40 digits that are the same
// after a restart.
func sentinelID(group, node string) string {
	sum := sha1.Sum([]byte("doozer sentinel " + group + "/" + node))
	return hex.EncodeToString(sum[:])
}

// down tells whether a Redis is not to be used: it does not run, or nobody
// answers for it.
func down(n failover.NodeView) bool { return !n.Alive || n.Stat.Role == failover.RoleDown }

// replicasOf are the nodes beside the master, sentinelsOf those with a Sentinel
// beside self.
func replicasOf(v failover.View) (list []failover.NodeView) {
	node, _ := last(v)
	for _, n := range v.Nodes {
		if n.Addr != "" && n.Name != node {
			list = append(list, n)
		}
	}
	return list
}

func sentinelsOf(v failover.View, self string) (list []failover.NodeView) {
	for _, n := range v.Nodes {
		if n.Agent != "" && n.Name != self {
			list = append(list, n)
		}
	}
	return list
}

// instance are the properties that all have. What the store does not know, like
// times of pings, is zero: the freshness of the view stands for them.
func instance(name, addr, runID, flags string) []field {
	host, port := split(addr)
	return []field{
		{"name", name}, {"ip", host}, {"port", port}, {"runid", runID}, {"flags", flags},
		{"link-pending-commands", "0"}, {"link-refcount", "1"}, {"last-ping-sent", "0"},
		{"last-ok-ping-reply", "0"}, {"last-ping-reply", "0"},
	}
}

func masterFields(v failover.View) []field {
	node, addr := last(v)
	n, _ := v.Node(node)
	flags := "master"
	if _, ok := master(v); !ok {
		flags = "s_down,o_down,master,failover_in_progress"
	}
	ttl := strconv.FormatInt(v.Conf.TTLms, 10)
	return append(instance(v.Group, addr, n.Stat.RunID, flags),
		field{"down-after-milliseconds", ttl}, field{"info-refresh", "0"},
		field{"role-reported", "master"}, field{"role-reported-time", "0"},
		field{"config-epoch", strconv.FormatInt(v.Epoch, 10)},
		field{"num-slaves", strconv.Itoa(len(replicasOf(v)))},
		field{"num-other-sentinels", strconv.Itoa(max(len(sentinelsOf(v, ""))-1, 0))},
		field{"quorum", strconv.Itoa(v.Conf.Nodes/2 + 1)},
		field{"failover-timeout", ttl}, field{"parallel-syncs", "1"})
}

func replicaFields(v failover.View, n failover.NodeView) []field {
	flags, link := "slave", "ok"
	if down(n) {
		flags = "s_down,slave"
	}
	if !n.Alive {
		flags += ",disconnected"
	}
	if n.Stat.Link != "up" {
		link = "err"
	}
	_, addr := last(v)
	host, port := split(addr)
	return append(instance(n.Addr, n.Addr, n.Stat.RunID, flags),
		field{"down-after-milliseconds", strconv.FormatInt(v.Conf.TTLms, 10)}, field{"info-refresh", "0"},
		field{"role-reported", "slave"}, field{"role-reported-time", "0"},
		field{"master-link-down-time", "0"}, field{"master-link-status", link},
		field{"master-host", host}, field{"master-port", port},
		field{"slave-priority", strconv.Itoa(n.Priority)},
		field{"slave-repl-offset", strconv.FormatInt(n.Stat.Offset, 10)},
		field{"replica-announced", "1"})
}

func sentinelFields(v failover.View, n failover.NodeView) []field {
	flags := "sentinel"
	if !n.Alive {
		flags = "s_down,sentinel,disconnected"
	}
	id := sentinelID(v.Group, n.Name)
	return append(instance(id, n.Agent, id, flags),
		field{"down-after-milliseconds", strconv.FormatInt(v.Conf.TTLms, 10)},
		field{"last-hello-message", "0"}, field{"voted-leader", "?"}, field{"voted-leader-epoch", "0"})
}
