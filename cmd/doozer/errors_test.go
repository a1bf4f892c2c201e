package main

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/doozer-store/doozer/client"
)

// Each error of the client has its exit status and, where there is one, its
// remedy. The verb and the path that the client puts first are left to
// complain.
func TestDescribe(t *testing.T) {
	op := func(err error) error { return &client.OpError{Op: "set", Path: "/a", Err: err} }
	tests := []struct {
		err    error
		text   string
		status int
	}{
		{op(client.ErrNotExist), "no such file or directory", statusNoFile},
		{op(fmt.Errorf("operation on /b: %w", client.ErrNotExist)), "operation on /b: no such file or directory", statusNoFile},
		{op(&client.RevMismatchError{Path: "/a", Rev: 7}), "the condition failed: the file is at rev 7", statusCondition},
		{op(&client.RevMismatchError{Path: "/a"}), "the condition failed: there is no file", statusCondition},
		{op(&client.RevMismatchError{Path: "/b", Rev: 7}), "the condition on /b failed: the file is at rev 7", statusCondition},
		{op(client.ErrRevMismatch), "revision mismatch", statusCondition},
		{op(client.ErrBadTarget), "bad target", statusUsage},
		{usagef("no"), "no", statusUsage},
		{errNoVerb, "", statusUsage},
		{op(&client.TooLateError{Oldest: 9}), "rev is below the window: the oldest is 9; doozer log shows what is kept", statusError},
		{op(client.ErrNoQuorum), "no majority; see doozer status; get, stat, ls, find and log have --local", statusError},
		{op(client.ErrOverloaded), "overloaded; nothing was done: try again later", statusError},
		{op(client.ErrIsDir), "is a directory; doozer ls lists it", statusError},
		{op(client.ErrBadPath), "bad path", statusError},
		{op(client.ErrUnreachable), "no node can be reached; does doozerd run there? -a or DOOZER_URI names the nodes", statusError},
		{op(context.DeadlineExceeded), "context deadline exceeded; --timeout is 3s", statusError},
		{op(context.Canceled), "interrupted", statusError},
		{op(errors.Join(client.ErrUnreachable, context.Canceled)), "interrupted", statusError},
		// An unknown outcome is never told as less than that.
		{op(errors.Join(client.ErrUnknownOutcome, context.Canceled)),
			"outcome unknown\ncontext canceled; read before you write again", statusError},
		{op(errors.Join(client.ErrUnknownOutcome, context.DeadlineExceeded)),
			"outcome unknown\ncontext deadline exceeded; read before you write again", statusError},
		{op(errors.Join(client.ErrUnknownOutcome, client.ErrNoQuorum)),
			"outcome unknown\nno majority; read before you write again", statusError},
		{errors.New("else"), "else", statusError},
	}
	c := &command{subject: "/a", timeout: timeoutFlag{d: 3 * time.Second}}
	for _, tt := range tests {
		if text, status := c.describe(tt.err); text != tt.text || status != tt.status {
			t.Errorf("%v: %q, %d; want %q, %d", tt.err, text, status, tt.text, tt.status)
		}
	}
}
