package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/client/failover"
)

// With failsafe set in the group's conf a master outlives an outage of the store:
// it may go on as long as the agents of all other nodes promise to take no part in
// an election. They are then all who could: an election of such a group needs the
// bids of all whose sessions live, and of more than half of all nodes.
//
// A promise is given for the epoch that both know, and holds for some time from
// when it is received, whatever the epoch; its asker counts from when it asked, and
// less. It needs no clocks that agree, only ones that run at the same speed.

// PromisePath is where an agent's HTTP answers the master's question.
const PromisePath = "/promise"

// promise is the question and the answer.
type promise struct {
	Group string `json:"group"`
	Epoch int64  `json:"epoch"`
	Node  string `json:"node"`
	// ForMs is how long it is to hold, in milliseconds.
	ForMs int64  `json:"for_ms"`
	OK    bool   `json:"ok"`
	Why   string `json:"why,omitempty"`
}

const (
	// maxPromise is the bytes of a question or an answer.
	maxPromise = 4 << 10
	// promiseLimit is how long a question may take.
	promiseLimit = 500 * time.Millisecond
)

// holder is what an agent has promised to the master. It is safe for use by many
// goroutines.
type holder struct {
	mu    sync.Mutex // guards what follows
	until time.Time
	// acting: the agent is doing what a promise would rule out. doubt is an epoch
	// in which it did, and does not know what became of it.
	acting bool
	doubt  int64
	// over: the agent has ended, and can keep no promise.
	over bool
}

// held tells whether a promise holds at present.
func (h *holder) held() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Now().Before(h.until)
}

// begin keeps the agent from promising anything until end; it fails when it has.
func (h *holder) begin() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.acting = !time.Now().Before(h.until)
	return h.acting
}

// end tells that what was begun in an epoch is over, and its outcome, which the
// view shows if it is nil.
func (h *holder) end(epoch int64, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.acting = false
	if err != nil && !errors.Is(err, client.ErrRevMismatch) {
		h.doubt = epoch
	}
}

// close ends the promising.
func (h *holder) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.over = true
}

// Promise answers the master of the group.
func (a *Agent) Promise() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method != http.MethodPost {
			w.Header().Set("Allow", "POST")
			http.Error(w, "POST", http.StatusMethodNotAllowed)
			return
		}
		var p promise
		if err := json.NewDecoder(io.LimitReader(req.Body, maxPromise)).Decode(&p); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		p.Why = a.promise(&p)
		p.OK = p.Why == ""
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(p)
	})
}

// promise gives the promise, or says why not.
func (a *Agent) promise(p *promise) string {
	a.hold.mu.Lock()
	defer a.hold.mu.Unlock()
	v := a.f.View()
	ttl := v.Conf.TTL()
	switch {
	case a.hold.over:
		return "the agent has ended"
	case p.Group != a.cfg.Group:
		return "another group"
	case !v.Conf.Failsafe:
		return "failsafe is off"
	case p.Epoch != v.Epoch || v.Register.State != failover.Running || v.Register.Node != p.Node:
		return fmt.Sprintf("epoch %d, %s %s", v.Epoch, v.Register.State, v.Register.Node)
	case !v.MasterAlive:
		return "its session has ended"
	case a.hold.acting, a.hold.doubt == p.Epoch:
		return "an election may have begun"
	}
	a.hold.until = time.Now().Add(min(time.Duration(p.ForMs)*time.Millisecond, ttl))
	return ""
}

// safe is the master's side: until when all others have promised.
type safe struct {
	a *Agent

	mu    sync.Mutex // guards what follows
	epoch int64
	until time.Time
}

// is tells whether the promises for an epoch hold.
func (s *safe) is(epoch int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.epoch == epoch && time.Now().Before(s.until)
}

// run asks while this node is a master whose group wants it.
func (s *safe) run(ctx context.Context) {
	web := &http.Client{Timeout: promiseLimit}
	defer web.CloseIdleConnections()
	for ctx.Err() == nil {
		v := s.a.f.View()
		ttl := v.Conf.TTL()
		if v.Conf.Failsafe && v.Register.State == failover.Running && v.Register.Node == s.a.cfg.Name {
			asked := time.Now()
			if err := s.ask(ctx, web, &v, ttl); err == nil {
				s.mu.Lock()
				s.epoch, s.until = v.Epoch, asked.Add(ttl-ttl/5)
				s.mu.Unlock()
			}
		}
		sleep(ctx, ttl/6)
	}
}

var errNoPromise = errors.New("not all other nodes promise")

// ask asks all other nodes, at once. A group without others has no promises: its
// master would go on by itself, whatever the store knows.
func (s *safe) ask(ctx context.Context, web *http.Client, v *failover.View, ttl time.Duration) error {
	n := 0
	answers := make(chan error, len(v.Nodes))
	for i := range v.Nodes {
		if v.Nodes[i].Name == s.a.cfg.Name {
			continue
		}
		n++
		go func() { answers <- askOne(ctx, web, v.Nodes[i].Web, v, ttl) }() // ends with promiseLimit
	}
	var err error
	if n == 0 || n < v.Conf.Nodes-1 {
		err = errNoPromise
	}
	for range n {
		err = errors.Join(err, <-answers)
	}
	return err
}

func askOne(ctx context.Context, web *http.Client, addr string, v *failover.View, ttl time.Duration) error {
	if addr == "" {
		return fmt.Errorf("%w: one has no --web", errNoPromise)
	}
	body, err := json.Marshal(promise{Group: v.Group, Epoch: v.Epoch, Node: v.Register.Node, ForMs: ttl.Milliseconds()})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+PromisePath, bytes.NewReader(body))
	if err != nil {
		return err
	}
	res, err := web.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	var p promise
	if err := json.NewDecoder(io.LimitReader(res.Body, maxPromise)).Decode(&p); err != nil {
		return err
	}
	if !p.OK {
		return fmt.Errorf("%w: %s", errNoPromise, p.Why)
	}
	return nil
}
