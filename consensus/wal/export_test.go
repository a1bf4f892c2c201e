package wal

// What the external tests need to build and read segments by hand.

var SegmentName = segmentName

const BatchHeaderLen = batchHeaderLen

// MakeSegment returns the bytes of the first segment of a log, holding one
// batch for each payload.
func MakeSegment(o Options, size int64, payloads ...[]byte) []byte {
	h := segmentHeader{bootstrap: o.BootstrapID, node: o.Node, seq: 1, first: 1, batch: 1, size: size}
	b := h.encode()
	sum := headerSum(b)
	for i, p := range payloads {
		b = append(b, sealBatch(append(make([]byte, batchHeaderLen), p...), sum, uint64(i+1), uint64(i))...)
	}
	return append(b, make([]byte, max(0, size-int64(len(b))))...)
}

// SetVersion rewrites the format version of a segment, with a valid checksum.
func SetVersion(segment []byte, v byte) {
	segment[8] = v
	sum := checksum(0, segment[:508])
	for i := range 4 {
		segment[508+i] = byte(sum >> (8 * i))
	}
}

// Batches lists where the batches of a segment begin and end.
func Batches(segment []byte) (extents [][2]int64) {
	sum := headerSum(segment)
	for off := int64(sectorSize); off < int64(len(segment)); {
		h, ok := decodeBatchHeader(segment[off:], sum)
		if !ok {
			break
		}
		extents = append(extents, [2]int64{off, off + h.extent()})
		off += h.extent()
	}
	return extents
}

// Payload is one record of each kind, for fuzz seeds.
func Payload() []byte {
	b := appendUints(nil, recordBase, 0, 0, 0)
	b = appendUints(b, recordHardState, 3, 2, 0)
	for _, e := range sampleEntries() {
		b, _, _ = appendEntry(b, e)
	}
	return appendUints(b, recordReset, 9, 3)
}
