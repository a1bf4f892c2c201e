package failover

import "errors"

var (
	// ErrBadName: no group or node can have the name.
	ErrBadName = errors.New("bad name")
	// ErrBadConf: a setting has a value that it can't have.
	ErrBadConf = errors.New("bad setting")
	// ErrBadFile: a file of the group can't be understood.
	ErrBadFile = errors.New("bad file")
	// ErrNoGroup: the group has no conf: nobody has made it.
	ErrNoGroup = errors.New("there is no such group")
	// ErrExists: the group has a conf.
	ErrExists = errors.New("the group exists")
	// ErrBusy: another command waits to be done.
	ErrBusy = errors.New("another command is waiting")
	// ErrRefused: an agent did not do what was asked for; the text says why.
	ErrRefused = errors.New("refused")
	// ErrStale: what was asked for was meant for an earlier epoch.
	ErrStale = errors.New("the group has changed since")
)
