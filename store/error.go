package store

import "strconv"

// Code says what kind of error an Error is. Codes are stored in records:
// a number never changes its meaning.
type Code uint8

const (
	OK            Code = iota
	RevMismatch        // a condition failed; Rev is the path's present rev, 0 when there is no file
	NoEnt              // no such file or directory
	IsDir              // the path is a directory
	NotDir             // the path is, or lies below, a file
	BadPath            // the path is not well formed
	BadGlob            // the glob is not well formed, or could match no path
	BadRequest         // the request contradicts itself or lacks a part
	TooLate            // the rev is below the window; Rev is the oldest that can be read
	TooLarge           // a value or command is over its limit
	ClientExpired      // the client, or the result of its write, is not known (any more)
	ReadOnly           // the path belongs to doozer itself
	numCodes
)

// String returns the code's name in the wire protocol.
func (c Code) String() string {
	if c < numCodes {
		return [numCodes]string{
			"OK", "REV_MISMATCH", "NOENT", "ISDIR", "NOTDIR", "BAD_PATH", "BAD_GLOB",
			"BAD_REQUEST", "TOO_LATE", "TOO_LARGE", "CLIENT_EXPIRED", "READ_ONLY",
		}[c]
	}
	return "CODE_" + strconv.Itoa(int(c))
}

// sentence says a code in words, for Error.
func (c Code) sentence() string {
	switch c {
	case RevMismatch:
		return "the file has another rev"
	case NoEnt:
		return "no such file or directory"
	case IsDir:
		return "is a directory"
	case NotDir:
		return "not a directory"
	case BadPath:
		return "bad path"
	case BadGlob:
		return "bad glob"
	case BadRequest:
		return "bad request"
	case TooLate:
		return "the rev is below the history window"
	case TooLarge:
		return "too large"
	case ClientExpired:
		return "the client or the result of its write is not known any more"
	case ReadOnly:
		return "belongs to doozer itself"
	}
	return c.String()
}

// sentinel is an error that stands for all Errors of one code.
type sentinel Code

func (s sentinel) Error() string { return Code(s).sentence() }

// errors.Is(err, ErrNoEnt) holds for every *Error whose Code is NoEnt, and so
// on.
const (
	ErrRevMismatch   = sentinel(RevMismatch)
	ErrNoEnt         = sentinel(NoEnt)
	ErrIsDir         = sentinel(IsDir)
	ErrNotDir        = sentinel(NotDir)
	ErrBadPath       = sentinel(BadPath)
	ErrBadGlob       = sentinel(BadGlob)
	ErrBadRequest    = sentinel(BadRequest)
	ErrTooLate       = sentinel(TooLate)
	ErrTooLarge      = sentinel(TooLarge)
	ErrClientExpired = sentinel(ClientExpired)
	ErrReadOnly      = sentinel(ReadOnly)
)

// Error is why something was refused.
type Error struct {
	Code Code
	// Path is what it is about, where there is one; for BadGlob, the pattern.
	Path string
	// Rev is the path's present rev with RevMismatch (0: there is no file), the
	// oldest readable rev with TooLate.
	Rev int64
	// Index is the condition that failed or, if Op, the operation.
	Index int
	Op    bool
	// Present is the file a failed condition names, nil if there is none. It is
	// also nil when a remembered result is repeated after that version has left
	// the window.
	Present *Event
	// Msg says more, where there is more to say.
	Msg string
}

// Error returns one sentence that names the path.
func (e *Error) Error() string {
	s := e.Code.sentence()
	if e.Msg != "" {
		s += ": " + e.Msg
	}
	switch e.Code {
	case RevMismatch, TooLate:
		s += " (" + strconv.FormatInt(e.Rev, 10) + ")"
	}
	if e.Path == "" {
		return s
	}
	return strconv.Quote(e.Path) + ": " + s
}

// Is makes errors.Is match the constant of e's code.
func (e *Error) Is(target error) bool {
	t, ok := target.(sentinel)
	return ok && Code(t) == e.Code
}

func badRequest(msg string) *Error { return &Error{Code: BadRequest, Msg: msg} }
