package wal_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/doozer-store/doozer/consensus/wal"
	"github.com/doozer-store/doozer/consensus/wal/faultfs"
)

const dir = "/log"

// small are options that rotate after a few batches and read most from disk.
func small(fs wal.FS) wal.Options {
	return wal.Options{Dir: dir, BootstrapID: [16]byte{1, 2, 3}, Node: 7, SegmentSize: 4096,
		CacheBytes: 2000, FS: fs, Foreground: true}
}

func open(t testing.TB, o wal.Options) *wal.Log {
	t.Helper()
	l, err := wal.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// entry has data that tells its index and term, padded to n bytes.
func entry(index, term uint64, n int) *raftpb.Entry {
	data := fmt.Appendf(nil, "%d/%d ", index, term)
	data = append(data, bytes.Repeat([]byte{'.'}, max(0, n-len(data)))...)
	return &raftpb.Entry{Term: new(term), Index: new(index), Data: data}
}

// span is count entries of n bytes from first on.
func span(first uint64, count int, term uint64, n int) (out []*raftpb.Entry) {
	for i := range count {
		out = append(out, entry(first+uint64(i), term, n))
	}
	return out
}

func hard(term, vote, commit uint64) *raftpb.HardState {
	return &raftpb.HardState{Term: new(term), Vote: new(vote), Commit: new(commit)}
}

// model is what a Log should hold: the dumb twin, a slice.
type model struct {
	base, baseTerm uint64
	entries        []*raftpb.Entry // from base+1
	hs             *raftpb.HardState
}

func (m *model) clone() *model {
	c := *m
	c.entries = append([]*raftpb.Entry(nil), m.entries...)
	return &c
}

func (m *model) last() uint64 { return m.base + uint64(len(m.entries)) }

func (m *model) append(hs *raftpb.HardState, entries []*raftpb.Entry) {
	if hs != nil {
		m.hs = hard(hs.GetTerm(), hs.GetVote(), max(hs.GetCommit(), m.base))
	}
	if len(entries) > 0 {
		m.entries = append(m.entries[:entries[0].GetIndex()-m.base-1:entries[0].GetIndex()-m.base-1], entries...)
	}
}

func (m *model) term(i uint64) uint64 {
	if i == m.base {
		return m.baseTerm
	}
	return m.entries[i-m.base-1].GetTerm()
}

func (m *model) compact(i uint64) {
	term := m.term(i)
	m.entries = m.entries[i-m.base:]
	m.base, m.baseTerm = i, term
	m.hs = hard(m.hs.GetTerm(), m.hs.GetVote(), max(m.hs.GetCommit(), i))
}

func (m *model) reset(i, term uint64, hs *raftpb.HardState) {
	if hs == nil {
		hs = m.hs
	}
	*m = model{base: i, baseTerm: term, hs: hard(hs.GetTerm(), hs.GetVote(), i)}
}

// String is the whole state, for comparison.
func (m *model) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "base %d/%d hs %d %d %d", m.base, m.baseTerm, m.hs.GetTerm(), m.hs.GetVote(), m.hs.GetCommit())
	for _, e := range m.entries {
		fmt.Fprintf(&b, " %d/%d:%d:%.12s", e.GetIndex(), e.GetTerm(), len(e.GetData()), e.GetData())
	}
	return b.String()
}

// content reads a whole log through its public methods.
func content(t testing.TB, l *wal.Log) *model {
	t.Helper()
	first, err := l.FirstIndex()
	must(t, err)
	last, err := l.LastIndex()
	must(t, err)
	m := &model{base: first - 1, hs: l.HardState()}
	m.baseTerm, err = l.Term(m.base)
	must(t, err)
	m.entries, err = l.Entries(first, last+1, ^uint64(0))
	must(t, err)
	if uint64(len(m.entries)) != last-m.base {
		t.Fatalf("%d entries between %d and %d", len(m.entries), first, last)
	}
	for i, e := range m.entries {
		term, err := l.Term(first + uint64(i))
		must(t, err)
		if e.GetIndex() != first+uint64(i) || e.GetTerm() != term {
			t.Fatalf("at %d: %v of term %d", first+uint64(i), e, term)
		}
	}
	return m
}

func same(t testing.TB, l *wal.Log, want *model) {
	t.Helper()
	if got := content(t, l).String(); got != want.String() {
		t.Fatalf("the log holds\n%s\nwant\n%s", got, want)
	}
}

// sameReads compares bounds and size limits with raft's own storage.
func sameReads(t testing.TB, rng *rand.Rand, l *wal.Log, m *model) {
	t.Helper()
	if len(m.entries) == 0 {
		return
	}
	ms := raft.NewMemoryStorage()
	if m.base > 0 {
		must(t, ms.ApplySnapshot(&raftpb.Snapshot{Metadata: &raftpb.SnapshotMetadata{Index: new(m.base), Term: new(m.baseTerm)}}))
	}
	must(t, ms.Append(m.entries))
	for range 5 {
		lo := rng.Uint64N(m.last()) + 1
		hi := lo + rng.Uint64N(m.last()+2-lo)
		limit := rng.Uint64N(6000)
		want, wantErr := ms.Entries(lo, hi, limit)
		got, err := l.Entries(lo, hi, limit)
		if err != wantErr || len(got) != len(want) {
			t.Fatalf("Entries(%d, %d, %d): %d entries, %v; want %d, %v", lo, hi, limit, len(got), err, len(want), wantErr)
		}
		for i := range got {
			if !proto.Equal(got[i], want[i]) {
				t.Fatalf("Entries(%d, %d, %d): %v, want %v", lo, hi, limit, got[i], want[i])
			}
		}
		i := rng.Uint64N(m.last() + 3)
		wantTerm, wantErr := ms.Term(i)
		if term, err := l.Term(i); term != wantTerm || err != wantErr {
			t.Fatalf("Term(%d): %d, %v; want %d, %v", i, term, err, wantTerm, wantErr)
		}
	}
}

// step does one random change to both; the log's error is returned after the
// model has changed. durable: the change was promised to be.
func step(rng *rand.Rand, l *wal.Log, m *model) (durable bool, err error) {
	commit, term := m.hs.GetCommit(), max(m.hs.GetTerm(), 1)
	sync := rng.IntN(3) > 0
	switch k := rng.IntN(20); {
	case k < 13: // append, often over a tail that is not committed
		first := m.last() + 1
		if tail := m.last() - commit; tail > 0 && rng.IntN(4) == 0 {
			first -= rng.Uint64N(tail) + 1
			term++
		}
		size := []int{0, 1, 40, 300, 300, 900, 3000, 6000}[rng.IntN(8)]
		entries := span(first, 1+rng.IntN(4), term, size)
		var hs *raftpb.HardState
		if rng.IntN(2) == 0 || term != m.hs.GetTerm() {
			hs = hard(term, rng.Uint64N(3), commit+rng.Uint64N(first+uint64(len(entries))-commit))
		}
		m.append(hs, entries)
		return sync, l.Append(hs, entries, sync)
	case k < 16: // HardState alone
		hs := hard(term+rng.Uint64N(2), rng.Uint64N(3), commit+rng.Uint64N(m.last()-commit+1))
		m.append(hs, nil)
		return sync, l.Append(hs, nil, sync)
	case k < 19:
		if m.last() == m.base {
			return false, nil
		}
		i := m.base + 1 + rng.Uint64N(m.last()-m.base)
		t := m.term(i)
		m.compact(i)
		return false, l.Compact(i, t)
	default:
		i := rng.Uint64N(20) + max(commit, 1)
		var hs *raftpb.HardState
		if rng.IntN(2) == 0 {
			hs = hard(term+1, 0, i)
		}
		m.reset(i, term, hs)
		return true, l.Reset(i, term, hs)
	}
}

// replaced is a copy of fs with one file changed.
func replaced(t testing.TB, fs *faultfs.MemFS, name string, change func(b []byte) []byte) *faultfs.MemFS {
	t.Helper()
	out := fs.CrashClone(rand.New(rand.NewPCG(1, 1)))
	b, err := out.ReadFile(name)
	must(t, err)
	out.WriteFile(name, change(b))
	return out
}
