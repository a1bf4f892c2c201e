package line

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/client/session"
)

// ReadConf reads what all who use a line agree on. Its error Is
// client.ErrNotExist if nobody has used it so far.
func ReadConf(ctx context.Context, st session.Store, name string) (Conf, error) {
	conf, _, err := readConf(ctx, st, name)
	return conf, err
}

func readConf(ctx context.Context, st session.Store, name string) (conf Conf, rev int64, err error) {
	if err := checkName(name); err != nil {
		return Conf{}, 0, err
	}
	f, err := st.Get(ctx, Root+"/"+name+"/conf")
	if err != nil {
		return Conf{}, 0, err
	}
	if json.Unmarshal(f.Value, &conf) != nil || conf.V != entryVersion {
		return Conf{}, 0, fmt.Errorf("%w: %s says %q", ErrConf, f.Path, f.Value)
	}
	return conf, f.Rev, nil
}

// SetLimit makes limit the one that all who line up from then on have to agree
// on. Those who are in line keep theirs until they leave: for them the others are
// further back, so that never more than the larger of both limits hold. A place
// whose limit became smaller may not notice the death of a holder before all who
// had the larger one are gone. Without anybody who has used the line, the error
// Is client.ErrNotExist; it Is ErrConf if it is used in another mode.
func SetLimit(ctx context.Context, st session.Store, name, mode string, limit int) error {
	if limit < 1 || limit > MaxLimit {
		return fmt.Errorf("%w: %d is not from 1 to %d", ErrBadLimit, limit, MaxLimit)
	}
	for {
		conf, rev, err := readConf(ctx, st, name)
		if err != nil {
			return err
		}
		if conf.Mode != mode {
			return fmt.Errorf("%w: %s is of mode %q", ErrConf, name, conf.Mode)
		}
		if conf.Limit == limit {
			return nil
		}
		conf.Limit = limit
		path := Root + "/" + name + "/conf"
		_, err = st.Txn(ctx, client.Txn{
			If: []client.Cond{client.Unchanged(path, rev)},
			Do: []client.Op{client.SetOp(path, encode(conf))},
		})
		if !errors.Is(err, client.ErrRevMismatch) {
			return err
		}
	}
}
