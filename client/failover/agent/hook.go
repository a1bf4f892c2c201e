package agent

import (
	"context"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"

	"github.com/doozer-store/doozer/client/failover"
)

// hook runs the operator's command when the master changes, one at a time; of
// changes that come while it runs only the last is told.
type hook struct {
	a     *Agent
	woken chan struct{}

	mu   sync.Mutex // guards what follows
	next *failover.View
	last string // node and epoch of the master that was told
}

func newHook(a *Agent) *hook { return &hook{a: a, woken: make(chan struct{}, 1)} }

// see is told of each view.
func (h *hook) see(v *failover.View) {
	if len(h.a.cfg.OnChange) == 0 || v.Epoch == 0 {
		return
	}
	key := string(v.Register.State) + " " + v.Register.Node
	h.mu.Lock()
	news := key != h.last
	if news {
		h.last = key
		told := *v // the loop goes on with its own
		h.next = &told
	}
	h.mu.Unlock()
	if news {
		select {
		case h.woken <- struct{}{}:
		default:
		}
	}
}

func (h *hook) run(ctx context.Context) {
	for {
		select {
		case <-h.woken:
		case <-ctx.Done():
			return
		}
		h.mu.Lock()
		v := h.next
		h.next = nil
		h.mu.Unlock()
		if v != nil {
			h.call(ctx, v)
		}
	}
}

func (h *hook) call(ctx context.Context, v *failover.View) {
	ctx, cancel := context.WithTimeout(ctx, hookLimit)
	defer cancel()
	argv := h.a.cfg.OnChange
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	role := "replica"
	if v.Register.Node == h.a.cfg.Name {
		role = "master"
	}
	r := &v.Register
	cmd.Env = append(os.Environ(),
		"DOOZER_REDIS_GROUP="+v.Group, "DOOZER_REDIS_NODE="+h.a.cfg.Name, "DOOZER_REDIS_ROLE="+role,
		"DOOZER_REDIS_STATE="+string(r.State), "DOOZER_REDIS_EPOCH="+strconv.FormatInt(v.Epoch, 10),
		"DOOZER_REDIS_MASTER="+r.Node, "DOOZER_REDIS_ADDR="+r.Addr, "DOOZER_REDIS_PREV="+r.Prev, "DOOZER_REDIS_WHY="+r.Why)
	if out, err := cmd.CombinedOutput(); err != nil {
		h.a.log.Warn("the hook failed", "command", argv[0], "error", err, "output", string(out[:min(len(out), 1000)]))
	}
}
