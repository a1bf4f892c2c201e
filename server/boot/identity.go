package boot

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// identityFormat is the version of the data directory's layout.
const identityFormat = 1

const (
	identityFile = "identity.json"
	peersFile    = "peers.json"
	lockFile     = "LOCK"
	logDir       = "log"
	stateFile    = "state.db"
)

// identity is who a data directory belongs to. It is written before anything
// else in the directory, and once more (Ready) when log and state exist: if
// they are missing later they were lost.
type identity struct {
	Format      int
	Name        string
	ID          uint64
	Members     []string          // names of the first members, sorted; ids are 1, 2, ... in this order
	Addresses   map[string]string // their peer addresses as last given
	Incarnation string            // hex, 16 random bytes
	Ready       bool
}

// bootstrapID is what all first members of a cluster agree on before they have
// talked: a hash of their names.
func (id *identity) bootstrapID() (out [16]byte) {
	sum := sha256.Sum256([]byte("doozer bootstrap 1\n" + strings.Join(id.Members, "\n")))
	copy(out[:], sum[:])
	return out
}

func (id *identity) voters() []uint64 {
	out := make([]uint64, len(id.Members))
	for i := range out {
		out[i] = uint64(i + 1)
	}
	return out
}

// peers returns the peer addresses of the other members by id.
func (id *identity) peers() map[uint64]string {
	out := map[uint64]string{}
	for i, name := range id.Members {
		if name != id.Name {
			out[uint64(i+1)] = id.Addresses[name]
		}
	}
	return out
}

func (id *identity) incarnation() []byte {
	b, _ := hex.DecodeString(id.Incarnation) // checked when it was read
	return b
}

// lockDir makes the data directory if need be and locks it for this process.
func lockDir(dir string) (*os.File, error) {
	if err := makeDir(filepath.Clean(dir)); err != nil {
		return nil, fmt.Errorf("--data-dir: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("--data-dir: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close() // the lock's error is the one that matters
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("data directory %s is in use by another process: stop that one or name another --data-dir", dir)
		}
		return nil, fmt.Errorf("locking data directory %s: %w", dir, err)
	}
	return f, nil
}

// makeDir makes a directory and its parents, durably: a name that a power cut
// took away would take all that is in it along.
func makeDir(dir string) error {
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		return &fs.PathError{Op: "mkdir", Path: dir, Err: unix.ENOTDIR}
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(dir)
	if err := makeDir(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(parent)
}

// openIdentity reads the directory's identity and checks it against the flags,
// or makes one for an empty directory.
func openIdentity(c *Config) (*identity, error) {
	id, err := readIdentity(c.DataDir)
	if errors.Is(err, fs.ErrNotExist) {
		return newIdentity(c)
	}
	if err != nil {
		return nil, err
	}
	if c.Name != "" && c.Name != id.Name {
		return nil, fmt.Errorf("data directory %s belongs to node %s, not to %s: start it with --name %s or name another --data-dir", c.DataDir, id.Name, c.Name, id.Name)
	}
	if c.Cluster != "" {
		members, err := parseCluster(c.Cluster)
		if err != nil {
			return nil, err
		}
		if given := names(members); !slices.Equal(given, id.Members) {
			return nil, fmt.Errorf("data directory %s belongs to a cluster of %s, but --cluster names %s: correct --cluster or name another --data-dir",
				c.DataDir, strings.Join(id.Members, ", "), strings.Join(given, ", "))
		}
		id.Addresses = addresses(members)
	}
	if id.Ready {
		for _, f := range []string{logDir, stateFile} {
			if _, err := os.Stat(filepath.Join(c.DataDir, f)); err != nil {
				return nil, fmt.Errorf("data directory %s is damaged: %s is missing; restore the directory as it was when the node last ran", c.DataDir, f)
			}
		}
		// An empty log would pass for one that a snapshot is about to replace.
		if found, err := filepath.Glob(filepath.Join(c.DataDir, logDir, "*.wal")); err == nil && len(found) == 0 {
			return nil, fmt.Errorf("data directory %s is damaged: %s has no segments; restore the directory as it was when the node last ran", c.DataDir, logDir)
		}
	}
	return id, writeJSON(c.DataDir, identityFile, id)
}

func readIdentity(dir string) (*identity, error) {
	data, err := os.ReadFile(filepath.Join(dir, identityFile))
	if err != nil {
		return nil, err
	}
	return decodeIdentity(dir, data)
}

// decodeIdentity parses dir's identity.json and checks what the rest relies on.
func decodeIdentity(dir string, data []byte) (*identity, error) {
	path := filepath.Join(dir, identityFile)
	id := &identity{}
	if err := json.Unmarshal(data, id); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w; restore it from a backup of the directory", path, err)
	}
	if id.Format > identityFormat {
		return nil, fmt.Errorf("data directory %s has format %d, this doozerd knows up to %d: use a newer doozerd", dir, id.Format, identityFormat)
	}
	if !isIncarnation(id.Incarnation) || id.Format < 1 || id.ID == 0 || id.ID > uint64(len(id.Members)) || id.Members[id.ID-1] != id.Name || !rising(id.Members) {
		return nil, fmt.Errorf("%s is damaged: its parts contradict each other; restore it from a backup of the directory", path)
	}
	return id, nil
}

// isIncarnation tells whether s is 16 bytes in hex.
func isIncarnation(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == 16
}

// rising tells whether the names are sorted and none is there twice: an id is
// the place of a name among them.
func rising(names []string) bool {
	for i := 1; i < len(names); i++ {
		if names[i-1] >= names[i] {
			return false
		}
	}
	return true
}

// newIdentity makes the identity of an empty directory.
func newIdentity(c *Config) (*identity, error) {
	for _, f := range []string{logDir, stateFile} {
		if _, err := os.Stat(filepath.Join(c.DataDir, f)); err == nil {
			return nil, fmt.Errorf("data directory %s is damaged: it has %s but no %s; restore the directory or name another", c.DataDir, f, identityFile)
		}
	}
	name := c.Name
	members := []member{{name: "doozer", addr: DefaultPeerListen}}
	if c.Cluster != "" {
		var err error
		if members, err = parseCluster(c.Cluster); err != nil {
			return nil, err
		}
		if name == "" {
			return nil, fmt.Errorf("--name is missing: which of %s is this node?", strings.Join(names(members), ", "))
		}
	} else if name != "" {
		members[0].name = name
	} else {
		name = members[0].name
	}
	at := slices.IndexFunc(members, func(m member) bool { return m.name == name })
	if at < 0 {
		return nil, fmt.Errorf("--cluster lacks this node's own name: %s is not among %s", name, strings.Join(names(members), ", "))
	}
	var incarnation [16]byte
	_, _ = rand.Read(incarnation[:]) // never fails
	id := &identity{
		Format: identityFormat, Name: name, ID: uint64(at + 1), Members: names(members),
		Addresses: addresses(members), Incarnation: hex.EncodeToString(incarnation[:]),
	}
	return id, writeJSON(c.DataDir, identityFile, id)
}

func names(ms []member) []string {
	out := make([]string, len(ms))
	for i, m := range ms {
		out[i] = m.name
	}
	return out
}

func addresses(ms []member) map[string]string {
	out := map[string]string{}
	for _, m := range ms {
		out[m.name] = m.addr
	}
	return out
}

// writeJSON replaces a file of the data directory, durably and at once.
func writeJSON(dir, name string, v any) error {
	data, err := json.MarshalIndent(v, "", "\t")
	if err != nil {
		return err
	}
	path := filepath.Join(dir, name)
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(data, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}

// peerBook remembers the incarnation each peer had when it was first met. It
// is written before the peer's first message is taken.
type peerBook struct {
	dir string

	mu    sync.Mutex
	known map[uint64]string // hex
}

func openPeerBook(dir string) (*peerBook, error) {
	data, err := os.ReadFile(filepath.Join(dir, peersFile))
	if errors.Is(err, fs.ErrNotExist) {
		return &peerBook{dir: dir, known: map[uint64]string{}}, nil
	}
	if err != nil {
		return nil, err
	}
	return decodePeerBook(dir, data)
}

func decodePeerBook(dir string, data []byte) (*peerBook, error) {
	b := &peerBook{dir: dir}
	err := json.Unmarshal(data, &b.known)
	if err == nil && b.known == nil {
		err = errors.New("it holds no book")
	}
	for id, incarnation := range b.known {
		if err == nil && (id == 0 || !isIncarnation(incarnation)) {
			err = fmt.Errorf("peer %d has incarnation %q", id, incarnation)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s is damaged: %w; restore it from a backup of the directory", filepath.Join(dir, peersFile), err)
	}
	return b, nil
}

// check returns whether the peer is the one that was met before; a peer that
// was not met is remembered.
func (b *peerBook) check(id uint64, incarnation []byte) (same bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	is := hex.EncodeToString(incarnation)
	if was, ok := b.known[id]; ok {
		return was == is, nil
	}
	b.known[id] = is
	if err := writeJSON(b.dir, peersFile, b.known); err != nil {
		delete(b.known, id)
		return false, err
	}
	return true, nil
}
