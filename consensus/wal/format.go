package wal

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

const (
	formatVersion  = 1
	segmentMagic   = "doozrwal"
	batchMagic     = 0x62_7a_6f_64 // "dozb", little endian
	batchHeaderLen = 40
)

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// checksum continues the CRC32C seed over b.
func checksum(seed uint32, b []byte) uint32 { return crc32.Update(seed, castagnoli(), b) }

// roundUp is n rounded up to whole sectors.
func roundUp(n int64) int64 { return (n + sectorSize - 1) &^ (sectorSize - 1) }

// segmentHeader is the first sector of a segment.
type segmentHeader struct {
	bootstrap [16]byte
	node      uint64
	seq       uint64 // of the segment, consecutive
	first     uint64 // index it was made for; only names it
	batch     uint64 // sequence number of its first batch
	size      int64  // preallocated bytes, header included
}

// A segment header, one sector, little endian. Magic, version and CRC keep
// their places in every future version, so that a newer log is told from a
// damaged one.
//
//	 0        8         12      16            32     40    48      56      64     72
//	+--------+---------+-------+-------------+------+-----+-------+-------+------+-----+---------+
//	| magic  | version | zero  | bootstrap id| node | seq | first | batch | size |zeros| CRC32C  |
//	+--------+---------+-------+-------------+------+-----+-------+-------+------+-----+---------+
//	                                                                                   508     512
//
// The CRC covers the 508 bytes before it.
func (h *segmentHeader) encode() []byte {
	b := make([]byte, sectorSize)
	le := binary.LittleEndian
	copy(b, segmentMagic)
	le.PutUint32(b[8:], formatVersion)
	copy(b[16:32], h.bootstrap[:])
	le.PutUint64(b[32:], h.node)
	le.PutUint64(b[40:], h.seq)
	le.PutUint64(b[48:], h.first)
	le.PutUint64(b[56:], h.batch)
	le.PutUint64(b[64:], uint64(h.size))
	le.PutUint32(b[508:], checksum(0, b[:508]))
	return b
}

// headerSum is the CRC of an encoded segment header: the seed of the CRCs of
// its batches, which ties each batch to this segment of this node.
func headerSum(b []byte) uint32 { return binary.LittleEndian.Uint32(b[508:]) }

// decodeSegmentHeader parses the first sector of a segment. The error is
// ErrNewerFormat, or says what is damaged.
func decodeSegmentHeader(b []byte) (h segmentHeader, err error) {
	le := binary.LittleEndian
	if !bytes.Equal(b[:8], []byte(segmentMagic)) {
		return h, fmt.Errorf("no segment header")
	}
	if headerSum(b) != checksum(0, b[:508]) {
		return h, fmt.Errorf("segment header fails its checksum")
	}
	if v := le.Uint32(b[8:]); v != formatVersion {
		return h, fmt.Errorf("%w: format %d, this version knows %d", ErrNewerFormat, v, formatVersion)
	}
	copy(h.bootstrap[:], b[16:32])
	h.node = le.Uint64(b[32:])
	h.seq = le.Uint64(b[40:])
	h.first = le.Uint64(b[48:])
	h.batch = le.Uint64(b[56:])
	h.size = int64(le.Uint64(b[64:]))
	return h, nil
}

// batchHeader opens a batch, at a sector boundary.
type batchHeader struct {
	length  uint32 // of the payload, without padding
	sum     uint32 // CRC32C of payload and padding
	seq     uint64 // consecutive over the whole log, from 1
	durable uint64 // every batch up to this one was synced before this one was written
	zeros   uint32 // sectors of the batch that are all zero as written
}

// extent is the bytes the batch occupies: header, payload, padding.
func (h *batchHeader) extent() int64 { return roundUp(batchHeaderLen + int64(h.length)) }

// A batch: little endian, padded with zeros to whole sectors.
//
//	0       4       8        12      16    24        32      36     40
//	+-------+-------+--------+-------+-----+---------+-------+------+---------+---------+
//	| magic | CRC   | length | sum   | seq | durable | zeros | zero | payload | padding |
//	+-------+-------+--------+-------+-----+---------+-------+------+---------+---------+
//
// CRC covers bytes 8 to 40 and is seeded with the CRC of the segment header.
//
// sealBatch fills the header and pads b, which holds batchHeaderLen free bytes
// and the payload. seed is the CRC of the segment's header.
func sealBatch(b []byte, seed uint32, seq, durable uint64) []byte {
	length := len(b) - batchHeaderLen
	b = append(b, make([]byte, roundUp(int64(len(b)))-int64(len(b)))...)
	le := binary.LittleEndian
	clear(b[:batchHeaderLen])
	le.PutUint32(b, batchMagic)
	le.PutUint32(b[8:], uint32(length))
	le.PutUint32(b[12:], checksum(0, b[batchHeaderLen:]))
	le.PutUint64(b[16:], seq)
	le.PutUint64(b[24:], durable)
	le.PutUint32(b[32:], zeroSectors(b))
	le.PutUint32(b[4:], checksum(seed, b[8:batchHeaderLen]))
	return b
}

// decodeBatchHeader parses the header at the start of sector b. ok is false
// when it was not written as the header of a batch of this segment.
func decodeBatchHeader(b []byte, seed uint32) (h batchHeader, ok bool) {
	le := binary.LittleEndian
	if le.Uint32(b) != batchMagic || le.Uint32(b[4:]) != checksum(seed, b[8:batchHeaderLen]) {
		return h, false
	}
	return batchHeader{
		length:  le.Uint32(b[8:]),
		sum:     le.Uint32(b[12:]),
		seq:     le.Uint64(b[16:]),
		durable: le.Uint64(b[24:]),
		zeros:   le.Uint32(b[32:]),
	}, true
}

// zeroSectors counts the sectors of b that are all zero.
func zeroSectors(b []byte) (n uint32) {
	for ; len(b) >= sectorSize; b = b[sectorSize:] {
		if isZero(b[:sectorSize]) {
			n++
		}
	}
	return n
}

// isZero looks at eight bytes at a time; len(b) is a multiple of eight.
func isZero(b []byte) bool {
	for ; len(b) >= 8; b = b[8:] {
		if binary.LittleEndian.Uint64(b) != 0 {
			return false
		}
	}
	return true
}
