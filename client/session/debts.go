package session

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/doozer-store/doozer/client"
)

// debts are files that have to be deleted, because others wait for that, and
// could not be so far: a release whose reply did not come, a place in line that
// its owner gave up without knowing whether it has it.
type debts struct {
	mu    sync.Mutex
	list  []debt
	woken chan struct{}
	done  chan struct{} // closed when payDebts has ended
}

type debt struct {
	life *Life
	path string
	// rev of the file, 0: not known; whether there is a file neither.
	rev int64
}

func (d *debts) init() {
	d.woken, d.done = make(chan struct{}, 1), make(chan struct{})
}

// Discard deletes the file at path in the background, again and again until
// that is known to be done or the life is over. rev is that of the file; with
// 0 whatever is found there is deleted, also if it is a write of this life
// that is still under way and asked that the session file is unchanged since a
// rev from before the call.
func (l *Life) Discard(path string, rev int64) {
	d := &l.s.debts
	d.mu.Lock()
	if len(d.list) < maxDebts {
		d.list = append(d.list, debt{l, path, rev})
	} else {
		l.giveUp.Do(func() { close(l.quit) })
	}
	d.mu.Unlock()
	select {
	case d.woken <- struct{}{}:
	default:
	}
}

// payDebts is the goroutine that deletes. At Close it makes one more attempt.
func (s *Session) payDebts() {
	defer close(s.debts.done)
	for {
		last := false
		select {
		case <-s.debts.woken:
		case <-s.stop:
			last = true
		}
		for s.settleAll(last) && !last {
			t := time.NewTimer(retryPause(s.cfg.ttl))
			select {
			case <-t.C:
			case <-s.stop:
				last = true
			}
			t.Stop()
		}
		if last {
			return
		}
	}
}

// settleAll tries each debt once and tells whether any is left.
func (s *Session) settleAll(last bool) (left bool) {
	d := &s.debts
	d.mu.Lock()
	list := d.list
	d.list = nil
	d.mu.Unlock()
	var keep []debt
	for _, item := range list {
		if !s.settle(item, last) {
			keep = append(keep, item)
		}
	}
	d.mu.Lock()
	d.list = append(keep, d.list...)
	left = len(d.list) > 0
	d.mu.Unlock()
	return left
}

// settle tells whether the debt is no more. Without a rev it first makes sure
// that no write is under way; at Close there are no more beats that could, and
// the deletion of the session file does.
func (s *Session) settle(item debt, last bool) bool {
	select {
	case <-item.life.dead:
		return true // others may delete what is left
	default:
	}
	ctx, cancel := context.WithTimeout(s.ctx, beatEvery(s.cfg.ttl))
	defer cancel()
	if item.rev == 0 {
		if !last {
			if err := item.life.Fence(ctx); err != nil {
				return false
			}
		}
		f, err := s.st.Get(ctx, item.path)
		if errors.Is(err, client.ErrNotExist) {
			return true
		}
		if err != nil {
			return false
		}
		item.rev = f.Rev
	}
	_, err := s.st.Txn(ctx, client.Txn{
		If: []client.Cond{client.Unchanged(item.path, item.rev)},
		Do: []client.Op{client.DelOp(item.path)},
	})
	return err == nil || errors.Is(err, client.ErrRevMismatch)
}
