package server

import (
	"sync/atomic"
	"time"

	doozerpb "github.com/doozer-store/doozer/proto"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// codeCount is one more than the largest doozerpb.Code.
const codeCount = int(doozerpb.Code_INTERNAL) + 1

// Metrics are a node's measurements, in a registry of their own. What is
// counted for every request is an atomic in an array, found without a lookup;
// what can be asked for is asked when the metrics are read. Safe for
// concurrent use.
type Metrics struct {
	registry *prometheus.Registry

	requests [verbs][codeCount]atomic.Uint64
	seconds  [verbs]prometheus.Observer
	inFlight atomic.Int64

	watchEvents atomic.Uint64
	watchLags   atomic.Uint64
	resyncs     atomic.Uint64
	leaders     atomic.Uint64
	lastLeader  atomic.Uint64

	sync, commit, apply prometheus.Histogram
	checkpoint          prometheus.Histogram
	syncBytes           prometheus.Counter
	checkpointFailures  atomic.Uint64
}

// NewMetrics returns Metrics that count from zero, with those of the process,
// among them when it started. Names end in their unit; buckets double, from
// what a good machine does to what no operator would put up with.
func NewMetrics() *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "doozer_request_seconds",
		Help:    "Seconds from a request's receipt to its response, by verb; streams are not in it.",
		Buckets: prometheus.ExponentialBuckets(0.0001, 2, 16),
	}, []string{"verb"})
	for v := range verbs {
		m.seconds[v] = seconds.WithLabelValues(v.String())
	}
	disk := prometheus.ExponentialBuckets(0.00005, 2, 18)
	m.sync = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "doozer_log_sync_seconds", Help: "Seconds that one write and fdatasync of the log took.", Buckets: disk,
	})
	m.syncBytes = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "doozer_log_bytes_total", Help: "Bytes written to the log.",
	})
	m.commit = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "doozer_commit_seconds", Help: "Seconds from making a log entry to its commit; on the leader.", Buckets: disk,
	})
	m.apply = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "doozer_apply_seconds", Help: "Seconds to apply the log entries that were committed together.", Buckets: prometheus.ExponentialBuckets(0.000002, 2, 18),
	})
	m.checkpoint = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "doozer_checkpoint_seconds", Help: "Seconds to make a checkpoint durable, failed ones too.", Buckets: prometheus.ExponentialBuckets(0.001, 2, 16),
	})
	m.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		seconds, m.sync, m.syncBytes, m.commit, m.apply, m.checkpoint, requestCollector{m},
		counter("doozer_checkpoint_failures_total", "Checkpoints that could not be made durable.", &m.checkpointFailures),
		counter("doozer_watch_events_total", "Events sent to watchers, once for each.", &m.watchEvents),
		counter("doozer_watch_lags_total", "Times a watcher's queue overflowed and it went on from the window.", &m.watchLags),
		counter("doozer_watch_resyncs_total", "Times a watcher fell out of the window and started over with a snapshot.", &m.resyncs),
		counter("doozer_leader_changes_total", "Times this node saw another leader than before.", &m.leaders),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "doozer_requests_in_flight", Help: "Requests received and not answered, and open streams."}, func() float64 {
			return float64(m.inFlight.Load())
		}),
	)
	return m
}

// Registry is where the metrics are read, and others may be added.
func (m *Metrics) Registry() *prometheus.Registry { return m.registry }

// ObserveSync notes one write and fdatasync of the log.
func (m *Metrics) ObserveSync(d time.Duration, bytes int) {
	m.sync.Observe(d.Seconds())
	m.syncBytes.Add(float64(bytes))
}

// ObserveCommit notes how long a proposal took to be committed.
func (m *Metrics) ObserveCommit(d time.Duration) { m.commit.Observe(d.Seconds()) }

// ObserveApply notes how long an entry took to be applied.
func (m *Metrics) ObserveApply(d time.Duration) { m.apply.Observe(d.Seconds()) }

// ObserveCheckpoint notes how long a checkpoint took, and whether it failed.
func (m *Metrics) ObserveCheckpoint(d time.Duration, err error) {
	m.checkpoint.Observe(d.Seconds())
	if err != nil {
		m.checkpointFailures.Add(1)
	}
}

// observe notes an answered request.
func (m *Metrics) observe(v verb, code doozerpb.Code, d time.Duration) {
	m.count(v, code)
	m.seconds[v].Observe(d.Seconds())
}

// count notes the end of a stream, whose duration says nothing.
func (m *Metrics) count(v verb, code doozerpb.Code) {
	if int(code) >= codeCount || code < 0 {
		code = doozerpb.Code_INTERNAL
	}
	m.requests[v][code].Add(1)
}

// sawLeader counts changes of leader; 0, no leader, is not one. It is called
// when a header is made and status asked, so that a leader that nobody saw in
// between is not counted.
func (m *Metrics) sawLeader(id uint64) {
	if id != 0 && m.lastLeader.Swap(id) != id {
		m.leaders.Add(1)
	}
}

func counter(name, help string, v *atomic.Uint64) prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(v.Load()) })
}

// requestCollector shows Metrics.requests: the pairs of verb and code that
// have happened.
type requestCollector struct{ m *Metrics }

func requestDesc() *prometheus.Desc {
	return prometheus.NewDesc("doozer_requests_total", "Answered requests, by verb and code.", []string{"verb", "code"}, nil)
}

func (c requestCollector) Describe(ch chan<- *prometheus.Desc) { ch <- requestDesc() }

func (c requestCollector) Collect(ch chan<- prometheus.Metric) {
	desc := requestDesc()
	for v := range verbs {
		for code := range codeCount {
			if n := c.m.requests[v][code].Load(); n > 0 {
				ch <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(n),
					v.String(), doozerpb.Code(code).String())
			}
		}
	}
}
