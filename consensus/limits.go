package consensus

import "time"

// Limits bounds what a node holds. Zero fields take the value named.
type Limits struct {
	// Pending is the number of proposals, and as many reads, without an
	// answer (200,000). Beyond it: ErrOverloaded.
	Pending int
	// PendingBytes bounds the commands of those proposals (128 MiB). Beyond
	// it: ErrOverloaded.
	PendingBytes int64
	// CommandBytes is the largest command (9 MiB). Beyond it: ErrTooLarge.
	CommandBytes int
	// EntryBytes is how much a batch may hold before a new one is begun
	// (1 MiB); a larger command makes an entry of its own.
	EntryBytes int
	// UncommittedBytes bounds the tail of a leader's log that has no majority
	// yet (64 MiB). Beyond it proposals wait.
	UncommittedBytes uint64
	// InflightMessages and InflightBytes bound what a leader sends to one
	// follower without an answer (512; 16 MiB). Beyond it the follower waits.
	InflightMessages int
	InflightBytes    uint64
	// MessageBytes is the soft limit of one append message (1 MiB).
	MessageBytes uint64
	// ApplyBytes bounds the committed entries handed to the applier at once
	// (16 MiB).
	ApplyBytes uint64
	// Pipeline is how many entries a leader may have on the way to a majority
	// before it lets further commands wait for a larger batch (1: with more,
	// or when it waits for its own disk alone, the batches are smaller and
	// everything costs more). A batch of EntryBytes does not wait.
	Pipeline uint64
	// ReadBatches is how many read questions may be open at once (4); reads
	// that come meanwhile share the next.
	ReadBatches int
}

func (l Limits) withDefaults() Limits {
	setDefault(&l.Pending, 200_000)
	setDefault(&l.PendingBytes, 128<<20)
	setDefault(&l.CommandBytes, 9<<20)
	setDefault(&l.EntryBytes, 1<<20)
	setDefault(&l.UncommittedBytes, 64<<20)
	setDefault(&l.InflightMessages, 512)
	setDefault(&l.InflightBytes, 16<<20)
	setDefault(&l.MessageBytes, 1<<20)
	setDefault(&l.ApplyBytes, 16<<20)
	setDefault(&l.Pipeline, 1)
	setDefault(&l.ReadBatches, 4)
	return l
}

func setDefault[T int | int64 | uint64 | time.Duration](p *T, v T) {
	if *p == 0 {
		*p = v
	}
}
