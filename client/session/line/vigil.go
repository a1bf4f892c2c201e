package line

import (
	"context"
	"sync"
	"time"

	"github.com/doozer-store/doozer/client/session"
)

// vigils are the sessions whose deaths a place has to notice. They outlast the
// single wait: patience with several that died together runs for all of them at
// once. They belong to the goroutine of Enter.
type vigils struct {
	st session.Store
	// died has the ids of sessions that have ended.
	died chan string
	of   map[string]context.CancelFunc
	wg   sync.WaitGroup
}

// vigilAfter is how long a place waits before it asks whether those ahead are
// alive. Most locks pass on sooner, and nobody has to be asked.
const vigilAfter = 100 * time.Millisecond

func newVigils(st session.Store) *vigils {
	return &vigils{st: st, died: make(chan string), of: make(map[string]context.CancelFunc)}
}

// keep watches over the sessions of list, and no others.
func (v *vigils) keep(list []Entry) {
	want := make(map[string]bool, len(list))
	for _, e := range list {
		if e.Session != "" { // else only people can end it
			want[e.Session] = true
		}
	}
	for id, cancel := range v.of {
		if !want[id] {
			cancel()
			delete(v.of, id)
		}
	}
	for id := range want {
		if v.of[id] == nil {
			ctx, cancel := context.WithCancel(context.Background())
			v.of[id] = cancel
			v.wg.Go(func() { v.watch(ctx, id) })
		}
	}
}

func (v *vigils) watch(ctx context.Context, id string) {
	t := time.NewTimer(vigilAfter)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
		return
	}
	if session.AwaitDeath(ctx, v.st, id) != nil {
		return
	}
	select {
	case v.died <- id:
	case <-ctx.Done():
	}
}

// forget lets go of a vigil that has told of a death: whatever came of burying
// the dead, the next wait begins another one.
func (v *vigils) forget(id string) {
	if cancel := v.of[id]; cancel != nil {
		cancel()
		delete(v.of, id)
	}
}

// end ends all vigils and waits for them.
func (v *vigils) end() {
	v.keep(nil)
	v.wg.Wait()
}
