package agent

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/doozer-store/doozer/client/failover"
)

// A gate that was attached ahead and is too old is not used, and Redis takes no writes
// before another one is attached: min-replicas-to-write comes after that.
func TestGateIsAttachedFirst(t *testing.T) {
	t.Parallel()
	const n = 3
	var old atomic.Int64 // connections that were attached ahead
	g := newGroupWith(t, n, nil, func(nd *node) {
		nd.cfg.Step = func(act failover.Action) error {
			if r := nd.agent.ready; r != nil && act.Kind == failover.OpenGate {
				<-r.done
				if r.gate != nil {
					old.Store(n)
				}
				nd.until("what is ready is too old", func() bool { return time.Since(r.at) > readyFor })
			}
			return nil
		}
	}, "slowlog-log-slower-than 0", "slowlog-max-len 100000")
	m, _ := g.master(0)
	attached := int64(0)
	gates := map[string]bool{} // connections that are of no replica
	for _, l := range slowlog(t, m.redis.Addr) {
		switch line := strings.ToLower(strings.Join(l.Args, " ")); {
		case line == "replconf listening-port 0":
			gates[l.ClientAddr] = true
		case strings.HasPrefix(line, "psync ") && gates[l.ClientAddr] && l.Args[1] != "?": // that makes a backlog
			attached++
		case strings.HasPrefix(line, "config set min-replicas-to-write 3"):
			if want := old.Load() + n; attached < want {
				t.Errorf("%q after %d connections were attached, %d of them too old; want %d", line, attached, old.Load(), want)
			}
			return
		}
	}
	t.Error("min-replicas-to-write was not set")
}

// slowlog is what Redis was told, oldest first.
func slowlog(t *testing.T, addr string) []redis.SlowLog {
	t.Helper()
	cl := redis.NewClient(&redis.Options{Addr: addr})
	defer cl.Close()
	log, err := cl.SlowLogGet(context.Background(), -1).Result()
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(log)
	return log
}
