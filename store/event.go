package store

import (
	"encoding/binary"
	"unsafe"

	"github.com/cespare/xxhash/v2"
)

// Event is one change of one file, and the version of the file it made. It
// never changes once the store has returned it, and holds on to nothing but
// its own value. There are millions of them: it has 64 bytes, one line of a
// processor's cache.
type Event struct {
	Path string
	Rev  int64
	Time int64 // nanoseconds since 1970, by the leader's clock; never falls from rev to rev

	hash   uint64
	value  *byte // the first byte; nil if there is none
	origin *origin
	length uint32 // of the value

	ordinal uint8 // place among the events of its rev
	Del     bool
	Last    bool // the last event of its rev

	// dropped is set when no node holds the event any more and no Capture has it;
	// it belongs to unsaved.
	dropped bool
}

// origin is who made a change and what they said about it. It is shared by many
// events; nil is nobody, who said nothing.
type origin struct{ author, message string }

// With returns an event like e with a value, an author and a message. It keeps
// the value, of which a deletion has none.
func (e Event) With(value []byte, author, message string) *Event {
	if author != "" || message != "" {
		e.origin = &origin{author, message}
	}
	e.setValue(value)
	return &e
}

// setValue keeps value.
func (e *Event) setValue(value []byte) {
	e.value, e.length = unsafe.SliceData(value), uint32(len(value))
}

// Value returns the file's value, nil if Del. It must not be changed.
func (e *Event) Value() []byte { return unsafe.Slice(e.value, e.length) }

// Author returns who made the change.
func (e *Event) Author() string {
	if e.origin == nil {
		return ""
	}
	return e.origin.author
}

// Message returns what the author said about the change.
func (e *Event) Message() string {
	if e.origin == nil {
		return ""
	}
	return e.origin.message
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
	author, message := e.Author(), e.Message()
	var head [34]byte
	binary.BigEndian.PutUint64(head[0:], uint64(e.Rev))
	binary.BigEndian.PutUint64(head[8:], uint64(e.Time))
	binary.BigEndian.PutUint32(head[16:], uint32(len(e.Path)))
	binary.BigEndian.PutUint32(head[20:], uint32(len(author)))
	binary.BigEndian.PutUint32(head[24:], uint32(len(message)))
	binary.BigEndian.PutUint32(head[28:], e.length)
	head[32] = e.flags()
	head[33] = e.ordinal
	var d xxhash.Digest
	d.Reset()
	d.Write(head[:])
	d.WriteString(e.Path)
	d.WriteString(author)
	d.WriteString(message)
	d.Write(e.Value())
	return d.Sum64()
}

// finish computes what depends on all the rest of e.
func (e *Event) finish() { e.hash = e.sum() }

// cost is what e counts for in the window, in bytes.
func (e *Event) cost() int64 {
	return int64(len(e.Path)+len(e.Author())+len(e.Message())) + int64(e.length) + eventOverhead
}

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
	return Info{Path: e.Path, Rev: e.Rev, Time: e.Time, Len: int64(e.length),
		Author: e.Author(), Message: e.Message(), Hash: e.hash}
}
