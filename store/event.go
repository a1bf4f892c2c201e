package store

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"
)

// Event is one change of one file, and the version of the file it made. It
// never changes once the store has returned it, and holds on to nothing but
// its own value. What a later write asks of it comes first, within 64 bytes.
type Event struct {
	Path string
	Rev  int64

	hash    uint64
	size    uint32 // what it costs, in bytes
	ordinal uint8  // place among the events of its rev

	Del  bool
	Last bool // the last event of its rev

	// dropped is set when no node holds the event any more and no Capture has it;
	// it belongs to unsaved.
	dropped bool

	Value []byte // nil if Del
	Time  int64  // nanoseconds since 1970, by the leader's clock; never falls from rev to rev
	// Author is who made the change, Message what they said about it.
	Author, Message string
}

// lone is the event of a write of one operation, as most are, and the list in
// which Apply returns it: one allocation, of the size class that the event
// alone would have.
type lone struct {
	event Event
	list  [1]*Event
}

// newEvents returns an empty event and an empty list with room for n.
func newEvents(n int) (first *Event, list []*Event) {
	if n == 1 {
		l := new(lone)
		return &l.event, l.list[:0]
	}
	return new(Event), make([]*Event, 0, n)
}

// Hash returns the hash of everything in e. A directory's hash is the sum of
// those of the files under it.
func (e *Event) Hash() uint64 { return e.hash }

// Ordinal returns e's place among the events of its rev, from 0.
func (e *Event) Ordinal() int { return int(e.ordinal) }

const (
	eventDel  = 1
	eventLast = 2
)

func (e *Event) flags() byte {
	var f byte
	if e.Del {
		f |= eventDel
	}
	if e.Last {
		f |= eventLast
	}
	return f
}

// sum computes e's hash. Every part has a fixed place or a length before it,
// so that no two different events have the same input.
func (e *Event) sum() uint64 {
	var head [34]byte
	binary.BigEndian.PutUint64(head[0:], uint64(e.Rev))
	binary.BigEndian.PutUint64(head[8:], uint64(e.Time))
	binary.BigEndian.PutUint32(head[16:], uint32(len(e.Path)))
	binary.BigEndian.PutUint32(head[20:], uint32(len(e.Author)))
	binary.BigEndian.PutUint32(head[24:], uint32(len(e.Message)))
	binary.BigEndian.PutUint32(head[28:], uint32(len(e.Value)))
	head[32] = e.flags()
	head[33] = e.ordinal
	var d xxhash.Digest
	d.Reset()
	d.Write(head[:])
	d.WriteString(e.Path)
	d.WriteString(e.Author)
	d.WriteString(e.Message)
	d.Write(e.Value)
	return d.Sum64()
}

// finish computes what depends on all the rest of e.
func (e *Event) finish() {
	e.hash = e.sum()
	e.size = uint32(len(e.Path) + len(e.Value) + len(e.Author) + len(e.Message) + eventOverhead)
}

// cost is what e counts for in the window, in bytes.
func (e *Event) cost() int64 { return int64(e.size) }

// Info describes a file or a directory without its value.
type Info struct {
	Path  string
	IsDir bool
	// Rev and Time are those of a file's last change, 0 for a directory.
	Rev, Time int64
	// Len is the number of bytes of a file's value, or of a directory's entries.
	Len             int64
	Author, Message string // of a file's last change
	// Hash is a file's, or at the present rev that of all files under a
	// directory; 0 for a directory at a past rev.
	Hash uint64
}

func fileInfo(e *Event) Info {
	return Info{Path: e.Path, Rev: e.Rev, Time: e.Time, Len: int64(len(e.Value)),
		Author: e.Author, Message: e.Message, Hash: e.hash}
}
