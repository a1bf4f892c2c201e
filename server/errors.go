package server

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/doozer-store/doozer/consensus"
	doozerpb "github.com/doozer-store/doozer/proto"
	"github.com/doozer-store/doozer/store"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// grpcCodes is the one table from doozer's codes to grpc's, which carry them
// to clients that know nothing of doozer. Its twin is in package client. A
// doozer code that is not in it is a bug that a test finds.
var grpcCodes = [...]codes.Code{
	doozerpb.Code_OK:              codes.OK,
	doozerpb.Code_REV_MISMATCH:    codes.Aborted,
	doozerpb.Code_NOENT:           codes.NotFound,
	doozerpb.Code_ISDIR:           codes.FailedPrecondition,
	doozerpb.Code_NOTDIR:          codes.FailedPrecondition,
	doozerpb.Code_BAD_PATH:        codes.InvalidArgument,
	doozerpb.Code_BAD_GLOB:        codes.InvalidArgument,
	doozerpb.Code_BAD_REQUEST:     codes.InvalidArgument,
	doozerpb.Code_TOO_LATE:        codes.OutOfRange,
	doozerpb.Code_TOO_LARGE:       codes.InvalidArgument,
	doozerpb.Code_OVERLOADED:      codes.ResourceExhausted,
	doozerpb.Code_UNKNOWN_OUTCOME: codes.DeadlineExceeded,
	doozerpb.Code_NO_QUORUM:       codes.Unavailable,
	doozerpb.Code_DEADLINE:        codes.DeadlineExceeded,
	doozerpb.Code_CLIENT_EXPIRED:  codes.FailedPrecondition,
	doozerpb.Code_READ_ONLY:       codes.PermissionDenied,
	doozerpb.Code_STOPPING:        codes.Unavailable,
	doozerpb.Code_QUARANTINED:     codes.DataLoss,
	doozerpb.Code_INTERNAL:        codes.Internal,
}

// storeCodes is the table from the store's codes to the wire's.
var storeCodes = [...]doozerpb.Code{
	store.OK:            doozerpb.Code_OK,
	store.RevMismatch:   doozerpb.Code_REV_MISMATCH,
	store.NoEnt:         doozerpb.Code_NOENT,
	store.IsDir:         doozerpb.Code_ISDIR,
	store.NotDir:        doozerpb.Code_NOTDIR,
	store.BadPath:       doozerpb.Code_BAD_PATH,
	store.BadGlob:       doozerpb.Code_BAD_GLOB,
	store.BadRequest:    doozerpb.Code_BAD_REQUEST,
	store.TooLate:       doozerpb.Code_TOO_LATE,
	store.TooLarge:      doozerpb.Code_TOO_LARGE,
	store.ClientExpired: doozerpb.Code_CLIENT_EXPIRED,
	store.ReadOnly:      doozerpb.Code_READ_ONLY,
}

// grpcError returns e as the error of a unary or streaming RPC: a status with
// e as its detail.
func grpcError(e *doozerpb.Error) error {
	if e == nil {
		return nil
	}
	code := codes.Internal
	if int(e.Code) < len(grpcCodes) && e.Code > 0 {
		code = grpcCodes[e.Code]
	}
	st, err := status.New(code, e.Message).WithDetails(e)
	if err != nil {
		return status.Error(codes.Internal, err.Error())
	}
	return st.Err()
}

// fail returns an Error of the wire. Its message is a sentence for people, who
// should find in it what to do, or whom to ask; programs go by the code.
func fail(code doozerpb.Code, format string, args ...any) *doozerpb.Error {
	return &doozerpb.Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// storeError returns a refusal of the store as an Error of the wire. A failed
// condition brings the present file along, value and all, so that its writer
// can try again without another read.
func storeError(e *store.Error) *doozerpb.Error {
	if e == nil {
		return nil
	}
	out := &doozerpb.Error{
		Code:    doozerpb.Code_INTERNAL,
		Message: strings.ToValidUTF8(e.Error(), "\uFFFD"),
		Path:    strings.ToValidUTF8(e.Path, "\uFFFD"), // a bad path can be anything
		Rev:     e.Rev,
		Index:   uint32(e.Index),
		Op:      e.Op,
	}
	if int(e.Code) < len(storeCodes) {
		out.Code = storeCodes[e.Code]
	}
	if e.Code == store.RevMismatch {
		out.Present = &doozerpb.File{Path: out.Path}
		if e.Present != nil {
			out.Present = fileOf(e.Present, true)
		}
	}
	return out
}

// asStoreError is storeError for the functions of the store that return a
// plain error.
func asStoreError(err error) *doozerpb.Error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*store.Error](err); ok {
		return storeError(e)
	}
	return fail(doozerpb.Code_BAD_REQUEST, "%v", err)
}

// consensusError returns an error of consensus as an Error of the wire. age
// is how long ago the node heard from a leader. What matters most is whether a
// write may have been done: only ErrUnknown leaves that open, and an error that
// is not known here is a bug and told as such. TestEveryConsensusErrorHasARow
// finds the ones that were forgotten.
func consensusError(err error, age time.Duration) *doozerpb.Error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, consensus.ErrDeadline):
		return fail(doozerpb.Code_NO_QUORUM, "no majority answered before the deadline: last heard from a leader %v ago; nothing was done", age.Round(time.Millisecond))
	case errors.Is(err, consensus.ErrUnknown):
		return fail(doozerpb.Code_UNKNOWN_OUTCOME, "the write may or may not have been done: %v", err)
	case errors.Is(err, consensus.ErrOverloaded):
		return overloaded("%v", err)
	case errors.Is(err, consensus.ErrTooLarge):
		return fail(doozerpb.Code_TOO_LARGE, "%v", err)
	case errors.Is(err, consensus.ErrStopped):
		return stopping()
	default:
		return fail(doozerpb.Code_INTERNAL, "%v", err)
	}
}

// overloaded, stopping and quarantined are the refusals that say nothing about
// the request: it may be sent again, later or to another node.

func overloaded(format string, args ...any) *doozerpb.Error {
	e := fail(doozerpb.Code_OVERLOADED, format, args...)
	e.RetryMs = uint32(retryOverloaded.Milliseconds())
	return e
}

func stopping() *doozerpb.Error {
	return fail(doozerpb.Code_STOPPING, "the node is stopping; nothing was done")
}

func quarantined(reason string) *doozerpb.Error {
	return fail(doozerpb.Code_QUARANTINED, "the node is quarantined: %s", reason)
}
