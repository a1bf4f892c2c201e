package web

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/doozer-store/doozer/client/failover"
)

// Config says what is told. The zero value of a field but Source and Self means
// its default.
type Config struct {
	// Source is what is answered from.
	Source failover.ViewSource
	// Self is the node beside which this is.
	Self string
	// Lag is how far the replica of this node is behind at present; not ok if that
	// is not known. nil: what the view says.
	Lag func() (bytes int64, age time.Duration, ok bool)
	// Metrics are what else there is to collect; nil for nothing.
	Metrics prometheus.Gatherer
	// Logger is told of errors of connections; nil discards it.
	Logger *slog.Logger
}

// Answer is the body of an answer.
type Answer struct {
	OK    bool   `json:"ok"`
	Why   string `json:"why,omitempty"`
	Group string `json:"group"`
	Node  string `json:"node"`
	// Role is that of this Redis, Link its link to its master.
	Role string `json:"role"`
	Link string `json:"link,omitempty"`
	// LagBytes and LagMs are those of a replica; -1: not known.
	LagBytes int64 `json:"lag_bytes"`
	LagMs    int64 `json:"lag_ms"`
	// State, Master and Addr are the group's.
	State  string `json:"state"`
	Master string `json:"master,omitempty"`
	Addr   string `json:"addr,omitempty"`
	Epoch  int64  `json:"epoch"`
	Paused bool   `json:"paused,omitempty"`
	Fresh  bool   `json:"fresh"`
}

// NewServer makes a server of Handler with the limits that a port in the open
// needs.
func NewServer(cfg Config) *http.Server {
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &http.Server{
		Handler:           Handler(cfg),
		ReadHeaderTimeout: headerTimeout, ReadTimeout: headerTimeout, WriteTimeout: answerTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeader,
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// Handler answers the paths of doc.go.
func Handler(cfg Config) http.Handler {
	mux := http.NewServeMux()
	check := func(path string, test func(*state, limit) string) {
		mux.HandleFunc(path, func(w http.ResponseWriter, req *http.Request) { cfg.answer(w, req, test) })
	}
	check("/primary", (*state).primary)
	check("/replica", (*state).replica)
	check("/read", (*state).read)
	check("/health", (*state).health)
	registry := prometheus.NewRegistry()
	registry.MustRegister(&collector{&cfg})
	gather := prometheus.Gatherers{registry}
	if cfg.Metrics != nil {
		gather = append(gather, cfg.Metrics)
	}
	mux.Handle("/metrics", promhttp.HandlerFor(gather, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: answerTimeout}))
	return mux
}

// answer is one check; test returns why not.
func (cfg *Config) answer(w http.ResponseWriter, req *http.Request, test func(*state, limit) string) {
	switch req.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
	default:
		w.Header().Set("Allow", "GET, HEAD, OPTIONS")
		http.Error(w, "GET, HEAD or OPTIONS", http.StatusMethodNotAllowed)
		return
	}
	most, err := parseLimit(req.URL.Query().Get("lag"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s := cfg.state()
	s.Why = test(s, most)
	s.OK = s.Why == ""
	status := http.StatusOK
	if !s.OK {
		status = http.StatusServiceUnavailable
	}
	body, err := json.Marshal(s.Answer)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	body = append(body, '\n')
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if req.Method != http.MethodHead {
		w.Write(body)
	}
}

// state is what is known at the time of a request.
type state struct {
	Answer
	alive bool
}

func (cfg *Config) state() *state {
	v := cfg.Source.View()
	s := &state{Answer: Answer{
		Group: v.Group, Node: cfg.Self, LagBytes: -1, LagMs: -1,
		State: string(v.Register.State), Epoch: v.Epoch, Paused: v.Conf.Paused, Fresh: v.Fresh,
	}}
	if v.Register.Writable() {
		s.Master, s.Addr = v.Register.Node, v.Register.Addr
	}
	n, _ := v.Node(cfg.Self)
	s.Role, s.Link, s.alive = n.Stat.Role, n.Stat.Link, n.Alive
	if s.Role != failover.RoleReplica {
		return s
	}
	if cfg.Lag != nil {
		if bytes, age, ok := cfg.Lag(); ok {
			s.LagBytes, s.LagMs = bytes, age.Milliseconds()
		}
		return s
	}
	s.LagMs = n.Stat.LagMs
	if m, ok := v.Node(s.Master); ok {
		s.LagBytes = max(m.Stat.Offset-n.Stat.Offset, 0)
	}
	return s
}

const stale = "the store has not answered for too long"

func (s *state) primary(limit) string {
	switch {
	case !s.Fresh:
		return stale
	case s.Master == "":
		return "the group has no master: " + s.State
	case s.Master != s.Node:
		return "the master is " + s.Master
	case s.Role != failover.RoleMaster:
		return "this Redis is no master: " + s.Role
	}
	return ""
}

func (s *state) replica(most limit) string {
	switch {
	case !s.Fresh:
		return stale
	case !s.alive:
		return "the session of this agent has ended"
	case s.Role != failover.RoleReplica:
		return "this Redis is no replica: " + s.Role
	case s.Link != "up":
		return "the link to the master is " + s.Link
	}
	return most.exceeded(s)
}

func (s *state) read(most limit) string {
	if s.primary(limit{}) == "" {
		return ""
	}
	return s.replica(most)
}

func (s *state) health(limit) string {
	switch {
	case !s.Fresh:
		return stale
	case !s.alive:
		return "the session of this agent has ended"
	case s.Role == "" || s.Role == failover.RoleDown:
		return "this Redis is down"
	}
	return ""
}

// limit is the most that a replica may lack; the zero value is none.
type limit struct {
	given bool
	bytes int64 // -1: not limited in bytes
	age   time.Duration
}

var units = []struct {
	suffix string
	factor int64
}{{"kb", 1 << 10}, {"mb", 1 << 20}, {"gb", 1 << 30}, {"kib", 1 << 10}, {"mib", 1 << 20}, {"gib", 1 << 30}, {"b", 1}, {"", 1}}

// parseLimit reads LIMIT. A number alone is bytes; units of bytes are powers of
// 1024, as in redis.conf.
func parseLimit(s string) (limit, error) {
	if s == "" {
		return limit{}, nil
	}
	for _, u := range units {
		digits, ok := strings.CutSuffix(strings.ToLower(s), u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(digits, 10, 64)
		if err == nil && n >= 0 && n <= (1<<62)/u.factor {
			return limit{given: true, bytes: n * u.factor}, nil
		}
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return limit{given: true, bytes: -1, age: d}, nil
	}
	return limit{}, fmt.Errorf("lag=%.40q: it is bytes (1000, 10kB, 5MB, 1GB) or a time (500ms, 2s)", s)
}

// exceeded says why the lag is too much, or nothing.
func (l limit) exceeded(s *state) string {
	switch {
	case !l.given:
		return ""
	case l.bytes >= 0 && s.LagBytes < 0, l.bytes < 0 && s.LagMs < 0:
		return "the lag is not known"
	case l.bytes >= 0 && s.LagBytes > l.bytes:
		return fmt.Sprintf("it lacks %d bytes", s.LagBytes)
	case l.bytes < 0 && s.LagMs > l.age.Milliseconds():
		return fmt.Sprintf("it lags %d ms", s.LagMs)
	}
	return ""
}
