package client

import (
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	doozerpb "github.com/doozer-store/doozer/proto"
)

func TestDecideReply(t *testing.T) {
	stop := verdict{}
	pause := verdict{again: true, pause: true}
	quit := verdict{again: true, pause: true, quit: true}
	type row struct{ read, write, unknown verdict } // unknown: a write whose earlier attempt is in doubt
	same := func(v verdict) row { return row{v, v, v} }
	doubt := verdict{again: true, pause: true, unknown: true}
	table := map[doozerpb.Code]row{
		doozerpb.Code_OK:              same(stop),
		doozerpb.Code_REV_MISMATCH:    same(stop),
		doozerpb.Code_NOENT:           same(stop),
		doozerpb.Code_ISDIR:           same(stop),
		doozerpb.Code_NOTDIR:          same(stop),
		doozerpb.Code_BAD_PATH:        same(stop),
		doozerpb.Code_BAD_GLOB:        same(stop),
		doozerpb.Code_BAD_REQUEST:     same(stop),
		doozerpb.Code_TOO_LATE:        same(stop),
		doozerpb.Code_TOO_LARGE:       same(stop),
		doozerpb.Code_READ_ONLY:       same(stop),
		doozerpb.Code_DEADLINE:        same(stop),
		doozerpb.Code_OVERLOADED:      same(verdict{again: true, pause: true, after: 30 * time.Millisecond}),
		doozerpb.Code_NO_QUORUM:       same(verdict{again: true, pause: true, leave: true}),
		doozerpb.Code_STOPPING:        same(quit),
		doozerpb.Code_QUARANTINED:     same(quit),
		doozerpb.Code_UNKNOWN_OUTCOME: {pause, doubt, doubt},
		doozerpb.Code_CLIENT_EXPIRED:  {stop, verdict{again: true, newID: true}, stop},
		doozerpb.Code_INTERNAL:        {stop, verdict{unknown: true}, verdict{unknown: true}},
	}
	for n, name := range doozerpb.Code_name {
		want, ok := table[doozerpb.Code(n)]
		if !ok {
			t.Errorf("%s has no row", name)
			continue
		}
		e := &doozerpb.Error{Code: doozerpb.Code(n)}
		if e.Code == doozerpb.Code_OVERLOADED {
			e.RetryMs = 30
		}
		got := row{decideReply(e, false, false), decideReply(e, true, false), decideReply(e, true, true)}
		if got != want {
			t.Errorf("%s:\n got %+v\nwant %+v", name, got, want)
		}
	}
}

// TestDefiniteRefusalsSettleAWrite: what is final for a write of which an
// earlier attempt is in doubt either tells its fate or is an unknown outcome.
func TestDefiniteRefusalsSettleAWrite(t *testing.T) {
	for n, name := range doozerpb.Code_name {
		e := &doozerpb.Error{Code: doozerpb.Code(n)}
		if n == 0 || decideReply(e, true, true).again {
			continue
		}
		open := false
		switch e.Code {
		case doozerpb.Code_CLIENT_EXPIRED, doozerpb.Code_INTERNAL, doozerpb.Code_DEADLINE:
			open = true
		}
		if got := settlesNothing(errorOf(e)); got != open {
			t.Errorf("%s leaves the outcome open: %v, want %v", name, got, open)
		}
	}
}

func TestDecideBroken(t *testing.T) {
	gone := status.Error(codes.Unavailable, "gone")
	for _, test := range []struct {
		how      end
		cause    error
		write    bool
		attempts int
		want     verdict
	}{
		{endBroken, gone, true, 1, verdict{again: true, unknown: true}},
		{endUnsent, gone, true, 1, verdict{again: true}},
		{endBroken, gone, false, 1, verdict{again: true}},
		{endBroken, gone, false, 2, verdict{again: true, pause: true}},
		{endBroken, status.Error(codes.PermissionDenied, ""), true, 1, verdict{unknown: true}},
		{endUnsent, status.Error(codes.Unauthenticated, ""), true, 1, verdict{}},
		{endBroken, errSilent, true, 1, verdict{again: true, unknown: true}},
	} {
		if got := decideBroken(test.how, test.cause, test.write, test.attempts); got != test.want {
			t.Errorf("%+v: got %+v", test, got)
		}
	}
}

func TestDecideWatch(t *testing.T) {
	again := verdict{again: true}
	for _, test := range []struct {
		code     doozerpb.Code
		err      error
		noResync bool
		want     verdict
	}{
		{code: doozerpb.Code_TOO_LATE, want: verdict{again: true, resync: viewDelta}},
		{code: doozerpb.Code_TOO_LATE, noResync: true, want: verdict{resync: viewDelta}},
		{code: doozerpb.Code_NO_QUORUM, want: again},
		{code: doozerpb.Code_STOPPING, want: again},
		{code: doozerpb.Code_INTERNAL, want: again},
		{code: doozerpb.Code_BAD_GLOB},
		{code: doozerpb.Code_READ_ONLY},
		{err: errSilent, want: again},
		{err: status.Error(codes.Unavailable, ""), want: again},
		{err: status.Error(codes.Unimplemented, "")},
		{err: errEpoch, want: verdict{again: true, resync: viewAll}},
		{err: errEpoch, noResync: true, want: verdict{resync: viewAll}},
		{err: &TooLateError{}},
		{err: ErrWrongCluster, want: again},
		{err: ErrInternal},
	} {
		var e *doozerpb.Error
		if test.err == nil {
			e, test.err = refusal(test.code, ""), errors.New("refused")
		}
		if got := decideWatch(e, test.err, test.noResync); got != test.want {
			t.Errorf("%v %v: got %+v, want %+v", test.code, test.err, got, test.want)
		}
	}
}

func TestBackoff(t *testing.T) {
	for n := 1; n < 100; n++ {
		nominal := backoffMax
		if n < 6 {
			nominal = min(backoffMin<<(n-1), backoffMax)
		}
		if d := backoff(n); d < nominal/2 || d > nominal {
			t.Errorf("backoff(%d) = %v, not within %v and %v", n, d, nominal/2, nominal)
		}
	}
}
