package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/client/session"
)

// turn is what lock, elect and run hold while a command runs.
type turn interface {
	Token() int64
	Path() string
	Context() context.Context
	// Deadline is 0 when it is not held.
	Deadline() time.Duration
	Release(ctx context.Context) error
}

// runner runs a command under a turn. lock and elect differ in how they get one;
// run has one turn after another for many runs of its command.
type runner struct {
	c    *command
	argv []string
	ttl  time.Duration
	// wait bounds the time until it is our turn; < 0: it has no bound.
	wait time.Duration
	who  string
	// keep: it stays held for ever.
	keep    bool
	acquire func(ctx context.Context, s *session.Session) (turn, error)

	path  string // of the program
	guard *guard
	// held is the turn as the session's goroutine sees it; nil before.
	held atomic.Pointer[turn]
}

// run does it all: it finds the program, waits for its turn, runs the command and
// gives the turn back. Its error has the exit status.
func (r *runner) run(ctx context.Context) error {
	if err := r.look(); err != nil {
		return err
	}
	return r.withSession(ctx, r.c.stdin, func(_ *client.Client, s *session.Session) error {
		status, err := r.within(ctx, s)
		if err == nil && status != 0 {
			return &exitError{status: status}
		}
		return err
	})
}

// withSession starts the guard, if there is a command, and opens a session that
// both stand for; all of it has ended when withSession returns.
func (r *runner) withSession(ctx context.Context, stdin io.Reader, fn func(*client.Client, *session.Session) error) error {
	opened, cancel := context.WithTimeout(ctx, r.c.timeout.d)
	defer cancel()
	db, err := client.Open(opened, r.c.uri, client.WithTimeout(r.c.timeout.d))
	if err != nil {
		return unreachable(ctx, err)
	}
	defer db.Close()
	if len(r.argv) > 0 {
		if r.guard, err = startGuard(r.c, stdin); err != nil {
			return err
		}
		defer r.guard.close()
	}
	s, err := session.Open(opened, db, r.options()...)
	if err != nil {
		return unreachable(ctx, err)
	}
	err = fn(db, s)
	if closeErr := s.Close(); err == nil && closeErr != nil {
		// The command has done its work; that others have to wait for the TTL
		// is worth a line, not a status.
		fmt.Fprintf(r.c.stderr, "doozer: %s\n", plain(closeErr.Error()))
	}
	return err
}

// look finds the program, so that a misspelt one does not take a lock.
func (r *runner) look() error {
	if len(r.argv) == 0 {
		return nil
	}
	path, err := exec.LookPath(r.argv[0])
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, os.ErrNotExist):
		return &exitError{statusNoCommand, err}
	case err != nil:
		return &exitError{statusCannotRun, err}
	}
	r.path = path
	return nil
}

func (r *runner) options() []session.Option {
	opts := []session.Option{session.TTL(r.ttl), session.Who(r.who)}
	if r.guard == nil {
		return opts
	}
	return append(opts, session.Procs(r.guard.cmd.Process.Pid), session.OnBeat(func(string, time.Duration) {
		if t := r.held.Load(); t != nil {
			r.guard.tell(order{Deadline: (*t).Deadline()})
		}
	}))
}

// within waits for the turn and runs the command in it.
func (r *runner) within(ctx context.Context, s *session.Session) (status int, err error) {
	began := time.Now()
	t, err := r.take(ctx, s)
	if err != nil {
		return 0, err
	}
	if r.keep {
		if err := s.Keep(ctx); err != nil {
			return 0, errors.Join(unreachable(ctx, err), t.Release(context.WithoutCancel(ctx)))
		}
	}
	r.note(map[string]any{"event": "acquired", "token": t.Token(), "path": t.Path(), "waited_ms": time.Since(began).Milliseconds()})
	if len(r.argv) == 0 {
		return 0, r.c.print(strconv.FormatInt(t.Token(), 10), lockedJSON{Name: r.c.subject, Token: t.Token(), Path: t.Path()})
	}
	status, lost, err := r.execute(ctx, s, t)
	if r.keep {
		return status, err
	}
	giveUp, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.c.timeout.d)
	defer cancel()
	released := t.Release(giveUp)
	r.note(map[string]any{"event": "ended", "token": t.Token(), "status": status, "lost": lost || errors.Is(released, session.ErrLost)})
	switch {
	case err != nil:
		return 0, err
	case lost || errors.Is(released, session.ErrLost):
		return 0, &exitError{statusLost, fmt.Errorf("lost while %s ran: nothing was heard from the store in time", r.argv[0])}
	}
	return status, nil
}

// lockedJSON is a lock that is kept.
type lockedJSON struct {
	Name  string `json:"name"`
	Token int64  `json:"token"`
	Path  string `json:"path"`
}

// note tells programs what happens, on stderr: stdout is the command's.
func (r *runner) note(event map[string]any) {
	if r.c.format != formatJSON || len(r.argv) == 0 {
		return
	}
	event["name"] = r.c.subject
	json.NewEncoder(r.c.stderr).Encode(event)
}

// take waits for the turn.
func (r *runner) take(ctx context.Context, s *session.Session) (turn, error) {
	waiting := ctx
	if r.wait > 0 {
		var cancel context.CancelFunc
		waiting, cancel = context.WithTimeout(ctx, r.wait)
		defer cancel()
	}
	t, err := r.acquire(waiting, s)
	switch {
	case err == nil:
		return t, nil
	case ctx.Err() != nil:
		return nil, err
	case isUnreachable(err):
		return nil, &exitError{statusUnreachable, unnamed(err)}
	case waiting.Err() != nil:
		return nil, &exitError{statusNotAcquired, fmt.Errorf("not acquired within %v", r.wait)}
	}
	return nil, err
}

// execute runs the command while t is held.
func (r *runner) execute(ctx context.Context, s *session.Session, t turn) (status int, lost bool, err error) {
	cmd := r.launch(t)
	cmd.Forever, cmd.Foreground = r.keep, foreground(r.c.stdin)
	if held, err := r.gainTime(ctx, s, t, cmd); !held {
		return 0, true, err
	}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2)
	defer signal.Stop(signals)
	r.held.Store(&t)
	if cmd.Foreground {
		defer retakeTerminal(r.c.stdin)
	}
	if ctx.Err() != nil {
		return 0, false, ctx.Err() // the signal came before anybody could pass it on
	}
	return r.guard.run(ward{launch: cmd, deadline: t.Deadline(), signals: signals})
}

// launch is the command under t.
func (r *runner) launch(t turn) launch {
	return launch{
		Path: r.path, Args: r.argv, Env: r.environment(t),
		Term: min(termBefore, r.ttl/3), Kill: min(killBefore, r.ttl/15),
	}
}

// gainTime waits until there is enough time before the deadline for the command
// to be ended in good order. It returns false if t is not held any more, or that
// can't be known.
func (r *runner) gainTime(ctx context.Context, s *session.Session, t turn, cmd launch) (held bool, err error) {
	for !cmd.Forever && t.Deadline()-s.Now() <= cmd.Term+cmd.Kill {
		l, err := s.Life(ctx)
		if err == nil {
			err = l.Fence(ctx)
		}
		if err != nil || t.Deadline() == 0 {
			return false, err
		}
	}
	return true, nil
}

// environment is the command's: that of doozer, and what it needs in order to
// prove that it holds the lock.
func (r *runner) environment(t turn) []string {
	return append(slices.Clone(r.c.env),
		"DOOZER_URI="+r.c.uri,
		"DOOZER_LOCK_NAME="+r.c.subject,
		"DOOZER_LOCK_TOKEN="+strconv.FormatInt(t.Token(), 10),
		"DOOZER_LOCK_PATH="+t.Path(),
	)
}

// unnamed is err without the name of the lock, which complain tells.
func unnamed(err error) error {
	if inner := errors.Unwrap(err); inner != nil {
		if prefix, ok := strings.CutSuffix(err.Error(), inner.Error()); ok && strings.Count(prefix, ":") == 1 {
			return inner
		}
	}
	return err
}

// isUnreachable tells whether err says that the store could not be asked.
func isUnreachable(err error) bool {
	for _, e := range [...]error{
		client.ErrUnreachable, client.ErrNoQuorum, client.ErrStopping, client.ErrQuarantined, client.ErrOverloaded, client.ErrUnknownOutcome,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// unreachable is the error of what has to be done before there is a turn to wait
// for: its end by the time is the store's fault.
func unreachable(ctx context.Context, err error) error {
	if ctx.Err() == nil && (isUnreachable(err) || errors.Is(err, context.DeadlineExceeded)) {
		return &exitError{statusUnreachable, err}
	}
	return err
}
