package failover

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/client/session"
)

// Init makes a group. One that is there is ErrExists.
func Init(ctx context.Context, st session.Store, group string, c Conf) (rev int64, err error) {
	p, err := PathsOf(group)
	if err == nil {
		err = c.Check()
	}
	if err != nil {
		return 0, err
	}
	rev, err = st.Txn(ctx, client.Txn{
		If:      []client.Cond{client.Missing(p.Conf())},
		Do:      []client.Op{client.SetOp(p.Conf(), c.Encode())},
		Message: "redis group made",
	})
	if errors.Is(err, client.ErrRevMismatch) {
		return 0, fmt.Errorf("group %s: %w", group, ErrExists)
	}
	return rev, err
}

// ReadConf returns the settings of a group and their rev. Without a conf the
// error Is ErrNoGroup.
func ReadConf(ctx context.Context, st session.Store, group string) (Conf, int64, error) {
	p, err := PathsOf(group)
	if err != nil {
		return Conf{}, 0, err
	}
	f, err := st.Get(ctx, p.Conf())
	if errors.Is(err, client.ErrNotExist) {
		return Conf{}, 0, fmt.Errorf("group %s: %w; doozer redis init makes it", group, ErrNoGroup)
	}
	if err != nil {
		return Conf{}, 0, err
	}
	c, err := ParseConf(f.Value)
	return c, f.Rev, err
}

// SetConf changes the settings of a group: change is called with the present
// ones, again if others changed them meanwhile.
func SetConf(ctx context.Context, st session.Store, group string, change func(*Conf) error) (Conf, error) {
	for {
		c, rev, err := ReadConf(ctx, st, group)
		if err != nil {
			return c, err
		}
		if err := change(&c); err != nil {
			return c, err
		}
		if err := c.Check(); err != nil {
			return c, err
		}
		path := Paths(group).Conf()
		_, err = st.Txn(ctx, client.Txn{
			If: []client.Cond{client.Unchanged(path, rev)},
			Do: []client.Op{client.SetOp(path, c.Encode())},
		})
		if !errors.Is(err, client.ErrRevMismatch) {
			return c, err
		}
	}
}

// Ask gives the agents a command, for the epoch of v, and returns when it has
// been done: with the view in which there is another epoch. An agent that does
// not do it is ErrRefused, with its reason; a command that waits already,
// ErrBusy. ctx bounds the waiting; if nobody has begun, the command is taken back
// then.
func Ask(ctx context.Context, st session.Store, f *Follower, cmd Cmd) (View, error) {
	v := f.View()
	p := f.paths
	cmd.ID, cmd.Epoch = rand.Text(), v.Epoch
	if cmd.To != "" {
		if _, ok := v.Node(cmd.To); !ok {
			return v, fmt.Errorf("%w: there is no node %q", ErrRefused, cmd.To)
		}
	}
	cond := client.Missing(p.Cmd())
	if old := v.Cmd; old != nil {
		if !old.Done && old.Epoch == v.Epoch {
			return v, fmt.Errorf("%w: %s, of epoch %d", ErrBusy, old.Verb, old.Epoch)
		}
		cond = client.Unchanged(p.Cmd(), old.Rev)
	}
	conds := []client.Cond{cond}
	if v.Epoch != 0 {
		conds = append(conds, client.Unchanged(p.Register(), v.Epoch))
	}
	rev, err := st.Txn(ctx, client.Txn{If: conds, Do: []client.Op{client.SetOp(p.Cmd(), cmd.Encode())}, Message: cmd.Verb})
	if errors.Is(err, client.ErrRevMismatch) {
		return f.View(), fmt.Errorf("%w: try again", ErrStale)
	}
	if err != nil {
		return v, err
	}
	return await(ctx, st, f, cmd, rev)
}

// await waits for what becomes of a command that is at rev.
func await(ctx context.Context, st session.Store, f *Follower, cmd Cmd, rev int64) (View, error) {
	v, err := f.Wait(ctx, func(v View) bool {
		if v.Cmd != nil && v.Cmd.ID == cmd.ID {
			return v.Cmd.Done
		}
		return v.Rev >= rev && (v.Register.State == Running || v.Cmd != nil)
	})
	switch {
	case err != nil:
		st.Txn(context.WithoutCancel(ctx), client.Txn{
			If: []client.Cond{client.Unchanged(f.paths.Cmd(), rev)},
			Do: []client.Op{client.DelOp(f.paths.Cmd())},
		})
		return v, fmt.Errorf("%s: no agent has done it in time: %w", cmd.Verb, err)
	case v.Cmd != nil && v.Cmd.ID == cmd.ID:
		return v, fmt.Errorf("%w: %s", ErrRefused, v.Cmd.Error)
	case cmd.To != "" && v.Register.Node != cmd.To:
		return v, fmt.Errorf("%w: %s is the master: %s", ErrRefused, v.Register.Node, v.Register.Why)
	}
	return v, nil
}
