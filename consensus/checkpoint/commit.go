package checkpoint

import (
	"bytes"
	"fmt"

	"go.etcd.io/bbolt"
)

// Commit makes one checkpoint: it calls records, which puts and deletes what
// changed since the last one, and makes that durable together with m. Keys
// must not be empty and should come in rising order (others are slow); k and v
// may be reused after each call. records must not call the DB.
//
// If records fails, nothing has happened and the DB is as before; the same
// after a full disk. Any other error is final. m.Index must not be below that
// of the last commit.
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

	inBolt := false // the callback is through, and bbolt at work
	err = h.b.Update(func(tx *bbolt.Tx) error {
		w := newWriter(tx)
		if err := records(w.put, w.del); err != nil {
			return err
		}
		if w.err != nil {
			return w.err
		}
		err := tx.Bucket([]byte(metaBucket)).Put([]byte(metaKey), m.encode())
		inBolt = err == nil
		return err
	})
	db.mu.Lock()
	defer db.mu.Unlock()
	if err == nil {
		db.meta = m
		return nil
	}
	err = fmt.Errorf("checkpoint: commit at index %d: %w", m.Index, err)
	if inBolt && !diskFull(err) {
		db.failed = err
	}
	return err
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

// writer puts records into a transaction.
type writer struct {
	b     *bbolt.Bucket
	arena arena
	err   error // the first failure of bbolt, also if the caller ignores it
}

func newWriter(tx *bbolt.Tx) *writer {
	return &writer{b: tx.Bucket([]byte(recordsBucket))}
}

// start chooses how full pages become by where the first key goes.
func (w *writer) start(k []byte) {
	w.b.FillPercent = fillRandom
	if last, _ := w.b.Cursor().Last(); bytes.Compare(k, last) > 0 {
		w.b.FillPercent = fillAppend
	}
}

func (w *writer) put(k, v []byte) error {
	if !w.arena.used {
		w.start(k)
	}
	// bbolt copies the key, and keeps the value as it is until the commit.
	return w.note(w.b.Put(k, w.arena.copy(v)), k)
}

func (w *writer) del(k []byte) error {
	return w.note(w.b.Delete(k), k)
}

func (w *writer) note(err error, k []byte) error {
	if err == nil {
		return nil
	}
	if len(k) > 64 {
		k = k[:64]
	}
	err = fmt.Errorf("key %q: %w", k, err)
	if w.err == nil {
		w.err = err
	}
	return err
}

const arenaBlock = 256 << 10

// arena copies values into few large blocks.
type arena struct {
	block []byte
	used  bool
}

func (a *arena) copy(v []byte) []byte {
	a.used = true
	if len(v) > arenaBlock/4 {
		return bytes.Clone(v)
	}
	if len(a.block)+len(v) > cap(a.block) {
		a.block = make([]byte, 0, arenaBlock)
	}
	n := len(a.block)
	a.block = append(a.block, v...)
	return a.block[n:len(a.block):len(a.block)]
}
