package store

import "strings"

// Store is the state machine. Its zero value is of no use; New and Loader make
// one. Its caller's lock owns all fields.
type Store struct {
	index  uint64 // of the last command
	time   int64  // log time: the highest that a command was stamped with
	rev    int64
	oldest int64
	config Config
	// volatile is config.Volatile, compiled.
	volatile []*Glob

	nodes    *table // by path; the root's is empty
	pool     nodePool
	root     *node
	files    int64  // present
	versions int64  // in all nodes
	sum      uint64 // of the hashes of all versions
	window   window
	clients  clients
	unsaved  unsaved

	warm    warm
	scratch Command       // reused by Apply, empty in between
	nodesOf [MaxOps]*node // of the operations done so far; nil in between
	events  []*Event      // of the last write, for Apply's caller
	origins origins
}

// New returns an empty store at rev 0.
func New() *Store {
	s := &Store{
		config: defaultConfig(),
		nodes:  newTable(),
		root:   &node{dir: new(directory)},
	}
	s.nodes.add("", s.root)
	s.clients.init()
	return s
}

// Rev returns the rev of the last change, 0 before any.
func (s *Store) Rev() int64 { return s.rev }

// Oldest returns the oldest rev that can be read.
func (s *Store) Oldest() int64 { return s.oldest }

// Index returns the log index of the last command.
func (s *Store) Index() uint64 { return s.index }

// Time returns the log time in nanoseconds since 1970: the highest that a
// command was stamped with.
func (s *Store) Time() int64 { return s.time }

// Config returns the replicated settings.
func (s *Store) Config() Config { return s.config }

// Files returns the number of files.
func (s *Store) Files() int64 { return s.files }

// Clients returns the number of clients whose results are remembered.
func (s *Store) Clients() int { return len(s.clients.byID) }

// HistoryBytes returns what the events of the window count for, in bytes.
func (s *Store) HistoryBytes() int64 { return s.window.bytes }

// Hash returns the hash of all files, the root's.
func (s *Store) Hash() uint64 { return s.root.dir.hash }

// DirHash returns the hash of the files below the directory at path, false if
// there is none.
func (s *Store) DirHash(path string) (uint64, bool) {
	if n := s.lookup(path); n != nil && n.isDir() {
		return n.dir.hash, true
	}
	return 0, false
}

// lookup returns the node at path, nil if there is none.
func (s *Store) lookup(path string) *node {
	if path == "" {
		return nil
	}
	return s.nodes.get(key(path))
}

// origins shares equal origins between events. Authors are few; messages often
// repeat. Which origins it has decides nothing but memory.
type origins struct {
	last  *origin // the one shared last: a client's writes come in runs
	known map[origin]*origin
}

// share returns the origin of author and message, which does not alias them.
func (t *origins) share(author, message string) *origin {
	if author == "" && message == "" {
		return nil
	}
	if t.last != nil && t.last.author == author && t.last.message == message {
		return t.last
	}
	if len(author) > maxInternedLen || len(message) > maxInternedLen {
		return &origin{strings.Clone(author), strings.Clone(message)}
	}
	o, ok := t.known[origin{author, message}]
	if !ok {
		if t.known == nil || len(t.known) >= maxInterned {
			t.known = make(map[origin]*origin)
		}
		o = &origin{strings.Clone(author), strings.Clone(message)}
		t.known[*o] = o
	}
	t.last = o
	return o
}
