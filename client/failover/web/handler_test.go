package web

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/doozer-store/doozer/client/failover"
	"github.com/doozer-store/doozer/client/failover/viewtest"
)

// ask returns status and body of a check.
func ask(t *testing.T, h http.Handler, method, url string) (int, Answer) {
	t.Helper()
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest(method, url, nil))
	var a Answer
	if rec.Code == http.StatusOK || rec.Code == http.StatusServiceUnavailable {
		if method == http.MethodHead {
			if rec.Body.Len() != 0 {
				t.Errorf("%s %s: a body %q", method, url, rec.Body)
			}
			return rec.Code, a
		}
		if err := json.Unmarshal(rec.Body.Bytes(), &a); err != nil || a.OK != (rec.Code == http.StatusOK) || a.OK == (a.Why != "") {
			t.Errorf("%s %s: status %d, %v, body %s", method, url, rec.Code, err, rec.Body)
		}
		if rec.Header().Get("Content-Type") != "application/json" || rec.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s %s: headers %v", method, url, rec.Header())
		}
	}
	return rec.Code, a
}

// Who is told 200, in which state. m is the master's agent, r a replica's.
func TestChecks(t *testing.T) {
	type change = func(*failover.View)
	both := func(fns ...change) change {
		return func(v *failover.View) {
			for _, fn := range fns {
				fn(v)
			}
		}
	}
	stale := func(v *failover.View) { v.Fresh = false }
	electing := func(v *failover.View) { v.Register = failover.Register{State: failover.Electing, Prev: "n1"} }
	switching := func(v *failover.View) { v.Register.State = failover.Switching }
	turned := func(v *failover.View) { v.Nodes[0].Stat.Role = failover.RoleReplica }
	down := func(v *failover.View) { v.Nodes[1].Stat.Role = failover.RoleDown }
	dead := func(v *failover.View) { v.Nodes[1].Alive = false }
	unlinked := func(v *failover.View) { v.Nodes[1].Stat.Link = "down" }
	behind := func(v *failover.View) {
		v.Nodes[0].Stat.Offset, v.Nodes[1].Stat.Offset, v.Nodes[1].Stat.LagMs = 5000, 3000, 700
	}
	const timely = "/replica /replica?lag=1s /replica?lag=600ms /read /health"
	const replica = timely + " /replica?lag=2000"
	tests := []struct {
		name   string
		change change
		self   string
		yes    string // the checks that are 200
	}{
		{"the master", both(), "n1", "/primary /read /health"},
		{"a replica", both(), "n2", replica},
		{"the master, stale", stale, "n1", ""},
		{"a replica, stale", stale, "n2", ""},
		{"the old master in an election", electing, "n1", "/health"},
		{"a replica in an election", electing, "n2", timely},
		{"the master that hands over", switching, "n1", "/primary /read /health"},
		{"a master that is turned already", turned, "n1", replica},
		{"a Redis that is down", down, "n2", ""},
		{"an agent without session", dead, "n2", ""},
		{"a replica without link", unlinked, "n2", "/health"},
		{"a replica that is behind", behind, "n2", "/replica /replica?lag=2000 /replica?lag=1s /read /health"},
		{"one that is further behind", both(behind, func(v *failover.View) { v.Nodes[0].Stat.Offset++ }), "n2", "/replica /replica?lag=1s /read /health"},
		{"a node that is not in the view", both(), "n9", ""},
	}
	checks := []string{"/primary", "/replica", "/replica?lag=2000", "/replica?lag=1s", "/replica?lag=600ms", "/read", "/health"}
	for _, tt := range tests {
		src := viewtest.New("10.0.0.1:6379", "10.0.0.2:6379")
		src.Change(tt.change)
		h := Handler(Config{Source: src, Self: tt.self})
		for _, url := range checks {
			want := http.StatusServiceUnavailable
			if slices.Contains(strings.Fields(tt.yes), url) {
				want = http.StatusOK
			}
			for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
				got, a := ask(t, h, method, url)
				if got != want {
					t.Errorf("%s: %s %s is %d (%s), want %d", tt.name, method, url, got, a.Why, want)
				}
			}
		}
	}
}

func TestAnswer(t *testing.T) {
	src := viewtest.New("10.0.0.1:6379", "10.0.0.2:6379")
	src.Change(func(v *failover.View) { v.Nodes[0].Stat.Offset, v.Nodes[1].Stat.Offset = 50, 20 })
	rec := httptest.NewRecorder()
	Handler(Config{Source: src, Self: "n2"}).ServeHTTP(rec, httptest.NewRequest("GET", "/primary", nil))
	want := `{"ok":false,"why":"the master is n1","group":"g1","node":"n2","role":"replica","link":"up","lag_bytes":30,"lag_ms":0,"state":"running","master":"n1","addr":"10.0.0.1:6379","epoch":11,"fresh":true}` + "\n"
	if rec.Body.String() != want {
		t.Errorf("got  %s\nwant %s", rec.Body, want)
	}
	// What the agent knows is better than what it has published.
	h := Handler(Config{Source: src, Self: "n2", Lag: func() (int64, time.Duration, bool) { return 7, time.Second, true }})
	if code, a := ask(t, h, "GET", "/replica?lag=6"); code != 503 || a.LagBytes != 7 || a.LagMs != 1000 || a.Why != "it lacks 7 bytes" {
		t.Errorf("%d %+v", code, a)
	}
	if code, a := ask(t, h, "GET", "/replica?lag=900ms"); code != 503 || a.Why != "it lags 1000 ms" {
		t.Errorf("%d %+v", code, a)
	}
	h = Handler(Config{Source: src, Self: "n2", Lag: func() (int64, time.Duration, bool) { return 0, 0, false }})
	if code, a := ask(t, h, "GET", "/replica?lag=6"); code != 503 || a.Why != "the lag is not known" {
		t.Errorf("%d %+v", code, a)
	}
	if code, _ := ask(t, h, "GET", "/replica"); code != 200 {
		t.Errorf("without a limit: %d", code)
	}
}

func TestLimits(t *testing.T) {
	for s, want := range map[string]limit{
		"": {}, "0": {true, 0, 0}, "1000": {true, 1000, 0}, "10kB": {true, 10240, 0}, "5MB": {true, 5 << 20, 0}, "1gib": {true, 1 << 30, 0},
		"7b": {true, 7, 0}, "500ms": {true, -1, 500 * time.Millisecond}, "2s": {true, -1, 2 * time.Second}, "1m": {true, -1, time.Minute},
	} {
		if got, err := parseLimit(s); err != nil || got != want {
			t.Errorf("%q: %+v, %v", s, got, err)
		}
	}
	for _, s := range []string{"x", "-1", "-1s", "1.5MB", "99999999999GB", "99999999999999999999", "kB", " 1"} {
		if got, err := parseLimit(s); err == nil {
			t.Errorf("%q: %+v", s, got)
		}
	}
	h := Handler(Config{Source: viewtest.New("10.0.0.1:6379"), Self: "n1"})
	for request, want := range map[string]int{"GET /replica?lag=x": 400, "POST /primary": 405, "DELETE /health": 405, "GET /": 404, "GET /nothing": 404} {
		method, url, _ := strings.Cut(request, " ")
		if got, _ := ask(t, h, method, url); got != want {
			t.Errorf("%s is %d, want %d", request, got, want)
		}
	}
}

// The server over a socket, as HAProxy asks: HTTP/1.0, OPTIONS, nothing else. And
// what the agent adds to the metrics is there.
func TestServer(t *testing.T) {
	more := prometheus.NewRegistry()
	more.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "more"}, func() float64 { return 42 }))
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	src := viewtest.New("10.0.0.1:6379", "10.0.0.2:6379")
	src.Change(func(v *failover.View) { v.Nodes[1].Beat, v.Nodes[0].Stat.Gate = time.Now(), "open" })
	srv := NewServer(Config{Source: src, Self: "n1", Metrics: more})
	served := make(chan error, 1)
	go func() { served <- srv.Serve(lis) }()
	defer func() {
		srv.Close()
		if err := <-served; err != http.ErrServerClosed {
			t.Error(err)
		}
	}()
	talk := func(request string) string {
		nc, err := net.Dial("tcp", lis.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		nc.SetDeadline(time.Now().Add(time.Minute))
		io.WriteString(nc, request)
		got, err := io.ReadAll(nc)
		if err != nil {
			t.Fatal(err)
		}
		return string(got)
	}
	if got := talk("OPTIONS /primary HTTP/1.0\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.0 200 OK\r\n") {
		t.Errorf("got %q", got)
	}
	if got := talk("OPTIONS /replica HTTP/1.0\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.0 503 Service Unavailable\r\n") {
		t.Errorf("got %q", got)
	}
	metrics := talk("GET /metrics HTTP/1.0\r\n\r\n")
	for _, want := range []string{
		`doozer_redis_view_fresh{group="g1"} 1`, `doozer_redis_epoch{group="g1"} 11`, `doozer_redis_has_master{group="g1"} 1`,
		`doozer_redis_node_role{group="g1",node="n1",role="master"} 1`, `doozer_redis_node_role{group="g1",node="n2",role="master"} 0`,
		`doozer_redis_node_alive{group="g1",node="n2"} 1`, `doozer_redis_node_gate_open{group="g1",node="n1"} 1`,
		`doozer_redis_node_link_up{group="g1",node="n2"} 1`, `doozer_redis_node_beat_age_seconds{group="g1",node="n2"}`, "\nmore 42\n",
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s in the metrics", want)
		}
	}
	if t.Failed() {
		t.Log(metrics)
	}
}
