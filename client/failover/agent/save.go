package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/doozer-store/doozer/client"
	"github.com/doozer-store/doozer/client/failover"
	"github.com/doozer-store/doozer/client/failover/replica"
)

// LostFile is the name of the file in which an agent keeps what its Redis alone
// had when the failover of an epoch left it behind.
func LostFile(group string, epoch int64) string {
	return fmt.Sprintf("lost-%s-%d.resp", group, epoch)
}

// save keeps what the own Redis alone has, before it is made a replica and loses
// it, and adds it to the failover's history.
func (a *Agent) save(ctx context.Context, v *failover.View) error {
	h := v.Ahead(&a.own)
	if h == nil {
		a.saved = v.Epoch
		return nil
	}
	lost, err := a.rescue(ctx, v, h)
	if err != nil {
		a.saves++
		if a.saves < saveTries && !errors.Is(err, replica.ErrGone) {
			return err
		}
		a.log.Error("what this Redis alone had could not be saved", "epoch", h.Epoch, "error", err)
		lost = failover.Lost{Bytes: a.own.Offset - h.Offset, Commands: -1, Why: err.Error()}
	}
	if lost.Commands != 0 {
		a.log.Warn("writes were lost by a failover", "epoch", h.Epoch, "commands", lost.Commands, "bytes", lost.Bytes, "file", lost.File)
		if err := a.tell(ctx, h.Epoch, lost); err != nil {
			return err
		}
	}
	a.saved, a.looked = v.Epoch, time.Time{}
	return nil
}

// rescue reads what is lost from Redis, and writes it to a file.
func (a *Agent) rescue(ctx context.Context, v *failover.View, h *failover.Hist) (failover.Lost, error) {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	// Nothing may be added any more.
	if err := a.redis.set(ctx, "min-replicas-to-write", shut); err != nil {
		return failover.Lost{}, err
	}
	if !a.own.Master {
		if !a.own.Backlog {
			return failover.Lost{}, fmt.Errorf("%w: its process has ended since", replica.ErrGone)
		}
		// A replica of nowhere serves nobody; a master that is shut does.
		if err := a.redis.promote(ctx); err != nil {
			return failover.Lost{}, err
		}
	}
	in, err := a.redis.info(ctx, "replication", "keyspace")
	if err != nil {
		return failover.Lost{}, err
	}
	to := in.int("master_repl_offset")
	raw, err := replica.Tail(ctx, a.redis.target, h.ReplID, h.Offset, to)
	if err != nil {
		return failover.Lost{}, err
	}
	c, err := replica.Parse(raw)
	if err != nil {
		return failover.Lost{}, err
	}
	if c.Count == 0 {
		return failover.Lost{}, nil
	}
	lost := failover.Lost{Bytes: int64(len(c.Raw)), Commands: c.Count}
	if c.Rest > 0 {
		lost.Why = fmt.Sprintf("%d bytes at the end are no whole command", c.Rest)
	}
	if !c.Selects {
		db, ok := a.database(ctx, in, h)
		if !ok {
			lost.Why = "which database its first commands are for is not known"
		} else {
			n := strconv.Itoa(db)
			c.Raw = append(fmt.Appendf(nil, "*2\r\n$6\r\nSELECT\r\n$%d\r\n%s\r\n", len(n), n), c.Raw...)
		}
	}
	lost.File = filepath.Join(a.cfg.Dir, LostFile(v.Group, h.Epoch))
	return lost, writeFile(lost.File, c.Raw)
}

// database is the one that the history had selected where what is lost begins.
func (a *Agent) database(ctx context.Context, in info, h *failover.Hist) (int, bool) {
	first := in.int("repl_backlog_first_byte_offset")
	if first > 0 && first <= h.Offset {
		if before, err := replica.Tail(ctx, a.redis.target, h.ReplID, first-1, h.Offset); err == nil {
			if db, ok := replica.LastSelect(before); ok {
				return db, true
			}
		}
	}
	// With one database in use there is no doubt.
	for name := range in {
		if n, err := strconv.Atoi(name[min(2, len(name)):]); err == nil && name[:2] == "db" && n != 0 {
			return 0, false
		}
	}
	return 0, true
}

// writeFile writes a whole file through to the disk, or none.
func writeFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// tell adds what this node lost to the history of a failover.
func (a *Agent) tell(ctx context.Context, epoch int64, lost failover.Lost) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	path := a.paths.Hist(epoch)
	for {
		f, err := a.cfg.Store.Get(ctx, path)
		if err != nil {
			return err
		}
		h, err := failover.ParseHist(f.Value)
		if err != nil {
			return err
		}
		if h.Lost == nil {
			h.Lost = make(map[string]failover.Lost)
		}
		h.Lost[a.cfg.Name] = lost
		_, err = a.cfg.Store.Txn(ctx, client.Txn{
			If: []client.Cond{client.Unchanged(path, f.Rev)},
			Do: []client.Op{client.SetOp(path, h.Encode())},
		})
		if !errors.Is(err, client.ErrRevMismatch) {
			return err
		}
	}
}
