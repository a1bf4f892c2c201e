package consensus

import "testing"

// benchEntry is an entry of one node's 64 commands of 300 bytes.
func benchEntry(dst []byte, ps []*proposal) []byte {
	return appendGroup(appendEntryHeader(dst, 1), 1, 2, ps)
}

func benchProposals() []*proposal {
	var ps []*proposal
	for i := range 64 {
		ps = append(ps, &proposal{id: uint64(i + 1), data: make([]byte, 300)})
	}
	return ps
}

func BenchmarkEntryEncode(b *testing.B) {
	ps, buf := benchProposals(), []byte(nil)
	b.SetBytes(int64(len(benchEntry(nil, ps))))
	b.ReportAllocs()
	for b.Loop() {
		buf = benchEntry(buf[:0], ps)
	}
}

func BenchmarkEntryDecode(b *testing.B) {
	data := benchEntry(nil, benchProposals())
	var r entryReader
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := r.decode(data); err != nil {
			b.Fatal(err)
		}
	}
}
