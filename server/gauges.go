package server

import "github.com/prometheus/client_golang/prometheus"

// queues is implemented by a Consensus that tells how many batches wait for
// its writer, its applier and its reader; consensus.Node is one.
type queues interface {
	QueueLengths() (writer, applier, reader int)
}

// sample is what the gauges of one scrape show: all of one moment.
type sample struct {
	Status
	MachineStats
	writer, applier, reader int
}

// gauges is the collector of what is asked of a server and its parts when the
// metrics are read: each is asked once.
type gauges struct {
	s     *Server
	descs []*prometheus.Desc
	read  []func(*sample) float64
}

// addServer adds what is asked of a server and its parts when read.
func (m *Metrics) addServer(s *Server) {
	g := &gauges{s: s}
	g.addConsensus()
	g.addState()
	m.registry.MustRegister(g)
}

// add adds a gauge, with a fixed label if a name and a value follow.
func (g *gauges) add(name, help string, read func(*sample) float64, labels ...string) {
	var fixed prometheus.Labels
	if len(labels) == 2 {
		fixed = prometheus.Labels{labels[0]: labels[1]}
	}
	g.descs = append(g.descs, prometheus.NewDesc(name, help, nil, fixed))
	g.read = append(g.read, read)
}

// addConsensus adds what Status says. Waiting tells of an overload before
// OVERLOADED does; a queue's length which part of the node is behind: the
// writer when the disk is slow, the applier when commands are dear.
func (g *gauges) addConsensus() {
	g.add("doozer_term", "Raft term.", func(s *sample) float64 { return float64(s.Term) })
	g.add("doozer_index_applied", "Last applied log index.", func(s *sample) float64 { return float64(s.Applied) })
	g.add("doozer_index_committed", "Last committed log index known.", func(s *sample) float64 { return float64(s.Commit) })
	g.add("doozer_index_last", "Last log index stored.", func(s *sample) float64 { return float64(s.Last) })
	g.add("doozer_index_checkpoint", "Log index of the last checkpoint.", func(s *sample) float64 { return float64(s.Checkpoint) })
	g.add("doozer_log_size_bytes", "Bytes of the log on disk.", func(s *sample) float64 { return float64(s.LogSize) })
	g.add("doozer_leader_age_seconds", "Seconds since this node heard from a leader; 0 on a leader that has a majority.", func(s *sample) float64 { return s.Age.Seconds() })
	g.add("doozer_is_leader", "1 on the leader, else 0.", func(s *sample) float64 { return oneIf(s.Leader != 0 && s.Leader == s.ID) })
	g.add("doozer_members", "Members of the cluster, this node too.", func(s *sample) float64 { return float64(len(s.Members)) })
	g.add("doozer_peers_connected", "Other members that this node has a connection to.", func(s *sample) float64 {
		n := 0
		for _, m := range s.Members {
			if m.Connected && m.ID != s.ID {
				n++
			}
		}
		return float64(n)
	})
	g.add("doozer_proposals_waiting", "Proposals without an answer.", func(s *sample) float64 { return float64(s.Waiting) })
	g.add("doozer_reads_waiting", "Questions to a majority without an answer, each for any number of reads.", func(s *sample) float64 { return float64(s.WaitingReads) })
	if _, ok := g.s.consensus.(queues); !ok {
		return
	}
	const help = "Batches that wait for a part of consensus."
	g.add("doozer_queue_batches", help, func(s *sample) float64 { return float64(s.writer) }, "queue", "writer")
	g.add("doozer_queue_batches", help, func(s *sample) float64 { return float64(s.applier) }, "queue", "applier")
	g.add("doozer_queue_batches", help, func(s *sample) float64 { return float64(s.reader) }, "queue", "reader")
}

// addState adds what Machine.Stats says: the sizes of all that grows with use,
// each of which has a bound in Limits or in the replicated settings.
func (g *gauges) addState() {
	g.add("doozer_rev", "Applied rev.", func(s *sample) float64 { return float64(s.Rev) })
	g.add("doozer_rev_oldest", "Oldest rev that can be read.", func(s *sample) float64 { return float64(s.Oldest) })
	g.add("doozer_files", "Files.", func(s *sample) float64 { return float64(s.Files) })
	g.add("doozer_history_bytes", "Bytes of history in the window, values and what they cost to hold.", func(s *sample) float64 { return float64(s.HistoryBytes) })
	g.add("doozer_clients", "Clients whose results are remembered.", func(s *sample) float64 { return float64(s.Clients) })
	g.add("doozer_db_size_bytes", "Bytes of the checkpoint database on disk.", func(s *sample) float64 { return float64(s.DBSize) })
	g.add("doozer_watchers", "Watches.", func(s *sample) float64 { return float64(s.Watchers) })
	g.add("doozer_watch_queue_bytes", "Bytes in the queues of all watchers, an event counted in each.", func(s *sample) float64 { return float64(s.WatchBytes) })
	g.add("doozer_rev_waiters", "Requests that wait for a rev in the future.", func(s *sample) float64 { return float64(s.RevWaiters) })
	g.add("doozer_quarantined", "1 when the node's state differs from its peers', else 0.", func(s *sample) float64 { return oneIf(s.Quarantined != "") })
	g.add("doozer_start_time_seconds", "When the server was made, seconds since 1970.", func(*sample) float64 { return float64(g.s.started.UnixNano()) / 1e9 })
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// Describe implements prometheus.Collector.
func (g *gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range g.descs {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (g *gauges) Collect(ch chan<- prometheus.Metric) {
	s := sample{Status: g.s.consensus.Status(), MachineStats: g.s.machine.Stats()}
	if q, ok := g.s.consensus.(queues); ok {
		s.writer, s.applier, s.reader = q.QueueLengths()
	}
	for i, d := range g.descs {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, g.read[i](&s))
	}
}
