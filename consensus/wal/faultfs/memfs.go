package faultfs

import (
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"

	"github.com/doozer-store/doozer/consensus/wal"
)

// SectorSize is what a power cut keeps or loses as a whole.
const SectorSize = 512

type sector = [SectorSize]byte

// inode is a file's content, whatever its name. Sectors are never changed in
// place, so the two maps and clones share them; an absent one is zero.
type inode struct {
	size, syncedSize int64
	now, synced      map[int64]*sector
	dirty            map[int64]bool // sectors that differ between now and synced
}

func newInode() *inode {
	return &inode{now: map[int64]*sector{}, synced: map[int64]*sector{}, dirty: map[int64]bool{}}
}

// change is one unsynced directory operation: names it removes and adds.
type change struct {
	dir, remove, add string
	node             *inode
}

func apply(names map[string]*inode, c change) {
	if c.remove != "" {
		delete(names, c.remove)
	}
	if c.add != "" {
		names[c.add] = c.node
	}
}

// MemFS is a wal.FS in memory. The zero value is not usable; see New.
type MemFS struct {
	mu      sync.Mutex
	now     map[string]*inode // what a program sees
	synced  map[string]*inode // what the disk has
	changes []change          // what leads from synced to now, in order
	fault   func(Op) error
	count   int // operations seen so far
}

var _ wal.FS = (*MemFS)(nil)

// New returns an empty file system.
func New() *MemFS {
	return &MemFS{now: map[string]*inode{}, synced: map[string]*inode{}}
}

// CrashClone returns the file system as it may be found after a power cut at
// this moment. It leaves m as it is, and takes no fault function along.
func (m *MemFS) CrashClone(rng *rand.Rand) *MemFS { return m.crashClone(rng, 0) }

// TornClone is a CrashClone by a disk that does not even write sectors whole: of
// about one in oneIn of those not synced a part is the new and the rest the old.
func (m *MemFS) TornClone(rng *rand.Rand, oneIn int) *MemFS { return m.crashClone(rng, oneIn) }

func (m *MemFS) crashClone(rng *rand.Rand, tear int) *MemFS {
	m.mu.Lock()
	defer m.mu.Unlock()
	names := maps.Clone(m.synced)
	for _, c := range m.changes {
		if rng.IntN(2) == 0 {
			apply(names, c)
		}
	}
	out := New()
	clones := map[*inode]*inode{} // a kept rename whose removal was lost leaves two names
	for _, name := range slices.Sorted(maps.Keys(names)) {
		n := names[name]
		if clones[n] == nil {
			clones[n] = n.crash(rng, tear)
		}
		out.now[name], out.synced[name] = clones[n], clones[n]
	}
	return out
}

// crash returns the inode as the disk may have it; tear is TornClone's oneIn, or 0.
func (n *inode) crash(rng *rand.Rand, tear int) *inode {
	out := newInode()
	out.size = n.syncedSize
	if rng.IntN(2) == 0 {
		out.size = n.size
	}
	out.syncedSize = out.size
	out.synced = maps.Clone(n.synced)
	for _, i := range slices.Sorted(maps.Keys(n.dirty)) {
		switch {
		case tear > 0 && rng.IntN(tear) == 0:
			put(out.synced, i, torn(n.synced[i], n.now[i], rng))
		case rng.IntN(2) == 0:
			put(out.synced, i, n.now[i])
		}
	}
	for i := range out.synced {
		if i*SectorSize >= out.size {
			delete(out.synced, i)
		}
	}
	out.now = maps.Clone(out.synced)
	return out
}

// torn is a sector whose beginning, or end, is the new one's.
func torn(old, now *sector, rng *rand.Rand) *sector {
	out, zero := new(sector), new(sector)
	if old == nil {
		old = zero
	}
	if now == nil {
		now = zero
	}
	at := 1 + rng.IntN(SectorSize-1)
	if rng.IntN(2) == 0 {
		old, now = now, old
	}
	copy(out[:at], now[:at])
	copy(out[at:], old[at:])
	return out
}

func put(m map[int64]*sector, i int64, s *sector) {
	if s == nil {
		delete(m, i)
	} else {
		m[i] = s
	}
}

// sync makes the inode's content durable.
func (n *inode) sync() {
	for i := range n.dirty {
		put(n.synced, i, n.now[i])
	}
	clear(n.dirty)
	n.syncedSize = n.size
}

func (n *inode) readAt(p []byte, off int64) {
	for len(p) > 0 {
		i, at := off/SectorSize, off%SectorSize
		k := min(int64(len(p)), SectorSize-at)
		if s := n.now[i]; s != nil {
			copy(p[:k], s[at:])
		} else {
			clear(p[:k])
		}
		p, off = p[k:], off+k
	}
}

func (n *inode) writeAt(p []byte, off int64) {
	n.size = max(n.size, off+int64(len(p)))
	for len(p) > 0 {
		i, at := off/SectorSize, off%SectorSize
		s := new(sector)
		if old := n.now[i]; old != nil {
			*s = *old
		}
		k := copy(s[at:], p)
		n.now[i] = s
		n.dirty[i] = true
		p, off = p[k:], off+int64(k)
	}
}

// ForgetDirty does what a kernel does after a failed sync: what is not on the
// disk counts as written. Programs read it still, no sync writes it, and a
// power cut loses it, unless it is written once more.
func (m *MemFS) ForgetDirty() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, n := range m.now {
		clear(n.dirty)
	}
}

// ReadFile returns what a program would read from the whole file.
func (m *MemFS) ReadFile(name string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.now[name]
	if n == nil {
		return nil, missing("read", name)
	}
	b := make([]byte, n.size)
	n.readAt(b, 0)
	return b, nil
}

// WriteFile makes or replaces a file, durably and without asking the fault
// function: the hand of a test on the disk.
func (m *MemFS) WriteFile(name string, b []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := newInode()
	n.writeAt(b, 0)
	n.sync()
	m.now[name], m.synced[name] = n, n
}

// Files lists the names of all files, sorted.
func (m *MemFS) Files() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.now))
}

func missing(op, name string) error {
	return &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
}

// MkdirAll does nothing: directories always exist.
func (m *MemFS) MkdirAll(dir string) error { return m.ask(Op{Kind: OpMkdir, Name: dir}) }

// Create makes an empty file under name, in place of any other.
func (m *MemFS) Create(name string) (wal.File, error) {
	if err := m.ask(Op{Kind: OpCreate, Name: name}); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n := newInode()
	m.change(change{dir: filepath.Dir(name), add: name, node: n})
	return &file{fs: m, name: name, node: n}, nil
}

// Open opens a file that exists.
func (m *MemFS) Open(name string) (wal.File, error) {
	if err := m.ask(Op{Kind: OpOpen, Name: name}); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.now[name]
	if n == nil {
		return nil, missing("open", name)
	}
	return &file{fs: m, name: name, node: n}, nil
}

// Remove removes a name; files that are open stay readable.
func (m *MemFS) Remove(name string) error {
	if err := m.ask(Op{Kind: OpRemove, Name: name}); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.now[name] == nil {
		return missing("remove", name)
	}
	m.change(change{dir: filepath.Dir(name), remove: name})
	return nil
}

// Rename gives a file another name in the same directory.
func (m *MemFS) Rename(oldname, newname string) error {
	if err := m.ask(Op{Kind: OpRename, Name: oldname}); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.now[oldname]
	if n == nil {
		return missing("rename", oldname)
	}
	if filepath.Dir(oldname) != filepath.Dir(newname) {
		return fmt.Errorf("faultfs: rename %s to another directory", oldname)
	}
	m.change(change{dir: filepath.Dir(newname), remove: oldname, add: newname, node: n})
	return nil
}

// change makes a directory operation visible. Caller holds mu.
func (m *MemFS) change(c change) {
	apply(m.now, c)
	m.changes = append(m.changes, c)
}

// ReadDir lists the base names in dir, sorted.
func (m *MemFS) ReadDir(dir string) ([]string, error) {
	if err := m.ask(Op{Kind: OpReadDir, Name: dir}); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	for name := range m.now {
		if filepath.Dir(name) == filepath.Clean(dir) {
			names = append(names, filepath.Base(name))
		}
	}
	slices.Sort(names)
	return names, nil
}

// SyncDir makes the directory's changes durable.
func (m *MemFS) SyncDir(dir string) error {
	if err := m.ask(Op{Kind: OpSyncDir, Name: dir}); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	kept := m.changes[:0]
	for _, c := range m.changes {
		if c.dir == filepath.Clean(dir) {
			apply(m.synced, c)
		} else {
			kept = append(kept, c)
		}
	}
	m.changes = kept
	return nil
}
