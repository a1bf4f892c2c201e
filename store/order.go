package store

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"
)

// capturedVersion is a version that was made, or one that was dropped. What its
// place in the order depends on is beside it: there may be a million of them, all
// over the memory.
type capturedVersion struct {
	start uint64 // eight bytes of the path, see inOrder
	event *Event // nil: it was dropped
	drop  *drop
}

func (v *capturedVersion) path() string {
	if v.event != nil {
		return v.event.Path()
	}
	return v.drop.path
}

func (v *capturedVersion) rev() int64 {
	if v.event != nil {
		return v.event.Rev
	}
	return v.drop.rev
}

// warm loads what the records of vs are made of, as Store.Warm does for writes.
func (c *Capture) warm(vs []capturedVersion) {
	var sum int
	for i := range vs {
		if e := vs[i].event; e != nil {
			sum += int(e.path)
		}
	}
	for i := range vs {
		if e := vs[i].event; e != nil {
			if b := e.Value(); len(b) > 0 {
				sum += int(b[len(b)-1])
			}
		}
	}
	c.warmth += sum
}

// versions returns what became of versions, in order of path and rev.
func (c *Capture) versions() []capturedVersion {
	vs := make([]capturedVersion, 0, len(c.puts)+len(c.drops))
	for _, e := range c.puts {
		if !e.dropped {
			vs = append(vs, capturedVersion{event: e})
		}
	}
	for i := range c.drops {
		vs = append(vs, capturedVersion{drop: &c.drops[i]})
	}
	inOrder(vs, make([]capturedVersion, len(vs)))
	return vs
}

// fewVersions is how many are sorted by comparing them.
const fewVersions = 64

// inOrder sorts vs, for which it needs other, as many. To compare is to wait for
// memory and to take the wrong branch each time, so many are sorted by counting, by
// eight bytes of their paths after what all have in common, and then those with
// the same eight among themselves.
func inOrder(vs, other []capturedVersion) {
	var differ uint64
	if len(vs) > fewVersions {
		differ = setStarts(vs)
	}
	if differ == 0 { // they are few, or all have one path
		slices.SortFunc(vs, func(a, b capturedVersion) int {
			return cmp.Or(strings.Compare(a.path(), b.path()), cmp.Compare(a.rev(), b.rev()))
		})
		return
	}
	from, to := vs, other
	for shift := 0; shift < 64; shift += 8 {
		if byte(differ>>shift) != 0 {
			byByte(to, from, shift)
			from, to = to, from
		}
	}
	if &from[0] != &vs[0] {
		copy(vs, from)
	}
	for first, i := 0, 1; i <= len(vs); i++ {
		if i == len(vs) || vs[i].start != vs[first].start {
			inOrder(vs[first:i], other[first:i])
			first = i
		}
	}
}

// setStarts sets start in vs, and returns the bits in which some differ.
func setStarts(vs []capturedVersion) (differ uint64) {
	common := vs[0].path()
	for i := range vs {
		if path := vs[i].path(); !strings.HasPrefix(path, common) {
			common = common[:commonPrefix(common, path)]
		}
	}
	for i := range vs {
		var start [8]byte
		copy(start[:], vs[i].path()[len(common):])
		vs[i].start = binary.BigEndian.Uint64(start[:])
		differ |= vs[i].start ^ vs[0].start
	}
	return differ
}

// byByte copies from to to in the order of one byte of start, and of from where
// that is the same.
func byByte(to, from []capturedVersion, shift int) {
	var next [256]int
	for i := range from {
		next[byte(from[i].start>>shift)]++
	}
	at := 0
	for i, n := range next {
		next[i], at = at, at+n
	}
	for i := range from {
		b := byte(from[i].start >> shift)
		to[next[b]] = from[i]
		next[b]++
	}
}

// commonPrefix returns how many bytes a and b start with alike.
func commonPrefix(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
