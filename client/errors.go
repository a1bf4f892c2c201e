package client

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	doozerpb "github.com/doozer-store/doozer/proto"
)

// Errors that say how the store refused a call. Nothing was done.
var (
	// ErrRevMismatch: a condition failed. The error is a *RevMismatchError.
	ErrRevMismatch = errors.New("revision mismatch")
	// ErrNotExist: there is no such file or directory.
	ErrNotExist = errors.New("no such file or directory")
	// ErrIsDir: the path is a directory.
	ErrIsDir = errors.New("is a directory")
	// ErrNotDir: the path is, or lies below, a file.
	ErrNotDir = errors.New("not a directory")
	// ErrBadPath: the path is not well formed.
	ErrBadPath = errors.New("bad path")
	// ErrBadGlob: the glob is not well formed, or could match no path.
	ErrBadGlob = errors.New("bad glob")
	// ErrBadRequest: the request contradicts itself or lacks a part.
	ErrBadRequest = errors.New("bad request")
	// ErrTooLate: the rev is below the window. The error is a *TooLateError.
	ErrTooLate = errors.New("rev is below the window")
	// ErrTooLarge: a value, list or message is over its limit.
	ErrTooLarge = errors.New("too large")
	// ErrReadOnly: the path belongs to doozer itself.
	ErrReadOnly = errors.New("read-only path")
	// ErrDenied: the node does not accept who the caller is, or does not
	// serve what was asked for.
	ErrDenied = errors.New("denied")
)

// Errors that say why a call was given up at its deadline. Unless the error
// is also ErrUnknownOutcome, nothing was done.
var (
	// ErrNoQuorum: no node that can be reached has a leader with a majority.
	ErrNoQuorum = errors.New("no majority")
	// ErrOverloaded: a queue of the cluster was full all the time.
	ErrOverloaded = errors.New("overloaded")
	// ErrStopping: the nodes that can be reached are stopping.
	ErrStopping = errors.New("node is stopping")
	// ErrQuarantined: the nodes that can be reached serve nothing because
	// their state differs from their peers'.
	ErrQuarantined = errors.New("node is quarantined")
	// ErrUnreachable: no node answered. Open returns it too.
	ErrUnreachable = errors.New("no node can be reached")
)

// Errors of other kinds.
var (
	// ErrUnknownOutcome: the write may have been done, or may yet be. It is
	// an error that also Is context.DeadlineExceeded or context.Canceled when
	// that is why the client stopped trying.
	ErrUnknownOutcome = errors.New("outcome unknown")
	// ErrClientExpired: the cluster keeps forgetting this client's id.
	ErrClientExpired = errors.New("client id expired")
	// ErrInternal: a bug, in a node or in the client.
	ErrInternal = errors.New("internal error")
	// ErrWrongCluster: a node of another cluster answered.
	ErrWrongCluster = errors.New("wrong cluster")
	// ErrClosed: the client was closed.
	ErrClosed = errors.New("client is closed")
	// ErrBadTarget: Open does not understand the target.
	ErrBadTarget = errors.New("bad target")
)

// OpError is the error of every call: what was asked, of which path, and why
// it failed.
type OpError struct {
	// Op is the verb: "get", "set", "watch".
	Op string
	// Path is the path or glob; empty where there is none.
	Path string
	Err  error
}

func (e *OpError) Error() string {
	if e.Path == "" {
		return e.Op + ": " + e.Err.Error()
	}
	return e.Op + " " + e.Path + ": " + e.Err.Error()
}

// Unwrap returns the reason.
func (e *OpError) Unwrap() error { return e.Err }

// RevMismatchError says which condition failed. It Is ErrRevMismatch.
type RevMismatchError struct {
	Path string
	// Rev is the present rev of Path; 0 when there is no file.
	Rev int64
	// Index is that of the first condition that failed, in a transaction.
	Index int
	// Present is the state of Path that was found, in a transaction; nil when
	// there is no file or the node did not tell.
	Present *File
}

func (e *RevMismatchError) Error() string {
	if e.Rev == 0 {
		return "revision mismatch: there is no file"
	}
	return fmt.Sprintf("revision mismatch: the file is at rev %d", e.Rev)
}

// Is makes it an ErrRevMismatch.
func (e *RevMismatchError) Is(target error) bool { return target == ErrRevMismatch }

// TooLateError says what can still be read. It Is ErrTooLate.
type TooLateError struct {
	// Oldest is the oldest rev that can be read; changes are kept from
	// Oldest+1 on.
	Oldest int64
}

func (e *TooLateError) Error() string {
	return fmt.Sprintf("rev is below the window: the oldest is %d", e.Oldest)
}

// Is makes it an ErrTooLate.
func (e *TooLateError) Is(target error) bool { return target == ErrTooLate }

// errorOf is the error that a node answered with.
func errorOf(e *doozerpb.Error) error {
	sentinel := sentinelOf(e.GetCode())
	switch e.GetCode() {
	case doozerpb.Code_REV_MISMATCH:
		m := &RevMismatchError{Path: e.GetPath(), Rev: e.GetRev(), Index: int(e.GetIndex())}
		if e.GetPresent().GetExists() {
			f := fileOf(e.GetPresent())
			m.Present = &f
		}
		return m
	case doozerpb.Code_TOO_LATE:
		return &TooLateError{Oldest: e.GetRev()}
	case doozerpb.Code_NOENT, doozerpb.Code_ISDIR, doozerpb.Code_NOTDIR:
		return sentinel
	case doozerpb.Code_OK:
		return fmt.Errorf("%w: an error without a code: %s", ErrInternal, e.GetMessage())
	case doozerpb.Code_DEADLINE:
		return &causes{text: "the node gave up in time: " + e.GetMessage(), is: []error{sentinel}}
	}
	// OpError names the path.
	message := strings.TrimPrefix(e.GetMessage(), strconv.Quote(e.GetPath())+": ")
	// A node may begin with the words that the sentinel has anyway.
	message = strings.TrimPrefix(strings.TrimPrefix(message, sentinel.Error()), ": ")
	if message == "" {
		return sentinel
	}
	return fmt.Errorf("%w: %s", sentinel, message)
}

// refusalOf is the error of the call k, refused by l.
func refusalOf(e *doozerpb.Error, k *call, l *link) error {
	err := errorOf(e)
	switch {
	case e.GetCode() == doozerpb.Code_NO_QUORUM && l.age.Load() > 0:
		return noMajority(l)
	case k.verb == verbTxn && e.GetPath() != "":
		what := "condition"
		if e.GetOp() {
			what = "operation"
		}
		return fmt.Errorf("%s %d on %s: %w", what, e.GetIndex(), e.GetPath(), err)
	case e.GetPath() != "" && e.GetPath() != k.path:
		return fmt.Errorf("%s: %w", e.GetPath(), err)
	}
	return err
}

// noMajority is ErrNoQuorum, as l's node knows it.
func noMajority(l *link) error {
	age := time.Duration(l.age.Load()) * time.Millisecond
	if age > time.Second {
		age = age.Round(100 * time.Millisecond)
	}
	return fmt.Errorf("%w: node %d (%s) last heard from a leader %v ago", ErrNoQuorum, l.node.Load(), l.addr, age)
}

// lateError is the error of an attempt at l that had no answer in time. What is
// known of the node says why: one without a leader waits for one as long as it
// may.
func lateError(l *link) error {
	if l.stale() {
		return noMajority(l)
	}
	return fmt.Errorf("node %d (%s) has not answered", l.node.Load(), l.addr)
}

// isRefusal tells whether err is why nodes could not do a call, in their own
// words.
func isRefusal(err error) bool {
	for _, e := range [...]error{ErrNoQuorum, ErrOverloaded, ErrStopping, ErrQuarantined} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// lostError is the error of an attempt that ended with its stream.
func lostError(l *link, cause error) error {
	if denied(cause) {
		return fmt.Errorf("%w: %s: %s", ErrDenied, l.addr, streamText(cause))
	}
	return fmt.Errorf("lost node %d (%s): %s", l.node.Load(), l.addr, streamText(cause))
}

// errEpoch ends a watch stream whose epoch is another than before.
var errEpoch = errors.New("the store was restored from a backup")

// refusalIn is the refusal that a gRPC error carries; nil if there is none.
func refusalIn(err error) *doozerpb.Error {
	if r := (*refusalError)(nil); errors.As(err, &r) {
		return r.e
	}
	s, ok := status.FromError(err)
	if !ok {
		return nil
	}
	for _, d := range s.Details() {
		if e, ok := d.(*doozerpb.Error); ok && e.GetCode() != doozerpb.Code_OK {
			return e
		}
	}
	return nil
}

// watchError is the final error of a Watch or Log: the refusal e, or err.
func watchError(e *doozerpb.Error, err error) error {
	switch {
	case e != nil:
		return errorOf(e)
	case errors.Is(err, errEpoch):
		return fmt.Errorf("%w: %w", ErrTooLate, err)
	case denied(err):
		return fmt.Errorf("%w: %s", ErrDenied, streamText(err))
	}
	return err
}

// rpcError is the error of a unary call to one node.
func rpcError(err error) error {
	switch e := refusalIn(err); {
	case e != nil:
		return errorOf(e)
	case status.Code(err) == codes.DeadlineExceeded:
		text := fmt.Sprintf("no answer within %v", statusTimeout)
		return &causes{text: text, is: []error{context.DeadlineExceeded, ErrUnreachable}}
	}
	return fmt.Errorf("%w: %s", ErrUnreachable, streamText(err))
}

// unknownOutcome is the error of a write that may have been done; cause is
// why the client does not go on, last what it heard last (nil: nothing). It Is
// cause, but not last, which says of its own attempt that nothing was done.
func unknownOutcome(cause, last error) error {
	if last == nil {
		last = cause
	}
	text := ErrUnknownOutcome.Error() + ": the write may have been done, or may yet be: " + last.Error()
	return &causes{text: text, is: []error{ErrUnknownOutcome, cause}}
}

// settlesNothing tells whether err leaves open what became of the attempts
// before: it says nothing about the write itself.
func settlesNothing(err error) bool {
	for _, e := range [...]error{ErrClientExpired, ErrInternal, ErrDenied, context.DeadlineExceeded} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// sentinelOf is the one table from the protocol's codes to errors.
func sentinelOf(code doozerpb.Code) error {
	switch code {
	case doozerpb.Code_OK:
		return nil
	case doozerpb.Code_REV_MISMATCH:
		return ErrRevMismatch
	case doozerpb.Code_NOENT:
		return ErrNotExist
	case doozerpb.Code_ISDIR:
		return ErrIsDir
	case doozerpb.Code_NOTDIR:
		return ErrNotDir
	case doozerpb.Code_BAD_PATH:
		return ErrBadPath
	case doozerpb.Code_BAD_GLOB:
		return ErrBadGlob
	case doozerpb.Code_BAD_REQUEST:
		return ErrBadRequest
	case doozerpb.Code_TOO_LATE:
		return ErrTooLate
	case doozerpb.Code_TOO_LARGE:
		return ErrTooLarge
	case doozerpb.Code_OVERLOADED:
		return ErrOverloaded
	case doozerpb.Code_UNKNOWN_OUTCOME:
		return ErrUnknownOutcome
	case doozerpb.Code_NO_QUORUM:
		return ErrNoQuorum
	case doozerpb.Code_DEADLINE:
		return context.DeadlineExceeded
	case doozerpb.Code_CLIENT_EXPIRED:
		return ErrClientExpired
	case doozerpb.Code_READ_ONLY:
		return ErrReadOnly
	case doozerpb.Code_STOPPING:
		return ErrStopping
	case doozerpb.Code_QUARANTINED:
		return ErrQuarantined
	case doozerpb.Code_INTERNAL:
		return ErrInternal
	}
	return ErrInternal
}
