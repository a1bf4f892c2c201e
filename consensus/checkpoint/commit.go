package checkpoint

import (
	"errors"
	"fmt"

	"go.etcd.io/bbolt"
)

// Commit makes one checkpoint: it calls records, which puts and deletes what
// changed since the last one, and makes that durable together with m. Keys
// must not be empty and should come in rising order (others are slow); k and v
// may be reused after each call. records must not call the DB.
//
// If records fails, nothing has happened and the DB is as before; the same
// after a full disk, unless a large commit has passed its commit point. Any
// other error is final. m.Index must not be below that of the last commit.
func (db *DB) Commit(m Meta, records func(put func(k, v []byte) error, del func(k []byte) error) error) error {
	db.write.Lock()
	defer db.write.Unlock()
	m = m.clone()
	h, err := db.acquire()
	if err != nil {
		return err
	}
	defer func() { _ = db.release(h) }() // never the last: Close waits for write
	if err := db.mayCommit(m); err != nil {
		return err
	}

	final, err := db.commit(h, m, records)
	db.mu.Lock()
	defer db.mu.Unlock()
	if err == nil {
		db.meta = m
		return nil
	}
	err = fmt.Errorf("checkpoint: commit at index %d: %w", m.Index, err)
	if final {
		db.failed = err
	}
	return err
}

// commit does the work of Commit. final: no other commit may follow.
func (db *DB) commit(h *handle, m Meta, records func(put func(k, v []byte) error, del func(k []byte) error) error) (final bool, err error) {
	g := &gathered{db: db, h: h, meta: m}
	if err = records(g.put, g.del); err == nil {
		err = g.err
	}
	switch {
	case err != nil:
		g.discard()
		return false, err
	case g.redo == nil:
		return inOne(h.b, m, g.ops)
	}
	return db.inParts(h.b, g.redo)
}

// inOne commits ops and m in one transaction.
func inOne(b *bbolt.DB, m Meta, ops []op) (final bool, err error) {
	p, err := newPart(b)
	if err != nil {
		return false, err
	}
	for _, o := range ops {
		if err := p.do(o); err != nil {
			return false, errors.Join(err, p.rollback())
		}
	}
	if err := p.putMeta(m.encode()); err != nil {
		return false, errors.Join(err, p.rollback())
	}
	err = p.commit()
	if err != nil && !diskFull(err) {
		return true, err
	}
	return false, err
}

func (db *DB) mayCommit(m Meta) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.failed != nil {
		return fmt.Errorf("checkpoint: an earlier failure was final: %w", db.failed)
	}
	if m.Index < db.meta.Index {
		return fmt.Errorf("checkpoint: commit at index %d, which is below %d", m.Index, db.meta.Index)
	}
	return nil
}
