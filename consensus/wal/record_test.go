package wal

import (
	"bytes"
	"testing"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// sampleEntries differ in what an entry can leave out.
func sampleEntries() []*raftpb.Entry {
	return []*raftpb.Entry{
		{Term: new(uint64(1)), Index: new(uint64(1))},
		{Term: new(uint64(1)), Index: new(uint64(2)), Data: []byte{}},
		{Term: new(uint64(300)), Index: new(uint64(3)), Data: bytes.Repeat([]byte("x"), 300)},
		{Term: new(uint64(1 << 40)), Index: new(uint64(4)), Type: raftpb.EntryNormal.Enum()},
		{Term: new(^uint64(0)), Index: new(uint64(5)), Type: raftpb.EntryConfChangeV2.Enum(), Data: []byte("y")},
	}
}

func TestEntryReadsBackAsItWasWritten(t *testing.T) {
	for _, want := range sampleEntries() {
		b, off, size := appendEntry([]byte("before"), want)
		body, err := decodeEntry(b[off:off+size], true)
		if err != nil {
			t.Fatalf("%v: %v", want, err)
		}
		got := body.proto()
		if !proto.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		if body.protoSize() != proto.Size(want) || bodyOf(want).protoSize() != proto.Size(want) {
			t.Errorf("%v: protoSize %d and %d, want %d", want, body.protoSize(), bodyOf(want).protoSize(), proto.Size(want))
		}
		for i := off; i < off+size; i++ {
			b[i] ^= 0x10
			if _, err := decodeEntry(b[off:off+size], true); err == nil {
				t.Fatalf("%v: a flip of byte %d went unnoticed", want, i-off)
			}
			b[i] ^= 0x10
		}
	}
}

func TestMalformedRecordsAreRefused(t *testing.T) {
	uints := func(v ...uint64) []byte { return appendUints(nil, recordBase, v...)[2:] }
	for name, body := range map[string][]byte{
		"empty":         {},
		"one of two":    uints(1),
		"three of two":  uints(1, 2, 3),
		"endless":       bytes.Repeat([]byte{0x80}, 20),
		"over 64 bits":  bytes.Repeat([]byte{0xff}, 12),
		"trailing byte": append(uints(1, 2), 0),
	} {
		var a, b uint64
		if err := decodeUints(body, &a, &b); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for name, payload := range map[string][]byte{
		"no length":       {recordBase},
		"length past end": {recordBase, 3, 1, 2},
		"huge length":     {recordEntry, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1},
	} {
		if err := eachRecord(payload, func(byte, []byte, int) error { return nil }); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for name, body := range map[string][]byte{
		"short":              {0, 0, 0, 0},
		"unknown flag":       {0, 0, 0, 0, 4, 1, 1},
		"index zero":         {0, 0, 0, 0, 0, 1, 0},
		"data without flag":  {0, 0, 0, 0, 0, 1, 1, 'x'},
		"type over 32 bits":  {0, 0, 0, 0, 1, 1, 1, 0x80, 0x80, 0x80, 0x80, 0x10},
		"type flag, no type": {0, 0, 0, 0, 1, 1, 1},
		"endless term":       {0, 0, 0, 0, 0, 0x80},
		"term alone":         {0, 0, 0, 0, 0, 1},
	} {
		if _, err := decodeEntry(body, false); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestBatchHeaderIsTiedToItsSegment(t *testing.T) {
	b := sealBatch(append(make([]byte, batchHeaderLen), make([]byte, 2000)...), 7, 5, 4)
	if len(b)%sectorSize != 0 {
		t.Fatalf("batch has %d bytes", len(b))
	}
	h, ok := decodeBatchHeader(b, 7)
	if !ok || h.seq != 5 || h.durable != 4 || h.length != 2000 || h.extent() != int64(len(b)) || h.zeros != 3 {
		t.Fatalf("got %+v, %v", h, ok)
	}
	if _, ok := decodeBatchHeader(b, 8); ok {
		t.Error("accepted as a batch of another segment")
	}
	for i := range batchHeaderLen {
		b[i] ^= 1
		if _, ok := decodeBatchHeader(b, 7); ok {
			t.Errorf("a flip of header byte %d went unnoticed", i)
		}
		b[i] ^= 1
	}
}

func TestSegmentNames(t *testing.T) {
	name := segmentName(7, 0xabc)
	if seq, first, ok := parseSegmentName(name); !ok || seq != 7 || first != 0xabc {
		t.Errorf("%s: %d %d %v", name, seq, first, ok)
	}
	for _, bad := range []string{"", "x.wal", "7-abc.wal", name + "x", "0" + name, "+" + name[1:],
		"000000000000000G-0000000000000001.wal", "000000000000000A-0000000000000001.wal"} {
		if _, _, ok := parseSegmentName(bad); ok {
			t.Errorf("%q accepted", bad)
		}
	}
}

func TestCacheKeepsTheNewestWithinItsBytes(t *testing.T) {
	e := func(i uint64, n int) *raftpb.Entry {
		return &raftpb.Entry{Term: new(uint64(1)), Index: new(i), Data: make([]byte, n)}
	}
	c := cache{limit: 4 * (100 + cacheOverhead)}
	holds := func(what string, lo, hi uint64) {
		t.Helper()
		var sum int64
		for i := uint64(0); i < 20; i++ {
			got := c.get(i)
			if in := i >= lo && i < hi; in != (got != nil) || in && got.GetIndex() != i {
				t.Errorf("%s: entry %d: %v", what, i, got)
			}
			if got != nil {
				sum += entryCost(got)
			}
		}
		if sum != c.bytes || sum > c.limit {
			t.Errorf("%s: counts %d bytes, holds %d", what, c.bytes, sum)
		}
	}
	holds("empty", 0, 0)
	for i := uint64(1); i <= 6; i++ {
		c.add(e(i, 100))
	}
	holds("six added", 3, 7)
	c.add(e(5, 50))
	holds("conflict at 5", 3, 6)
	c.add(e(2, 50))
	holds("conflict below", 2, 3)
	c.add(e(9, 50))
	holds("start over", 9, 10)
	c.add(e(10, 50))
	c.compact(9)
	holds("compacted", 10, 11)
	c.add(e(11, 5000))
	holds("one too large", 0, 0)
	c.add(e(12, 1))
	holds("after it", 12, 13)
}

func FuzzRecords(f *testing.F) {
	f.Add(Payload())
	f.Add([]byte{recordEntry, 7, 0, 0, 0, 0, 0, 1, 1})
	f.Fuzz(func(t *testing.T, payload []byte) {
		_ = eachRecord(payload, func(kind byte, body []byte, off int) error {
			if len(body) > 0 && &payload[off] != &body[0] {
				t.Fatal("offset does not point at the body")
			}
			e, err := decodeEntry(body, false)
			if err != nil {
				return nil
			}
			again, at, size := appendEntry(nil, e.proto())
			back, err := decodeEntry(again[at:at+size], true)
			if err != nil || !proto.Equal(back.proto(), e.proto()) || e.protoSize() != proto.Size(e.proto()) {
				t.Fatalf("%+v became %+v: %v", e, back, err)
			}
			return nil
		})
	})
}
