package wal_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/doozer-store/doozer/consensus/wal"
)

// benchAppend appends count entries of size bytes a call, on real files, and
// compacts so that disk use stays bounded.
func benchAppend(b *testing.B, count, size int, sync bool) {
	l := open(b, wal.Options{Dir: b.TempDir()})
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(rand.Uint32() | 1)
	}
	took := make([]time.Duration, 0, 1<<16)
	entries := make([]*raftpb.Entry, count)
	next, written := uint64(1), 0
	b.SetBytes(int64(count * size))
	for b.Loop() {
		for i := range entries {
			entries[i] = &raftpb.Entry{Term: new(uint64(1)), Index: new(next), Data: data}
			next++
		}
		begin := time.Now()
		if err := l.Append(hard(1, 1, next-1-uint64(count)), entries, sync); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(begin))
		if written += count * size; written > 256<<20 {
			written = 0
			must(b, l.Compact(next-1, 1))
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds()), "p50-ns")
	b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds()), "p99-ns")
	b.ReportMetric(float64(took[len(took)-1].Nanoseconds()), "max-ns")
}

func BenchmarkAppend300B(b *testing.B)     { benchAppend(b, 1, 300, false) }
func BenchmarkAppend300BSync(b *testing.B) { benchAppend(b, 1, 300, true) }
func BenchmarkAppend64KiB(b *testing.B)    { benchAppend(b, 1, 64<<10, false) }
func BenchmarkAppend64KiBSync(b *testing.B) {
	benchAppend(b, 1, 64<<10, true) // a rotation every thousand: max-ns is its stall
}
func BenchmarkAppend200x300BSync(b *testing.B) { benchAppend(b, 200, 300, true) }

// BenchmarkEntriesFromDisk reads batches of a follower that lags behind the cache.
func BenchmarkEntriesFromDisk(b *testing.B) {
	l := open(b, wal.Options{Dir: b.TempDir(), CacheBytes: 1})
	const total = 20000
	for i := uint64(1); i <= total; i += 100 {
		must(b, l.Append(nil, span(i, 100, 1, 300), i+100 > total))
	}
	lo := uint64(1)
	for b.Loop() {
		got, err := l.Entries(lo, total+1, 64<<10)
		must(b, err)
		b.SetBytes(int64(len(got) * 300))
		if lo += uint64(len(got)); lo > total {
			lo = 1
		}
	}
}

// BenchmarkOpen replays 60 MiB.
func BenchmarkOpen(b *testing.B) {
	o := wal.Options{Dir: b.TempDir()}
	l := open(b, o)
	for i := uint64(1); i <= 180000; i += 100 {
		must(b, l.Append(hard(1, 1, i-1), span(i, 100, 1, 300), false))
	}
	must(b, l.Close())
	for b.Loop() {
		l, err := wal.Open(o)
		must(b, err)
		must(b, l.Close())
	}
}
