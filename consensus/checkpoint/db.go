package checkpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"go.etcd.io/bbolt"
)

// Options of Open. The zero value of a field is its default.
type Options struct {
	// LockTimeout is how long Open waits for another process to let go of the
	// database (1 s).
	LockTimeout time.Duration
	// MapSize is how much address space is set aside for the file (16 GiB; 64
	// bit only). A file that outgrows it is mapped anew, for which a Commit
	// waits until no Load or Export is running.
	MapSize int64

	// inOne is how many operations a commit may have to be one transaction
	// (oneOps), inPart how many those of a larger one have (partOps).
	inOne, inPart int
	// step, in tests, is called after each step that changes what a crash
	// would leave behind.
	step func(name string)
}

func (o Options) withDefaults() Options {
	if o.LockTimeout == 0 {
		o.LockTimeout = time.Second
	}
	if o.MapSize == 0 {
		o.MapSize = 16 << 30
	}
	if o.inOne == 0 {
		o.inOne = oneOps
	}
	if o.inPart == 0 {
		o.inPart = partOps
	}
	if o.step == nil {
		o.step = func(string) {}
	}
	return o
}

// DB is an open checkpoint database. Its methods may be called from any
// goroutine.
type DB struct {
	path string
	o    Options
	lock *os.File // locked from Open to Close

	write sync.Mutex // held by Commit, Install and Close; taken before whole
	// whole is held while the file holds a part of a large commit, and shared
	// while a reader begins; taken before mu.
	whole sync.RWMutex

	mu      sync.Mutex
	cur     *handle // the file at path; guarded by mu
	meta    Meta    // of cur; guarded by mu
	failed  error   // why no commit may follow; guarded by mu
	staging bool    // a Stage exists; guarded by mu
	closed  bool    // guarded by mu
}

// handle is an open bbolt file. It is closed when the last one who uses it
// lets go: the DB itself, as long as it is the current one, and every Load,
// Commit or Export under way.
type handle struct {
	b    *bbolt.DB
	refs int // guarded by DB.mu
}

// Open opens the database at path, or creates it, and removes what an
// interrupted Stage left. Errors: ErrInUse, ErrNewerFormat, *CorruptError, or
// that of a system call.
func Open(path string, o Options) (*DB, error) {
	o = o.withDefaults()
	lock, err := lockFile(path+".lock", o.LockTimeout)
	if err != nil {
		return nil, err
	}
	db := &DB{path: path, o: o, lock: lock}
	if err := db.open(); err != nil {
		_ = lock.Close()
		return nil, err
	}
	return db, nil
}

func (db *DB) open() error {
	if err := os.Remove(db.staged()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("checkpoint: remove a leftover: %w", err)
	}
	fi, err := os.Stat(db.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := db.create(); err != nil {
			return fmt.Errorf("checkpoint: create %s: %w", db.path, err)
		}
	case err != nil:
		return fmt.Errorf("checkpoint: %w", err)
	case fi.Size() < int64(2*os.Getpagesize()):
		// bbolt would take an empty file for a new one. None is ever created.
		return &CorruptError{Path: db.path, Reason: fmt.Sprintf("it has %d bytes", fi.Size())}
	}
	b, err := openBolt(db.path, db.o.MapSize, nil)
	if err != nil {
		return err
	}
	if err := db.redone(b); err != nil {
		return errors.Join(err, b.Close())
	}
	if db.meta, err = readMeta(b, db.path); err != nil {
		if errors.Is(err, errUnfinished) {
			err = &CorruptError{Path: db.path, Reason: "it holds a part of a commit, the rest of which was in " + db.redoPath()}
		}
		return errors.Join(err, b.Close())
	}
	db.cur = &handle{b: b, refs: 1}
	return nil
}

// create makes an empty database under the name of a staged one and renames
// it, so that a file at path is always whole.
func (db *DB) create() error {
	b, err := openBolt(db.staged(), 0, nil)
	if err != nil {
		return err
	}
	db.o.step("create")
	if err := errors.Join(initialize(b, Meta{}), b.Close()); err != nil {
		return err
	}
	db.o.step("created")
	if err := os.Rename(db.staged(), db.path); err != nil {
		return err
	}
	return syncDir(db.path)
}

func (db *DB) staged() string { return db.path + ".staged" }

// acquire takes a reference on the current file.
func (db *DB) acquire() (*handle, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.closed {
		return nil, ErrClosed
	}
	db.cur.refs++
	return db.cur, nil
}

// release gives a reference back and closes the file with the last one.
func (db *DB) release(h *handle) error {
	db.mu.Lock()
	h.refs--
	last := h.refs == 0
	db.mu.Unlock()
	if !last {
		return nil
	}
	return h.b.Close()
}

// Meta returns that of the last commit or install. The caller must not change
// its ConfState.
func (db *DB) Meta() Meta {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.meta
}

// Size returns the bytes of the file, 0 if it cannot be asked for.
func (db *DB) Size() int64 {
	fi, err := os.Stat(db.path)
	if err != nil {
		return 0
	}
	return fi.Size()
}

// Load calls fn for all records in the order of their keys, of the state that
// was committed when it began. k and v are valid until fn returns: who keeps
// them must copy them. Errors: fn's own, *CorruptError, ErrClosed.
func (db *DB) Load(fn func(k, v []byte) error) error {
	h, err := db.acquire()
	if err != nil {
		return err
	}
	tx, err := db.begin(h)
	if err == nil {
		err = load(tx, db.path, fn)
	}
	return errors.Join(err, db.release(h))
}

// begin begins to read a whole state: it waits for a large commit.
func (db *DB) begin(h *handle) (*bbolt.Tx, error) {
	db.whole.RLock()
	defer db.whole.RUnlock()
	tx, err := h.b.Begin(false)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: read %s: %w", db.path, err)
	}
	return tx, nil
}

// load reads all records, and ends tx.
func load(tx *bbolt.Tx, path string, fn func(k, v []byte) error) error {
	defer func() { _ = tx.Rollback() }()
	s, err := newScan(tx, path)
	if err != nil {
		return err
	}
	for {
		k, v, err := s.next()
		if k == nil || err != nil {
			return err
		}
		if err := fn(k, v); err != nil {
			return err
		}
	}
}

// scan walks the records of a read transaction. Only its own steps are
// guarded, so that a panic of the caller stays the caller's.
type scan struct {
	path    string
	tx      *bbolt.Tx
	c       *bbolt.Cursor
	started bool
	bytes   int // since the map was last let go
}

// scanBytes is how much of the map a scan reads before it lets go of it.
const scanBytes = 32 << 20

func newScan(tx *bbolt.Tx, path string) (s *scan, err error) {
	s = &scan{path: path, tx: tx}
	err = guard(path, func() error {
		b := tx.Bucket([]byte(recordsBucket))
		if b == nil {
			return &CorruptError{Path: path, Reason: "it lacks a bucket"}
		}
		s.c = b.Cursor()
		return nil
	})
	return s, err
}

// next returns a nil key after the last record. What it returns is memory of
// the map.
func (s *scan) next() (k, v []byte, err error) {
	err = guard(s.path, func() error {
		if s.started {
			k, v = s.c.Next()
		} else {
			k, v = s.c.First()
			s.started = true
		}
		return nil
	})
	if s.bytes += len(k) + len(v); s.bytes >= scanBytes || k == nil {
		letGoOf(s.tx)
		s.bytes = 0
	}
	return k, v, err
}

// Close gives the database up. It waits for a Commit or Install under way; an
// Export that is still open keeps the file open, and with it ErrInUse for
// others, until it is closed. Closing twice does nothing.
func (db *DB) Close() error {
	db.write.Lock()
	defer db.write.Unlock()
	db.mu.Lock()
	if db.closed {
		db.mu.Unlock()
		return nil
	}
	db.closed = true
	h := db.cur
	db.mu.Unlock()
	return errors.Join(db.release(h), db.lock.Close())
}
