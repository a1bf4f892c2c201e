package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/doozer-store/doozer/client"
)

// Exit statuses, an interface to scripts.
const (
	statusDone      = 0
	statusCondition = 1  // a condition failed, or a check of firedrill
	statusError     = 2  // any other error
	statusNoFile    = 3  // no such file
	statusUsage     = 64 // the command line, or the script of txn, is wrong

	// Those of lock and elect, beside the status of the command they run. Of
	// them run has the last two.
	statusUnreachable = 69 // the store can't be reached
	statusNotAcquired = 75 // not within --wait
	statusLost        = 76 // lost while the command ran
	statusCannotRun   = 126
	statusNoCommand   = 127
)

// exitError is an error with an exit status of its own; with a nil err, all has
// been said.
type exitError struct {
	status int
	err    error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// usageError says what is wrong with the command line.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}

// asUsage makes err a usage error, unless it is one.
func asUsage(err error) error {
	var u *usageError
	if errors.As(err, &u) {
		return err
	}
	return &usageError{err}
}

var (
	// errNoVerb is the usage error of an empty command line; the help on stderr
	// says it all.
	errNoVerb = usagef("")
	// errTouch: others kept writing between touch's read and its write.
	errTouch = fmt.Errorf("others wrote it %d times in between: %w", touchTries, client.ErrRevMismatch)
	// errNoChange: wait's --timeout is over.
	errNoChange = errors.New("no change within --timeout")
	// errNoMajority: status could not ask a majority of the voters.
	errNoMajority = errors.New("no majority of the nodes is reachable")
	// errNoLeader: the nodes that status reached have no leader.
	errNoLeader = errors.New("the nodes have no leader")
)

// describe is the one line about err for people, empty when all has been said,
// and the exit status for scripts. The order of its cases is part of the
// interface:
//
//   - What the command line did wrong wins over what became of it.
//   - A condition or a missing file is told as such only where that is all: an
//     error that is also an unknown outcome never has status 1 or 3, which say
//     that nothing was changed (the client sees to that: an unknown outcome Is
//     no refusal).
//   - An interrupt is told as one, unless a write was under way: then what may
//     have become of it matters more than who ended it.
func (c *command) describe(err error) (text string, status int) {
	var usage *usageError
	var mismatch *client.RevMismatchError
	var exit *exitError
	text = reason(err)
	switch {
	case errors.As(err, &exit):
		return exit.Error(), exit.status
	case errors.As(err, &usage):
		return usage.Error(), statusUsage
	case errors.Is(err, errDrillFailed):
		return text, statusCondition
	case errors.Is(err, client.ErrBadTarget):
		return text, statusUsage
	case errors.As(err, &mismatch):
		return c.mismatch(mismatch), statusCondition
	case errors.Is(err, client.ErrRevMismatch):
		return text, statusCondition
	case errors.Is(err, client.ErrNotExist):
		return text, statusNoFile
	case errors.Is(err, context.Canceled) && !errors.Is(err, client.ErrUnknownOutcome):
		return "interrupted", statusError
	}
	return text + c.remedy(err), statusError
}

// reason is err without the verb and the path that the client puts before it:
// complain names them.
func reason(err error) string {
	var op *client.OpError
	if errors.As(err, &op) {
		return op.Err.Error()
	}
	return err.Error()
}

// mismatch says which condition failed: in a transaction there may be many.
func (c *command) mismatch(e *client.RevMismatchError) string {
	what := "the condition failed"
	if e.Path != "" && e.Path != c.subject {
		what = "the condition on " + e.Path + " failed"
	}
	if e.Rev == 0 {
		return what + ": there is no file"
	}
	return fmt.Sprintf("%s: the file is at rev %d", what, e.Rev)
}

// remedy is what to do about err, to be added to its text; empty where that is
// plain or nothing helps. It goes by what the client guarantees: every error of
// a write but ErrUnknownOutcome says that nothing was done, so that "nothing was
// changed" may stand wherever it is not that one. It tells of a lost majority
// before it tells of the deadline at which that was found out.
func (c *command) remedy(err error) string {
	switch {
	case errors.Is(err, client.ErrUnknownOutcome):
		return "; read before you write again"
	case errors.Is(err, client.ErrUnreachable):
		return "; does doozerd run there? -a or DOOZER_URI names the nodes"
	case errors.Is(err, client.ErrNoQuorum) && c.writes:
		return "; nothing was changed: see doozer status"
	case errors.Is(err, client.ErrNoQuorum):
		return "; see doozer status; get, stat, ls, find and log have --local"
	case errors.Is(err, client.ErrOverloaded):
		return "; nothing was done: try again later"
	case errors.Is(err, client.ErrIsDir):
		return "; doozer ls lists it"
	case errors.Is(err, client.ErrTooLate):
		return "; doozer log shows what is kept"
	case errors.Is(err, context.DeadlineExceeded) && c.writes:
		return fmt.Sprintf("; nothing was changed; --timeout is %s", c.timeout.d)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("; --timeout is %s", c.timeout.d)
	}
	return ""
}
