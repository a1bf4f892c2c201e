package web

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/doozer-store/doozer/client/failover"
)

// collector makes metrics of the view at the time of a scrape. Every agent tells
// of the whole group, so that a scrape of one shows it.
type collector struct{ cfg *Config }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("doozer_redis_"+name, help, append([]string{"group"}, labels...), nil)
}

// The metrics, by what they have labels of.
func groupDescs() (fresh, epoch, hasMaster, paused, failovers *prometheus.Desc) {
	return desc("view_fresh", "1: the store answered within the TTL of the sessions"),
		desc("epoch", "The rev of the register"),
		desc("has_master", "1: clients have a master to write to"),
		desc("paused", "1: the agents begin no failover"),
		desc("history_failovers", "Failovers and switches in the history that is kept")
}

func nodeDescs() (alive, role, offset, lag, link, gate, beat *prometheus.Desc) {
	return desc("node_alive", "1: the session of the node's agent lives", "node"),
		desc("node_role", "1 for the role that the Redis has", "node", "role"),
		desc("node_offset_bytes", "The replication offset that its agent last published", "node"),
		desc("node_lag_seconds", "How long ago a replica had heard of its master, as last published", "node"),
		desc("node_link_up", "1: the link of a replica to its master is up", "node"),
		desc("node_gate_open", "1: the agent lets its Redis take writes", "node"),
		desc("node_beat_age_seconds", "The time since the last beat of the session was heard of", "node")
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	prometheus.DescribeByCollect(c, ch)
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	v := c.cfg.Source.View()
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, append([]string{v.Group}, labels...)...)
	}
	fresh, epoch, hasMaster, paused, failovers := groupDescs()
	gauge(fresh, truth(v.Fresh))
	gauge(epoch, float64(v.Epoch))
	gauge(hasMaster, truth(v.Register.Writable()))
	gauge(paused, truth(v.Conf.Paused))
	gauge(failovers, float64(len(v.History)))
	alive, role, offset, lag, link, gate, beat := nodeDescs()
	for _, n := range v.Nodes {
		gauge(alive, truth(n.Alive), n.Name)
		for _, r := range []string{failover.RoleMaster, failover.RoleReplica, failover.RoleDown} {
			gauge(role, truth(n.Stat.Role == r), n.Name, r)
		}
		gauge(offset, float64(n.Stat.Offset), n.Name)
		gauge(gate, truth(n.Stat.Gate == "open"), n.Name)
		if n.Stat.Role == failover.RoleReplica {
			gauge(lag, float64(n.Stat.LagMs)/1000, n.Name)
			gauge(link, truth(n.Stat.Link == "up"), n.Name)
		}
		if !n.Beat.IsZero() {
			gauge(beat, max(time.Since(n.Beat), 0).Seconds(), n.Name)
		}
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
