package lock

import (
	"context"
	"errors"
	"fmt"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/client/session"
	"github.com/doozer-store/doozer/client/session/line"
)

// ErrNotKept: Break is for locks whose session was kept; others end by
// themselves.
var ErrNotKept = errors.New("not a lock that is kept")

// Break ends a lock whose session was kept (session.Keep), by its token. What the
// holder does after that under its context is not stopped; what it writes with
// its token is refused.
func Break(ctx context.Context, st session.Store, name string, token int64) error {
	if !line.ValidName(name) {
		return fmt.Errorf("lock %s: %w", name, ErrBadName)
	}
	lines, err := line.All(ctx, st, name)
	if err != nil {
		return fmt.Errorf("lock %s: %w", name, err)
	}
	for _, l := range lines {
		for _, e := range l.Entries {
			if l.Name == name && e.Rev == token {
				return breakEntry(ctx, st, name, e)
			}
		}
	}
	return fmt.Errorf("lock %s: %w", name, fmt.Errorf("%w: nobody has token %d", client.ErrNotExist, token))
}

func breakEntry(ctx context.Context, st session.Store, name string, e line.Entry) error {
	t := client.Txn{If: []client.Cond{client.Unchanged(e.Path, e.Rev)}, Do: []client.Op{client.DelOp(e.Path)}, Message: "broken by hand"}
	f, err := st.Get(ctx, session.PathOf(e.Session))
	switch {
	case errors.Is(err, client.ErrNotExist):
	case err != nil:
		return fmt.Errorf("lock %s: %w", name, err)
	default:
		if r, err := session.ParseRecord(f.Value); err != nil || !r.Kept() {
			return fmt.Errorf("lock %s: %w", name, ErrNotKept)
		}
		t.If = append(t.If, client.Unchanged(f.Path, f.Rev))
		t.Do = append(t.Do, client.DelOp(f.Path))
	}
	if _, err := st.Txn(ctx, t); err != nil {
		return fmt.Errorf("lock %s: %w", name, err)
	}
	return nil
}
