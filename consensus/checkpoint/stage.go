package checkpoint

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"go.etcd.io/bbolt"
)

const (
	// A stage is written in transactions of about so much.
	stageBytes   = 8 << 20
	stageRecords = 1 << 15
)

// Stage is a database under construction beside the one in use. It is used by
// one goroutine, and ends with Install or Abort.
type Stage struct {
	db     *DB
	meta   Meta
	b      *bbolt.DB
	p      *part // the batch; nil between batches
	values arena // of p

	last      []byte // key of the last Put
	committed bool
	ended     bool // installed or aborted
	err       error
}

// Stage begins a database that will stand for m. There is one at a time:
// ErrStaging. What a former one left is overwritten.
func (db *DB) Stage(m Meta) (*Stage, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.closed {
		return nil, ErrClosed
	}
	if db.staging {
		return nil, ErrStaging
	}
	if err := os.Remove(db.staged()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("checkpoint: remove a leftover: %w", err)
	}
	// Nothing needs to be durable before Commit syncs all at once.
	b, err := openBolt(db.staged(), db.o.MapSize, func(o *bbolt.Options) {
		o.NoSync, o.NoGrowSync = true, true
	})
	if err != nil {
		_ = os.Remove(db.staged()) // what is left is removed by the next stage
		return nil, err
	}
	s := &Stage{db: db, meta: m.clone(), b: b}
	if err := initialize(b, Meta{}); err != nil {
		return nil, errors.Join(fmt.Errorf("checkpoint: stage: %w", err), b.Close(), os.Remove(db.staged()))
	}
	db.staging = true
	db.o.step("stage")
	return s, nil
}

// ImportFrom reads the stream of an Export into a stage, checks all of it and
// makes it durable, ready for Install. Errors leave nothing behind:
// ErrBadStream, ErrNewerFormat, ErrStaging, r's own, or those of the disk.
func (db *DB) ImportFrom(r io.Reader) (*Stage, error) {
	d, err := NewReader(r)
	if err != nil {
		return nil, err
	}
	s, err := db.Stage(d.Meta())
	if err != nil {
		return nil, err
	}
	for {
		k, v, err := d.Next()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = s.Put(k, v)
		}
		if err != nil {
			return nil, errors.Join(err, s.Abort())
		}
	}
	if err := s.Commit(); err != nil {
		return nil, errors.Join(err, s.Abort())
	}
	return s, nil
}

// Meta says what state the stage will stand for.
func (s *Stage) Meta() Meta { return s.meta }

// Put adds a record. Keys must rise strictly. An error ends the stage: only
// Abort may follow. k and v may be reused.
func (s *Stage) Put(k, v []byte) error {
	if s.err == nil && (s.committed || s.ended) {
		return ErrClosed
	}
	if s.err == nil {
		s.err = s.put(k, v)
	}
	return s.err
}

func (s *Stage) put(k, v []byte) error {
	if len(k) == 0 || bytes.Compare(s.last, k) >= 0 {
		return fmt.Errorf("checkpoint: stage: key %q does not come after %q", k, s.last)
	}
	if s.p == nil {
		p, err := newPart(s.b)
		if err != nil {
			return fmt.Errorf("checkpoint: stage: %w", err)
		}
		s.p = p
		s.values.reset()
	}
	if err := s.p.do(op{key: k, value: s.values.copy(v)}); err != nil {
		return fmt.Errorf("checkpoint: stage: %w", err)
	}
	s.last = append(s.last[:0], k...)
	if s.p.ops >= stageRecords || s.p.bytes >= stageBytes {
		return s.flush()
	}
	return nil
}

// flush ends the batch.
func (s *Stage) flush() error {
	if s.p == nil {
		return nil
	}
	err := s.p.commit()
	s.p = nil
	if err != nil {
		return fmt.Errorf("checkpoint: stage: %w", err)
	}
	letGo(s.b)
	s.db.o.step("batch")
	return nil
}

// Commit makes the stage whole and durable. Only Load, Install and Abort may
// follow.
func (s *Stage) Commit() error {
	if s.err == nil && (s.committed || s.ended) {
		return ErrClosed
	}
	if s.err == nil {
		s.err = s.commit()
	}
	return s.err
}

func (s *Stage) commit() error {
	if err := s.flush(); err != nil {
		return err
	}
	if err := initialize(s.b, s.meta); err != nil {
		return fmt.Errorf("checkpoint: stage: %w", err)
	}
	s.db.o.step("whole")
	if err := s.b.Sync(); err != nil {
		return fmt.Errorf("checkpoint: sync the stage: %w", err)
	}
	s.b.NoSync, s.b.NoGrowSync = false, false // it will be the one in use
	s.committed = true
	s.db.o.step("synced")
	return nil
}

// Load reads a committed stage back, as DB.Load does: for checks before the
// Install.
func (s *Stage) Load(fn func(k, v []byte) error) error {
	if !s.committed || s.ended {
		return ErrClosed
	}
	tx, err := s.b.Begin(false)
	if err != nil {
		return fmt.Errorf("checkpoint: read %s: %w", s.db.staged(), err)
	}
	return load(tx, s.db.staged(), fn)
}

// Abort removes the stage. After Install, or twice, it does nothing.
func (s *Stage) Abort() error {
	if s.ended {
		return nil
	}
	s.ended = true
	if s.p != nil {
		_ = s.p.rollback()
		s.p = nil
	}
	err := s.b.Close()
	s.db.mu.Lock()
	defer s.db.mu.Unlock()
	s.db.staging = false
	if s.db.closed {
		return err // the name may be another process's by now; Open removes it
	}
	return errors.Join(err, os.Remove(s.db.staged()))
}

// Install puts a committed stage in the place of the database, durably. The
// file of the stage stays open under its new name. An Export under way goes on
// reading the old state. If the rename fails, nothing has changed and the
// stage can be aborted; if the sync of the directory fails, that is final.
func (db *DB) Install(s *Stage) error {
	if s.db != db || !s.committed || s.ended {
		return errors.New("checkpoint: install needs a committed stage of this database")
	}
	db.write.Lock()
	defer db.write.Unlock()
	db.mu.Lock()
	closed, failed := db.closed, db.failed
	db.mu.Unlock()
	switch {
	case closed:
		return ErrClosed
	case failed != nil:
		return fmt.Errorf("checkpoint: an earlier failure was final: %w", failed)
	}
	if err := os.Rename(db.staged(), db.path); err != nil {
		return fmt.Errorf("checkpoint: install: %w", err)
	}
	db.o.step("renamed")
	err := syncDir(db.path)
	if err != nil {
		err = fmt.Errorf("checkpoint: install: %w", err)
	}

	s.ended = true
	db.mu.Lock()
	old := db.cur
	db.cur, db.meta, db.failed, db.staging = &handle{b: s.b, refs: 1}, s.meta, err, false
	db.mu.Unlock()
	db.o.step("installed")
	return errors.Join(err, db.release(old))
}
