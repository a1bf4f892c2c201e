package client

import (
	"errors"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	doozerpb "github.com/doozer-store/doozer/proto"
)

// verdict says what follows from one attempt of a call. This file alone
// decides what may be sent again:
//
//   - A read may always be.
//   - A write may always be sent again under the same id: the store applies
//     it once. Under another id it may be only if no attempt can have been
//     applied.
//   - What the store refused for the request's own sake is not sent again.
type verdict struct {
	// again: make another attempt, within the deadline. Else the attempt's
	// answer is the call's.
	again bool
	// pause: not at once, but after a backoff, and no sooner than after.
	pause bool
	after time.Duration
	// unknown: this attempt may have been applied.
	unknown bool
	// newID: take another client id first.
	newID bool
	// leave: the node cannot do what needs a majority; another may. quit: the
	// node is of no use at all.
	leave, quit bool
	// resync: a watch needs a snapshot, to be delivered that way; else
	// viewChanges.
	resync viewMode
}

// decideReply decides after a refusal. unknown tells whether an attempt
// before may have been applied.
func decideReply(e *doozerpb.Error, write, unknown bool) verdict {
	switch e.GetCode() {
	case doozerpb.Code_OVERLOADED:
		return verdict{again: true, pause: true, after: time.Duration(e.GetRetryMs()) * time.Millisecond}
	case doozerpb.Code_NO_QUORUM:
		return verdict{again: true, pause: true, leave: true}
	case doozerpb.Code_STOPPING, doozerpb.Code_QUARANTINED:
		return verdict{again: true, pause: true, quit: true}
	case doozerpb.Code_UNKNOWN_OUTCOME:
		// The same id brings the answer to light.
		return verdict{again: true, pause: true, unknown: write}
	case doozerpb.Code_CLIENT_EXPIRED:
		return decideExpired(write, unknown)
	case doozerpb.Code_INTERNAL:
		return verdict{unknown: write}
	}
	return verdict{}
}

// decideExpired decides about a write whose client id the store does not
// know. If an attempt may have been applied, nobody can tell any more.
func decideExpired(write, unknown bool) verdict {
	if !write || unknown {
		return verdict{}
	}
	return verdict{again: true, newID: true}
}

// decideBroken decides after the stream ended without an answer. attempts
// counts those that were made, this one included. The first loss is made good
// at once, further ones after a pause: a request that breaks every stream must
// not do so as fast as it can.
func decideBroken(how end, cause error, write bool, attempts int) verdict {
	return verdict{again: !denied(cause), pause: attempts > 1, unknown: write && how == endBroken}
}

// decideWatch decides after the end of a Watch or Log stream: with the
// refusal e, or, if e is nil, with err. Almost everything is worth another
// node: a watch has no end but its context's.
func decideWatch(e *doozerpb.Error, err error, noResync bool) verdict {
	switch e.GetCode() {
	case doozerpb.Code_OK: // no refusal
	case doozerpb.Code_TOO_LATE:
		return verdict{again: !noResync, resync: viewDelta}
	case doozerpb.Code_OVERLOADED, doozerpb.Code_NO_QUORUM, doozerpb.Code_DEADLINE, doozerpb.Code_STOPPING,
		doozerpb.Code_QUARANTINED, doozerpb.Code_UNKNOWN_OUTCOME, doozerpb.Code_INTERNAL:
		return verdict{again: true}
	default:
		return verdict{}
	}
	switch {
	case errors.Is(err, errEpoch):
		return verdict{again: !noResync, resync: viewAll}
	case errors.Is(err, ErrTooLate), errors.Is(err, ErrInternal):
		return verdict{}
	}
	return verdict{again: !denied(err)}
}

// denied tells whether a stream ended because the caller may not have it.
func denied(err error) bool {
	switch status.Code(err) {
	case codes.Unauthenticated, codes.PermissionDenied, codes.Unimplemented, codes.InvalidArgument:
		return true
	}
	return false
}

// backoff is the pause before attempt n+1, n >= 1: doubling, between half and
// all of its nominal length.
func backoff(n int) time.Duration {
	d := backoffMax
	if n < 6 {
		d = min(backoffMin<<(n-1), backoffMax)
	}
	return d/2 + rand.N(d/2)
}
