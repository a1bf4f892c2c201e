package failover

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/client/session"
)

// Clean deletes the bids of elections before epoch, and all but the newest of the
// history.
func Clean(ctx context.Context, st session.Store, group string, epoch int64) error {
	p, err := PathsOf(group)
	if err != nil {
		return err
	}
	var gone []client.File
	hists := make(map[int64]client.File)
	for f, err := range st.Walk(ctx, p.Glob(), client.NoValues()) {
		if err != nil {
			return err
		}
		name := strings.Split(strings.TrimPrefix(f.Path, p.dir()+"/"), "/")
		if len(name) == 3 && name[0] == "bid" {
			if e, ok := epochName(name[1]); ok && e < epoch {
				gone = append(gone, f)
			}
		}
		if len(name) == 2 && name[0] == "hist" {
			if e, ok := epochName(name[1]); ok {
				hists[e] = f
			}
		}
	}
	var epochs []int64
	for e := range hists {
		epochs = append(epochs, e)
	}
	slices.Sort(epochs)
	for _, e := range epochs[:max(0, len(epochs)-maxHist)] {
		gone = append(gone, hists[e])
	}
	for _, f := range gone {
		_, err := st.Txn(ctx, client.Txn{
			If: []client.Cond{client.Unchanged(f.Path, f.Rev)},
			Do: []client.Op{client.DelOp(f.Path)},
		})
		if err != nil && !errors.Is(err, client.ErrRevMismatch) && !errors.Is(err, client.ErrNotExist) {
			return err
		}
	}
	return nil
}
