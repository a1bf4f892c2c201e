package server

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/doozer-store/doozer/consensus"
	doozerpb "github.com/doozer-store/doozer/proto"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
)

func TestNewWantsItsParts(t *testing.T) {
	if _, err := New(Config{}); err == nil {
		t.Error("a server of nothing")
	}
	if _, err := NewMachine(MachineConfig{}); err == nil {
		t.Error("a machine without a database")
	}
}

// Health follows the node's readiness.
func TestHealth(t *testing.T) {
	n := start(t, Limits{})
	st, err := healthpb.NewHealthClient(n.conn).Watch(background(t), &healthpb.HealthCheckRequest{Service: "doozer.v1.Doozer"})
	if err != nil {
		t.Fatal(err)
	}
	until := func(want healthpb.HealthCheckResponse_ServingStatus) {
		t.Helper()
		for {
			m, err := st.Recv()
			if err != nil {
				t.Fatal(err)
			}
			if m.Status == want {
				return
			}
		}
	}
	until(healthpb.HealthCheckResponse_SERVING)
	n.c.set(func(f *fakeConsensus) { f.status.Leader = 0 })
	until(healthpb.HealthCheckResponse_NOT_SERVING)
	n.c.set(func(f *fakeConsensus) { f.status.Leader = 2 })
	until(healthpb.HealthCheckResponse_SERVING)
	n.machine.SetQuarantine("test")
	until(healthpb.HealthCheckResponse_NOT_SERVING)
}

func TestReflection(t *testing.T) {
	n := start(t, Limits{})
	st, err := reflectionpb.NewServerReflectionClient(n.conn).ServerReflectionInfo(background(t))
	if err != nil {
		t.Fatal(err)
	}
	err = st.Send(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}})
	if err != nil {
		t.Fatal(err)
	}
	m, err := st.Recv()
	if err != nil || !strings.Contains(m.String(), "doozer.v1.Doozer") {
		t.Errorf("got %v, %v", m, err)
	}
}

func TestReady(t *testing.T) {
	n, ctx := start(t, Limits{}), background(t)
	if err := n.Ready(ctx); err != nil {
		t.Error(err)
	}
	n.c.set(func(f *fakeConsensus) { f.held = true })
	short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	if err := n.Ready(short); err == nil || !strings.Contains(err.Error(), "majority") {
		t.Errorf("without an answer: %v", err)
	}
	n.c.set(func(f *fakeConsensus) { f.fail = consensus.ErrDeadline })
	if err := n.Ready(ctx); err == nil {
		t.Error("ready without a majority")
	}
	n.c.set(func(f *fakeConsensus) { f.status.Leader = 0 })
	if err := n.Ready(ctx); err == nil || !strings.Contains(err.Error(), "no leader") {
		t.Errorf("without a leader: %v", err)
	}
}

func TestLive(t *testing.T) {
	n, ctx := start(t, Limits{}), background(t)
	if err := n.machine.Live(ctx); err != nil {
		t.Error(err)
	}
	n.machine.mu.Lock()
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	err := n.machine.Live(short)
	n.machine.mu.Unlock()
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with the state locked: %v", err)
	}
}

// Stop ends at once what waits for nothing, and may be called twice.
func TestStop(t *testing.T) {
	n, ctx := start(t, Limits{}), background(t)
	n.set(t, "/a", "")
	n.Stop(ctx)
	n.Stop(ctx)
	_, err := n.client.Get(ctx, &doozerpb.GetRequest{Path: "/a"})
	if status.Code(err) != codes.Unavailable {
		t.Errorf("after the stop: %v", err)
	}
	if n.Ready(ctx) == nil {
		t.Error("a stopped node is ready")
	}
}

// Stop with a call that does not end: it is cut off when ctx ends.
func TestStopCutsOff(t *testing.T) {
	n, ctx := start(t, Limits{}), background(t)
	n.c.set(func(f *fakeConsensus) { f.held = true })
	got := make(chan error, 1)
	go func() {
		_, err := n.client.Set(ctx, &doozerpb.SetRequest{Path: "/a"})
		got <- err
	}()
	wait(t, "the write", func() bool {
		n.c.mu.Lock()
		defer n.c.mu.Unlock()
		return len(n.c.pending) == 1
	})
	short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	n.Stop(short)
	if err := <-got; err == nil {
		t.Error("the write was answered")
	}
}

// A received message over the limit is refused, and a compressed one, which
// could be of any size, is not unpacked.
func TestMessageLimit(t *testing.T) {
	n, ctx := start(t, Limits{MaxMessage: 1000}), background(t)
	_, err := n.client.Set(ctx, &doozerpb.SetRequest{Path: "/a", Value: make([]byte, 2000)})
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("got %v", err)
	}
}

// metric returns the value of a metric with the given labels' values.
func metric(t *testing.T, r prometheus.Gatherer, name string, labels ...string) float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.Metric {
			if labelled(m, labels) {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	t.Errorf("no metric %s %v", name, labels)
	return 0
}

func labelled(m *dto.Metric, labels []string) bool {
	for _, want := range labels {
		found := false
		for _, l := range m.Label {
			found = found || l.GetValue() == want
		}
		if !found {
			return false
		}
	}
	return true
}

func TestMetrics(t *testing.T) {
	n, ctx := start(t, Limits{}), background(t)
	n.client.Set(ctx, &doozerpb.SetRequest{Path: "/a"})
	n.client.Get(ctx, &doozerpb.GetRequest{Path: "/none"})
	openDo(t, n).do(setReq(1, "/b", ""), setReq(2, "bad", ""), &doozerpb.Request{Tag: 3})
	d := runDirect(t, n, &doozerpb.WatchRequest{Glob: "/**", From: 1})
	for m := d.next(); m.Kind != doozerpb.WatchResponse_EVENTS; m = d.next() {
	}
	n.metrics.ObserveSync(time.Millisecond, 100)
	n.metrics.ObserveCommit(time.Millisecond)
	n.metrics.ObserveApply(time.Millisecond)
	n.metrics.ObserveCheckpoint(time.Millisecond, nil)
	n.metrics.ObserveCheckpoint(time.Millisecond, errors.New("the disk is full"))
	n.client.Register(ctx, &doozerpb.RegisterRequest{})
	n.c.set(func(f *fakeConsensus) {
		f.status.Leader = 2
		f.status.Members = []MemberStatus{{ID: 1, Connected: true}, {ID: 2, Connected: true}, {ID: 3}}
		f.status.Waiting, f.status.WaitingReads = 5, 6
	})
	n.status.p.Store(nil)
	n.header()
	r := n.metrics.Registry()
	for _, c := range []struct {
		name   string
		want   float64
		labels []string
	}{
		{"doozer_requests_total", 2, []string{"set", "OK"}},
		{"doozer_requests_total", 1, []string{"set", "BAD_PATH"}},
		{"doozer_requests_total", 1, []string{"get", "NOENT"}},
		{"doozer_requests_total", 1, []string{"do", "BAD_REQUEST"}},
		{"doozer_request_seconds", 3, []string{"set"}},
		{"doozer_watch_events_total", 2, nil},
		{"doozer_watchers", 1, nil},
		{"doozer_rev", 2, nil},
		{"doozer_files", 2, nil},
		{"doozer_term", 3, nil},
		{"doozer_is_leader", 0, nil},
		{"doozer_leader_changes_total", 2, nil},
		{"doozer_log_sync_seconds", 1, nil},
		{"doozer_log_bytes_total", 100, nil},
		{"doozer_commit_seconds", 1, nil},
		{"doozer_apply_seconds", 1, nil},
		{"doozer_quarantined", 0, nil},
		{"doozer_checkpoint_seconds", 2, nil},
		{"doozer_checkpoint_failures_total", 1, nil},
		{"doozer_members", 3, nil},
		{"doozer_peers_connected", 1, nil},
		{"doozer_proposals_waiting", 5, nil},
		{"doozer_reads_waiting", 6, nil},
		{"doozer_queue_batches", 1, []string{"writer"}},
		{"doozer_queue_batches", 2, []string{"applier"}},
		{"doozer_queue_batches", 3, []string{"reader"}},
		{"doozer_clients", 1, nil},
		{"doozer_rev_oldest", 0, nil},
	} {
		if got := metric(t, r, c.name, c.labels...); got != c.want {
			t.Errorf("%s %v is %v, want %v", c.name, c.labels, got, c.want)
		}
	}
	if metric(t, r, "doozer_db_size_bytes") == 0 || metric(t, r, "doozer_history_bytes") == 0 || metric(t, r, "doozer_start_time_seconds") < 1e9 || metric(t, r, "go_goroutines") == 0 {
		t.Error("the database or the process is not measured")
	}
}

func TestLimitsDefaults(t *testing.T) {
	l := Limits{MaxValue: 5}.orDefault()
	if l.MaxValue != 5 || l.MaxCommand == 0 || l.MinPing == 0 {
		t.Errorf("%+v", l)
	}
	if l.timeout(0) != l.DefaultTimeout || l.timeout(7) != 7*time.Millisecond || l.timeout(1<<31) != l.MaxTimeout {
		t.Error("timeouts")
	}
}
