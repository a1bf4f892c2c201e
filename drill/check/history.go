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
)

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
)

func (o Outcome) String() string {
	return [...]string{"ok", "mismatch", "unknown", "failed"}[o]
}

// Op is one call and its outcome. Values must be unique over all writes of a
// history.
type Op struct {
	Client  int // the caller; one caller does one thing at a time
	Kind    Kind
	Path    string
	Value   string // written, or read
	If      int64  // CAS only
	Rev     int64
	Outcome Outcome
	Err     string // what the caller was told when it was neither done nor a mismatch
	// Since the start of the history, by a clock that never goes back.
	Call, Return time.Duration
}

func (o Op) String() string {
	what := [...]string{"get", "set", "cas"}[o.Kind]
	if o.Kind == CAS {
		what = fmt.Sprintf("cas if %d", o.If)
	}
	s := fmt.Sprintf("caller %d %s %s %q: %s rev %d [%v, %v]",
		o.Client, what, o.Path, clip(o.Value), o.Outcome, o.Rev, o.Call.Round(time.Microsecond), o.Return.Round(time.Microsecond))
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
