package consensus

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// An entry of the log is a storage format:
//
//	version  1 byte, 1
//	time     8 bytes, little endian: the leader's clock, nanoseconds since 1970
//	groups   until the end
//
// A group is what one node's process proposed together; a leader copies the
// groups that others forward as they are:
//
//	origin   uvarint, node id
//	nonce    8 bytes, little endian: random for each process
//	count    uvarint, at least 1
//	commands count times: uvarint number (rising), uvarint length, bytes
//
// An entry without data is raft's own.
const entryVersion = 1

const entryHeaderSize = 9

var errBadEntry = errors.New("malformed log entry")

// appendEntryHeader begins an entry.
func appendEntryHeader(dst []byte, now int64) []byte {
	dst = append(dst, entryVersion)
	return binary.LittleEndian.AppendUint64(dst, uint64(now))
}

// appendGroup adds the commands of ps as a group.
func appendGroup(dst []byte, origin, nonce uint64, ps []*proposal) []byte {
	dst = binary.AppendUvarint(dst, origin)
	dst = binary.LittleEndian.AppendUint64(dst, nonce)
	dst = binary.AppendUvarint(dst, uint64(len(ps)))
	for _, p := range ps {
		dst = binary.AppendUvarint(dst, p.id)
		dst = binary.AppendUvarint(dst, uint64(len(p.data)))
		dst = append(dst, p.data...)
	}
	return dst
}

// group is a decoded group; commands and ids alias the entry and the reader.
type group struct {
	origin, nonce uint64
	ids           []uint64
	commands      [][]byte
}

// entryReader decodes entries; its slices are reused from entry to entry.
type entryReader struct {
	ids      []uint64
	commands [][]byte
	groups   []group
}

// decode splits an entry into its groups. The result is valid until the next
// call. It returns an error that wraps errBadEntry, and never panics.
func (r *entryReader) decode(data []byte) (now int64, groups []group, err error) {
	if len(data) < entryHeaderSize {
		return 0, nil, fmt.Errorf("%w: %d bytes", errBadEntry, len(data))
	}
	if data[0] != entryVersion {
		return 0, nil, fmt.Errorf("%w: version %d", errBadEntry, data[0])
	}
	now = int64(binary.LittleEndian.Uint64(data[1:]))
	r.ids, r.commands, r.groups = r.ids[:0], r.commands[:0], r.groups[:0]
	rest := data[entryHeaderSize:]
	for len(rest) > 0 {
		if rest, err = r.group(rest); err != nil {
			return 0, nil, err
		}
	}
	// The slices may have moved while they grew: cut them only here.
	at := 0
	for i := range r.groups {
		n := len(r.groups[i].ids)
		r.groups[i].ids = r.ids[at : at+n]
		r.groups[i].commands = r.commands[at : at+n]
		at += n
	}
	return now, r.groups, nil
}

// group reads one group and returns what follows it.
func (r *entryReader) group(b []byte) ([]byte, error) {
	origin, n := binary.Uvarint(b)
	if n <= 0 || len(b) < n+8 {
		return nil, fmt.Errorf("%w: group header", errBadEntry)
	}
	nonce := binary.LittleEndian.Uint64(b[n:])
	b = b[n+8:]
	count, n := binary.Uvarint(b)
	// A command takes at least two bytes: that bounds count.
	if n <= 0 || count == 0 || count > uint64(len(b))/2 {
		return nil, fmt.Errorf("%w: %d commands", errBadEntry, count)
	}
	b = b[n:]
	first := len(r.ids)
	for range count {
		id, n := binary.Uvarint(b)
		if n <= 0 {
			return nil, fmt.Errorf("%w: command number", errBadEntry)
		}
		if len(r.ids) > first && id <= r.ids[len(r.ids)-1] {
			return nil, fmt.Errorf("%w: command number %d after %d", errBadEntry, id, r.ids[len(r.ids)-1])
		}
		b = b[n:]
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return nil, fmt.Errorf("%w: command of %d bytes", errBadEntry, size)
		}
		b = b[n:]
		r.ids = append(r.ids, id)
		r.commands = append(r.commands, b[:size:size])
		b = b[size:]
	}
	r.groups = append(r.groups, group{origin: origin, nonce: nonce, ids: r.ids[first:]})
	return b, nil
}

// forwarded reads what a follower forwards: the number before which the leader
// must have taken everything, and one group of that node, in r and encoded.
func (r *entryReader) forwarded(data []byte, from uint64) (before uint64, group []byte, err error) {
	before, n := binary.Uvarint(data)
	if n <= 0 {
		return 0, nil, fmt.Errorf("%w: number", errBadEntry)
	}
	rest, err := r.group(data[n:])
	switch {
	case err != nil:
		return 0, nil, err
	case len(rest) > 0:
		return 0, nil, fmt.Errorf("%w: %d bytes after the group", errBadEntry, len(rest))
	case r.groups[0].origin != from:
		return 0, nil, fmt.Errorf("%w: group of node %d", errBadEntry, r.groups[0].origin)
	case r.groups[0].ids[0] <= before:
		return 0, nil, fmt.Errorf("%w: command number %d after %d", errBadEntry, r.groups[0].ids[0], before)
	}
	return before, data[n:], nil
}
