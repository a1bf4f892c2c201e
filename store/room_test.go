package store

import (
	"bytes"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// TestEventSizes makes events of all lengths at which something changes.
func TestEventSizes(t *testing.T) {
	var sizes []int
	for _, r := range rooms {
		sizes = append(sizes, r.bytes-1, r.bytes, r.bytes+1)
	}
	for _, del := range []bool{false, true} {
		for _, value := range append(sizes, 0, DefaultMaxValue) {
			for _, path := range []int{2, 7, 8, 9, maxRoom - 1, maxRoom, maxRoom + 1, MaxPath} {
				v := Version{Path: "/" + strings.Repeat("p", path-1), Rev: 1 << 40, Time: 1 << 50, Ordinal: MaxOps - 1,
					Del: del, Last: value%2 == 0, Value: bytes.Repeat([]byte("v"), value), Author: "a", Message: "m"}
				e := v.Event()
				want := v.Value
				if del {
					want = nil
				}
				if e.Path() != v.Path || !slices.Equal(e.Value(), want) || (e.Value() == nil) != del || e.size() != len(want) ||
					e.Rev != v.Rev || e.Time != v.Time || e.Ordinal() != v.Ordinal || e.Del() != del || e.Last() != v.Last ||
					e.Author() != "a" || e.Message() != "m" || e.dropped {
					t.Fatalf("a path of %d, a value of %d, deleted %v: %d, %d", path, value, del, len(e.Path()), len(e.Value()))
				}
			}
		}
	}
}

// TestRooms holds the blocks to the sizes that they are said to have room for.
func TestRooms(t *testing.T) {
	if eventSize != 40 || rooms[len(rooms)-1].bytes != maxRoom {
		t.Fatalf("an event has %d bytes, the largest block room for %d", eventSize, rooms[len(rooms)-1].bytes)
	}
	const n = 1000
	var kept [n]*Event
	for _, r := range rooms {
		size := uint64(eventSize) + uint64(r.bytes)
		if size > 512 {
			size += 8
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for i := range kept {
			kept[i] = r.make()
		}
		runtime.ReadMemStats(&after)
		if got := (after.TotalAlloc - before.TotalAlloc) / n; got != size {
			t.Errorf("a block with room for %d takes %d bytes, and is to take %d", r.bytes, got, size)
		}
	}
	runtime.KeepAlive(&kept)
}
