package consensus

import "errors"

var (
	// ErrStopped is returned for what was asked of a node that is stopping.
	// Nothing was done.
	ErrStopped = errors.New("node is stopping")
	// ErrOverloaded is returned when too much waits already (Limits.Pending,
	// Limits.PendingBytes). Nothing was done.
	ErrOverloaded = errors.New("too many requests wait")
	// ErrTooLarge is returned for a command over Limits.CommandBytes. Nothing
	// was done.
	ErrTooLarge = errors.New("command is too large")
	// ErrDeadline is returned when the deadline passed before a leader could
	// be given the command, or before a read was confirmed by a majority.
	// Nothing was done.
	ErrDeadline = errors.New("no majority of the cluster answered in time")
	// ErrUnknown is returned when a command was handed to a leader and the
	// node can't know whether it was, or will be, applied.
	ErrUnknown = errors.New("outcome unknown")
	// ErrNoLeader is returned by TransferLeadership when no peer can take it.
	ErrNoLeader = errors.New("no other node can lead")
	// ErrInvalidMessage is wrapped by every refusal of a peer's message.
	ErrInvalidMessage = errors.New("invalid message from a peer")
	// ErrLostEntries is reported when a peer proves that this node once had
	// entries that it has no more: its disk lost what it had synced.
	ErrLostEntries = errors.New("this node has lost log entries it had acknowledged")
)
