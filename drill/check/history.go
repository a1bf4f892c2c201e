package check

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// Kind is what an operation asked for.
type Kind int

const (
	// Read reads a file.
	Read Kind = iota
	// Write sets a file without a condition.
	Write
	// CAS sets a file if it is unchanged since If; If 0: if it is missing.
	CAS
	// Del deletes a file if it is unchanged since If; If 0: if there is one.
	Del
	// Txn does Parts, all or nothing.
	Txn
	// List reads all files that match the glob in Path, into Files: as they are,
	// or as they were at rev At.
	List
	// Local reads a file from the state of one node, which may be old.
	Local
)

var kindNames = [...]string{"get", "set", "cas", "del", "txn", "list", "local get"}

func (k Kind) String() string { return kindNames[k] }

// Outcome is what the caller was told.
type Outcome int

const (
	// OK: done. A read that found no file is OK with Rev 0.
	OK Outcome = iota
	// Mismatch: the condition failed; Rev is the present rev, 0 for missing.
	Mismatch
	// Unknown: it may have been done, or may yet be.
	Unknown
	// Failed: it was certainly not done.
	Failed
	// TooLate: the rev asked for is below the window, which begins at Rev.
	TooLate
)

func (o Outcome) String() string {
	return [...]string{"ok", "mismatch", "unknown", "failed", "too late"}[o]
}

// Op is one call and its outcome. Values must be unique over all writes of a
// history.
type Op struct {
	Client  int // the caller; one caller does one thing at a time
	Kind    Kind
	Path    string
	Value   string // written, or read
	If      int64  // CAS and Del only
	Rev     int64
	Outcome Outcome
	Err     string // what the caller was told when it was neither done nor a mismatch
	// ID is the message that every change of a write carries; no two writes
	// have the same.
	ID    string
	At    int64   // List only; 0: as they are
	Files []Event // List only
	Parts []Part  // Txn only
	Index int     // Txn only: of the part whose condition failed
	// Since the start of the history, by a clock that never goes back.
	Call, Return time.Duration
}

// Part is one path of a transaction: what is asked of it, what is done to it,
// or both.
type Part struct {
	Path    string
	Missing bool  // asked: that there is no file
	If      int64 // asked: that it is unchanged since; 0: nothing
	Set     bool  // done: Value is written
	Del     bool  // done: the file is deleted
	Value   string
}

// asks tells whether the part has a condition.
func (p Part) asks() bool { return p.Missing || p.If != 0 }

// Writes tells whether the operation was to change something.
func (o Op) Writes() bool {
	return o.Kind == Write || o.Kind == CAS || o.Kind == Del || o.Kind == Txn
}

func (o Op) String() string {
	what := fmt.Sprintf("%s %s %q", o.Kind, o.Path, clip(o.Value))
	switch {
	case o.Kind == CAS || o.Kind == Del && o.If != 0:
		what = fmt.Sprintf("%s if %d %s %q", o.Kind, o.If, o.Path, clip(o.Value))
	case o.Kind == Txn:
		what = fmt.Sprintf("txn %v", o.Parts)
	case o.Kind == List:
		what = fmt.Sprintf("list %s at %d: %d files", o.Path, o.At, len(o.Files))
	}
	if o.ID != "" {
		what += " as " + o.ID
	}
	s := fmt.Sprintf("caller %d %s: %s rev %d [%v, %v]",
		o.Client, what, o.Outcome, o.Rev, o.Call.Round(time.Microsecond), o.Return.Round(time.Microsecond))
	if o.Err != "" {
		s += " " + o.Err
	}
	return s
}

func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}

// Event is one change as the store tells it.
type Event struct {
	Path  string
	Value string
	Rev   int64
	Del   bool
	// ID is the message that the change carries.
	ID string
}

func (e Event) String() string {
	if e.Del {
		return fmt.Sprintf("rev %d del %s", e.Rev, e.Path)
	}
	return fmt.Sprintf("rev %d set %s %q", e.Rev, e.Path, clip(e.Value))
}

// Tree replays a log that begins with an empty store, up to and including rev.
func Tree(log []Event, rev int64) map[string]Event {
	tree := map[string]Event{}
	for _, e := range log {
		switch {
		case e.Rev > rev:
			return tree
		case e.Del:
			delete(tree, e.Path)
		default:
			tree[e.Path] = e
		}
	}
	return tree
}

// History records operations of concurrent callers.
type History struct {
	start time.Time

	mu  sync.Mutex
	ops []Op // guarded by mu
}

// NewHistory begins a history now.
func NewHistory() *History { return &History{start: time.Now()} }

// Now is the time since the history began.
func (h *History) Now() time.Duration { return time.Since(h.start) }

// Add records an operation that has returned or been given up.
func (h *History) Add(o Op) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, o)
}

// Ops returns what has been recorded, in order of return.
func (h *History) Ops() []Op {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]Op(nil), h.ops...)
}

// maxProblems bounds what a failed check prints.
const maxProblems = 10

// Problems is what a checker found, as sentences.
type Problems []string

func (p Problems) Error() string {
	shown := p
	if len(p) > maxProblems {
		shown = append(append(Problems{}, p[:maxProblems]...), fmt.Sprintf("and %d more", len(p)-maxProblems))
	}
	return strings.Join(shown, "\n")
}

func (p *Problems) addf(format string, args ...any) {
	*p = append(*p, fmt.Sprintf(format, args...))
}

// err is nil when nothing was found.
func (p Problems) err() error {
	if len(p) == 0 {
		return nil
	}
	return p
}
