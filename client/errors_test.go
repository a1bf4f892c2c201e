package client

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	doozerpb "github.com/doozer-store/doozer/proto"
)

// errorTable has a row for every code of the protocol.
func errorTable() map[doozerpb.Code]error {
	return map[doozerpb.Code]error{
		doozerpb.Code_OK:              nil,
		doozerpb.Code_REV_MISMATCH:    ErrRevMismatch,
		doozerpb.Code_NOENT:           ErrNotExist,
		doozerpb.Code_ISDIR:           ErrIsDir,
		doozerpb.Code_NOTDIR:          ErrNotDir,
		doozerpb.Code_BAD_PATH:        ErrBadPath,
		doozerpb.Code_BAD_GLOB:        ErrBadGlob,
		doozerpb.Code_BAD_REQUEST:     ErrBadRequest,
		doozerpb.Code_TOO_LATE:        ErrTooLate,
		doozerpb.Code_TOO_LARGE:       ErrTooLarge,
		doozerpb.Code_OVERLOADED:      ErrOverloaded,
		doozerpb.Code_UNKNOWN_OUTCOME: ErrUnknownOutcome,
		doozerpb.Code_NO_QUORUM:       ErrNoQuorum,
		doozerpb.Code_DEADLINE:        context.DeadlineExceeded,
		doozerpb.Code_CLIENT_EXPIRED:  ErrClientExpired,
		doozerpb.Code_READ_ONLY:       ErrReadOnly,
		doozerpb.Code_STOPPING:        ErrStopping,
		doozerpb.Code_QUARANTINED:     ErrQuarantined,
		doozerpb.Code_INTERNAL:        ErrInternal,
	}
}

func TestEveryCodeHasItsError(t *testing.T) {
	table := errorTable()
	used := make(map[error]doozerpb.Code)
	for n, name := range doozerpb.Code_name {
		code := doozerpb.Code(n)
		want, ok := table[code]
		if !ok {
			t.Errorf("%s has no row", name)
			continue
		}
		if got := sentinelOf(code); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
		if other, ok := used[want]; ok {
			t.Errorf("%s and %s are both %v", name, other, want)
		}
		used[want] = code
		if code == doozerpb.Code_OK {
			continue
		}
		err := errorOf(&doozerpb.Error{Code: code, Message: "because"})
		if !errors.Is(err, want) || err.Error() == "" {
			t.Errorf("%s becomes %q, which is not %v", name, err, want)
		}
	}
	if sentinelOf(999) != ErrInternal {
		t.Error("an unknown code is not an internal error")
	}
	if err := errorOf(&doozerpb.Error{}); !errors.Is(err, ErrInternal) {
		t.Errorf("an error without code is %v", err)
	}
}

func TestTypedErrors(t *testing.T) {
	err := fmt.Errorf("x: %w", errorOf(&doozerpb.Error{Code: doozerpb.Code_TOO_LATE, Rev: 7}))
	var late *TooLateError
	if !errors.As(err, &late) || late.Oldest != 7 {
		t.Errorf("%v", err)
	}
	err = unknownOutcome(context.Canceled, ErrNoQuorum)
	if !isAll(err, ErrUnknownOutcome, context.Canceled) || errors.Is(err, ErrNoQuorum) {
		t.Errorf("%v: an unknown outcome must not look like a definite one", err)
	}
	err = &OpError{Op: "set", Path: "/a", Err: err}
	if want := "set /a: outcome unknown: the write may have been done, or may yet be: no majority"; err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
}

func TestRPCErrors(t *testing.T) {
	for _, test := range []struct {
		err  error
		want error
		text string
	}{
		{rpcRefusal(doozerpb.Code_QUARANTINED, 0), ErrQuarantined, "node is quarantined: QUARANTINED"},
		{status.Error(codes.DeadlineExceeded, "x"), context.DeadlineExceeded, "no answer within 1s"},
		{status.Error(codes.Unavailable, `connection error: desc = "transport: Error while dialing: dial tcp: refused"`),
			ErrUnreachable, "no node can be reached: refused"},
	} {
		if err := rpcError(test.err); !errors.Is(err, test.want) || err.Error() != test.text {
			t.Errorf("%q, want %q", err, test.text)
		}
	}
	if err := watchError(nil, errEpoch); !errors.Is(err, ErrTooLate) {
		t.Error(err)
	}
	if err := watchError(nil, status.Error(codes.PermissionDenied, "no")); !errors.Is(err, ErrDenied) {
		t.Error(err)
	}
}
