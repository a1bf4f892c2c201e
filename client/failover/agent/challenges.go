package agent

import (
	"context"
	"os"
	"slices"
	"sync"

	"github.com/doozer-store/doozer/client/session"
)

// challenges are the sessions whose end this agent waits for, and brings about
// when it may. It belongs to the loop.
type challenges struct {
	ctx   context.Context
	store session.Store
	wg    *sync.WaitGroup
	stop  map[string]context.CancelFunc
}

func newChallenges(ctx context.Context, st session.Store, wg *sync.WaitGroup) *challenges {
	return &challenges{ctx: ctx, store: st, wg: wg, stop: make(map[string]context.CancelFunc)}
}

// set makes ids those that are waited for.
func (c *challenges) set(ids []string) {
	for id, stop := range c.stop {
		if !slices.Contains(ids, id) {
			stop()
			delete(c.stop, id)
		}
	}
	for _, id := range ids {
		if c.stop[id] != nil {
			continue
		}
		ctx, stop := context.WithCancel(c.ctx)
		c.stop[id] = stop
		// Its death is told by the view.
		c.wg.Go(func() { session.AwaitDeath(ctx, c.store, id) })
	}
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return name
}
