package agent

import (
	"context"
	"sync"
	"time"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/client/failover"
	"github.com/doozer-store/doozer/client/session"
)

// stats writes what others are to know of the node, in the background and not at once:
// nothing waits for it, the writes of a failover go first, and of what changes meanwhile
// only the last is written.
type stats struct {
	a     *Agent
	woken chan struct{}

	mu      sync.Mutex // guards what follows
	want    failover.Stat
	session string
	wanted  bool
}

func newStats(a *Agent) *stats { return &stats{a: a, woken: make(chan struct{}, 1)} }

// put makes s what is to be written.
func (w *stats) put(s failover.Stat, session string) {
	w.mu.Lock()
	w.want, w.session, w.wanted = s, session, true
	w.mu.Unlock()
	select {
	case w.woken <- struct{}{}:
	default:
	}
}

func (w *stats) run(ctx context.Context) {
	for {
		select {
		case <-w.woken:
		case <-ctx.Done():
			return
		}
		sleep(ctx, statDelay)
		w.mu.Lock()
		s, id, wanted := w.want, w.session, w.wanted
		w.wanted = false
		w.mu.Unlock()
		v := w.a.f.View()
		n, ok := v.Node(w.a.cfg.Name)
		if !wanted || id == "" || ok && !differs(&s, &n.Stat, v.Conf.MaxLagBytes) {
			continue // it has been written since it was asked for
		}
		s.At = time.Now().UnixMilli()
		if err := w.write(ctx, s, id); err != nil && ctx.Err() == nil {
			w.a.log.Debug("the state was not written", "error", err)
			sleep(ctx, retryAfter)
			w.mu.Lock()
			if !w.wanted {
				w.want, w.session, w.wanted = s, id, true
			}
			w.mu.Unlock()
			select {
			case w.woken <- struct{}{}:
			default:
			}
		}
	}
}

// write is done only while the session lives: what an agent that was taken for
// dead has to say is old.
func (w *stats) write(ctx context.Context, s failover.Stat, id string) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	_, err := w.a.cfg.Store.Txn(ctx, client.Txn{
		If: []client.Cond{exists(session.PathOf(id))},
		Do: []client.Op{client.SetOp(w.a.paths.Stat(w.a.cfg.Name), s.Encode())},
	})
	return err
}

// publish shows how the node is, and has it written if that means something to
// others.
func (a *Agent) publish(note string) {
	v := a.f.View()
	s := failover.Stat{
		Role: failover.RoleDown, Offset: a.own.Offset, ReplID: a.own.ReplID, Link: a.own.Link, Gate: "closed",
		RunID: a.own.RunID, Epoch: v.Epoch, Note: note, LagMs: a.ownInfo.lag().Milliseconds(), At: time.Now().UnixMilli(),
	}
	switch {
	case !a.own.Up || a.own.Loading:
	case a.own.Master:
		s.Role = failover.RoleMaster
	default:
		s.Role = failover.RoleReplica
	}
	if a.gate != nil && a.gate.IsOpen() {
		s.Gate = "open"
	}
	a.mu.Lock()
	a.shown = s
	a.mu.Unlock()
	id, _ := a.live.now()
	n, ok := v.Node(a.cfg.Name)
	if !ok || id == "" {
		return
	}
	// What changes in a switch is over soon, and the register is to be written without
	// waiting for it.
	if told := n.Stat; v.Register.State != failover.Switching && differs(&s, &told, v.Conf.MaxLagBytes) {
		a.stats.put(s, id)
	}
}

// differs tells whether what was written has to be written again. An offset
// alone is worth it only where a limit is set on how far the others may be behind
// it.
func differs(s, told *failover.Stat, maxLag int64) bool {
	a, b := *s, *told
	moved := a.Offset - b.Offset
	a.Offset, b.Offset, a.At, b.At, a.LagMs, b.LagMs, a.Rev, b.Rev = 0, 0, 0, 0, 0, 0, 0, 0
	if a != b {
		return true
	}
	return maxLag > 0 && s.Role == failover.RoleMaster && moved > maxLag/8 && s.At-told.At >= statEvery.Milliseconds()
}

// Lag is how far the own Redis is behind its master at this moment: both are asked. bytes
// is -1 where the master does not tell; age is the time since it was heard of. It is not
// ok of one that is no replica of the group's master.
func (a *Agent) Lag() (bytes int64, age time.Duration, ok bool) {
	ctx, cancel := context.WithTimeout(context.Background(), lagLimit)
	defer cancel()
	v := a.f.View()
	own, err := a.redis.info(ctx, "replication")
	if err != nil || own["role"] != "slave" || !v.Register.Writable() || own.own().Source != v.Register.Addr {
		return 0, 0, false
	}
	t := a.redis.target
	t.Addr = v.Register.Addr
	master := newServer(t)
	defer master.close()
	its, err := master.info(ctx, "replication")
	if err != nil || its["master_replid"] != own["master_replid"] {
		return -1, own.lag(), true
	}
	return max(0, its.int("master_repl_offset")-own.int("master_repl_offset")), own.lag(), true
}
