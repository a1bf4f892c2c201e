package line

import "errors"

var (
	// ErrHeld: others are ahead, and the caller does not want to wait.
	ErrHeld = errors.New("held by another")
	// ErrReleased is the cause of a place's context after its release.
	ErrReleased = errors.New("released")
	// ErrConf: others use the line in another way.
	ErrConf = errors.New("used in another way")
	// ErrBadName: no line can have the name.
	ErrBadName = errors.New("bad name")
	// ErrBadLimit: the limit is out of bounds.
	ErrBadLimit = errors.New("bad limit")
)
