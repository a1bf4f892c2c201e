package store

import "unsafe"

// An event's path and value lie behind it, in a block of the size that the
// allocator would take anyway. Go has no structures whose size is known only when they
// are made, so there is a type for each: the collector has to know that origin is
// a pointer and the rest is not.

const eventSize = unsafe.Sizeof(Event{})

// block is an event and room behind it.
type block[R any] struct {
	Event
	_ R
}

// large is an event whose path and value have no room behind it.
type large struct {
	Event
	path  []byte
	value []byte
}

// maxRoom is the most that a block has room for.
const maxRoom = 2000

// isLarge reports whether e is a large's.
func (e *Event) isLarge() bool {
	return !e.Del() && int(e.path)+int(e.length) > maxRoom || e.path > maxRoom
}

// newEvent returns an event with a path and a value of so many bytes.
func newEvent(path, value int) *Event {
	var e *Event
	if n := path + value; n > maxRoom {
		e = &(&large{path: make([]byte, path), value: make([]byte, value)}).Event
	} else {
		e = makers[(n+7)/8]()
	}
	e.path, e.length = uint16(path), uint32(value)
	return e
}

func (e *Event) pathBytes() []byte {
	if e.isLarge() {
		return (*large)(unsafe.Pointer(e)).path
	}
	if e.path == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(e), eventSize)), e.path)
}

func makeBlock[R any]() *Event { return &new(block[R]).Event }

// rooms are what is left of the allocator's sizes, of which it takes 8 bytes of
// those above 512 for itself.
var rooms = []struct {
	bytes int
	make  func() *Event
}{
	{8, makeBlock[[8]byte]}, {24, makeBlock[[24]byte]}, {40, makeBlock[[40]byte]}, {56, makeBlock[[56]byte]},
	{72, makeBlock[[72]byte]}, {88, makeBlock[[88]byte]}, {104, makeBlock[[104]byte]}, {120, makeBlock[[120]byte]},
	{136, makeBlock[[136]byte]}, {152, makeBlock[[152]byte]}, {168, makeBlock[[168]byte]}, {184, makeBlock[[184]byte]},
	{200, makeBlock[[200]byte]}, {216, makeBlock[[216]byte]}, {248, makeBlock[[248]byte]}, {280, makeBlock[[280]byte]},
	{312, makeBlock[[312]byte]}, {344, makeBlock[[344]byte]}, {376, makeBlock[[376]byte]}, {408, makeBlock[[408]byte]},
	{440, makeBlock[[440]byte]}, {472, makeBlock[[472]byte]}, {528, makeBlock[[528]byte]}, {592, makeBlock[[592]byte]},
	{656, makeBlock[[656]byte]}, {720, makeBlock[[720]byte]}, {848, makeBlock[[848]byte]}, {976, makeBlock[[976]byte]},
	{1104, makeBlock[[1104]byte]}, {1232, makeBlock[[1232]byte]}, {1360, makeBlock[[1360]byte]}, {1488, makeBlock[[1488]byte]},
	{1744, makeBlock[[1744]byte]}, {maxRoom, makeBlock[[maxRoom]byte]},
}

// makers are those of rooms, by the words that there has to be room for.
var makers = func() (m [maxRoom/8 + 1]func() *Event) {
	i := 0
	for words := range m {
		if words*8 > rooms[i].bytes {
			i++
		}
		m[words] = rooms[i].make
	}
	return m
}()
