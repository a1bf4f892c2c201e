package checkpoint

import (
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"testing"
)

// Numbers for the limits in doc.go: the whole of n records of 300 bytes.
func BenchmarkRecords(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		put := func(put func(k, v []byte) error) error {
			k, v := make([]byte, 0, 64), make([]byte, 260)
			for i := range n {
				k = fmt.Appendf(k[:0], "v/some/directory/of/%020d", i)
				if err := put(k, v); err != nil {
					return err
				}
			}
			return nil
		}
		b.Run(fmt.Sprintf("commit-%d", n), func(b *testing.B) {
			for b.Loop() {
				db := benchOpen(b)
				peak := watchHeap(b)
				err := db.Commit(Meta{Index: 1}, func(p func(k, v []byte) error, _ func([]byte) error) error { return put(p) })
				peak()
				benchEnd(b, db, err)
			}
		})
		b.Run(fmt.Sprintf("stage-%d", n), func(b *testing.B) {
			for b.Loop() {
				db := benchOpen(b)
				peak := watchHeap(b)
				s, err := db.Stage(Meta{Index: 1})
				if err == nil {
					err = put(s.Put)
				}
				if err == nil {
					err = s.Commit()
				}
				if err == nil {
					err = db.Install(s)
				}
				peak()
				benchEnd(b, db, err)
			}
		})
	}
}

// Small commits into a database of a million records, and what reading it
// takes.
func BenchmarkLarge(b *testing.B) {
	const n = 1_000_000
	db := benchOpen(b)
	key := func(i int) []byte { return fmt.Appendf(nil, "v/some/directory/of/%020d", i) }
	s, err := db.Stage(Meta{Index: 1})
	for i := 0; i < n && err == nil; i++ {
		err = s.Put(key(i), make([]byte, 260))
	}
	if err == nil {
		err = s.Commit()
	}
	if err == nil {
		err = db.Install(s)
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Run("commit-1000-random", func(b *testing.B) {
		index := uint64(1)
		for b.Loop() {
			index++
			at := rand.IntN(n - 100_000)
			err := db.Commit(Meta{Index: index}, func(put func(k, v []byte) error, _ func([]byte) error) error {
				for i := range 1000 {
					if err := put(key(at+i*100), make([]byte, 260)); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(db.Size())/(1<<20), "MiB-file")
	})
	b.Run("load", func(b *testing.B) {
		for b.Loop() {
			if err := db.Load(func(_, _ []byte) error { return nil }); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("export", func(b *testing.B) {
		for b.Loop() {
			e, err := db.Export()
			if err != nil {
				b.Fatal(err)
			}
			m, err := io.Copy(io.Discard, e)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(m)
			_ = e.Close()
		}
	})
	b.Run("import", func(b *testing.B) {
		for b.Loop() {
			e, err := db.Export()
			if err != nil {
				b.Fatal(err)
			}
			s, err := db.ImportFrom(e)
			if err != nil {
				b.Fatal(err)
			}
			_, _ = e.Close(), s.Abort()
		}
	})
	b.Run("reopen", func(b *testing.B) {
		for b.Loop() {
			if err := db.Close(); err != nil {
				b.Fatal(err)
			}
			if db, err = Open(db.path, Options{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	_ = db.Close()
}

func benchOpen(b *testing.B) *DB {
	b.Helper()
	db, err := Open(filepath.Join(b.TempDir(), "state.db"), Options{})
	if err != nil {
		b.Fatal(err)
	}
	return db
}

func benchEnd(b *testing.B, db *DB, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(db.Size())/(1<<20), "MiB-file")
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
}

// watchHeap reports how much the heap grew until the function it returns is
// called.
func watchHeap(b *testing.B) func() {
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	return func() {
		var after runtime.MemStats
		runtime.ReadMemStats(&after)
		b.ReportMetric((float64(after.HeapSys)-float64(before.HeapSys))/(1<<20), "MiB-heap-growth")
	}
}
