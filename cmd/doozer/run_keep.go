package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/client/session"
	"github.com/doozer-store/doozer/client/session/line"
)

// supervisor runs a command whenever it has a slot. All of it belongs to the
// goroutine of run.
type supervisor struct {
	runner
	count   int
	why     string
	grace   time.Duration
	backoff backoff // of the command
	retry   backoff // of what goes wrong beside it
	last    int     // the slot it had last; 0: none
	signals chan os.Signal
}

// backoff is the time before the next attempt: first, then twice as long each
// time, up to limit.
type backoff struct {
	first, limit time.Duration
	last         time.Duration // 0: none so far
}

// next is the time to wait after an attempt that went well for as long as ran; one
// that did for longer than limit makes it begin anew. random is from 0 to 1: up
// to a half less, so that what failed together does not start together.
func (b *backoff) next(ran time.Duration, random float64) time.Duration {
	if ran > b.limit {
		b.last = 0
	}
	b.last = min(max(2*b.last, b.first), b.limit)
	return time.Duration(float64(b.last) * (1 - random/2))
}

// pause waits; it returns false if ctx ended before.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// hostName is this machine's name, for people.
func hostName() string {
	host, err := os.Hostname()
	if err != nil {
		return ""
	}
	return host
}

// supervise runs the command of run until ctx ends, which is no error.
func (c *command) supervise(ctx context.Context, flags *runFlags, argv []string) error {
	s := &supervisor{
		runner: runner{c: c, argv: argv, ttl: flags.ttl, who: whoOf(argv)},
		count:  int(flags.count), why: flags.why, grace: flags.grace,
		backoff: backoff{first: flags.backoff, limit: flags.maxBackoff},
		retry:   backoff{first: retrySlot, limit: maxRetrySlot},
		signals: make(chan os.Signal, 16),
	}
	if err := s.look(); err != nil {
		return err
	}
	signals := []os.Signal{syscall.SIGUSR1, syscall.SIGUSR2}
	if isTerminal(c.stdin) {
		var stop context.CancelFunc
		ctx, stop = signal.NotifyContext(ctx, syscall.SIGHUP) // the terminal was closed
		defer stop()
	} else {
		signals = append(signals, syscall.SIGHUP)
	}
	signal.Notify(s.signals, signals...)
	defer signal.Stop(s.signals)
	for {
		began := time.Now()
		err := s.withSession(ctx, nil, func(db *client.Client, sess *session.Session) error { return s.stand(ctx, db, sess) })
		switch {
		case ctx.Err() != nil:
			return nil
		case !s.passes(err):
			return lockError(err)
		}
		if !s.await(ctx, err, time.Since(began)) {
			return nil
		}
	}
}

// await waits for a while after an error of what went well for as long as ran. It
// returns false if ctx ended before.
func (s *supervisor) await(ctx context.Context, err error, ran time.Duration) bool {
	wait := s.retry.next(ran, rand.Float64())
	s.say(fmt.Sprintf("%s; again in %s", reason(err), span(wait)), map[string]any{"event": "failed", "error": reason(err)})
	return pause(ctx, wait)
}

// stand stands in line again and again, in one session, until ctx ends or
// something is wrong that a store which answers again does not mend.
func (s *supervisor) stand(ctx context.Context, db *client.Client, sess *session.Session) error {
	for {
		began := time.Now()
		err := s.tenure(ctx, db, sess)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !line.Transient(err):
			return disagrees(ctx, db, s.c.subject, err)
		case err != nil && !s.await(ctx, err, time.Since(began)):
			return nil
		}
	}
}

// passes tells whether run goes on after err: whether the command line is not to
// blame for it.
func (s *supervisor) passes(err error) bool {
	var usage *usageError
	for _, e := range [...]error{client.ErrBadTarget, line.ErrBadName, line.ErrBadLimit, line.ErrConf, session.ErrBadTTL} {
		if errors.Is(err, e) {
			return false
		}
	}
	return !errors.As(err, &usage)
}

// say tells people or programs what happens, on stderr: stdout is the command's.
func (s *supervisor) say(text string, event map[string]any) {
	if s.c.format == formatJSON {
		s.note(event)
		return
	}
	fmt.Fprintf(s.c.stderr, "doozer: run %s: %s\n", plain(s.c.subject), plain(text))
}

// post makes a place in line a turn.
type post struct{ *line.Place }

func (p post) Release(ctx context.Context) error { return p.Place.Release(ctx) }

// tenure stands in line, and runs the command while it holds. A nil error means
// that the place was lost, or ctx has ended: the next one may begin.
func (s *supervisor) tenure(ctx context.Context, db *client.Client, sess *session.Session) error {
	p, err := line.Enter(ctx, sess, line.Spec{
		Name: s.c.subject, Mode: runMode, Limit: s.count, Why: s.why,
		Waits: func() { s.say("standing by", map[string]any{"event": "standing by"}) },
	})
	if err != nil {
		return err
	}
	within, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.Context(), cancel)()
	var ops []client.Op
	slot, err := claim(within, db, s.c.subject, p, s.last)
	if err == nil {
		if slot.number <= s.count {
			s.last = slot.number
		}
		in := &instance{supervisor: s, place: p, slot: slot, news: make(chan slotFile, 1)}
		err = in.keep(within, sess)
		if in.slot.State = slotLost; ctx.Err() != nil {
			in.slot.State = slotStopped
		}
		in.slot.Pid = 0
		ops = append(ops, client.SetOp(slotPath(s.c.subject, slot.number), in.slot.encode()))
	}
	giveUp, cancelRelease := context.WithTimeout(context.WithoutCancel(ctx), s.c.timeout.d)
	defer cancelRelease()
	released := p.Release(giveUp, ops...)
	switch {
	case ctx.Err() != nil:
		s.say("stopped", map[string]any{"event": "stopped"})
		return nil
	case err == nil || errors.Is(err, context.Canceled) || errors.Is(err, session.ErrLost):
		s.say("lost its slot: nothing was heard from the store in time", map[string]any{"event": "lost", "released": released == nil})
		return nil
	}
	return err
}

// instance is a slot that is held, and the command that runs in it.
type instance struct {
	*supervisor
	place *line.Place
	slot  slotAt
	// news is what is to be written into the slot's file: the latest only.
	news chan slotFile
}

// keep runs the command again and again until within ends, or the command was
// ended because of the deadline. The store is told what happens beside that;
// nothing waits for it.
func (in *instance) keep(within context.Context, sess *session.Session) error {
	told := make(chan struct{})
	go func() {
		defer close(told)
		in.write(within)
	}()
	defer func() {
		close(in.news)
		<-told
	}()
	in.say(fmt.Sprintf("has slot %d", in.slot.number), in.event("acquired"))
	for {
		began := time.Now()
		status, lost, err := in.once(within, sess)
		if errors.Is(err, errGuardGone) {
			return err
		}
		if err != nil && !lost {
			status = statusCannotRun
		}
		if err == nil && !lost {
			in.slot.Exit = &status
		}
		if within.Err() != nil || lost {
			return nil
		}
		wait := in.backoff.next(time.Since(began), rand.Float64())
		what := fmt.Sprintf("%s ended with status %d", in.argv[0], status)
		if err != nil {
			what = err.Error()
		}
		event := in.event("ended")
		event["status"], event["wait_ms"] = status, wait.Milliseconds()
		in.say(fmt.Sprintf("slot %d: %s; again in %s", in.slot.number, what, span(wait)), event)
		in.slot.State, in.slot.Pid, in.slot.Exit = slotBackoff, 0, &status
		in.tell()
		if !pause(within, wait) {
			return nil
		}
		in.slot.Restarts++
	}
}

// once runs the command once. If ctx ends the command is told to end, too.
func (in *instance) once(ctx context.Context, sess *session.Session) (status int, lost bool, err error) {
	var t turn = post{in.place}
	cmd := in.launch(t)
	cmd.Stay, cmd.Grace = true, in.grace
	cmd.Env = append(cmd.Env,
		fmt.Sprintf("DOOZER_RUN_SLOT=%d", in.slot.number),
		fmt.Sprintf("DOOZER_RUN_COUNT=%d", in.count))
	if held, err := in.gainTime(ctx, sess, t, cmd); !held {
		return 0, true, err
	}
	in.held.Store(&t)
	defer in.held.Store(nil)
	for len(in.signals) > 0 {
		<-in.signals // meant for those before it
	}
	return in.guard.run(ward{launch: cmd, deadline: t.Deadline(), signals: in.signals, stop: ctx.Done(), started: func(pid int) {
		in.slot.State, in.slot.Pid = slotRunning, pid
		in.say(fmt.Sprintf("slot %d: started, process %d", in.slot.number, pid), in.event("started"))
		in.tell()
	}})
}

// event is what programs are told.
func (in *instance) event(what string) map[string]any {
	return map[string]any{
		"event": what, "slot": in.slot.number, "token": in.place.Token(), "pid": in.slot.Pid, "restarts": in.slot.Restarts,
	}
}

// tell has the slot's file written. It replaces what was not written so far.
func (in *instance) tell() {
	select {
	case <-in.news:
	default:
	}
	in.news <- in.slot.slotFile
}

// write writes the slot's file until news is closed: the latest, for as long as
// that takes. It is refused when the place was given to others.
func (in *instance) write(ctx context.Context) {
	path := slotPath(in.c.subject, in.slot.number)
	for f := range in.news {
		for {
			_, err := in.place.Txn(ctx, client.Txn{Do: []client.Op{client.SetOp(path, f.encode())}})
			if err == nil || !line.Transient(err) || len(in.news) > 0 || !pause(ctx, retrySlot) {
				break
			}
		}
	}
}
