package replica

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Gate is a number of connections to one Redis that count as replicas of it while
// valid says so. It is safe for use by many goroutines.
type Gate struct {
	conns []*Conn
	valid func() bool
	stop  chan struct{}
	ended chan struct{}
	once  sync.Once
	wg    sync.WaitGroup
	cause error // written before ended is closed
}

// Prepare opens n connections to Redis for a gate that is to be attached. Until
// then they are clients that say nothing.
func Prepare(ctx context.Context, t Target, n int) (*Gate, error) {
	g := &Gate{conns: make([]*Conn, n), stop: make(chan struct{}), ended: make(chan struct{})}
	err := g.each(func(i int) error {
		c, err := Open(ctx, t)
		if err != nil {
			return err
		}
		g.conns[i] = c
		return c.introduce(ctx)
	})
	if err != nil {
		g.closeAll()
		return nil, err
	}
	return g, nil
}

// Attach attaches the connections of a gate that was prepared to Redis, whose
// history is replid and has come to offset; the gate is to be opened within a second.
// Redis counts them from now on, as it does any replica that has just come, so it has
// to refuse writes for another reason. It has to be a master with a backlog (see
// MakeBacklog); else it would start a child for each gate. After an error the gate is
// closed.
func (g *Gate) Attach(ctx context.Context, replid string, offset int64) error {
	err := g.each(func(i int) error {
		_, err := g.conns[i].attach(ctx, replid, offset)
		return err
	})
	if err != nil {
		g.end(err)
	}
	return err
}

// each does something with all connections at the same time.
func (g *Gate) each(fn func(i int) error) error {
	errs := make([]error, len(g.conns))
	var wg sync.WaitGroup
	for i := range g.conns {
		wg.Go(func() { errs[i] = fn(i) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Attach is Prepare and the gate's Attach.
func Attach(ctx context.Context, t Target, n int, replid string, offset int64) (*Gate, error) {
	g, err := Prepare(ctx, t, n)
	if err == nil {
		err = g.Attach(ctx, replid, offset)
	}
	if err != nil {
		return nil, err
	}
	return g, nil
}

// Open lets the connections count for as long as valid says so: it is asked each
// time before they are acknowledged, and its answer no closes the gate. An error
// says that it is closed already. Open is called once.
func (g *Gate) Open(valid func() bool) error {
	g.valid = valid
	if !valid() {
		g.end(errInvalid)
		return errInvalid
	}
	for _, c := range g.conns {
		g.wg.Go(func() { g.end(c.Drain()) })
	}
	g.wg.Go(g.ack)
	return nil
}

var errInvalid = errors.New("the gate may not be open")

// ack acknowledges until the gate ends.
func (g *Gate) ack() {
	tick := time.NewTicker(ackEvery)
	defer tick.Stop()
	for {
		if !g.valid() {
			g.end(errInvalid)
			return
		}
		for _, c := range g.conns {
			// Between the question and the write there may be any time, as on
			// a machine that slept: Redis then counts for two seconds from here,
			// which is the bound that GateBound states, from when the pause ends.
			if err := c.Ack(); err != nil {
				g.end(err)
				return
			}
		}
		select {
		case <-tick.C:
		case <-g.stop:
			return
		}
	}
}

// end closes all connections, once: a gate is open or closed, not half open.
func (g *Gate) end(cause error) {
	g.once.Do(func() {
		g.cause = cause
		close(g.stop)
		g.closeAll()
		close(g.ended)
	})
}

func (g *Gate) closeAll() {
	for _, c := range g.conns {
		if c != nil { // it was not opened
			c.Close()
		}
	}
}

// Ended is closed when the gate is closed, whoever closed it.
func (g *Gate) Ended() <-chan struct{} { return g.ended }

// IsOpen tells whether it has not ended.
func (g *Gate) IsOpen() bool {
	select {
	case <-g.ended:
		return false
	default:
		return true
	}
}

// Err is why the gate is closed; nil while it is open.
func (g *Gate) Err() error {
	select {
	case <-g.ended:
		return g.cause
	default:
		return nil
	}
}

// Close closes the connections, at which Redis refuses writes at once, and waits
// for the goroutines.
func (g *Gate) Close() error {
	g.end(errors.New("closed"))
	g.wg.Wait()
	return nil
}

// MakeBacklog makes a master that keeps no backlog keep one, by asking it for a
// copy as a replica and leaving before it begins to make one. That gives it a new
// history. It starts no child: the copy is asked for while Redis waits for more
// replicas that want one (repl-diskless-sync-delay), which MakeBacklog sets and
// sets back to delay seconds.
func MakeBacklog(ctx context.Context, t Target, delay int) error {
	ctl, err := Open(ctx, t)
	if err != nil {
		return err
	}
	defer ctl.Close()
	if _, err := ctl.Do(ctx, "CONFIG", "SET", "repl-diskless-sync", "yes", "repl-diskless-sync-delay", "3600"); err != nil {
		return err
	}
	defer ctl.Do(context.WithoutCancel(ctx), "CONFIG", "SET", "repl-diskless-sync-delay", strconv.Itoa(delay))
	c, err := Open(ctx, t)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Do(ctx, "REPLCONF", "capa", "eof", "capa", "psync2"); err != nil {
		return err
	}
	if err := c.Send("PSYNC", "?", "-1"); err != nil {
		return err
	}
	for {
		info, err := ctl.Do(ctx, "INFO", "replication")
		if err != nil {
			return err
		}
		if strings.Contains(info, "repl_backlog_active:1") {
			return nil
		}
		select {
		case <-time.After(backlogPoll):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
