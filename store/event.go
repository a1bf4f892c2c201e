package store

import (
	"encoding/binary"
	"unsafe"

	"github.com/cespare/xxhash/v2"
)

// Event is one change of one file, and the version of the file it made. It
// never changes once the store has returned it.
//
// There are millions of them, and the collector looks at each piece of memory
// again and again: so an event is one, its path and its value behind it, and is
// made by Version.Event alone. It must not be copied.
type Event struct {
	_ noCopy

	Rev  int64
	Time int64 // nanoseconds since 1970, by the leader's clock; never falls from rev to rev

	hash   uint64
	origin *origin
	length uint32 // of the value; noValue of a deletion
	path   uint16 // its length
	place  uint8  // among the events of its rev; lastPlace says that it is the last

	// dropped is set when no node holds the event any more and no Capture has it;
	// it belongs to unsaved.
	dropped bool
}

const (
	noValue   = 1<<32 - 1
	lastPlace = 1 << 7
)

// noCopy lets vet find copies.
type noCopy struct{}

func (*noCopy) Lock()   {}
func (*noCopy) Unlock() {}

// origin is who made a change and what they said about it. It is shared by many
// events; nil is nobody, who said nothing.
type origin struct{ author, message string }

// Version says what an event is.
type Version struct {
	Path            string // at most MaxPath bytes
	Rev, Time       int64
	Ordinal         int // below MaxOps
	Del, Last       bool
	Value           []byte // of a deletion of no meaning
	Author, Message string
}

// Event returns the event that v describes, which aliases nothing of v but
// Author and Message.
func (v Version) Event() *Event {
	var who *origin
	if v.Author != "" || v.Message != "" {
		who = &origin{v.Author, v.Message}
	}
	return v.event(who)
}

// event is Event with an origin in place of v's own.
func (v *Version) event(who *origin) *Event {
	value := v.Value
	if v.Del {
		value = nil
	}
	e := newEvent(len(v.Path), len(value))
	e.Rev, e.Time, e.origin, e.place = v.Rev, v.Time, who, uint8(v.Ordinal)
	if v.Last {
		e.place |= lastPlace
	}
	copy(e.pathBytes(), v.Path)
	copy(e.Value(), value)
	if v.Del {
		e.length = noValue
	}
	e.hash = e.sum()
	return e
}

// Path returns the path of the file. The string keeps all of e.
func (e *Event) Path() string { return aliasString(e.pathBytes()) }

// Value returns the file's value, nil if Del. It must not be changed.
func (e *Event) Value() []byte {
	switch {
	case e.Del():
		return nil
	case e.isLarge():
		return (*large)(unsafe.Pointer(e)).value
	case e.length == 0:
		return []byte{} // nothing may point behind the block
	}
	return unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(e), int(eventSize)+int(e.path))), e.length)
}

// Del reports whether the file was deleted.
func (e *Event) Del() bool { return e.length == noValue }

// Last reports whether e is the last event of its rev.
func (e *Event) Last() bool { return e.place&lastPlace != 0 }

// Ordinal returns e's place among the events of its rev, from 0.
func (e *Event) Ordinal() int { return int(e.place &^ lastPlace) }

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

// size returns the number of bytes of the value.
func (e *Event) size() int {
	if e.Del() {
		return 0
	}
	return int(e.length)
}

const (
	eventDel  = 1
	eventLast = 2
)

func (e *Event) flags() byte {
	var f byte
	if e.Del() {
		f |= eventDel
	}
	if e.Last() {
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
	binary.BigEndian.PutUint32(head[16:], uint32(e.path))
	binary.BigEndian.PutUint32(head[20:], uint32(len(author)))
	binary.BigEndian.PutUint32(head[24:], uint32(len(message)))
	binary.BigEndian.PutUint32(head[28:], uint32(e.size()))
	head[32] = e.flags()
	head[33] = byte(e.Ordinal())
	var d xxhash.Digest
	d.Reset()
	d.Write(head[:])
	d.Write(e.pathBytes())
	d.WriteString(author)
	d.WriteString(message)
	d.Write(e.Value())
	return d.Sum64()
}

// cost is what e counts for in the window, in bytes.
func (e *Event) cost() int64 {
	return int64(int(e.path)+len(e.Author())+len(e.Message())+e.size()) + eventOverhead
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
	return Info{Path: e.Path(), Rev: e.Rev, Time: e.Time, Len: int64(e.size()),
		Author: e.Author(), Message: e.Message(), Hash: e.hash}
}
