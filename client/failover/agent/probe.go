package agent

import (
	"context"
	"errors"
	"sync"
	"syscall"
	"time"

	"github.com/doozer-store/doozer/client/failover/replica"
)

// probe tells whether a Redis answers. It keeps one connection: the end of the
// process ends that, and the next attempt to connect is refused, which proves
// it; a process that hangs does not answer pings.
type probe struct {
	target replica.Target
	// hang is how long it may be silent.
	hang func() time.Duration
	// news is told of each change.
	news func()

	mu    sync.Mutex // guards what follows
	state probeState
}

// probeState is what is known of the process.
type probeState struct {
	// up: it answers; dead: it did and is gone; hung: it is silent for too long.
	up, dead, hung bool
	// answered is when the last ping was sent that was answered.
	answered time.Time
	runID    string
	proc     process
}

func newProbe(t replica.Target, hang func() time.Duration, news func()) *probe {
	return &probe{target: t, hang: hang, news: news}
}

func (p *probe) get() probeState {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state
}

// answers tells whether Redis has answered a ping that was sent since it could
// be said to hang. A gate is acknowledged on this condition only: what is sent to
// a Redis that stands still would count from when it goes on.
func (p *probe) answers() bool {
	s := p.get()
	return s.up && time.Since(s.answered) < p.hang()
}

func (p *probe) change(fn func(s *probeState)) {
	p.mu.Lock()
	old := p.state
	fn(&p.state)
	s := p.state
	p.mu.Unlock()
	if s.up != old.up || s.dead != old.dead || s.hung != old.hung || s.runID != old.runID {
		p.news()
	}
}

// run keeps the connection until ctx ends.
func (p *probe) run(ctx context.Context) {
	pause := redialFirst
	var lost time.Time // when it was last connected
	for ctx.Err() == nil {
		err := p.once(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			// The connection has ended, which need not be the process: the next
			// one tells, at once.
			pause, lost = redialFirst, time.Now()
			continue
		}
		refused := errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT)
		p.change(func(s *probeState) {
			s.up = false
			s.dead = s.dead || refused && s.runID != ""
			s.hung = !s.dead && s.runID != "" && time.Since(lost) > p.hang()
		})
		sleep(ctx, pause)
		pause = min(2*pause, redialMax)
	}
}

// once keeps one connection for as long as it lasts. An error says that there
// was none.
func (p *probe) once(ctx context.Context) error {
	dial, cancel := context.WithTimeout(ctx, p.hang())
	defer cancel()
	c, err := replica.Open(dial, p.target)
	if err != nil {
		return err
	}
	defer c.Close()
	text, err := c.Do(dial, "INFO", "server")
	if err != nil {
		return err
	}
	in := parseInfo(text)
	now := time.Now()
	p.change(func(s *probeState) {
		*s = probeState{up: true, answered: now, runID: in["run_id"], proc: processOf(p.target.Addr, in)}
	})
	c.SetDeadline(time.Time{})
	replies := make(chan error)
	done := make(chan struct{})
	defer close(done)
	go func() { // ends with the connection
		for {
			// Any answer is one, also one that says LOADING or BUSY.
			_, err := c.Reply()
			if errors.Is(err, replica.ErrRefused) {
				err = nil
			}
			select {
			case replies <- err:
			case <-done:
				return
			}
			if err != nil {
				return
			}
		}
	}()
	p.ping(ctx, c, replies)
	return nil
}

// ping sends pings until the connection ends.
func (p *probe) ping(ctx context.Context, c *replica.Conn, replies <-chan error) {
	// sent is when the ping was sent, from is from when the silence after it counts.
	var sent, from, used time.Time
	var cpu time.Duration
	waiting := false
	tick := time.NewTimer(0)
	defer tick.Stop()
	last := time.Now()
	for {
		every := min(p.hang()/5, 200*time.Millisecond)
		select {
		case <-ctx.Done():
			return
		case err := <-replies:
			if err != nil {
				return
			}
			waiting = false
			p.change(func(s *probeState) { s.up, s.hung, s.answered = true, false, sent })
		case <-tick.C:
			tick.Reset(every)
			now := time.Now()
			if waiting && now.Sub(last) > every+p.hang()/2 {
				// This process did not run itself: a pong may be on its way.
				from = now
			}
			last = now
			if !waiting {
				sent, from, used, waiting = now, now, now, true
				cpu = p.get().proc.cpu()
				c.SetDeadline(time.Time{})
				if c.Send("PING") != nil {
					return
				}
				continue
			}
			silent := now.Sub(from)
			if silent < p.hang() {
				continue
			}
			// One that is at work on a long command is left more time.
			busy := p.get().proc.cpu()-cpu > time.Since(used)/2
			if busy && silent < busyFactor*p.hang() {
				continue
			}
			p.change(func(s *probeState) { s.up, s.hung = false, true })
		}
	}
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
