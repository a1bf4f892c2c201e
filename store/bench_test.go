package store

import (
	"fmt"
	"runtime"
	"syscall"
	"testing"
)

// filled returns a store of n files of 256 bytes, 1000 to a directory.
func filled(tb testing.TB, n int) (*Store, []string) {
	tb.Helper()
	s := New()
	paths := make([]string, n)
	var b []byte
	c := Command{Kind: Write, Author: "10.0.0.1:1234", Ops: []Op{{Value: make([]byte, 256)}}}
	for i := range paths {
		paths[i] = fmt.Sprintf("/bench/%04d/file-%07d", i/1000, i)
		c.Ops[0].Path = paths[i]
		b = c.Append(b[:0])
		if res, _ := s.Apply(uint64(i+1), int64(i), b); res.Err != nil {
			tb.Fatal(res.Err)
		}
	}
	return s, paths
}

// scatter returns the i-th of a walk over n that jumps about.
func scatter(i, n int) int { return int(uint64(i) * 2654435761 % uint64(n)) }

// cpu starts to measure the processor time of the whole process, the garbage
// collector's too, which a busy machine does not distort as it does the clock's
// time; what it returns reports it.
func cpu(b *testing.B) func() {
	used := func() int64 {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return u.Utime.Nano() + u.Stime.Nano()
	}
	b.ReportAllocs()
	before := used()
	return func() { b.ReportMetric(float64(used()-before)/float64(b.N), "cpu-ns/op") }
}

func BenchmarkApplySet(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) { benchmarkApplySet(b, n) })
	}
}

func benchmarkApplySet(b *testing.B, n int) {
	s, paths := filled(b, n)
	c := Command{Kind: Write, Author: "10.0.0.1:1234", Ops: []Op{{Value: make([]byte, 256)}}}
	var buf []byte
	index := s.Index()
	runtime.GC()
	defer cpu(b)()
	i := 0
	for b.Loop() {
		index++
		i++
		c.Ops[0].Path = paths[scatter(i, len(paths))]
		buf = c.Append(buf[:0])
		s.Apply(index, int64(index), buf)
		if i%50_000 == 0 {
			s.Capture()
		}
	}
}

// BenchmarkApplyEntry applies entries of 64 writes, and shows what Warm is worth.
func BenchmarkApplyEntry(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		for _, warm := range []bool{false, true} {
			b.Run(fmt.Sprintf("%d/warm=%v", n, warm), func(b *testing.B) { benchmarkApplyEntry(b, n, warm) })
		}
	}
}

func benchmarkApplyEntry(b *testing.B, n int, warm bool) {
	s, paths := filled(b, n)
	c := Command{Kind: Write, Author: "10.0.0.1:1234", Ops: []Op{{Value: make([]byte, 256)}}}
	index := s.Index()
	entry := make([][]byte, 64)
	runtime.GC()
	defer cpu(b)()
	b.ResetTimer()
	for i := 0; i < b.N; {
		for k := range entry {
			i++
			c.Ops[0].Path = paths[scatter(i, len(paths))]
			entry[k] = c.Append(entry[k][:0])
		}
		index++
		warmed := 0
		for k, cmd := range entry {
			if warm && k == warmed {
				warmed += s.Warm(entry[k:])
			}
			s.Apply(index, int64(index), cmd)
		}
		if i%64_000 == 0 {
			s.Capture()
		}
	}
}

func BenchmarkApplySetOnce(b *testing.B) {
	s, paths := filled(b, 100_000)
	var buf []byte
	c := Command{Kind: Register}
	res, _ := s.Apply(s.Index()+1, 1, c.Append(nil))
	c = Command{Kind: Write, Author: "10.0.0.1:1234", Client: res.Client, Ops: []Op{{Value: make([]byte, 256)}}}
	index := s.Index()
	runtime.GC()
	defer cpu(b)()
	i := 0
	for b.Loop() {
		index++
		i++
		c.Seq++
		c.Ack = max(c.Seq, 65) - 64
		c.Ops[0].Path = paths[scatter(i, len(paths))]
		buf = c.Append(buf[:0])
		s.Apply(index, int64(index), buf)
		if i%50_000 == 0 {
			s.Capture()
		}
	}
}

func BenchmarkApplyCreate(b *testing.B) {
	s := New()
	c := Command{Kind: Write, Author: "10.0.0.1:1234", Ops: []Op{{Value: make([]byte, 256)}}}
	var path, buf []byte
	defer cpu(b)()
	i := 0
	for b.Loop() {
		i++
		path = fmt.Appendf(path[:0], "/bench/%03d/file-%07d", i%500, scatter(i, 1<<31))
		c.Ops[0].Path = string(path)
		buf = c.Append(buf[:0])
		s.Apply(uint64(i), int64(i), buf)
		if i%50_000 == 0 {
			s.Capture()
		}
	}
}

func BenchmarkApplyTxn(b *testing.B) {
	s, paths := filled(b, 100_000)
	c := Command{Kind: Write, Author: "10.0.0.1:1234"}
	for range 10 {
		c.Ops = append(c.Ops, Op{Value: make([]byte, 256)})
		c.Conds = append(c.Conds, Condition{Kind: Unchanged, Rev: 1 << 40})
	}
	index := s.Index()
	var buf []byte
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		for k := range c.Ops {
			i++
			c.Ops[k].Path = paths[i%len(paths)]
			c.Conds[k].Path = paths[i%len(paths)]
		}
		index++
		buf = c.Append(buf[:0])
		s.Apply(index, int64(index), buf)
		if index%5_000 == 0 {
			s.Capture()
		}
	}
}

func BenchmarkGet(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		s, paths := filled(b, n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			defer cpu(b)()
			i := 0
			for b.Loop() {
				i++
				if _, err := s.Get(paths[scatter(i, n)], 0); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkList lists directories of 1000 files.
func BenchmarkList(b *testing.B) {
	s, _ := filled(b, 100_000)
	for name, rev := range map[string]int64{"present": 0, "past": s.Rev() - 1} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			i, entries := 0, 0
			for b.Loop() {
				i++
				s.List(fmt.Sprintf("/bench/%04d", i%99), &Scan{Rev: rev}, func(Info, *Event) bool { entries++; return true })
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(entries), "ns/entry")
		})
	}
}

// BenchmarkFind finds a thousand files among a million.
func BenchmarkFind(b *testing.B) {
	s, _ := filled(b, 1_000_000)
	for _, pattern := range []string{"/bench/0500/**", "/**/file-05?0000", "/bench/*/file-0500*"} {
		g := mustGlob(b, pattern)
		b.Run(pattern, func(b *testing.B) {
			found := 0
			for b.Loop() {
				s.Find(g, new(Scan), func(*Event) bool { found++; return true })
			}
			b.ReportMetric(float64(found)/float64(b.N), "files/op")
		})
	}
}

func BenchmarkGlobMatch(b *testing.B) {
	for _, pattern := range []string{"/app/config/x", "/app/**", "/app/*", "/app/*/x", "/**/x", "/a?p/*/x**"} {
		g := mustGlob(b, pattern)
		b.Run(pattern, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				g.Match("/app/config/x")
			}
		})
	}
}

// BenchmarkIndexMatch matches a path against 10,000 globs of which one or two
// match.
func BenchmarkIndexMatch(b *testing.B) {
	for _, form := range []string{"/app/%d/**", "/app/%d", "/app/*/%d", "/%d*/x", "/**/%d"} {
		b.Run(form, func(b *testing.B) {
			var x Index[int]
			for i := range 10_000 {
				x.Add(mustGlob(b, fmt.Sprintf(form, i)), i)
			}
			x.Add(mustGlob(b, "/app/4321/*"), -1)
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				x.Match("/app/4321/17", func(int) { n++ })
			}
			b.ReportMetric(float64(n)/float64(b.N), "matches/op")
		})
	}
}

// BenchmarkCapture takes and encodes so many changes of 100,000 files; capture
// is the part that needs the lock.
func BenchmarkCapture(b *testing.B) {
	for _, n := range []int{10_000, 300_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) { benchmarkCapture(b, n) })
	}
}

func benchmarkCapture(b *testing.B, writes int) {
	s, paths := filled(b, 100_000)
	s.Capture()
	index := s.Index()
	var buf []byte
	var bytes int
	var locked float64
	c := Command{Kind: Write, Ops: []Op{{Value: make([]byte, 256)}}}
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		for i := range writes {
			index++
			c.Ops[0].Path = paths[scatter(int(index)+i, len(paths))]
			buf = c.Append(buf[:0])
			s.Apply(index, int64(index), buf)
		}
		b.StartTimer()
		before := b.Elapsed()
		capture := s.Capture()
		locked += float64((b.Elapsed() - before).Nanoseconds())
		capture.Records(func(k, v []byte) error { bytes += len(k) + len(v); return nil },
			func(k []byte) error { return nil })
	}
	b.ReportMetric(locked/float64(b.N), "locked-ns/op")
	b.ReportMetric(float64(bytes)/float64(b.N)/1e6, "MB/op")
}

// BenchmarkLoad restores a store of 100,000 files with its window.
func BenchmarkLoad(b *testing.B) {
	s, _ := filled(b, 100_000)
	var keys, values [][]byte
	s.Snapshot(func(k, v []byte) error {
		keys, values = append(keys, k), append(values, v)
		return nil
	})
	b.ReportAllocs()
	for b.Loop() {
		l := NewLoader()
		for i, k := range keys {
			if err := l.Add(k, values[i]); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := l.Finish(1); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkMemory reports what a file of 256 bytes takes in a store of a
// million.
func BenchmarkMemory(b *testing.B) {
	const n = 1_000_000
	for b.Loop() {
		before := heap()
		s, _ := filled(b, n)
		s.Capture()
		b.ReportMetric(float64(heap()-before)/n, "B/file")
		runtime.KeepAlive(s)
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
