package session

import "errors"

var (
	// ErrLost is the cause of every context that hung on a session when its
	// deadline passed without a beat that was acknowledged, or when its file
	// was deleted. Another may hold by now what was held.
	ErrLost = errors.New("session lost")
	// ErrClosed: the session was closed.
	ErrClosed = errors.New("session is closed")
	// ErrBadTTL: the TTL is out of bounds.
	ErrBadTTL = errors.New("bad ttl")
	// ErrKept: the session's file says that it does not expire.
	ErrKept = errors.New("the session is kept: it does not expire")

	// errElsewhere: the end of a process cannot be seen from here.
	errElsewhere = errors.New("not a process of this host")
	// errForeign: a session's file was rewritten by somebody else.
	errForeign = errors.New("somebody else wrote the session's file")
)
