package agent

import (
	"context"
	"sync"

	"github.com/doozer-store/doozer/client/session"
)

// live is the agent's session as it is at any moment.
type live struct {
	s    *session.Session
	news func()

	mu   sync.Mutex // guards what follows
	life *session.Life
	span context.Context // nil between spans
}

// run follows the session until ctx ends.
func (l *live) run(ctx context.Context) {
	for ctx.Err() == nil {
		life, err := l.s.Life(ctx)
		if err != nil {
			break
		}
		l.set(life, nil)
		for {
			span, err := life.Span(ctx)
			if err != nil {
				break
			}
			l.set(life, span)
			select {
			case <-span.Done():
			case <-ctx.Done():
				return
			}
			l.set(life, nil)
		}
	}
}

func (l *live) set(life *session.Life, span context.Context) {
	l.mu.Lock()
	l.life, l.span = life, span
	l.mu.Unlock()
	l.news()
}

// now returns the id of the present session, empty if there is none, and whether
// it is valid at this moment.
func (l *live) now() (id string, valid bool) {
	l.mu.Lock()
	life, span := l.life, l.span
	l.mu.Unlock()
	if life == nil {
		return "", false
	}
	select {
	case <-life.Dead():
		return "", false
	default:
	}
	return life.ID(), span != nil && life.Safe(span)
}

// is tells whether the session with the id is valid at this moment.
func (l *live) is(id string) bool {
	now, valid := l.now()
	return valid && now == id
}
