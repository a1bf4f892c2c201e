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
	// died has the ids of sessions that have ended, heard other news of them.
	died  chan string
	heard chan news
	of    map[string]context.CancelFunc
	// alive is what was heard last of those in of.
	alive map[string]bool
	// reach is how many of those ahead, at most, are watched over.
	reach int
	// waited is for how long the place has waited already when the first begins.
	waited time.Duration
	wg     sync.WaitGroup
}

// news says whether a session beats.
type news struct {
	id    string
	alive bool
}

const (
	// holderAfter and waiterAfter are how long a place waits before it asks
	// whether those ahead are alive who hold, or wait themselves. Most locks
	// pass on sooner, and nobody has to be asked.
	holderAfter = 100 * time.Millisecond
	waiterAfter = time.Second
	// wider is how many times as many are watched over when none that was is
	// alive.
	wider = 8
)

func newVigils(st session.Store) *vigils {
	return &vigils{
		st: st, died: make(chan string), heard: make(chan news), of: make(map[string]context.CancelFunc),
		alive: make(map[string]bool), reach: 1,
	}
}

// over watches over those ahead as far as the last of them who is alive: who
// waits looks after those before him. As long as it is not known who that is,
// there are as many as reach says; when all those are silent, or one has died,
// more: if a machine with many of them has died, patience has to run for all at
// once, not for one after the other.
func (v *vigils) over(ahead []Entry, all bool) {
	first := 0
	for i := len(ahead) - 1; i >= 0 && !all; i-- {
		first = i
		if ahead[i].Session == "" {
			continue // only people can end it
		}
		alive, heard := v.alive[ahead[i].Session]
		if heard && alive {
			break
		}
		if len(ahead)-i < v.reach {
			continue
		}
		if !heard {
			break
		}
		v.reach *= wider
	}
	after := holderAfter
	if !all && v.reach == 1 {
		after = waiterAfter
	}
	v.keep(ahead[first:], after-v.waited)
}

// keep watches over the sessions of list, and no others; after a while over new
// ones.
func (v *vigils) keep(list []Entry, after time.Duration) {
	want := make(map[string]bool, len(list))
	for _, e := range list {
		if e.Session != "" { // else only people can end it
			want[e.Session] = true
		}
	}
	for id := range v.of {
		if !want[id] {
			v.forget(id)
		}
	}
	for id := range want {
		if v.of[id] == nil {
			ctx, cancel := context.WithCancel(context.Background())
			v.of[id] = cancel
			v.wg.Go(func() { v.watch(ctx, id, after) })
		}
	}
}

func (v *vigils) watch(ctx context.Context, id string, after time.Duration) {
	t := time.NewTimer(after)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
		return
	}
	if session.AwaitDeathTelling(ctx, v.st, id, func(alive bool) {
		select {
		case v.heard <- news{id, alive}:
		case <-ctx.Done():
		}
	}) != nil {
		return
	}
	select {
	case v.died <- id:
	case <-ctx.Done():
	}
}

// dead lets go of a vigil that has told of a death: whatever came of burying
// the dead, the next wait begins another one, and looks further.
func (v *vigils) dead(id string) {
	v.forget(id)
	if v.reach < MaxLimit {
		v.reach *= wider
	}
}

func (v *vigils) forget(id string) {
	if cancel := v.of[id]; cancel != nil {
		cancel()
	}
	delete(v.of, id)
	delete(v.alive, id)
}

// end ends all vigils and waits for them.
func (v *vigils) end() {
	v.keep(nil, 0)
	v.wg.Wait()
}
